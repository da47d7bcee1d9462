"""Adaptive quadrature along one optimiser step, for explained scalars with kinks.

A network of rectifiers is nearly linear between kinks. The residual of a part of the step is the change of the scalars
less its length times their slope at its node. Two forward passes give it exactly; parts with large residuals are
refined. For a kink between two nodes, the boundary of their parts is moved to where the two slopes explain the
residual, without another gradient. Otherwise a part is cut into three, the middle one with the old node.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from mechlab.kernels.explained import Explained

GAIN = 0.7  # a boundary is moved if that reduces the residuals to at most this share


def rounding(values: Tensor) -> float:
    """Return the size of rounding errors in sums of differences of values."""
    return 8 * torch.finfo(values.dtype).eps * float(values.abs().max())


@dataclass(eq=False)
class Part:
    """A part of the line from `start` to `stop` (shares of the whole) for one row of scalars.

    Args:
        node: the place on the line of its gradient.
        values: those of the scalars (C,) at both ends.
        slope: (C,) inner product of the gradient at the node with the whole step.
        gradients: (C, P) at the node; None where they are not in memory.
    """

    start: float
    stop: float
    node: float
    values: tuple[Tensor, Tensor]
    slope: Tensor
    gradients: Tensor | None
    moved: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.residual = self.values[1] - self.values[0] - self.length * self.slope
        self.size = float(self.residual.norm())

    @property
    def length(self) -> float:
        """The length of the part, as a share of the line."""
        return self.stop - self.start

    def until(self, edge: float, value: Tensor) -> Part:
        """Return the part with another end, where the scalars have these values."""
        return Part(self.start, edge, self.node, (self.values[0], value), self.slope, self.gradients)

    def since(self, edge: float, value: Tensor) -> Part:
        """Return the part with another start, where the scalars have these values."""
        return Part(edge, self.stop, self.node, (value, self.values[1]), self.slope, self.gradients)


@dataclass
class Line:
    """The line from `start` (P,) along `step` (P,), cut into parts for each row of scalars by itself.

    Scalars that cannot be differentiated row by row form one row. The evaluations of different rows are batched.

    Args:
        chunk: rows that are differentiated at once.
        capacity: parts whose gradients may be in memory; others are evaluated again when they are needed.
    """

    explained: Explained
    start: Tensor
    step: Tensor
    chunk: int
    capacity: int

    def refined(self, change: Tensor, nodes: int, tolerance: float, most: int) -> Tensor:
        """Return the averaged gradients (Q, P).

        Args:
            change: (Q,) of the scalars along the whole line.
            nodes: initial number of parts.
            tolerance: largest residual of a scalar without refinement; never below what rounding leaves.
            most: largest number of parts.
        """
        rows = self.explained.shape[0] if self.explained.by_rows else 1
        change = change.view(rows, -1)
        self.total = self.step.new_zeros(rows, change.shape[1], len(self.step))
        self.parts: list[list[Part]] = [[] for _ in range(rows)]
        self.count = 0
        edges = [i / nodes for i in range(nodes + 1)]
        values = [
            self.explained.values(torch.add(self.start, self.step, alpha=edge)).view(rows, -1) for edge in edges[:-1]
        ]
        values.append(values[0] + change)
        tolerance = max(tolerance, rounding(values[0]))
        for i in range(nodes):
            self._add([(r, edges[i], edges[i + 1], (values[i][r], values[i + 1][r])) for r in range(rows)])
        work: set[int] = set(range(rows))
        while work:
            needy = [row for row in sorted(work) if self._residual(row) > tolerance]
            moved = self._move(needy)
            cut = [row for row in needy if row not in moved and len(self.parts[row]) + 2 <= most]
            self._cut(cut)
            work = moved.union(cut)
        return self.total.flatten(0, 1)

    @property
    def nodes(self) -> float:
        """Mean number of parts of a row."""
        return sum(map(len, self.parts)) / len(self.parts)

    @property
    def evaluations(self) -> float:
        """Mean number of gradients evaluated for a row."""
        return self.count / len(self.parts)

    def _residual(self, row: int) -> float:
        """Return the largest residual of a scalar of a row over the whole line."""
        return float(sum(part.residual for part in self.parts[row]).abs().max())

    def _worst(self, row: int) -> int:
        parts = self.parts[row]
        return max(range(len(parts)), key=lambda i: parts[i].size)

    def _move(self, rows: list[int]) -> set[int]:
        """Move a boundary of the worst part of each of these rows to an estimated kink; return the rows in which that
        reduced the residuals enough."""
        for row in rows:
            self.parts[row].sort(key=lambda part: part.start)
        kinks = {row: edge for row in rows if (edge := self._kink_near(row)) is not None}
        values = self._values(list(kinks), [edge for _, edge in kinks.values()]) if kinks else []
        better: dict[int, tuple[int, Part, Part]] = {}
        for (row, (i, edge)), value in zip(kinks.items(), values, strict=True):
            left, right = self.parts[row][i : i + 2]
            new = left.until(edge, value), right.since(edge, value)
            if sum(part.size**2 for part in new) < GAIN**2 * (left.size**2 + right.size**2):
                better[row] = (i, *new)
        self._recall([(row, part) for row, (i, *_) in better.items() for part in self.parts[row][i : i + 2]])
        for row, (i, left, right) in better.items():
            old = self.parts[row][i : i + 2]
            longer = left.length - old[0].length
            self.total[row].add_(old[0].gradients, alpha=longer).sub_(old[1].gradients, alpha=longer)
            for new, before in zip((left, right), old, strict=True):
                new.gradients = before.gradients
            self.parts[row][i : i + 2] = [left, right]
        self._forget()
        return set(better)

    def _kink_near(self, row: int) -> tuple[int, float] | None:
        """Return the boundary (by the part on its left) of a row's worst part that explains its residual best, and its
        new place; None if no boundary does, or if it was tried before."""
        parts, worst = self.parts[row], self._worst(row)
        part, best, place = self.parts[row][worst], GAIN * parts[worst].size, None
        if part.moved:
            return None
        part.moved = True
        for other in (worst - 1, worst + 1):
            if not 0 <= other < len(parts):
                continue
            bend = parts[other].slope - part.slope
            if (square := float(bend @ bend)) == 0:
                continue
            length = float(part.residual @ bend) / square  # by which the other part grows
            edge = part.start + length if other < worst else part.stop - length
            left, right = sorted((worst, other))
            rest = float((part.residual - length * bend).norm())
            if parts[left].node < edge < parts[right].node and rest < best:
                best, place = rest, (left, edge)
        return place

    def _cut(self, rows: list[int]) -> None:
        """Cut the worst part of each of these rows into three."""
        if not rows:
            return
        cut = [self.parts[row].pop(self._worst(row)) for row in rows]
        self._recall(list(zip(rows, cut, strict=True)))
        first = [part.start + (part.node - part.start) * 2 / 3 for part in cut]
        second = [part.stop - (part.stop - part.node) * 2 / 3 for part in cut]
        at_first, at_second = (self._values(rows, edges) for edges in (first, second))
        stretches = []
        for row, part, a, b, f, g in zip(rows, cut, first, second, at_first, at_second, strict=True):
            self.total[row].sub_(part.gradients, alpha=part.length - (b - a))
            self.parts[row].append(Part(a, b, part.node, (f, g), part.slope, part.gradients))
            stretches += [(row, part.start, a, (part.values[0], f)), (row, b, part.stop, (g, part.values[1]))]
        del cut
        self._forget()
        self._add(stretches)

    def _add(self, stretches: list[tuple[int, float, float, tuple[Tensor, Tensor]]]) -> None:
        """Add new parts (row, start, stop, values) with the gradients at their midpoints."""
        width = max(1, self.chunk) if self.explained.by_rows else 1
        for begin in range(0, len(stretches), width):
            some = stretches[begin : begin + width]
            nodes = [(start + stop) / 2 for _, start, stop, _ in some]
            kinks = self._gradients([row for row, *_ in some], nodes)
            for (row, start, stop, values), node, gradients in zip(some, nodes, kinks, strict=True):
                self.total[row].add_(gradients, alpha=stop - start)
                part = Part(start, stop, node, values, gradients @ self.step, None)
                if self._in_memory() < self.capacity:
                    part.gradients = gradients.clone()
                self.parts[row].append(part)

    def _in_memory(self) -> int:
        return sum(part.gradients is not None for parts in self.parts for part in parts)

    def _recall(self, parts: list[tuple[int, Part]]) -> None:
        """Evaluate again those gradients of parts (row, part) that are not in memory."""
        lost = [(row, part) for row, part in parts if part.gradients is None]
        kinks = self._gradients([row for row, _ in lost], [part.node for _, part in lost])
        for (_, part), gradients in zip(lost, kinks, strict=True):
            part.gradients = gradients

    def _forget(self) -> None:
        """Discard the gradients beyond the capacity."""
        stored = [part for parts in self.parts for part in parts if part.gradients is not None]
        for part in stored[self.capacity :]:
            part.gradients = None

    def _gradients(self, rows: list[int], shares: list[float]) -> Tensor:
        self.count += len(rows)
        if len(set(shares)) == 1 and len(rows) == len(self.parts):  # all rows at one place, in order
            theta = torch.add(self.start, self.step, alpha=shares[0])
            return self.explained.gradients(theta, self.chunk).view(len(rows), -1, len(theta))
        if not rows:
            return self.step.new_zeros(0)
        return self.explained.gradients_at(self._thetas(shares), rows, self.chunk)

    def _values(self, rows: list[int], shares: list[float]) -> Tensor:
        if not self.explained.by_rows:
            return self.explained.values(torch.add(self.start, self.step, alpha=shares[0])).view(1, -1)
        return self.explained.values_at(self._thetas(shares), rows)

    def _thetas(self, shares: list[float]) -> Tensor:
        return self.start + self.step.new_tensor(shares)[:, None] * self.step
