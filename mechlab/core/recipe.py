"""A recipe: everything that decides the result of a run, built and ready to use."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mechlab.core.curriculum import Curriculum, Stage
from mechlab.core.data import Source
from mechlab.core.ensemble import Ensemble, Member, Membership
from mechlab.core.model import outputs_of
from mechlab.core.plan import BatchPlan, RecordedPlan
from mechlab.core.precision import set_precision
from mechlab.core.saved import Saved
from mechlab.core.schedule import Schedule
from mechlab.core.seeding import Streams, seed_of
from mechlab.core.state import load_weights, matching
from mechlab.core.step import update
from mechlab.core.task import FiniteTask, Task


class Update(NamedTuple):
    """A finished optimiser update.

    Args:
        step: optimiser steps done.
        loss: (), before the update.
        outputs: (B, ...) at the steps that have targets, before the update.
    """

    step: int
    loss: Tensor
    outputs: Tensor


@dataclass(frozen=True)
class Recipe:
    """Training as a pure function of the step.

    Args:
        task: the source of examples.
        make_model: builds the architecture for a task's blueprint (a TaskSpec), drawing its weights from torch's global
            generator.
        make_optimizer: builds the optimizer for parameters.
        schedule: learning-rate factor by step.
        seed: the root seed.
        max_steps: optimiser steps in all.
        steps_per_epoch: optimiser steps between validations; None for one pass over a fixed set of examples.
        batch_size: examples per step; None for all.
        clip: largest gradient norm, or None.
        dtype: of parameters and data.
        evaluation_size: held-out examples drawn of endless data.
        overfit: every step sees the first batch.
        drop_last: the last, smaller batch of an epoch is left out.
        initial: parameters and buffers to start from in place of those of the model itself, some or all of them.
        init_std: standard deviation of the normal distribution from which the model's parameters are drawn; None for
            its own initialisation.
        frozen: names of the parameters that are never updated, or patterns such as `layers.*`.
        curriculum: the lengths that training data go through.
        stages: the recorded stages of the curriculum; None for those that are known before training.
        targets: the classes that the configuration names, nested ones among them.
        member: the row of an ensemble that the network is trained in; None where it is trained alone.
        saved: where a model that takes long to solve saves its state; None for nowhere.
    """

    task: Task
    make_model: Callable[[Any], nn.Module]
    make_optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
    schedule: Schedule
    seed: int
    max_steps: int
    steps_per_epoch: int | None
    batch_size: int | None
    clip: float | None
    dtype: torch.dtype = torch.float32
    evaluation_size: int = 1000
    overfit: bool = False
    drop_last: bool = False
    initial: dict[str, Tensor] | None = None
    init_std: float | None = None
    frozen: tuple[str, ...] = ()
    curriculum: Curriculum = field(default_factory=Curriculum)
    stages: tuple[Stage, ...] | None = None
    targets: tuple[Any, ...] = ()
    member: Membership | None = None
    saved: Saved | None = field(default=None, compare=False)

    @property
    def streams(self) -> Streams:
        """The run's named streams of randomness."""
        return Streams(self.seed)

    def architecture(self) -> nn.Module:
        """Return the model with fresh weights, not solved, on the CPU. Frozen parameters require no gradient."""
        with self.streams.globally("init"):
            model = set_precision(self.make_model(self.task.blueprint()), self.dtype)
        if self.init_std is not None:
            rng = self.streams.torch("init", "normal")
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.normal_(0, self.init_std, generator=rng)
        for name in matching(dict(model.named_parameters()), self.frozen):
            model.get_parameter(name).requires_grad_(False)
        return model

    def model(self, weights: Mapping[str, Tensor] | None = None) -> nn.Module:
        """Return the model as it is before the first step, or with recorded weights, on the CPU.

        Raises:
            RuntimeError: the recorded weights do not fit the model.
        """
        model = self.architecture()
        if weights is not None:
            load_weights(model, weights)
            return model
        initial = self.initial or {}
        if getattr(model, "solve", None) is not None and not model.state_dict().keys() <= initial.keys():
            load_weights(model, self._solution)
        if initial:
            load_weights(model, {**model.state_dict(), **initial})
        return model

    @cached_property
    def _solution(self) -> dict[str, Tensor]:
        """The weights of the solved model."""
        model = self.architecture()
        model.saved = self.saved  # type: ignore[assignment]
        examples = self.source().solved_on()
        with self.streams.globally("init", "solve"):
            model.solve(examples, self.streams.torch("init", "solve"))  # type: ignore[operator]
        return set_precision(model, self.dtype).state_dict()

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Return a fresh optimizer for the model's parameters, without torch's fused kernel if any of them is complex:
        it takes real ones only."""
        optimizer = self.make_optimizer(model.parameters())
        if any(parameter.is_complex() for parameter in model.parameters()):
            for group in optimizer.param_groups:
                if "fused" in group:
                    group["fused"] = False
        return optimizer

    @property
    def examples_per_step(self) -> int:
        """The number of training examples in the batch of a step; the last batch of an epoch may be smaller."""
        if not isinstance(self.task, FiniteTask):
            assert self.batch_size is not None, "endless data have no batch of everything"
            return self.batch_size
        n = len(self.task.examples("train"))
        return n if self.batch_size is None else min(self.batch_size, n)

    def plan(self) -> BatchPlan:
        """Return the batch plan: the ids of the examples of each step."""
        if not isinstance(self.task, FiniteTask):
            return BatchPlan(None, self.batch_size, self.seed, overfit=self.overfit)
        n = len(self.task.examples("train"))
        if (recorded := self.task.recorded_batches()) is not None:
            return RecordedPlan(n, recorded)
        return BatchPlan(n, self.batch_size, self.seed, self.task.groups(), self.overfit, self.drop_last)

    def source(
        self,
        device: str | torch.device = "cpu",
        stages: Iterable[Stage] | None = None,
        drawn_on: str | torch.device | None = None,
    ) -> Source:
        """Return the examples on a device.

        Args:
            stages: of the curriculum; the recorded ones by default, or else those that are known before training.
            drawn_on: the device of the training whose endless or augmented examples are needed; `device` by default.

        Raises:
            ConfigError: these were drawn on a GPU, and there is none.
        """
        if stages is None:
            stages = self.curriculum.first_stages if self.stages is None else self.stages
        size = self.evaluation_size
        return Source(self.task, self.plan(), self.streams, device, self.dtype, size, stages, drawn_on)

    def update(
        self, model: nn.Module, optimizer: Any, source: Source, step: int, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Make optimiser update `step` in place; see `core.step.update` for what is returned.

        Args:
            weights: (N,) weight of each training example, by id; 1 by default.
        """
        batch = source.batch(step)
        if self.draws_noise:
            torch.manual_seed(seed_of(self.seed, "noise", step))
        return update(
            model,
            optimizer,
            batch,
            self.task.spec,
            learning_rate=self.learning_rate(optimizer, step),
            clip=self.clip,
            weights=None if weights is None else weights[batch.index],
        )

    def steps(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer | None = None,
        source: Source | None = None,
        *,
        weights: Tensor | None = None,
        mask: Collection[str] | None = None,
        start: int = 0,
        stop: int | None = None,
    ) -> Iterator[Update]:
        """Make the optimiser updates start, ..., stop - 1 in place, and yield after each of them.

        Args:
            model: as it is before update `start`.
            optimizer: its optimizer; a fresh one by default.
            source: the examples on the model's device; on the CPU by default.
            weights: (N,) weight of each training example, by id; 1 by default.
            mask: names of the parameters that are updated; by default all that require a gradient.
            stop: all steps by default.
        """
        optimizer = self.optimizer(model) if optimizer is None else optimizer
        source = self.source() if source is None else source
        steps = range(start, self.max_steps if stop is None else stop)
        with _updating(model, mask):
            if self.member is None:
                for step in steps:
                    yield Update(step + 1, *self.update(model, optimizer, source, step, weights))
            elif steps:
                yield from self._steps_of_member(Member(model, optimizer), source, steps, weights)

    def _steps_of_member(
        self, member: Member, source: Source, steps: range, weights: Tensor | None
    ) -> Iterator[Update]:
        """Make the updates with the arithmetic of the ensemble that the network is a member of."""
        assert self.member is not None
        row, size = self.member.row, self.member.size
        ensemble = Ensemble(size, {row: member}, self.make_optimizer, source.batch(steps[0]), self.task.spec)
        try:
            for step in steps:
                batch, rate = source.batch(step), self.learning_rate(member.optimizer, step)
                some = None if weights is None else weights[batch.index]
                losses, outputs = ensemble.update({row: batch}, rate, self.clip, some)
                yield Update(step + 1, losses[row], outputs[row])
        finally:
            ensemble.release()

    @cached_property
    def draws_noise(self) -> bool:
        """True if the model draws random numbers while it trains (dropout): each step then has a seed of its own."""
        batch = self.source().evaluation("val", 2)
        with self.streams.globally("noise"):
            before = torch.get_rng_state()
            outputs_of(self.architecture().train(), batch.inputs)
            return not torch.equal(before, torch.get_rng_state())

    def learning_rate(self, optimizer: Any, step: int) -> float:
        """Return the learning rate in force during optimiser step `step`."""
        return optimizer.defaults["lr"] * self.schedule.factor(step, self.max_steps)

    def rates(self, optimizer: torch.optim.Optimizer, step: int) -> tuple[float, float]:
        """Return (learning rate, weight decay) in force during optimiser step `step`."""
        return self.learning_rate(optimizer, step), optimizer.defaults.get("weight_decay", 0.0)


@contextlib.contextmanager
def _updating(model: nn.Module, mask: Collection[str] | None) -> Iterator[None]:
    """Let only the named parameters require a gradient inside the block; None changes nothing."""
    before = {parameter: parameter.requires_grad for parameter in model.parameters()}
    if mask is not None:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(before[parameter] and name in mask)
    try:
        yield
    finally:
        for parameter, required in before.items():
            parameter.requires_grad_(required)
