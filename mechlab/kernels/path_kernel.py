"""Exact path kernels: what each training example, parameter and step contributed to a network's outputs.

The change of an explained scalar q over training is the sum over optimiser steps of <J_s, theta_{s+1} - theta_s>, with
the gradient J_s of q averaged along the step. Writing each step out in the gradients that it was made of books this
change to examples, weight decay and clipping. One adjoint vector U for each scalar, swept backwards over the steps,
does so without per-example momentum buffers:

    A_s = into (weight * J_s) + carry A_{s+1},   U_s = gain A_s + direct (weight * J_s),
    influence of k += -<gradient of example k's loss at theta_s, U_s> / B_s   for every k in batch s.

Source: "ExPLAIND", arXiv 2505.20076; Bell et al., arXiv 2308.00824. The second moments of Adam are taken as given, so
an influence is an item of an exact account and no derivative; for that see `metagradient`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from mechlab.core.errors import ConfigError
from mechlab.core.task import Batch
from mechlab.kernels.explained import Explained, Outputs
from mechlab.kernels.inner import InnerProducts
from mechlab.kernels.layout import Layout
from mechlab.kernels.quadrature import Average, Quadrature, average
from mechlab.kernels.trajectory import Step, Trajectory

if TYPE_CHECKING:
    from mechlab.core.run import Run

Progress = Callable[[int, int], None]
LINES = ("data", "decay", "clipping", "quadrature", "arithmetic")


@dataclass(frozen=True)
class PathKernel:
    """The account of X x C explained scalars over S steps, N training examples and P parameters in T tensors.

    Each line is computed from its own definition; together they are `final - initial`, see `completeness`.

    Args:
        initial, final: (X, C) the scalars before and after training.
        influence: (X, C, N) of each training example, in the order of their permanent ids.
        decay, clipping: (X, C) of weight decay, and of the part of the gradients that clipping took away.
        residual: (X, C) of the quadrature: changes of the scalars less inner products with the averaged gradients.
        arithmetic: (X, C) of rounding: recorded updates less those that the equations give.
        by_step: name -> (S, X, C). "data", "decay", "clipping" are booked where a gradient was taken; "path" (all but
            decoupled decay, where the path was integrated), "quadrature", "arithmetic", "change" where a step was made.
        by_tensor: name ("data", "decay", "clipping") -> (X, C, T).
        data_by_step: (S, X, C, T), the data line by the step at which gradients were taken, and by tensor.
        mass: "data" and "decay" -> (S, T), sum over a tensor's scalars of absolute items where the step was made, the
            mean over all explained scalars.
        scores, decay_scores: (X, C, P) the data and decay lines of every scalar parameter; None if not asked for.
        influence_by_group: name -> (X, C, N), the influence through a group of parameters.
        influence_by_bin: (bins, X, C, N), the influence by bins of steps; None if not asked for.
        nodes, evaluations: (S,) nodes of the quadrature, and gradients that were evaluated; means over blocks.
        layout: names and places of the tensors on the axis of P.
    """

    initial: np.ndarray
    final: np.ndarray
    influence: np.ndarray
    decay: np.ndarray
    clipping: np.ndarray
    residual: np.ndarray
    arithmetic: np.ndarray
    by_step: Mapping[str, np.ndarray]
    by_tensor: Mapping[str, np.ndarray]
    data_by_step: np.ndarray
    mass: Mapping[str, np.ndarray]
    scores: np.ndarray | None
    decay_scores: np.ndarray | None
    influence_by_group: Mapping[str, np.ndarray]
    influence_by_bin: np.ndarray | None
    nodes: np.ndarray
    evaluations: np.ndarray
    layout: Layout

    @property
    def data(self) -> np.ndarray:
        """The sum (X, C) of all influences."""
        return self.influence.sum(-1)

    @property
    def completeness(self) -> np.ndarray:
        """The change of the scalars less the sum of all lines (X, C): zero but for rounding."""
        lines = self.data + self.decay + self.clipping + self.residual + self.arithmetic
        return self.final - self.initial - lines


@dataclass(frozen=True)
class Account:
    """How an account is made.

    Args:
        quadrature: of the averaged gradients.
        form, limit: of the inner products, and bytes that a block of work may take; see InnerProducts.
        scores: whether to keep the scores of single parameters.
        groups: name -> names of tensors, or a mask (P,), whose influences are also told apart.
        bins: first steps of bins of steps, the first of them 0, whose influences are also told apart; () for none.
        view: whether an influence belongs to the bin in which the gradient was taken, or in which the step was made.
    """

    quadrature: Quadrature = field(default_factory=Quadrature)
    form: Literal["auto", "jvp", "gemm", "ghost"] = "auto"
    limit: int = 2**30
    scores: bool = True
    groups: Mapping[str, Sequence[str] | Tensor] | None = None
    bins: Sequence[int] = ()
    view: Literal["gradient", "path"] = "gradient"


class Sweep:
    """The backward sweep over a trajectory, a step at a time, that can be kept and taken up again.

    Iterating over it does the work and yields (done, total) after every step. Inputs are taken in blocks that fit the
    limit of memory, each of which goes over the whole trajectory.
    """

    def __init__(self, trajectory: Trajectory, explained: Explained, account: Account):
        self.trajectory, self.explained, self.account = trajectory, explained, account
        problem = trajectory.problem
        self.layout, self.inner = problem.layout, InnerProducts(problem, account.form, account.limit // 2)
        X, C = explained.shape
        self.blocks = _blocks(explained, account, self.layout.size, problem.dtype.itemsize)
        self.block, self.position = 0, trajectory.steps - 1
        self._sums = _zeros(trajectory, X, C, account)
        self._masks = _masks(account.groups or {}, self.layout, problem.device, problem.dtype)
        self._form: str | None = None
        self._begin()

    @property
    def done(self) -> int:
        """Number of steps that are done, of all blocks."""
        return self.block * self.trajectory.steps + self.trajectory.steps - 1 - self.position

    @property
    def total(self) -> int:
        """Number of steps to do, of all blocks."""
        return len(self.blocks) * self.trajectory.steps

    def __iter__(self) -> Iterator[tuple[int, int]]:
        while self.block < len(self.blocks):
            self._step(self.trajectory.step(self.position))
            self.position -= 1
            if self.position < 0:
                self._end()
            yield self.done, self.total

    def state(self) -> dict[str, Tensor]:
        """Return all that the work so far amounts to, by name."""
        place = torch.tensor([self.block, self.position, len(self.blocks)])
        return {"place": place, "adjoint": self._adjoint, "values": self._values, **self._sums}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state` returned, of a sweep with the same arguments.

        Raises:
            ConfigError: the state belongs to other arguments.
        """
        expected = {name: value.shape for name, value in self._sums.items()}
        place = state.get("place", torch.zeros(3)).tolist()
        if {n: v.shape for n, v in state.items() if n in expected} != expected or place[2] != len(self.blocks):
            raise ConfigError("the kept state must belong to the same question", fix="remove it and begin anew")
        self.block, self.position = map(int, place[:2])
        self._sums = {name: state[name].clone() for name in expected}
        self.trajectory.forget()
        if self.block < len(self.blocks):
            self._begin(self.position)
            self._adjoint = state["adjoint"].to(self._adjoint).clone()
            self._values = state["values"].to(self._values).clone()

    def result(self) -> PathKernel:
        """Return the account; all steps must be done."""
        sums = {name: value.numpy() for name, value in self._sums.items()}
        by_step = {name: sums[f"step/{name}"] for name in (*LINES, "path", "change")}
        total = {name: by_step[name].sum(0) for name in LINES}
        X, C = self.explained.shape
        bins = sums["influence"]
        groups = sums.get("groups", ())
        shaped = {n: sums[n].reshape(X, C, -1) if n in sums else None for n in ("scores/data", "scores/decay")}
        return PathKernel(
            initial=sums["initial"],
            final=sums["final"],
            influence=bins.sum(0),
            decay=total["decay"],
            clipping=total["clipping"],
            residual=total["quadrature"],
            arithmetic=total["arithmetic"],
            by_step=by_step,
            by_tensor={"data": sums["data"].sum(0), **{n: sums[f"tensor/{n}"] for n in ("decay", "clipping")}},
            data_by_step=sums["data"],
            mass={name: sums[f"mass/{name}"] / (X * C) for name in ("data", "decay")},
            scores=shaped["scores/data"],
            decay_scores=shaped["scores/decay"],
            influence_by_group=dict(zip(self._masks, groups, strict=True)),
            influence_by_bin=bins if len(self.account.bins) else None,
            nodes=sums["nodes"] / len(self.blocks),
            evaluations=sums["evaluations"] / len(self.blocks),
            layout=self.layout,
        )

    def _begin(self, position: int | None = None) -> None:
        """Get ready for a block of inputs, at its last step or in the middle."""
        start, stop = self.blocks[self.block]
        C = self.explained.shape[1]
        self._part = self.explained.rows(start, stop) if self.explained.apart else self.explained
        self._rows = slice(start, stop)
        bins = len(self.account.bins) if self.account.view == "path" and self.account.bins else 1
        theta = self.trajectory.state((self.trajectory.steps - 1 if position is None else position) + 1).theta
        self._adjoint = theta.new_zeros(bins, (stop - start) * C, self.layout.size)
        self._values = self._part.values(theta)
        if position is None:
            self._sums["final"][self._rows] = self._values

    def _end(self) -> None:
        self._sums["initial"][self._rows] = self._values
        self.block, self.position = self.block + 1, self.trajectory.steps - 1
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
        values = self._part.values(theta)
        change = (self._values - values).flatten()
        chunk = _rows_at_once(self._part, self.account.limit, self.layout.size, theta.element_size())
        kept = self.account.limit // 4 // (len(change) * len(theta) * theta.element_size())
        found = average(self._part, theta, step.end, change, self.account.quadrature, chunk, kept)
        drive = found.gradients * recursion.weight  # (Q, P)
        carry = rule.recursion(1, 0.0, 0.0, second).carry  # of the following step
        own = self._bin(step.index) if len(self._adjoint) > 1 else 0
        self._adjoint *= carry
        self._adjoint[own] += recursion.into * drive
        U = recursion.gain * self._adjoint  # (bins, Q, P)
        U[own] += recursion.direct * drive
        total = self._add_influence(step, U)
        self._values = values
        self._add_lines(
            step, recursion, found, drive, U.sum(0) if len(U) > 1 else U[0], total / len(step.batch), change
        )

    def _add_influence(self, step: Step, U: Tensor) -> Tensor:
        """Book the inner products to the examples; return the sum of their gradients (P,)."""
        theta, X = step.before.theta, self._part.shape[0]
        directions = U.flatten(0, 1)
        if self._masks:
            whole = U.sum(0)
            directions = torch.cat([directions, *(whole * mask for mask in self._masks.values())])
        if self._form is None:
            self._form = self.inner.choose(theta, step.batch, len(directions))
        products, total = self.inner(self._form, theta, step.batch, directions)
        products = (products.double() / -len(step.batch)).cpu().unflatten(0, (-1, X, self._part.shape[1]))
        ids = step.batch.index.cpu()
        bins = len(U)
        if bins == 1:
            mine = self._bin(step.index) if len(self.account.bins) else 0
            self._sums["influence"][mine, self._rows].index_add_(-1, ids, products[0])
        else:
            self._sums["influence"][:, self._rows].index_add_(-1, ids, products[:bins])
        if self._masks:
            self._sums["groups"][:, self._rows].index_add_(-1, ids, products[bins:])
        return total

    def _add_lines(
        self, step: Step, recursion, found: Average, drive: Tensor, U: Tensor, gradient: Tensor, change: Tensor
    ) -> None:
        """Book everything but the influences, each line from its definition."""
        layout, theta, s = self.layout, step.before.theta, step.index
        J, move = found.gradients, step.end - step.before.theta
        factor, seen = self.trajectory.gradients(step, gradient)
        momentum, predicted = recursion.step(step.before.momentum, seen, theta)
        rounding = J @ (move - predicted)
        if step.momentum is not None:
            lost = step.momentum - momentum
            rounding -= self._adjoint.sum(0) @ lost - recursion.into * (drive @ lost)
        with_gradient = layout.products(U, gradient)
        decay = -recursion.coupled * layout.products(U, theta) - recursion.decoupled * layout.products(J, theta)
        lines = {
            "data": -with_gradient.sum(-1),
            "decay": decay.sum(-1),
            "clipping": (1 - factor) * with_gradient.sum(-1),
            "quadrature": found.residual,
            "arithmetic": rounding,
            "path": J @ (predicted + recursion.decoupled * theta),
            "change": change,
        }
        for name, line in lines.items():
            self._sums[f"step/{name}"][s, self._rows] += self._shaped(line)
        self._sums["data"][s, self._rows] += self._shaped(-with_gradient)
        self._sums["tensor/decay"][self._rows] += self._shaped(decay)
        self._sums["tensor/clipping"][self._rows] += self._shaped((1 - factor) * with_gradient)
        by_data = move + recursion.decoupled * theta
        by_decay = recursion.decoupled * theta.abs()
        self._sums["mass/data"][s] += layout.products(J.abs(), by_data.abs()).sum(0).double().cpu()
        if recursion.coupled:
            by_decay_mass = layout.products(U.abs(), recursion.coupled * theta.abs())
        else:
            by_decay_mass = layout.products(J.abs(), by_decay)
        self._sums["mass/decay"][s] += by_decay_mass.sum(0).double().cpu()
        self._sums["nodes"][s] += found.nodes
        self._sums["evaluations"][s] += found.evaluations
        if self.account.scores:
            C = self._part.shape[1]
            rows = slice(self._rows.start * C, self._rows.stop * C)
            self._sums["scores/data"][rows] -= (U * gradient).cpu()
            if recursion.coupled or recursion.decoupled:
                share = recursion.coupled * U + recursion.decoupled * J
                self._sums["scores/decay"][rows] -= (share * theta).cpu()

    def _shaped(self, values: Tensor) -> Tensor:
        return values.double().cpu().unflatten(0, self._part.shape)

    def _bin(self, step: int) -> int:
        return int(np.searchsorted(np.asarray(self.account.bins), step, side="right")) - 1


def path_kernel(
    run_or_history: Run | Trajectory,
    inputs: Batch | Tensor,
    outputs: Outputs = "all",
    rule: Literal["midpoint"] = "midpoint",
    nodes: int = 20,
    dtype: torch.dtype | None = None,
    *,
    targets: Tensor | None = None,
    tolerance: float | None = None,
    most_nodes: int = 64,
    secant: bool = False,
    form: Literal["auto", "jvp", "gemm", "ghost"] = "auto",
    memory: int = 2**30,
    scores: bool = True,
    groups: Mapping[str, Sequence[str] | Tensor] | None = None,
    bins: Sequence[int] = (),
    view: Literal["gradient", "path"] = "gradient",
    device: str = "cpu",
    progress: Progress | None = None,
) -> PathKernel:
    """Account for the change of explained scalars over training, by training example, parameter and step.

    Args:
        run_or_history: a run with a record of every step, or a Trajectory.
        inputs: the explained inputs, with their targets where `outputs` needs them.
        outputs: "all", "target", "margin", "loss", or a function of the model's outputs; see Explained.
        rule, nodes, tolerance, most_nodes, secant: see Quadrature.
        dtype: of the arithmetic; by default that of training.
        targets: of `inputs` where these are a tensor.
        form, memory, scores, groups, bins, view: see Account.
        device: where the arithmetic happens.
        progress: is told (done, total) after every step.

    Raises:
        NotRecorded: a step is missing.
        ConfigError: the model, optimizer or precision cannot be explained, or an argument is wrong.

    Source: "ExPLAIND", arXiv 2505.20076, in the form of a backward sweep.
    """
    quadrature = Quadrature(_midpoint(rule), nodes, tolerance, most_nodes, secant)
    trajectory = trajectory_of(run_or_history, dtype, device)
    explained = Explained(trajectory.problem, explained_batch(trajectory, inputs, targets, outputs), outputs)
    sweep = Sweep(trajectory, explained, Account(quadrature, form, memory, scores, groups, bins, view))
    for done, total in sweep:
        if progress is not None:
            progress(done, total)
    return sweep.result()


def trajectory_of(run_or_history: Run | Trajectory, dtype: torch.dtype | None, device: str = "cpu") -> Trajectory:
    """Return the trajectory of a run, or the given one if it is one already, in the dtype that it was made for."""
    if not isinstance(run_or_history, Trajectory):
        return Trajectory.of_run(run_or_history, dtype, device)
    if dtype is not None and run_or_history.problem.dtype != dtype:
        got = f"{dtype} for a trajectory in {run_or_history.problem.dtype}"
        raise ConfigError("a trajectory decides the dtype itself", got=got, key="dtype", fix="make it with this dtype")
    return run_or_history


def explained_batch(trajectory: Trajectory, inputs: Batch | Tensor, targets: Tensor | None, outputs: Outputs) -> Batch:
    """Return the explained inputs as a batch; targets that nothing needs are made up."""
    problem = trajectory.problem
    if isinstance(inputs, Batch):
        return problem.placed(inputs)
    if targets is None:
        if outputs != "all" and isinstance(outputs, str):
            raise ConfigError(f"outputs={outputs} needs targets", got="inputs alone", key="targets", fix="targets=...")
        if problem.spec.kind == "sequence":
            fix = "give a Batch, or targets of the steps that are explained"
            raise ConfigError(
                "sequences need targets, which tell the steps", got="inputs alone", key="targets", fix=fix
            )
        shape, kind = ((len(inputs),), torch.int64)
        if problem.spec.loss == "mse":
            shape, kind = (len(inputs), problem.spec.outputs), problem.dtype
        targets = torch.zeros(shape, dtype=kind)
    return problem.placed(Batch(inputs, targets, None, torch.arange(len(inputs))))


def _midpoint(rule: str) -> Literal["midpoint"]:
    if rule != "midpoint":
        raise ConfigError("rule must be midpoint", got=rule, key="rule")
    return "midpoint"


def _blocks(explained: Explained, account: Account, P: int, itemsize: int) -> list[tuple[int, int]]:
    """Cut the inputs into blocks whose adjoints and averaged gradients fit half of the limit."""
    X, C = explained.shape
    if not explained.apart:
        return [(0, X)]
    vectors = 6 + 2 * len(account.bins if account.view == "path" else ()) + 2 * len(account.groups or {})
    rows = max(1, account.limit // 2 // (vectors * C * P * itemsize))
    number = -(-X // rows)
    edges = [round(X * i / number) for i in range(number + 1)]
    return list(itertools.pairwise(edges))


def _rows_at_once(explained: Explained, limit: int, P: int, itemsize: int) -> int:
    """Return how many inputs can be differentiated at once within a quarter of the limit."""
    return max(1, limit // 4 // (2 * explained.shape[1] * P * itemsize))


def _zeros(trajectory: Trajectory, X: int, C: int, account: Account) -> dict[str, Tensor]:
    """Return the empty books, in 64 bits on the CPU."""
    S, N, layout = trajectory.steps, trajectory.examples, trajectory.problem.layout
    T = len(layout.names)
    shapes = {
        "initial": (X, C),
        "final": (X, C),
        "influence": (max(1, len(account.bins)), X, C, N),
        "data": (S, X, C, T),
        "nodes": (S,),
        "evaluations": (S,),
        **{f"step/{name}": (S, X, C) for name in (*LINES, "path", "change")},
        **{f"tensor/{name}": (X, C, T) for name in ("decay", "clipping")},
        **{f"mass/{name}": (S, T) for name in ("data", "decay")},
    }
    if account.groups:
        shapes["groups"] = (len(account.groups), X, C, N)
    if account.scores:
        shapes |= {f"scores/{name}": (X * C, layout.size) for name in ("data", "decay")}
    return {name: torch.zeros(shape, dtype=torch.float64) for name, shape in shapes.items()}


def _masks(
    groups: Mapping[str, Sequence[str] | Tensor], layout: Layout, device: torch.device, dtype: torch.dtype
) -> dict[str, Tensor]:
    """Return each group of parameters as a mask (P,)."""
    masks = {}
    for group, members in groups.items():
        if isinstance(members, Tensor):
            masks[group] = members.to(device, dtype)
            continue
        masks[group] = torch.zeros(layout.size, device=device, dtype=dtype)
        for name in members:
            if name not in layout.places:
                got, fix = f"{name} in group {group}", f"choose among {', '.join(layout.names)}"
                raise ConfigError("groups are made of the model's trained tensors", got=got, key="groups", fix=fix)
            masks[group][layout.places[name]] = 1
    return masks
