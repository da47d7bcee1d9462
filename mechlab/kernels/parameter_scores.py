"""Scores of single parameters by their movement in a recorded training; see `ParameterScoresForward`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mechlab.core.errors import ConfigError
from mechlab.core.layout import Layout
from mechlab.kernels.explained import Explained
from mechlab.kernels.inner import InnerProducts
from mechlab.kernels.quadrature import Quadrature, average
from mechlab.kernels.trajectory import Trajectory

Reduce = Callable[[int, slice, Tensor, Tensor | None], Mapping[str, Tensor]]


@dataclass(frozen=True)
class ParameterScores:
    """Scores of P parameters for X x C explained scalars, or what was computed of them, by slice of training.

    Args:
        slices: (first, stop) steps of each.
        parts: results of `reduce` by slice and block of scalars.
        change, residual: (slices, X, C) of the scalars along the steps of a slice, and the part of it that the
            quadrature leaves: change = sum over P of data and decay + residual.
        evaluations: gradients evaluated for each scalar and step, on average.
        layout: names and places of the tensors on the axis of P.
    """

    slices: Sequence[tuple[int, int]]
    parts: Sequence[Sequence[Mapping[str, Tensor]]]
    change: Tensor
    residual: Tensor
    evaluations: float
    layout: Layout

    def joined(self, name: str) -> Tensor:
        """Return a result (slices, Q, ...) that has a row for each scalar: "data" and "decay" without `reduce`."""
        return torch.stack([torch.cat([part[name] for part in blocks]) for blocks in self.parts])

    def summed(self, name: str) -> Tensor:
        """Return the sum over blocks (slices, ...) of a result that is a sum over scalars."""
        return torch.stack([torch.stack([part[name] for part in blocks]).sum(0) for blocks in self.parts])


class ParameterScoresForward:
    """The forward pass over a trajectory that computes the scores of each parameter, for `carry_out`.

    The score of parameter p in a step is J_p (change of p), with J the gradient of the explained scalar averaged along
    the step. Its `decay` part is J_p times the change by weight decay (for coupled decay with momentum that of the
    decay's own share of the momentum); the rest is its `data` part, the sum over all training examples of their
    influence through p, and of clipping. Neither gradients of the training loss nor batches are needed, except for the
    last step of Adam with coupled decay. Source: Eichin et al., arXiv 2505.20076.

    Args:
        trajectory: the recorded training.
        explained: the explained scalars, X x C; row x C + c of Q is scalar c of input x.
        quadrature: of the averaged gradients.
        slices: (first, stop) optimiser steps whose scores are summed, which may overlap; other steps are not computed.
            All steps by default.
        reduce: called after the last step of a slice with its number, the place of a block of scalars among Q, and
            their scores data (q, P) and decay (q, P), None in a training without weight decay; returns tensors that
            are stored in place of the scores. By default the scores themselves are.
        limit: bytes that a block of work may take. Each block of explained inputs is a pass over the trajectory.
        whole: whether `reduce` needs all scalars in one block.

    Raises:
        ConfigError: a slice is empty or not within the training, or all scalars do not fit the limit and must.
    """

    def __init__(
        self,
        trajectory: Trajectory,
        explained: Explained,
        quadrature: Quadrature,
        slices: Sequence[tuple[int, int]] | None = None,
        reduce: Reduce | None = None,
        limit: int = 2**30,
        whole: bool = False,
    ):
        self.trajectory, self.explained, self.quadrature, self.limit = trajectory, explained, quadrature, limit
        self.slices = [(0, trajectory.steps)] if slices is None else [(int(a), int(b)) for a, b in slices]
        self.reduce = _scores_themselves if reduce is None else reduce
        _check_slices(self.slices, trajectory.steps)
        self._decays = any(trajectory.record.rates(step)[1] for step in range(trajectory.steps))
        self._open: dict[int, list[int]] = {}  # step -> the slices that contain it
        for number, (first, stop) in enumerate(self.slices):
            for step in range(first, stop):
                self._open.setdefault(step, []).append(number)
        through = self._decays and not trajectory.rule.decoupled  # the decay's share of the momentum needs every step
        self.steps = list(range(max(self._open) + 1)) if through else sorted(self._open)
        self.blocks = self._blocks(whole)
        self.block, self.position, self._evaluations = 0, 0, 0.0
        self._memory: Tensor | None = None
        shape = (len(self.slices), *explained.shape)
        self._totals = {name: torch.zeros(shape, dtype=torch.float64) for name in ("change", "residual")}
        self._stored: dict[tuple[int, int], dict[str, Tensor]] = {}
        self._begin()

    def __iter__(self) -> Iterator[tuple[int, int]]:
        total = len(self.blocks) * len(self.steps)
        while self.block < len(self.blocks):
            self._step(self.steps[self.position])
            self.position += 1
            if self.position == len(self.steps):
                self.block, self.position = self.block + 1, 0
                self._begin()
            yield self.block * len(self.steps) + self.position, total

    def state(self) -> dict[str, Tensor]:
        """Return the intermediate results by name, for `restore`."""
        place = torch.tensor([self.block, self.position, len(self.blocks), len(self.steps)])
        sums = {f"sums/{i}/{name}": value for i, sums in self._sums.items() for name, value in sums.items()}
        stored = {f"stored/{i}/{b}/{n}": v for (i, b), found in self._stored.items() for n, v in found.items()}
        evaluations = torch.tensor(self._evaluations, dtype=torch.float64)
        return {
            "place": place, "evaluations": evaluations, "momentum": self._momentum, **self._totals, **sums, **stored
        }  # fmt: skip

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a state that `state` returned for the same arguments.

        Raises:
            ConfigError: the state is of other arguments.
        """
        place = state.get("place", torch.zeros(4)).tolist()
        shapes = {name: value.shape for name, value in self._totals.items()}
        if place[2:] != [len(self.blocks), len(self.steps)] or shapes != {
            n: state[n].shape for n in shapes if n in state
        }:
            raise ConfigError("the saved state must be of the same arguments", fix="remove it and begin anew")
        self.block, self.position = map(int, place[:2])
        self._begin()
        self._momentum, self._evaluations = state["momentum"].to(self._momentum), float(state["evaluations"])
        self._totals = {name: state[name].clone() for name in self._totals}
        for key, value in state.items():
            kind, _, rest = key.partition("/")
            if kind == "sums":
                number, _, name = rest.partition("/")
                self._sums.setdefault(int(number), {})[name] = value.to(self.trajectory.functional.device)
            elif kind == "stored":
                number, block, name = rest.split("/", 2)
                self._stored.setdefault((int(number), int(block)), {})[name] = value

    def result(self) -> ParameterScores:
        """Return the scores; all steps must be finished."""
        parts = [[self._stored[i, block] for block in range(len(self.blocks))] for i in range(len(self.slices))]
        steps = len(self.steps) * self.explained.shape[0]
        layout = self.trajectory.functional.layout
        return ParameterScores(self.slices, parts, **self._totals, evaluations=self._evaluations / steps, layout=layout)

    def _blocks(self, whole: bool) -> list[tuple[int, int]]:
        """Return blocks (start, stop) of inputs whose sums take half of the limit."""
        X = self.explained.shape[0]
        open_at_once = max(map(len, self._open.values()))
        rows = max(1, self.limit // 2 // (open_at_once * (1 + self._decays) * self._row_bytes()))
        if rows >= X or not self.explained.apart:
            return [(0, X)]
        if whole:
            must = "the scores of all explained scalars must fit half of memory_gb at once"
            needed = 2 * X * open_at_once * (1 + self._decays) * self._row_bytes() / 1e9
            fix = f"memory_gb={needed:.2g}, or examples={rows}"
            raise ConfigError(must, got=f"{needed / 2:.2g} GB", key="memory_gb", fix=fix)
        edges = [round(X * i / -(-X // rows)) for i in range(-(-X // rows) + 1)]
        return list(itertools.pairwise(edges))

    def _row_bytes(self) -> int:
        """Return the bytes of a score of every parameter for each scalar of an input."""
        functional = self.trajectory.functional
        return self.explained.shape[1] * functional.layout.size * functional.dtype.itemsize

    def _begin(self) -> None:
        """Initialise a block."""
        self.trajectory.forget()
        self._sums: dict[int, dict[str, Tensor]] = {}
        self._at: tuple[int, Tensor, dict[int, Tensor]] = (-1, torch.empty(0), {})
        functional = self.trajectory.functional
        self._momentum = torch.zeros(functional.layout.size, dtype=functional.dtype, device=functional.device)

    def _step(self, step: int) -> None:
        before, theta, values = self._at
        if before != step:
            theta, values = self.trajectory.theta(step), {}
        end = self.trajectory.theta(step + 1)
        decayed = self._change_by_decay(step, theta) if self._decays else None
        running = self._open.get(step, [])
        self._at = (step + 1, end, self._add(running, theta, end, decayed, values) if running else {})
        for number in running:
            if self.slices[number][1] == step + 1:
                sums = self._sums.pop(number)
                found = self.reduce(number, self._scalars(*self.blocks[self.block]), sums["data"], sums.get("decay"))
                self._stored[number, self.block] = {name: value.cpu() for name, value in found.items()}

    def _add(
        self, running: list[int], theta: Tensor, end: Tensor, decayed: Tensor | None, values: dict[int, Tensor]
    ) -> dict[int, Tensor]:
        """Add the scores of a step to the sums of the running slices; return the scalars at its end, by block of rows.

        Args:
            values: the scalars at its start, as far as they are known.
        """
        first, last = self.blocks[self.block]
        move = end - theta
        of_data = move if decayed is None else move - decayed
        rows = max(1, self.limit // 4 // (3 * self._row_bytes())) if self.explained.apart else last
        at_end = {}
        for start in range(first, last, rows):
            stop = min(start + rows, last)
            part = self.explained.rows(start, stop) if self.explained.apart else self.explained
            at_start = values[start] if start in values else part.values(theta)
            at_end[start] = part.values(end)
            change = (at_end[start] - at_start).flatten()
            capacity = self.limit // 4 // (len(change) * len(theta) * theta.element_size())
            memory = self._gradients_memory(len(change), theta)
            averaged = average(part, theta, end, change, self.quadrature, stop - start, capacity, memory)
            own = self._scalars(start - first, stop - first)
            for number in running:
                if number not in self._sums:
                    self._sums[number] = self._zeros(last - first)
                sums = self._sums[number]
                sums["data"][own].addcmul_(averaged.gradients, of_data)
                if decayed is not None:
                    sums["decay"][own].addcmul_(averaged.gradients, decayed)
                for name, value in (("change", change), ("residual", averaged.residual)):
                    self._totals[name][number, start:stop] += value.double().cpu().view(stop - start, -1)
            self._evaluations += averaged.evaluations * (stop - start)
        return at_end

    def _gradients_memory(self, scalars: int, theta: Tensor) -> Tensor:
        """Return memory for the averaged gradients (q, P) of a step, the same for every step."""
        if self._memory is None or len(self._memory) < scalars:
            self._memory = theta.new_zeros(scalars, len(theta))
        return self._memory[:scalars]

    def _zeros(self, rows: int) -> dict[str, Tensor]:
        """Return the sums of a slice for this many inputs."""
        names = ("data", "decay") if self._decays else ("data",)
        return {name: self._momentum.new_zeros(rows * self.explained.shape[1], len(self._momentum)) for name in names}

    def _scalars(self, start: int, stop: int) -> slice:
        """Return the places of the scalars of some inputs."""
        return slice(start * self.explained.shape[1], stop * self.explained.shape[1])

    def _change_by_decay(self, step: int, theta: Tensor) -> Tensor:
        """Return the change of the parameters (P,) by weight decay in a step, and update its share of the momentum."""
        rule, (rate, decay) = self.trajectory.rule, self.trajectory.record.rates(step)
        if rule.decoupled:
            return -rate * decay * theta
        recursion = rule.recursion(step, rate, decay, self._second(step) if rule.second_moment else None)
        self._momentum, change = recursion.step(self._momentum, recursion.coupled * theta, theta)
        return change

    def _second(self, step: int) -> Tensor:
        """Return the raw second moment (P,) after a step, which after the last is computed from its batch."""
        if step + 1 < self.trajectory.steps:
            return self.trajectory.state(step + 1).second
        update = self.trajectory.step(step)
        inner = InnerProducts(self.trajectory.functional, limit=self.limit // 2)
        gradient = inner.sum_of_gradients(update.before.theta, update.batch) / len(update.batch)
        self.trajectory.forget()
        return self.trajectory.rule.second(update.before.second, self.trajectory.gradients(update, gradient)[1])


def _scores_themselves(number: int, rows: slice, data: Tensor, decay: Tensor | None) -> dict[str, Tensor]:
    return {"data": data} if decay is None else {"data": data, "decay": decay}


def _check_slices(slices: Sequence[tuple[int, int]], steps: int) -> None:
    wrong = [(first, stop) for first, stop in slices if not 0 <= first < stop <= steps]
    if wrong or not slices:
        must = f"slices must be (first, stop) steps with 0 <= first < stop <= {steps}"
        raise ConfigError(must, got=wrong or "none", key="slices", fix=f"slices=[[0, {steps}]]")
