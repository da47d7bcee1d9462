"""Descriptions of a unit's weights: sums over whole axes of its sources, and patches of points at a translation."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from mechlab.distill.decomposing import Level, decompose, kept

MOST_SEPARATE = 8  # points of a unit that are described one by one
MOST_STARTS = 64  # rotations of a patch on a torus that are compared

Label = tuple[int, tuple[bool, ...], bool, tuple[int, ...], bytes, bytes]


@dataclass(frozen=True)
class Source:
    """An input or an earlier block, as a source of weights.

    Args:
        name: of the input or block.
        sizes: length of each axis.
        kind: its values: "bits", "signs", "ternary", "integers" or "reals".
        start: position of its first value among all variables.
        exists: which units exist (*sizes); None for all.
    """

    name: str
    sizes: tuple[int, ...]
    kind: str
    start: int
    exists: np.ndarray | None = None

    @property
    def count(self) -> int:
        """Number of values, of units that do not exist too."""
        return int(np.prod(self.sizes, dtype=int))


@dataclass(frozen=True)
class Candidate:
    """A description of one unit: what it shares with others (bias and labels), and the translations of its patches.

    Args:
        key: bias and labels. A label is the number of a source, the axes that are summed whole, whether positions are
            taken modulo the axes' lengths, the shape, points and values of a patch over the other axes.
        places: translations, for one patch after the other, one for each axis of the patch.
        sign: 1, or -1 if it describes the unit with all its weights and its bias negated.
    """

    key: tuple[Fraction, tuple[Label, ...]]
    places: tuple[int, ...]
    sign: int


def candidates(
    weights: np.ndarray, biases: Sequence[Fraction], sources: Sequence[Source], signed: bool, periodic: bool
) -> list[set[Candidate]]:
    """Return the descriptions of each unit.

    Args:
        weights: (V, U), integers.
        biases: of the U units.
        sources: in the order of the variables.
        signed: False if a unit may be negated, as its consumers can negate their weights.
        periodic: whether positions are taken modulo the lengths of axes.
    """
    made: list[set[Candidate]] = [set() for _ in biases]
    signs = [(1,) if signed or bias < 0 else (-1,) if bias > 0 else (1, -1) for bias in biases]
    tables = []
    for k, source in enumerate(sources):
        part = weights[source.start : source.start + source.count]
        if part.any():
            tables.append((k, source, part.T.reshape(-1, *source.sizes)))
    fewest = np.full(len(biases), np.inf)
    seen: set[bytes] = set()
    levels: tuple[Level, ...] = ("lines", "completed", "points")
    for level in levels:
        parts = [(k, source, *part) for k, source, table in tables for part in decompose(table, source.exists, level)]
        content = b"".join(str((k, whole)).encode() + part.tobytes() for k, _, whole, part in parts)
        if content in seen:
            continue
        seen.add(content)
        pieces = sum((_pieces(part) for *_, part in parts), np.zeros(len(biases), int))
        short = np.flatnonzero(pieces <= 2 * fewest + 4)
        fewest = np.minimum(fewest, pieces)
        located = [_located(part) for *_, part in parts]
        for u in short:
            points = [(*part[:3], *where[u]) for part, where in zip(parts, located, strict=True) if len(where[u][1])]
            made[u].update(_described(biases[u], points, signs[u], periodic))
    return made


def _described(bias: Fraction, points: list, signs: Sequence[int], periodic: bool) -> Iterator[Candidate]:
    """Return the candidates of a unit from its points: (source's number, source, whole, coordinates, values)."""
    total = sum(len(values) for *_, values in points)
    modes = ["patch"]
    if any(len(values) > 1 for *_, values in points):
        modes += ["values"] if any((values != values[0]).any() for *_, values in points) else []
        modes += ["separate"] if total <= MOST_SEPARATE else []
    for mode, sign in itertools.product(modes, signs):
        entries = []
        for k, source, whole, coordinates, values in points:
            lengths = kept(source.sizes, whole)
            for chosen in _divided(values * sign, mode):
                patch, translation = _patch(coordinates[chosen], values[chosen] * sign, lengths, periodic)
                entries.append(((k, whole, periodic and bool(lengths), *patch), translation))
        entries.sort(key=_label_order)
        places = tuple(itertools.chain.from_iterable(translation for _, translation in entries))
        yield Candidate((sign * bias, tuple(label for label, _ in entries)), places, sign)


def _label_order(entry: tuple[Label, tuple[int, ...]]) -> tuple:
    """Return a key that puts positive patches before negative ones and lines before points, whatever the values."""
    label, translation = entry
    value = int(np.frombuffer(label[5], np.int64, 1)[0])
    return label[0], value < 0, [not summed for summed in label[1]], label[3:5], -value, label, translation


def _pieces(part: np.ndarray) -> np.ndarray:
    """Return the number of runs of equal values (U,) along the axis with the fewest; of one number, whether it is 0."""
    if part.ndim == 1:
        return (part != 0).astype(int)
    counts = []
    for axis in range(1, part.ndim):
        before = np.zeros_like(part)
        after = [slice(None)] * part.ndim
        earlier = after.copy()
        after[axis], earlier[axis] = slice(1, None), slice(None, -1)
        before[tuple(after)] = part[tuple(earlier)]
        counts.append(np.count_nonzero((part != 0) & (part != before), axis=tuple(range(1, part.ndim))))
    return np.min(counts, axis=0)


def _divided(values: np.ndarray, mode: str) -> list[np.ndarray]:
    """Return the points of each patch, as positions in the list of points."""
    if mode == "patch" or len(values) == 1:
        return [np.arange(len(values))]
    if mode == "separate":
        return [np.array([k]) for k in np.argsort(-values, kind="stable")]
    return [np.flatnonzero(values == value) for value in np.unique(values)[::-1]]


def _patch(
    coordinates: np.ndarray, values: np.ndarray, lengths: Sequence[int], periodic: bool
) -> tuple[tuple[tuple[int, ...], bytes, bytes], tuple[int, ...]]:
    """Return a patch (shape, points, values) and its translation; on a torus it starts after the largest gap."""
    if not len(lengths):
        return ((), b"", values.astype(np.int64).tobytes()), ()
    if not periodic:
        return _moved(coordinates, values, coordinates.min(0), None)
    starts = [_after_gap(np.unique(column), length) for column, length in zip(coordinates.T, lengths, strict=True)]
    if np.prod([len(start) for start in starts]) > MOST_STARTS:
        starts = [start[:1] for start in starts]
    options = itertools.product(*starts)
    return min(_moved(coordinates, values, np.array(start), np.array(lengths)) for start in options)


def _moved(
    coordinates: np.ndarray, values: np.ndarray, start: np.ndarray, lengths: np.ndarray | None
) -> tuple[tuple[tuple[int, ...], bytes, bytes], tuple[int, ...]]:
    relative = coordinates - start
    if lengths is not None:
        relative = relative % lengths
        order = np.lexsort(relative.T[::-1])
        relative, values = relative[order], values[order]
    shape = tuple(map(int, relative.max(0) + 1))
    return (shape, relative.astype(">i8").tobytes(), values.astype(np.int64).tobytes()), tuple(map(int, start))


def _after_gap(occupied: np.ndarray, length: int) -> list[int]:
    """Return the positions after the largest gaps of a set on a ring."""
    if len(occupied) == length:
        return [0]
    gaps = (occupied - np.roll(occupied, 1)) % length
    gaps[gaps == 0] = length
    return [int(place) for place in occupied[gaps == gaps.max()]]


def patch_points(label: Label) -> tuple[np.ndarray, np.ndarray]:
    """Return the points (m, axes) and values (m,) of a label's patch."""
    shape, points, values = label[3:]
    amounts = np.frombuffer(values, np.int64)
    return np.frombuffer(points, ">i8").astype(int).reshape(len(amounts), len(shape)), amounts


def _located(part: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the nonzero coordinates and values of each unit's part (U, ...)."""
    if part.ndim == 1:
        part = part[:, None]
        return [(np.zeros((len(row), 0), int), row) for row in (row[row != 0] for row in part)]
    places = np.nonzero(part)
    values, cuts = part[places], np.searchsorted(places[0], np.arange(1, len(part)))
    return list(zip(np.split(np.stack(places[1:], 1), cuts), np.split(values, cuts), strict=True))
