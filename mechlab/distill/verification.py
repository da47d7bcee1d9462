"""Comparing a program with the network that it was distilled from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from mechlab.distill.boundary import boundary_inputs, random_inputs
from mechlab.distill.certificate import Certificate, DistillError
from mechlab.distill.correspondence import Matched, match, match_outputs
from mechlab.distill.equal_signs import rounding
from mechlab.distill.interpret import evaluate, outputs, returned
from mechlab.distill.layers import Layer, as_layers
from mechlab.distill.matrices import flat, matrices
from mechlab.distill.program import Program

MOST_EXHAUSTIVE = 20  # inputs; 2^20 of them are compared
LEAST_SAMPLES = 3000
CHUNK = 512


def verify(
    program: Program,
    layers: Sequence[Any] | Mapping[int, Sequence[Any]] | None = None,
    *,
    samples: int = LEAST_SAMPLES,
    rng: int | np.random.Generator = 0,
    tolerance: float = 1e-2,
) -> Certificate:
    """Return the certificate of a program that agrees with its network.

    Status "lossless": what the program returns was compared on every input (at most 20 bits or signs) without a
    mismatch. "proved": every unit of the network that its outputs depend on has the same sign (-1, 0, 1) as a unit of
    the program, and the outputs are equal, for all inputs of the declared values; `equal_signs` states the argument
    and the arithmetic that is assumed. "tested": neither, but no refusal on the inputs that were compared.

    The network's sums count as zero, and its outputs as equal, within the rounding error of float64. Values of "scores"
    and "probabilities" are equal within 1e-9 of the sum of |weights|, where not differing by noise.

    A mismatch is refused, whether in what is returned or, where not all inputs were compared, in the sign of a unit of
    the network that corresponds to a unit of the program. Mismatches are counted instead where the network is a copy of
    the program's with noise: no weight differs by more than `tolerance`, and the differences have mean 0 in each group
    of equal weights (see `noise.change_by_noise`); then one of its sums is within the snapping error of zero.

    Args:
        program: of a network or of many sizes.
        layers: the network, or {N: layers} for a program of many sizes; by default those it was distilled from.
        samples: number of inputs to compare for each size; at least 3000. Half of them lie beside thresholds.
        rng: seed or generator of the inputs.
        tolerance: largest relative change of a weight that may be noise.

    Raises:
        DistillError: the program and the network disagree, with an example; or there is no network.
    """
    networks = _networks(program, layers)
    generator = np.random.default_rng(rng)
    parts = [_compare(program, size, network, samples, generator, tolerance) for size, network in networks]
    ranks: list[Literal["tested", "proved", "lossless"]] = ["tested", "proved", "lossless"]
    return Certificate(
        status=min((part.status for part in parts), key=ranks.index),
        inputs=sum(part.inputs for part in parts),
        boundary=sum(part.boundary for part in parts),
        mismatches=sum(part.mismatches for part in parts),
        snapped=max(part.snapped for part in parts),
        units=(sum(part.units[0] for part in parts), sum(part.units[1] for part in parts)),
        sizes=tuple(size for size, _ in networks if size is not None),
        seed=rng if isinstance(rng, int) else 0,
    )


def rounded_activations(layers: Sequence[Layer], inputs: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the activations (B, n) of each layer where sums within rounding of zero are zero, and the rounding error
    (B or 1, n_out) of the outputs."""
    result, state = [], inputs
    for k, layer in enumerate(layers):
        largest = np.abs(state) if k == 0 and np.abs(inputs).max(initial=0) > 1 else np.ones((1, state.shape[1]))
        error = rounding(state.shape[1]) * (largest @ np.abs(layer.weight) + np.abs(layer.bias))
        total = state @ layer.weight + layer.bias
        state = np.where(np.abs(total) <= error, 0, np.sign(total)) if k < len(layers) - 1 else total
        result.append(state)
    return result, error


def _networks(program: Program, layers: Any) -> list[tuple[int | None, tuple[Layer, ...]]]:
    """Return the networks with their sizes; the size is None for a program of one size."""
    given = program.network if layers is None else layers
    if not given:
        raise DistillError("a program must be compared with a network", got="none", key="layers", fix="give layers")
    if isinstance(given, Mapping):
        made = [(int(size), as_layers(network)) for size, network in sorted(given.items())]
    else:
        network = as_layers(given)
        made = [(_size(program, len(network[0].weight)), network)]
    return [(size if program.parametric else None, network) for size, network in made]


def _size(program: Program, count: int) -> int:
    """Return the N at which a program has `count` inputs."""
    for size in range(1, count + 1):
        if sum(math.prod(int(length(size)) for length in tensor.shape) for tensor in program.inputs) == count:
            return size
    if not program.parametric:
        return 0
    raise DistillError("the program must have a size with the network's inputs", got=count, key="layers")


def _compare(
    program: Program,
    size: int | None,
    layers: tuple[Layer, ...],
    samples: int,
    rng: np.random.Generator,
    tolerance: float,
) -> Certificate:
    table = matrices(program, size)
    shapes = [tuple(int(length(size)) for length in tensor.shape) for tensor in program.inputs]
    got = len(layers[0].weight), layers[-1].weight.shape[1]
    if got != (table.n_inputs, len(table.outputs)):
        must = f"the program and the network must have {got[0]} inputs and {got[1]} outputs"
        raise DistillError(must, got=f"{table.n_inputs} and {len(table.outputs)}", key="layers")
    matched = match(layers, table, tolerance)
    equal, noisy, change = match_outputs(
        layers[-1], matched[-1] if matched else Matched.inputs(table), table, program.returns, program.scale, tolerance
    )
    needed = [part.needed for part in matched]
    proved = sum(int((part.proved & part.needed).sum()) for part in matched)
    units = proved, sum(int(part.sum()) for part in needed)
    certain = equal and units[0] == units[1]
    copy = all(part.copy for part in matched) and (equal or noisy) and not certain
    snapped = max([change, *(part.snapped for part in matched)])
    values = [
        tensor.values for tensor, shape in zip(program.inputs, shapes, strict=True) for _ in range(math.prod(shape))
    ]
    exhaustive = len(values) <= MOST_EXHAUSTIVE and all(kind in ("bits", "signs") for kind in values)
    count = boundary = mismatches = 0
    for chunk, beside in _inputs(values, layers, max(samples, LEAST_SAMPLES), rng, program.returns, exhaustive):
        count, boundary = count + len(chunk), boundary + beside * len(chunk)
        wrong, unit = _mismatches(program, size, shapes, layers, matched, chunk, snapped if copy else 0.0)
        if not copy and (wrong.any() or (unit.any() and not exhaustive)):
            raise _refusal(chunk, wrong, unit, size)
        mismatches += int(wrong.sum())
    status: Literal["tested", "proved", "lossless"] = "tested"
    if not mismatches and exhaustive:
        status = "lossless"
    elif certain:
        status = "proved"
    return Certificate(status, count, boundary, mismatches, snapped, units)


def _inputs(
    values: list, layers: Sequence[Layer], samples: int, rng: np.random.Generator, returns: str, exhaustive: bool
) -> Iterator[tuple[np.ndarray, bool]]:
    """Yield inputs in chunks (B, n), and whether they lie beside thresholds."""
    if exhaustive:
        low = np.array([-1 if kind == "signs" else 0 for kind in values])
        for start in range(0, 2 ** len(values), CHUNK):
            number = np.arange(start, min(start + CHUNK, 2 ** len(values)))[:, None]
            bits = number >> np.arange(len(values)) & 1
            yield np.where(bits, 1, low).astype(float), False
        return
    beside = boundary_inputs(layers, values, samples // 2, rng, returns)
    for inputs, near in ((beside, True), (random_inputs(values, max(samples - len(beside), samples // 2), rng), False)):
        for start in range(0, len(inputs), CHUNK):
            yield inputs[start : start + CHUNK].astype(float), near


def _mismatches(
    program: Program,
    size: int | None,
    shapes: list[tuple[int, ...]],
    layers: Sequence[Layer],
    matched: list[Matched],
    inputs: np.ndarray,
    noise: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return on which inputs (B,) the results differ, and on which the sign of a unit does."""
    parts = np.split(inputs, np.cumsum([math.prod(shape) for shape in shapes])[:-1], axis=1)
    tensors = {
        tensor.name: part.reshape(len(inputs), *shape)
        for tensor, part, shape in zip(program.inputs, parts, shapes, strict=True)
    }
    values = evaluate(program, tensors, size)
    (*hidden, scores), error = rounded_activations(layers, inputs)
    joined = flat(program, values)
    unit = np.zeros(len(inputs), bool)
    for part, states in zip(matched, hidden, strict=True):
        expected = part.expected(joined)
        unit |= ((states != expected) & ~np.isnan(expected))[:, part.needed].any(1)
    made = outputs(program, values)
    if program.returns == "class":
        close = scores >= scores.max(1, keepdims=True) - 2 * error.max(1, keepdims=True)
        return close.argmax(1) != made.argmax(1), unit
    if program.returns == "bits":
        return ((scores > error) != (made > 0)).any(1), unit
    allowed = 1e-9 + noise
    total = np.abs(layers[-1].weight).sum(0) + np.abs(layers[-1].bias)
    difference = np.abs(scores - program.scale * made)
    if program.returns == "probabilities":
        difference = np.abs(_softmax(scores) - returned(program, made))
    return (difference > allowed * total).any(1), unit


def _softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def _refusal(inputs: np.ndarray, wrong: np.ndarray, unit: np.ndarray, size: int | None) -> DistillError:
    what = "return what the network returns" if wrong.any() else "have the signs of the network's units"
    where = "" if size is None else f" at N = {size}"
    example = inputs[int((wrong if wrong.any() else unit).argmax())]
    text = np.array2string(example, separator=", ", threshold=200, formatter={"float": lambda value: f"{value:g}"})
    return DistillError(
        f"the program must {what}{where}",
        got=f"a mismatch for the flat input {text}",
        key="layers",
        fix="give exact weights, or a larger tolerance of noise",
    )
