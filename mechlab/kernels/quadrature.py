"""Gradients averaged along the straight line between two parameter vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mechlab.kernels.explained import Explained


@dataclass(frozen=True)
class Quadrature:
    """How gradients are averaged along an optimiser step.

    Args:
        rule: "midpoint": the line is cut into parts, and each is represented by the gradient in its middle. Networks
            with kinks are integrated no better by rules of higher order.
        nodes: number of parts, all equal; with a tolerance the number to begin with.
        tolerance: for each explained input by itself, the part with the largest residual is cut into three, whose
            middle one has its gradient already, until the residual of the step is at most this large for each of
            the input's scalars, in their own unit; None for equal parts. Parts with a kink are cut up, smooth ones are
            not.
        most: the largest number of nodes.
        secant: whether the residual is removed by moving the average along the step (a discrete gradient): the change
            is then exact for any number of nodes, the individual influences are not better.
    """

    rule: Literal["midpoint"] = "midpoint"
    nodes: int = 20
    tolerance: float | None = None
    most: int = 64
    secant: bool = False


@dataclass(frozen=True)
class Average:
    """What a quadrature found along one step.

    Args:
        gradients: (Q, P) averaged gradients.
        residual: (Q,) the change of each scalar less the inner product of its averaged gradient with the step.
        nodes: number of nodes that carry weight, the mean over inputs.
        evaluations: number of gradients evaluated, the mean over inputs.
    """

    gradients: Tensor
    residual: Tensor
    nodes: float
    evaluations: float


def average(
    explained: Explained,
    start: Tensor,
    end: Tensor,
    change: Tensor,
    how: Quadrature,
    chunk: int,
    kept: int,
    out: Tensor | None = None,
) -> Average:
    """Average the gradients from parameters start (P,) to end (P,).

    Args:
        change: (Q,) by how much the scalars change from start to end.
        chunk: inputs that are differentiated at once.
        kept: gradients (Q, P) that may be kept in memory; those beyond are evaluated again when they are needed.
        out: (Q, P) memory that the gradients may be written to.
    """
    step = end - start
    if how.tolerance is None:
        nodes = evaluations = float(how.nodes)
        shares = [(node + 0.5) / how.nodes for node in range(how.nodes)]
        gradients = explained.mean_gradients([torch.add(start, step, alpha=share) for share in shares], chunk, out)
    else:
        line = _Line(explained, start, step, chunk, kept * (explained.shape[0] if explained.by_rows else 1))
        gradients = line.refined(change, how)
        nodes, evaluations = line.nodes, line.evaluations
    residual = change - gradients @ step
    if how.secant and (square := step @ step) > 0:
        gradients += residual[:, None] * (step / square)
        residual = change - gradients @ step
    return Average(gradients, residual, nodes, evaluations)


@dataclass
class _Part:
    """A stretch of the line from `start` to `stop` (shares of the whole) of one row of scalars.

    Args:
        values: those of the scalars (C,) at both ends.
        slope: (C,) inner product of the gradient in the middle with the whole step.
        gradients: (C, P) in the middle, if they are kept.
    """

    start: float
    stop: float
    values: tuple[Tensor, Tensor]
    slope: Tensor
    gradients: Tensor | None

    def __post_init__(self) -> None:
        self.middle = (self.start + self.stop) / 2
        self.residual = self.values[1] - self.values[0] - (self.stop - self.start) * self.slope
        self.worst = float(self.residual.abs().max())


Stretch = tuple[int, float, float, tuple[Tensor, Tensor]]  # row, start, stop, values at both ends


@dataclass
class _Line:
    """The line of one step, cut into parts for each row of scalars by itself; scalars that cannot be differentiated row
    by row are one row together. What different rows need next is evaluated together."""

    explained: Explained
    start: Tensor
    step: Tensor
    chunk: int
    kept: int

    def refined(self, change: Tensor, how: Quadrature) -> Tensor:
        """Return the averaged gradients (Q, P)."""
        rows = self.explained.shape[0] if self.explained.by_rows else 1
        change = change.view(rows, -1)
        self.total = self.step.new_zeros(rows, change.shape[1], len(self.step))
        self.parts: list[list[_Part]] = [[] for _ in range(rows)]
        self.count = 0
        edges = [i / how.nodes for i in range(how.nodes + 1)]
        values = [
            self.explained.values(torch.add(self.start, self.step, alpha=edge)).view(rows, -1) for edge in edges[:-1]
        ]
        values.append(values[0] + change)
        for i in range(how.nodes):
            self._add([(r, edges[i], edges[i + 1], (values[i][r], values[i + 1][r])) for r in range(rows)])
        while needy := [r for r in range(rows) if self._needs(r, how)]:
            self._cut(needy)
        return self.total.flatten(0, 1)

    @property
    def nodes(self) -> float:
        """Mean number of parts of a row."""
        return sum(map(len, self.parts)) / len(self.parts)

    @property
    def evaluations(self) -> float:
        """Mean number of gradients evaluated for a row."""
        return self.count / len(self.parts)

    def _needs(self, row: int, how: Quadrature) -> bool:
        parts = self.parts[row]
        if len(parts) + 2 > how.most:
            return False
        return bool(sum(part.residual for part in parts).abs().max() > how.tolerance)

    def _cut(self, rows: list[int]) -> None:
        """Cut the part with the largest residual of each of these rows into three."""
        cut = [
            self.parts[row].pop(max(range(len(self.parts[row])), key=lambda i, r=row: self.parts[r][i].worst))
            for row in rows
        ]
        lost = [i for i, part in enumerate(cut) if part.gradients is None]
        again = self._gradients([rows[i] for i in lost], [cut[i].middle for i in lost])
        for i, gradients in zip(lost, again, strict=True):
            cut[i].gradients = gradients
        thirds = [(part.stop - part.start) / 3 for part in cut]
        first = self._values(rows, [part.start + third for part, third in zip(cut, thirds, strict=True)])
        second = self._values(rows, [part.stop - third for part, third in zip(cut, thirds, strict=True)])
        stretches: list[Stretch] = []
        for i, (row, part, third) in enumerate(zip(rows, cut, thirds, strict=True)):
            self.total[row].sub_(part.gradients, alpha=2 * third)
            a, b = part.start + third, part.stop - third
            kept = None if i in lost else part.gradients
            self.parts[row].append(_Part(a, b, (first[i], second[i]), part.slope, kept))
            stretches += [
                (row, part.start, a, (part.values[0], first[i])),
                (row, b, part.stop, (second[i], part.values[1])),
            ]
        del cut
        self._add(stretches)

    def _add(self, stretches: list[Stretch]) -> None:
        """Evaluate the gradients in the middle of new parts and give the parts their weight."""
        width = max(1, self.chunk) if self.explained.by_rows else 1
        for begin in range(0, len(stretches), width):
            some = stretches[begin : begin + width]
            found = self._gradients([row for row, *_ in some], [(start + stop) / 2 for _, start, stop, _ in some])
            for (row, start, stop, values), gradients in zip(some, found, strict=True):
                self.total[row].add_(gradients, alpha=stop - start)
                room = sum(part.gradients is not None for parts in self.parts for part in parts) < self.kept
                kept = gradients.clone() if room else None
                self.parts[row].append(_Part(start, stop, values, gradients @ self.step, kept))

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
