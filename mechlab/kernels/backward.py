"""The backward pass over a recorded training that computes a path-kernel decomposition; see `path_kernels`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from mechlab.core.errors import ConfigError
from mechlab.core.update_equations import Recursion
from mechlab.kernels.accumulators import chosen_steps, parameter_masks, zero_accumulators
from mechlab.kernels.decomposition import TERMS, PathKernelDecomposition, PathKernelSettings
from mechlab.kernels.denormals import without_denormals
from mechlab.kernels.explained import Explained
from mechlab.kernels.inner import InnerProducts
from mechlab.kernels.quadrature import Average, average
from mechlab.kernels.trajectory import Step, Trajectory


class PathKernelBackward:
    """The backward pass over a trajectory, one step at a time, whose state can be saved and restored.

    Iteration computes a step and yields (done, total). Explained inputs are processed in blocks that fit the memory
    limit, with a pass over the whole trajectory for each block.

    Args:
        trajectory: the recorded training.
        explained: the explained scalars.
        settings: of the decomposition.
    """

    def __init__(self, trajectory: Trajectory, explained: Explained, settings: PathKernelSettings):
        self.trajectory, self.explained, self.settings = trajectory, explained, settings
        functional = trajectory.functional
        self.layout, self.inner = functional.layout, InnerProducts(functional, settings.form, settings.limit // 2)
        X, C = explained.shape
        self.blocks = _blocks(explained, settings, self.layout.size, functional.dtype.itemsize)
        self.steps = chosen_steps(settings, trajectory.steps)
        self.block, self.position = 0, len(self.steps) - 1
        self._sums = zero_accumulators(trajectory, X, C, settings)
        self._masks = parameter_masks(settings.groups or {}, self.layout, functional.device, functional.dtype)
        self._form: str | None = None
        self._memory: Tensor | None = None
        self._begin()

    @property
    def done(self) -> int:
        """Number of finished steps, over all blocks."""
        return self.block * len(self.steps) + len(self.steps) - 1 - self.position

    @property
    def total(self) -> int:
        """Number of steps, over all blocks."""
        return len(self.blocks) * len(self.steps)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        while self.block < len(self.blocks):
            self._step(self.trajectory.step(self.steps[self.position]))
            self.position -= 1
            if self.position < 0:
                self._end()
            yield self.done, self.total

    def state(self) -> dict[str, Tensor]:
        """Return the intermediate results by name, for `restore`."""
        place = torch.tensor([self.block, self.position, len(self.blocks)])
        return {"place": place, "adjoint": self._adjoint, "values": self._values, **self._sums}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a state that `state` returned for the same arguments.

        Raises:
            ConfigError: the state is of other arguments.
        """
        expected = {name: value.shape for name, value in self._sums.items()}
        place = state.get("place", torch.zeros(3)).tolist()
        if {n: v.shape for n, v in state.items() if n in expected} != expected or place[2] != len(self.blocks):
            raise ConfigError("the saved state must be of the same arguments", fix="remove it and begin anew")
        self.block, self.position = map(int, place[:2])
        self._sums = {name: state[name].to(value).clone() for name, value in self._sums.items()}
        self.trajectory.forget()
        if self.block < len(self.blocks):
            self._begin(self.position)
            self._adjoint = state["adjoint"].to(self._adjoint).clone()
            self._values = state["values"].to(self._values).clone()

    def result(self) -> PathKernelDecomposition:
        """Return the decomposition; all steps must be finished."""
        sums = {name: value.cpu().numpy() for name, value in self._sums.items()}
        by_step = {name: sums[f"step/{name}"] for name in (*TERMS, "path", "change", "uncorrected")}
        total = {name: by_step[name].sum(0) for name in TERMS}
        X, C = self.explained.shape
        bins = sums["influence"]
        groups = sums.get("groups", ())
        shaped = {n: sums[n].reshape(X, C, -1) if n in sums else None for n in ("scores/data", "scores/decay")}
        return PathKernelDecomposition(
            initial=sums["initial"],
            final=sums["final"],
            influence=bins.sum(0),
            decay=total["decay"],
            clipping=total["clipping"],
            residual=total["quadrature"],
            arithmetic=total["arithmetic"],
            earlier=sums["earlier"],
            gaps=self._gaps(sums),
            steps=np.array(self.steps),
            by_step=by_step,
            by_tensor={"data": sums["data"].sum(0), **{n: sums[f"tensor/{n}"] for n in ("decay", "clipping")}},
            data_by_step=sums["data"] if self.settings.steps_by_tensor else None,
            mass={name: sums[f"mass/{name}"] / (X * C) for name in ("data", "decay")},
            norm={name: sums[f"norm/{name}"] / (X * C) for name in ("data", "decay")},
            scores=shaped["scores/data"],
            decay_scores=shaped["scores/decay"],
            influence_by_group=dict(zip(self._masks, groups, strict=True)),
            influence_by_bin=bins if len(self.settings.bins) else None,
            nodes=sums["nodes"] / len(self.blocks),
            evaluations=sums["evaluations"] / len(self.blocks),
            layout=self.layout,
        )

    def _gaps(self, sums: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the changes (W + 1, X, C) of the scalars before, between and after the explained ranges of steps."""
        first = [i for i, step in enumerate(self.steps) if i == 0 or self.steps[i - 1] != step - 1]
        along = np.add.reduceat(sums["step/change"], first)  # (W, X, C)
        ends = sums["ends"]
        begins = ends - along if self.settings.steps is not None else sums["initial"][None]
        return np.concatenate([begins, sums["final"][None]]) - np.concatenate([sums["initial"][None], ends])

    def _begin(self, position: int | None = None) -> None:
        """Initialise the adjoints of a block of inputs, at the last explained step or at a given one."""
        start, stop = self.blocks[self.block]
        C = self.explained.shape[1]
        self._part = self.explained.rows(start, stop) if self.explained.apart else self.explained
        self._rows = slice(start, stop)
        bins = len(self.settings.bins) if self.settings.view == "path" and len(self.settings.bins) else 1
        theta = self.trajectory.state(self.steps[-1 if position is None else position] + 1).theta
        self._adjoint = theta.new_zeros(bins, (stop - start) * C, self.layout.size)
        self._values_at_end(theta)
        if position is None:
            last = self.trajectory.steps
            ends = self.steps[-1] + 1 == last
            self._sums["final"][self._rows] = self._values if ends else self._part.values(self.trajectory.theta(last))
            self._sums["ends"][-1, self._rows] = self._values

    def _values_at_end(self, theta: Tensor) -> None:
        """Compute the scalars at the end of a range of steps."""
        self._values = self._part.values(theta)
        self._all = self.explained.values(theta) if self._measures_movement else None

    def _end(self) -> None:
        begins = self.steps[0] == 0
        self._sums["initial"][self._rows] = self._values if begins else self._part.values(self.trajectory.theta(0))
        self.block, self.position = self.block + 1, len(self.steps) - 1
        self.trajectory.forget()
        if self.block < len(self.blocks):
            self._begin()

    def _step(self, step: Step) -> None:
        rule, theta = self.trajectory.rule, step.before.theta
        second = step.second
        if rule.second_moment is not None and second is None:
            gradient = self.inner.sum_of_gradients(theta, step.batch) / len(step.batch)
            second = rule.second(step.before.second, self.trajectory.gradients(step, gradient)[1])
        recursion = rule.recursion(step.index, step.rate, step.decay, second)
        values = self._values_at(step)
        change = (self._values - values).flatten()
        chunk = _rows_at_once(self._part, self.settings.limit, self.layout.size, theta.element_size())
        capacity = self.settings.limit // 4 // (len(change) * len(theta) * theta.element_size())
        how, memory = self.settings.quadrature, self._gradients_memory()
        typical = float(self._sums["movement"][self.position :].mean())
        averaged = average(self._part, theta, step.end, change, how, chunk, capacity, memory, typical)
        carry = rule.recursion(1, 0.0, 0.0, second).carry  # of the following step
        own = self._bin(step.index) if len(self._adjoint) > 1 else 0
        self._adjoint *= carry
        if isinstance(weight := recursion.weight * recursion.into, Tensor):
            self._adjoint[own].addcmul_(averaged.gradients, weight)
        else:
            self._adjoint[own].add_(averaged.gradients, alpha=weight)
        without_denormals(self._adjoint)
        U, gain = self._adjoint, recursion.gain  # (bins, Q, P); the direction of the products is gain * U
        if recursion.direct:
            U, gain = gain * U, 1.0
            U[own] += recursion.direct * recursion.weight * averaged.gradients
            without_denormals(U)
        total = self._add_influence(step, U, gain)
        self._values = values
        whole = U.sum(0) if len(U) > 1 else U[0]
        self._add_terms(step, recursion, averaged, whole, gain, total / len(step.batch), change)
        before = self.steps[self.position - 1] if self.position else None
        if before != step.index - 1:
            self._end_range(step, recursion, before)

    def _end_range(self, step: Step, recursion: Recursion, before: int | None) -> None:
        """Add the term of the momentum at the first step of a range, and go to the end of the range before it."""
        momentum = self._adjoint.sum(0) @ (recursion.carry * step.before.momentum)
        self._sums["earlier"][self._rows] -= self._shaped(momentum)
        if before is not None:
            self.trajectory.forget()
            self._adjoint.zero_()
            self._values_at_end(self.trajectory.theta(before + 1))
            ranges = [stop for _, stop in self.settings.steps]
            self._sums["ends"][ranges.index(before + 1), self._rows] = self._values

    @property
    def _measures_movement(self) -> bool:
        """Whether the movement of all scalars is needed, for the tolerance, and not measured yet."""
        return self.block == 0 and self.settings.quadrature.tolerance is not None

    def _values_at(self, step: Step) -> Tensor:
        """Return the block's scalars before a step; in the first block measure the movement of all scalars along it."""
        if not self._measures_movement:
            return self._part.values(step.before.theta)
        values = self.explained.values(step.before.theta)
        self._sums["movement"][self.position] = (self._all - values).abs().mean()
        self._all = values
        return values[self._rows]

    def _gradients_memory(self) -> Tensor:
        """Return memory for the averaged gradients (Q, P) of a step, the same for every step."""
        if self._memory is None or self._memory.shape != self._adjoint.shape[1:]:
            self._memory = torch.zeros_like(self._adjoint[0])
        return self._memory

    def _add_influence(self, step: Step, U: Tensor, gain: float) -> Tensor:
        """Add gain times the inner products to the influences; return the sum of the examples' gradients (P,)."""
        theta, X = step.before.theta, self._part.shape[0]
        directions = U.flatten(0, 1)
        if self._masks:
            whole = U.sum(0)
            directions = torch.cat([directions, *(whole * mask for mask in self._masks.values())])
        if self._form is None:
            self._form = self.inner.choose(theta, step.batch, len(directions))
        products, total = self.inner(self._form, theta, step.batch, directions)
        products = (products.double() * (-gain / len(step.batch))).unflatten(0, (-1, X, self._part.shape[1]))
        ids = step.batch.index
        bins = len(U)
        if bins == 1:
            local = self._bin(step.index) if len(self.settings.bins) else 0
            self._sums["influence"][local, self._rows].index_add_(-1, ids, products[0])
        else:
            self._sums["influence"][:, self._rows].index_add_(-1, ids, products[:bins])
        if self._masks:
            self._sums["groups"][:, self._rows].index_add_(-1, ids, products[bins:])
        return total

    def _add_terms(
        self,
        step: Step,
        recursion: Recursion,
        averaged: Average,
        U: Tensor,
        gain: float,
        gradient: Tensor,
        change: Tensor,
    ) -> None:
        """Add all terms but the influences, each from its own definition."""
        layout, theta, s = self.layout, step.before.theta, self.position
        J, move = averaged.gradients, step.end - step.before.theta
        factor, seen = self.trajectory.gradients(step, gradient)
        momentum, predicted = recursion.step(step.before.momentum, seen, theta)
        of_gradients = [move - predicted, predicted + recursion.decoupled * theta, recursion.decoupled * theta]
        of_directions = [gradient, recursion.coupled * theta] if recursion.coupled else [gradient]
        rounding = 0.0
        if step.momentum is not None:
            lost = step.momentum - momentum
            rounding = self._adjoint.sum(0) @ lost if len(self._adjoint) > 1 else self._adjoint[0] @ lost
            of_gradients[0] = of_gradients[0] + recursion.into * recursion.weight * lost
        with_J = layout.products(J, torch.stack(of_gradients, 1))  # (Q, T, 3)
        with_U = layout.products(U, torch.stack(of_directions, 1)) * gain  # (Q, T, 1 or 2)
        with_gradient = with_U[..., 0]
        decay = -with_J[..., 2] - (with_U[..., 1] if recursion.coupled else 0.0)
        terms = {
            "data": -with_gradient.sum(-1),
            "decay": decay.sum(-1),
            "clipping": (1 - factor) * with_gradient.sum(-1),
            "quadrature": averaged.residual,
            "uncorrected": averaged.uncorrected,
            "arithmetic": with_J[..., 0].sum(-1) - rounding,
            "path": with_J[..., 1].sum(-1),
            "change": change,
        }
        for name, term in terms.items():
            self._sums[f"step/{name}"][s, self._rows] += self._shaped(term)
        self._sums["data"][s if self.settings.steps_by_tensor else 0, self._rows] += self._shaped(-with_gradient)
        self._sums["tensor/decay"][self._rows] += self._shaped(decay)
        self._sums["tensor/clipping"][self._rows] += self._shaped((1 - factor) * with_gradient)
        sizes = torch.linalg.vector_norm(J, 1, 0)  # (P,) sums of absolute values, without a copy of J
        of_data = (move + recursion.decoupled * theta).abs()
        of_decay = sizes * recursion.decoupled
        if recursion.coupled:
            of_decay = torch.linalg.vector_norm(U, 1, 0) * (gain * recursion.coupled)
        self._sums["mass/data"][s] += layout.sums(sizes * of_data).double()
        self._sums["mass/decay"][s] += layout.sums(of_decay * theta.abs()).double()
        self._sums["norm/data"][s] += _sum_of_norms(J, move + recursion.decoupled * theta)
        along, share = (U, gain * recursion.coupled) if recursion.coupled else (J, recursion.decoupled)
        self._sums["norm/decay"][s] += _sum_of_norms(along, share * theta) if share else 0.0
        self._sums["nodes"][s] += averaged.nodes
        self._sums["evaluations"][s] += averaged.evaluations
        if self.settings.scores:
            C = self._part.shape[1]
            rows = slice(self._rows.start * C, self._rows.stop * C)
            self._sums["scores/data"][rows] -= U * (gain * gradient)
            if recursion.coupled or recursion.decoupled:
                share = recursion.coupled * gain * U + recursion.decoupled * J
                self._sums["scores/decay"][rows] -= share * theta

    def _shaped(self, values: Tensor) -> Tensor:
        return values.double().unflatten(0, self._part.shape)

    def _bin(self, step: int) -> int:
        return int(np.searchsorted(np.asarray(self.settings.bins), step, side="right")) - 1


def _sum_of_norms(rows: Tensor, factors: Tensor, at_once: int = 16) -> Tensor:
    """Return the sum over rows (Q, P) of the norms of their products with factors (P,)."""
    return sum(torch.linalg.vector_norm(part * factors, dim=1).double().sum() for part in rows.split(at_once))


def _blocks(explained: Explained, settings: PathKernelSettings, P: int, itemsize: int) -> list[tuple[int, int]]:
    """Return blocks (start, stop) of inputs whose adjoints and averaged gradients fit half of the memory limit."""
    X, C = explained.shape
    if not explained.apart:
        return [(0, X)]
    vectors = 3 + 2 * len(settings.bins if settings.view == "path" else ()) + 2 * len(settings.groups or {})
    rows = max(1, settings.limit // 2 // (vectors * C * P * itemsize))
    number = -(-X // rows)
    edges = [round(X * i / number) for i in range(number + 1)]
    return list(itertools.pairwise(edges))


def _rows_at_once(explained: Explained, limit: int, P: int, itemsize: int) -> int:
    """Return how many inputs can be differentiated at once within a quarter of the memory limit."""
    return max(1, limit // 4 // (2 * explained.shape[1] * P * itemsize))
