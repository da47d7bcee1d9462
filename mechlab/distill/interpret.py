"""The interpreter of programs: a block at a time, for a batch of inputs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from mechlab.core.errors import ConfigError
from mechlab.distill.program import Along, Block, Input, Program, Term


def run(program: Program, *inputs: Any) -> np.ndarray:
    """Return what a program returns for one input or a batch; see `Program.__call__`.

    Raises:
        ConfigError: inputs do not have the declared shapes or values.
    """
    tensors, size, batched = arranged(program, *inputs)
    scores = outputs(program, evaluate(program, tensors, size))
    result = returned(program, scores)
    return result if batched else result[0]


def returned(program: Program, scores: np.ndarray) -> np.ndarray:
    """Return what the program returns, for its outputs (B, n_out)."""
    if program.returns == "class":
        return scores.argmax(1)
    if program.returns == "bits":
        return (scores > 0).astype(np.int64)
    scores = program.scale * scores
    if program.returns == "scores":
        return scores
    shifted = np.exp(scores - scores.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def outputs(program: Program, values: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the output vector (B, n_out) of evaluated blocks, in the network's order, without `scale`."""
    joined = np.concatenate([values[name].reshape(len(values[name]), -1) for name in program.outputs], axis=1)
    if not program.order:
        return joined
    return joined[:, list(program.order)]


def evaluate(program: Program, tensors: Mapping[str, np.ndarray], size: int | None = None) -> dict[str, np.ndarray]:
    """Return the values of all inputs and blocks, by name, each (B, *its sizes) in float64.

    Args:
        program: of a network or of many sizes.
        tensors: of each input, (B, *shape).
        size: N, for a program of many sizes.
    """
    values = {name: np.asarray(tensor, float) for name, tensor in tensors.items()}
    batch = len(next(iter(values.values())))
    for block in program.blocks:
        values[block.name] = _block(block, values, batch, size)
    return values


def arranged(program: Program, *inputs: Any) -> tuple[dict[str, np.ndarray], int | None, bool]:
    """Return inputs as batches (B, *shape) by name, the size N that their shapes imply, and whether they were a batch.

    Raises:
        ConfigError: inputs do not have the declared shapes or values.
    """
    arrays = [np.asarray(value, float) for value in inputs]
    if len(arrays) == 1 and len(program.inputs) > 1 and not program.parametric:
        arrays = _divided(program, arrays[0])
    if len(arrays) != len(program.inputs):
        raise ConfigError(f"the program must be given {len(program.inputs)} inputs", got=len(arrays), key="inputs")
    size = _size(program, arrays)
    if size is not None:
        _check_positions(program, size)
    tensors, batched = {}, True
    for tensor, array in zip(program.inputs, arrays, strict=True):
        shape = tuple(int(length(size)) for length in tensor.shape)
        tensors[tensor.name], batched = _shaped(tensor, array, shape)
    return tensors, size, batched


def _block(block: Block, values: Mapping[str, np.ndarray], batch: int, size: int | None) -> np.ndarray:
    sizes = tuple(int(count(size)) for count in block.sizes)
    total = np.full((batch, *[1] * len(sizes)), float(block.bias(size)))
    for term in block.terms:
        total = total + float(term.coefficient(size)) * term_sum(term, values[term.source], sizes, size)
    result = np.sign(total) if block.activation == "sign" else total
    result = np.broadcast_to(result, (batch, *sizes))
    return result if block.where == "all" else np.where(existing(block, sizes), result, 0.0)


def term_sum(term: Term, source: Any, sizes: tuple[int, ...], size: int | None = None) -> Any:
    """Return the sum of a term without its coefficient, (B, *sizes) with length 1 along indices that it does not
    follow.

    Args:
        term: of a block.
        source: values (B, ...) of what it sums, as a numpy array or a tensor.
        sizes: number of values of each of the block's indices.
        size: N, for a program of many sizes.
    """
    whole = tuple(k + 1 for k, along in enumerate(term.along) if along.whole)
    source = source.sum(axis=whole) if whole else source
    partial = [along for along in term.along if not along.whole]
    total: Any = 0.0
    for offsets in _offsets(partial, size):
        places = [
            _places(along, offset, sizes, length)
            for along, offset, length in zip(partial, offsets, source.shape[1:], strict=True)
        ]
        part = source[(slice(None), *places)] if places else source
        total = total + part.reshape(len(source), *(part.shape[1:] or (1,) * len(sizes)))
    return total


def _offsets(partial: list[Along], size: int | None) -> list[tuple[int, ...]]:
    """Return every combination of offsets of windows."""
    ranges = [
        range(1) if along.places else range(int(along.first(size)), int(along.last(size)) + 1) for along in partial
    ]
    return list(itertools.product(*ranges))


def _places(along: Along, offset: int, sizes: tuple[int, ...], length: int) -> np.ndarray:
    """Return the positions, shaped to broadcast over the block's indices."""
    shape = [1] * len(sizes)
    if along.axis is None:
        places = np.array([offset])
    else:
        index = np.arange(sizes[along.axis])
        places = np.array(along.places)[index] if along.places else along.sign * index + offset
        shape[along.axis] = len(index)
    return (places % length if along.periodic else places).reshape(shape)


def existing(block: Block, sizes: tuple[int, ...]) -> np.ndarray:
    """Return which units of a block with a condition exist, as a mask that broadcasts over its indices."""
    first, second = np.arange(sizes[0])[:, None], np.arange(sizes[1])
    exists = first < second if block.where == "less" else first != second
    return exists.reshape(*exists.shape, *[1] * (len(sizes) - 2))


def _size(program: Program, arrays: list[np.ndarray]) -> int | None:
    """Return the N that the inputs' shapes imply."""
    for tensor, array in zip(program.inputs, arrays, strict=True):
        for k, length in enumerate(tensor.shape):
            if length.degree == 1 and array.ndim >= len(tensor.shape):
                size = (array.shape[array.ndim - len(tensor.shape) + k] - length.constant) / length.coefficients[1]
                return int(size)
    return None


def _check_positions(program: Program, size: int) -> None:
    """Refuse a size at which a length or an offset, such as N/2, is no integer."""
    for block in program.blocks:
        ends = [end for term in block.terms for along in term.along for end in (along.first, along.last)]
        for length in (*block.sizes, *(end for end in ends if end is not None)):
            if length(size).denominator > 1:
                must = f"the size N must give block {block.name} integer lengths and positions"
                raise ConfigError(must, got=f"{length} at N = {size}", key="inputs")


def _divided(program: Program, array: np.ndarray) -> list[np.ndarray]:
    """Return the parts of a flat input that belong to each tensor."""
    counts = [int(np.prod([int(length()) for length in tensor.shape])) for tensor in program.inputs]
    return np.split(array, np.cumsum(counts)[:-1], axis=-1)


def _shaped(tensor: Input, array: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, bool]:
    count = int(np.prod(shape))
    if array.shape == shape or array.shape == (count,):
        array, batched = array.reshape(1, *shape), False
    elif array.shape[1:] == shape or array.shape[1:] == (count,):
        array, batched = array.reshape(len(array), *shape), True
    else:
        must = f"input {tensor.name} must have the shape {shape}, or (B, {', '.join(map(str, shape))}) for a batch"
        raise ConfigError(must, got=array.shape, key="inputs")
    allowed = {"bits": (array == 0) | (array == 1), "signs": np.abs(array) == 1, "integers": array == np.rint(array)}
    if tensor.values in allowed and not allowed[tensor.values].all():
        words = {"bits": "0 or 1", "signs": "-1 or 1", "integers": "integers"}[tensor.values]
        raise ConfigError(f"the values of input {tensor.name} must be {words}", got="others", key="inputs")
    return array, batched
