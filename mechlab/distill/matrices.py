"""A program at one size as one matrix of integers, with the values that each of its units can take."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mechlab.distill.certificate import DistillError
from mechlab.distill.program import Along, Block, Program, Term

RANGES = {"bits": (0, 1, 1), "signs": (-1, 1, 2), "integers": (-np.inf, np.inf, 1), "reals": (-np.inf, np.inf, 0)}


@dataclass(frozen=True)
class Box:
    """Independent values of V inputs or units: low, low + step, ..., high.

    Args:
        low, high: (V,), infinite for unbounded inputs.
        step: (V,); 0 for real values and for constants.
    """

    low: np.ndarray
    high: np.ndarray
    step: np.ndarray

    @property
    def largest(self) -> np.ndarray:
        """Largest absolute value, (V,)."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    def bounds(self, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the least and the largest value (n,) of v @ weight (V, n)."""
        rows = np.flatnonzero(weight.any(1))
        weight = weight[rows]
        positive, negative = np.maximum(weight, 0), np.minimum(weight, 0)
        low, high = self.low[rows], self.high[rows]
        return _product(low, positive) + _product(high, negative), _product(high, positive) + _product(low, negative)


@dataclass(frozen=True)
class Sums:
    """The values that v @ weight can take, for integers weight (V, n): a part of base + g Z between low and high; any
    real number between them where g is 0 and low < high."""

    base: np.ndarray
    g: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def below(self, threshold: np.ndarray) -> np.ndarray:
        """Return the largest of the values that is less than the threshold, (n,); -inf if there is none."""
        g = np.where(self.g > 0, self.g, 1)
        value = self.base + g * (np.ceil((threshold - self.base) / g) - 1)
        value = np.minimum(np.where(self.g > 0, value, self.base), self.high)
        return np.where((value >= self.low) & (value < threshold), value, -np.inf)

    def above(self, threshold: np.ndarray) -> np.ndarray:
        """Return the least of the values that is more than the threshold, (n,); inf if there is none."""
        return -Sums(-self.base, self.g, -self.high, -self.low).below(-threshold)

    def contain(self, value: np.ndarray) -> np.ndarray:
        """Return True (n,) where the value may be taken."""
        g = np.where(self.g > 0, self.g, 1)
        lattice = np.where(self.g > 0, np.mod(value - self.base, g) == 0, True)
        return lattice & (self.low <= value) & (value <= self.high)


@dataclass(frozen=True)
class Matrices:
    """A program at one size: V values are its inputs, then the units of its blocks, in order of evaluation.

    Args:
        n_inputs: number of inputs.
        weight: (V, U) of its U = V - n_inputs units, integers in float64.
        bias: (U,), integers.
        factor: (U,); the program's sums are those of `weight` and `bias` divided by this.
        box: the values that inputs and units can take, each alone.
        block: (U,), number of each unit's block.
        exists: (U,), False for units that a block's `where` excludes.
        linear: (U,), True for outputs.
        outputs: (n_out,), the unit of each output of the network.
    """

    n_inputs: int
    weight: np.ndarray
    bias: np.ndarray
    factor: np.ndarray
    box: Box
    block: np.ndarray
    exists: np.ndarray
    linear: np.ndarray
    outputs: np.ndarray

    def sums(self, units: np.ndarray) -> Sums:
        """Return the values of the units' sums without biases."""
        return sums(self.weight[:, units], self.box)


def matrices(program: Program, size: int | None = None) -> Matrices:
    """Return a program's units at a size as matrices.

    Raises:
        DistillError: a term reads a position outside its source, or a source has not been computed.
    """
    shapes = {tensor.name: tuple(int(length(size)) for length in tensor.shape) for tensor in program.inputs}
    lows = [np.full((math.prod(shapes[t.name]), 3), RANGES[t.values], float) for t in program.inputs]
    n_inputs = sum(map(len, lows))
    sizes = {block.name: tuple(int(length(size)) for length in block.sizes) for block in program.blocks}
    counts = [math.prod(sizes[block.name]) for block in program.blocks]
    values = np.concatenate([*lows, np.zeros((sum(counts), 3))])  # low, high, step
    names = [*shapes, *sizes]
    starts = dict(zip(names, np.cumsum([0, *map(len, lows), *counts[:-1]]).tolist(), strict=True))
    shapes |= sizes
    weight = np.zeros((len(values), sum(counts)))
    bias, factor = np.zeros(sum(counts)), np.ones(sum(counts))
    exists = np.ones(sum(counts), bool)
    for k, block in enumerate(program.blocks):
        start, count = starts[block.name], counts[k]
        units = slice(start - n_inputs, start - n_inputs + count)
        common = math.lcm(*(v.denominator for v in [block.bias(size), *(t.coefficient(size) for t in block.terms)]))
        factor[units], bias[units] = common, float(block.bias(size) * common)
        exists[units] = _exists(block, sizes[block.name]).reshape(-1)
        for term in block.terms:
            if starts.get(term.source, start) >= start:
                raise DistillError(f"block {block.name} must read earlier blocks", got=term.source, key="program")
            source = starts[term.source]
            rows = slice(source, source + math.prod(shapes[term.source]))
            part = _counts(term, block, sizes[block.name], shapes[term.source], size)
            weight[rows, units] += float(term.coefficient(size) * common) * part.reshape(count, -1).T
        weight[:, units] *= exists[units]
        weight[n_inputs:, units] *= exists[:, None]  # units that do not exist are 0, whatever their weights
        bias[units] *= exists[units]
        before = Box(*values[:start].T)
        values[start : start + count] = _values(weight[:start, units], bias[units], block, factor[units], before)
    weight[n_inputs:][~exists] = 0
    position = np.concatenate([np.arange(math.prod(sizes[name])) + starts[name] - n_inputs for name in program.outputs])
    return Matrices(
        n_inputs,
        weight,
        bias,
        factor,
        Box(*values.T),
        np.repeat(np.arange(len(counts)), counts),
        exists,
        np.repeat([block.activation == "linear" for block in program.blocks], counts),
        position[list(program.order)] if program.order else position,
    )


def flat(program: Program, values: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return evaluated inputs and blocks (B, V) in the order of `Matrices`."""
    names = [*(tensor.name for tensor in program.inputs), *(block.name for block in program.blocks)]
    return np.concatenate([values[name].reshape(len(values[name]), -1) for name in names], axis=1)


def sums(weight: np.ndarray, box: Box) -> Sums:
    """Return the values that v @ weight can take for integers weight (V, n)."""
    rows = np.flatnonzero(weight.any(1))
    weight = weight[rows]
    part = Box(box.low[rows], box.high[rows], box.step[rows])
    low, high = part.bounds(weight)
    steps = np.abs(weight * part.step[:, None]).astype(np.int64)
    g = np.gcd.reduce(steps, axis=0, initial=0).astype(float)
    start = np.where(np.isfinite(part.low), part.low, 0)
    real = ((part.step == 0) & (part.low < part.high)).astype(float) @ (weight != 0) > 0
    return Sums(start @ weight, np.where(real, 0, g), low, high)


def _values(weight: np.ndarray, bias: np.ndarray, block: Block, factor: np.ndarray, box: Box) -> np.ndarray:
    """Return low, high and step (n, 3) of a block's units."""
    possible = sums(weight, box)
    if block.activation == "linear":
        return np.column_stack([possible.low + bias, possible.high + bias, possible.g]) / factor[:, None]
    negative, positive = possible.low < -bias, possible.high > -bias
    zero = possible.contain(-bias)
    low = np.where(negative, -1, np.where(zero, 0, 1))
    high = np.where(positive, 1, np.where(zero, 0, -1))
    return np.column_stack([low, high, np.where(low == high, 0, np.where(zero, 1, 2))])


def _counts(term: Term, block: Block, sizes: tuple[int, ...], shape: tuple[int, ...], size: int | None) -> np.ndarray:
    """Return how often each unit's sum contains each position of the source, (*sizes, *shape)."""
    total = np.ones((*sizes, *shape))
    for axis, (along, length) in enumerate(zip(term.along, shape, strict=True)):
        if along.whole:
            continue
        places = _places(along, sizes, length, size)  # (units along the index, positions)
        if places.size and not (places.min() >= 0 and places.max() < length):
            must = f"block {block.name} must read {term.source} inside its axes"
            raise DistillError(must, got=f"position {places.min()}..{places.max()} of {length}", key="program")
        table = np.zeros((len(places), length))
        np.add.at(table, (np.arange(len(places))[:, None], places), 1)
        to = [1] * (len(sizes) + len(shape))
        to[len(sizes) + axis] = length
        if along.axis is not None:
            to[along.axis] = sizes[along.axis]
        total = total * table.reshape(to)
    return total


def _places(along: Along, sizes: tuple[int, ...], length: int, size: int | None) -> np.ndarray:
    if along.places:
        assert along.axis is not None
        places = np.array(along.places)[np.arange(sizes[along.axis])][:, None]
    else:
        assert along.first is not None and along.last is not None
        offsets = np.arange(int(along.first(size)), int(along.last(size)) + 1)
        index = np.zeros(1, int) if along.axis is None else np.arange(sizes[along.axis])
        places = along.sign * index[:, None] + offsets
    return places % length if along.periodic else places


def _exists(block: Block, sizes: tuple[int, ...]) -> np.ndarray:
    if block.where == "all":
        return np.ones(sizes, bool)
    first, second = np.arange(sizes[0])[:, None], np.arange(sizes[1])
    mask = first < second if block.where == "less" else first != second
    return np.broadcast_to(mask.reshape(*mask.shape, *[1] * (len(sizes) - 2)), sizes)


def _product(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return values @ weight with 0 times infinity = 0."""
    finite = np.isfinite(values)
    total = values[finite] @ weight[finite]
    if not finite.all():
        part = weight[~finite]
        total = total + np.where(part == 0, 0.0, np.where(part == 0, 1.0, part) * values[~finite, None]).sum(0)
    return total
