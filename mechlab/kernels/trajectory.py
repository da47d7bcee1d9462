"""A recorded training, read one optimiser step at a time from the last to the first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mechlab.core.errors import ConfigError, NotRecorded, ReplayDiffers
from mechlab.core.task import Batch, TaskSpec
from mechlab.core.update_equations import UpdateEquations, entering_gradient, equations_of
from mechlab.kernels.functional_model import FunctionalModel

if TYPE_CHECKING:
    from mechlab.core.recipe import Recipe
    from mechlab.kernels.recorded import RecordedSteps, RecordedTraining

UPDATE_DIFFERS = 0.1  # largest relative difference of a recorded update from that of the equations


@dataclass(frozen=True)
class Arrays:
    """A history in plain lists.

    Args:
        parameters: S + 1 mappings from name to array: before each step, and at the end.
        batches: S arrays of example ids.
        learning_rates, weight_decays: S numbers each.
        states: at least S mappings from `<state>/<name>` to array, the optimizer state before each step.
    """

    parameters: Sequence[Mapping[str, Tensor]]
    batches: Sequence[Tensor]
    learning_rates: Sequence[float]
    weight_decays: Sequence[float]
    states: Sequence[Mapping[str, Tensor]]

    def params(self, step: int) -> Mapping[str, Tensor]:
        """Return the parameters before optimiser step `step`."""
        return {name: torch.as_tensor(value) for name, value in self.parameters[step].items()}

    def optimizer(self, step: int) -> Mapping[str, Tensor]:
        """Return the optimizer state before optimiser step `step`."""
        return {name: torch.as_tensor(value) for name, value in self.states[step].items()}

    def batch_indices(self, step: int) -> Tensor:
        """Return the ids (B,) of the examples of optimiser step `step`."""
        return torch.as_tensor(self.batches[step]).long()

    def rates(self, step: int) -> tuple[float, float]:
        """Return (learning rate, weight decay) in force during optimiser step `step`."""
        return float(self.learning_rates[step]), float(self.weight_decays[step])


@dataclass(frozen=True)
class TrainingState:
    """Parameters and optimizer state before an optimiser step, as flat vectors.

    Args:
        theta: (P,) parameters.
        momentum: (P,), zero before the first step; None at the end of training.
        second: (P,) raw second moment; None at the end of training, and for optimizers without one.
    """

    theta: Tensor
    momentum: Tensor | None
    second: Tensor | None


@dataclass(frozen=True)
class Step:
    """One optimiser update.

    Args:
        index: its number, from 0.
        before: the state before it.
        end: the parameters (P,) after it.
        momentum, second: the recorded momentum and raw second moment (P,) after it; None after the last step.
        batch: its examples; `batch.index` holds their ids.
        rate, decay: learning rate and weight decay in force.
    """

    index: int
    before: TrainingState
    end: Tensor
    momentum: Tensor | None
    second: Tensor | None
    batch: Batch
    rate: float
    decay: float


class Trajectory:
    """A complete recorded training.

    Args:
        functional: the model and its loss.
        rule: of the updates.
        record: the recorded steps.
        steps: S, the number of updates.
        examples: N, the number of training examples.
        batch: returns the examples of a step, with their ids.
        clip: largest norm of the whole gradient; None for no clipping.
        data: returns all training examples in the order of their ids; None where they are drawn without end.
        drawn_on: the device whose generator drew endless and augmented examples.
    """

    def __init__(
        self,
        functional: FunctionalModel,
        rule: UpdateEquations,
        record: RecordedSteps,
        steps: int,
        examples: int,
        batch: Callable[[int], Batch],
        clip: float | None = None,
        data: Callable[[], Batch] | None = None,
        drawn_on: str = "cpu",
    ):
        self.functional, self.rule, self.record, self.clip = functional, rule, record, clip
        self.steps, self.examples, self._batch, self._data = steps, examples, batch, data
        self.drawn_on = drawn_on
        self._last: tuple[int, TrainingState] | None = None
        if steps < 1:
            fix = "train for a step or more, with history=replay or full"
            raise NotRecorded(
                "a history needs at least one optimiser step", got=f"{steps} steps", key="trainer.max_steps", fix=fix
            )
        if examples < 1:
            must, fix = "there must be at least one training example", "give the examples of the training"
            raise ConfigError(must, got=f"{examples} examples", key="data", fix=fix)
        functional.set_constants(dict(record.params(0)))
        self._check_constants()
        self._check_fresh()

    @classmethod
    def of_run(cls, run: RecordedTraining, dtype: torch.dtype | None = None, device: str = "cpu") -> Trajectory:
        """Return the trajectory of a recorded training up to its `moment`.

        Args:
            run: the recorded training, such as a Run.
            dtype: of the arithmetic; that of training by default.
            device: of the arithmetic.

        Raises:
            NotRecorded: a step is missing.
            ReplayDiffers: the recorded updates are not those of the present model, task and optimizer.
            ConfigError: the model, optimizer or precision is not supported.
        """
        recipe, history = run.recipe, run.history
        recorded = history.steps
        if not recorded or recorded != list(range(recorded[-1] + 1)) or len(recorded) < 2:
            got = f"{len(recorded)} recorded steps" + (f" from {recorded[0]} to {recorded[-1]}" if recorded else "")
            fix = "train again with history=replay or history=full"
            raise NotRecorded("attribution needs every optimiser step", got=got, key="history", fix=fix)
        history.check_exact("attribution needs the whole state of every step, as it was trained")
        if run.moment == "best":
            fix = "at=last, or at=STEP"
            raise ConfigError("attribution needs the step at which training ends", got="at=best", key="at", fix=fix)
        steps = recorded[-1] if run.moment == "last" else run.moment
        functional, rule = functional_model_of(recipe, dtype, device, history.params(0))
        source = recipe.source(device, drawn_on=history.device)
        examples = steps * source.plan.batch_size if source.plan.n is None else source.plan.n
        data = None if source.plan.n is None else lambda: recipe.task.examples("train")
        trajectory = cls(functional, rule, history, steps, examples, source.batch, recipe.clip, data, history.device)
        if history.digest(0) is None:  # what is computed again is checked by its hash
            trajectory.check_updates()
        return trajectory

    @classmethod
    def of_arrays(
        cls,
        model: nn.Module,
        spec: TaskSpec,
        data: Batch | None,
        rule: UpdateEquations,
        arrays: Arrays,
        clip: float | None = None,
        dtype: torch.dtype | None = None,
        device: str = "cpu",
        batch: Callable[[int], Batch] | None = None,
    ) -> Trajectory:
        """Return the trajectory of a history in plain lists.

        Args:
            model: the architecture.
            spec: of the task.
            data: all training examples in the order of their ids; None if every step has new ones, from `batch`.
            batch: returns the examples of a step as they were trained on; by default those in `data`.
        """
        sample = batch(0) if data is None else data
        if not len(sample):
            must, fix = "there must be at least one training example", "give the examples of the training"
            raise ConfigError(must, got="an empty batch", key="data", fix=fix)
        steps = len(arrays.batches)
        lengths = (len(arrays.parameters) - 1, len(arrays.learning_rates), len(arrays.weight_decays))
        if any(length != steps for length in lengths):
            got = f"{steps} batches, {lengths[0] + 1} parameter sets, {lengths[1]} rates and {lengths[2]} decays"
            must = "a history of S batches needs S + 1 parameter sets, S rates and S decays"
            raise NotRecorded(must, got=got, key="arrays", fix="give the parameters before every step and at the end")
        native = next(iter(arrays.params(0).values())).dtype
        functional = FunctionalModel(model, spec, sample[: min(4, len(sample))], dtype or native, device)
        if data is None:
            return cls(functional, rule, arrays, steps, steps * len(sample), batch, clip)
        examples = lambda step: data[arrays.batch_indices(step)]  # noqa: E731
        return cls(functional, rule, arrays, steps, len(data), batch or examples, clip, lambda: data)

    def state(self, step: int) -> TrainingState:
        """Return the state before optimiser step `step`; at the end of training the parameters alone are read."""
        if self._last is not None and self._last[0] == step:
            return self._last[1]
        theta, momentum, second = self.theta(step), None, None
        if step < self.steps:
            moments = self.record.optimizer(step)
            momentum = self._moment(moments, self.rule.first_moment, theta)
            if self.rule.second_moment is not None:
                second = self._moment(moments, self.rule.second_moment, theta)
        return TrainingState(theta, momentum, second)

    def theta(self, step: int) -> Tensor:
        """Return the parameters (P,) before optimiser step `step`."""
        return self.functional.layout.join(
            {name: self._placed(value) for name, value in self.record.params(step).items()}
        )

    def step(self, index: int) -> Step:
        """Return optimiser update `index`; reading them from the last to the first reads each state once."""
        after, before = self.state(index + 1), self.state(index)
        self._last = (index, before)
        batch = self._batch(index)
        if not len(batch):
            must, fix = "a batch must hold at least one example", "leave steps without examples out of the history"
            raise NotRecorded(must, got=f"none at step {index}", key="history", fix=fix)
        if not torch.equal(batch.index.cpu(), self.record.batch_indices(index).cpu()):
            must = "the batches must be those that were recorded"
            fix = "train again: the task, the batch size or the code has changed since"
            raise NotRecorded(must, got=f"other examples at step {index}", key="history", fix=fix)
        rate, decay = self.record.rates(index)
        return Step(
            index, before, after.theta, after.momentum, after.second, self.functional.placed(batch), rate, decay
        )

    def until(self, steps: int) -> Trajectory:
        """Return the trajectory of the first optimiser steps."""
        parts = (self.functional, self.rule, self.record, steps, self.examples, self._batch, self.clip, self._data)
        return Trajectory(*parts, self.drawn_on)

    def data(self) -> Batch:
        """Return all training examples in the order of their ids."""
        if self._data is None:
            must, fix = "there must be a fixed set of training examples", "use every step instead of checkpoints"
            raise ConfigError(must, got="data that is drawn without end", key="task", fix=fix)
        return self._data()

    def forget(self) -> None:
        """Discard the cached state of the last step that was read."""
        self._last = None

    def gradients(self, step: Step, gradient: Tensor) -> tuple[float, Tensor]:
        """Return the factor of clipping and the gradient (P,) that enters the optimizer, given the mean gradient."""
        factor, entering = entering_gradient(self.rule, gradient, step.before.theta, step.decay, self.clip)
        return float(factor), entering

    def check_updates(self) -> None:
        """Raise ReplayDiffers if the first or last recorded update differs from that of the equations by more than
        rounding of gradients close to zero explains."""
        for index in dict.fromkeys((0, self.steps - 1)):
            step = self.step(index)
            gradient = self.functional.gradient(step.before.theta, step.batch) / len(step.batch)
            _, entering = self.gradients(step, gradient)
            second = self.rule.second(step.before.second, entering) if self.rule.second_moment else None
            recursion = self.rule.recursion(index, step.rate, step.decay, second)
            _, predicted = recursion.step(step.before.momentum, entering, step.before.theta)
            move = step.end - step.before.theta
            size, difference = float(move.norm()), float((predicted - move).norm())
            if difference > UPDATE_DIFFERS * max(size, float(predicted.norm())):
                must = "the recorded updates must be those of the present model, task and optimizer"
                got = f"step {index} moved the parameters by {size:.3g}, which differs by {difference:.3g}"
                fix = "use the code that trained the run (see its provenance), or train it again"
                raise ReplayDiffers(must, got=got, key="history", fix=fix)
        self.forget()

    def _placed(self, value: Tensor) -> Tensor:
        return value.to(self.functional.device, self.functional.dtype)

    def _moment(self, moments: Mapping[str, Tensor], key: str, theta: Tensor) -> Tensor:
        layout = self.functional.layout
        parts = {name: moments.get(f"{key}/{name}") for name in layout.names}
        if all(value is None for value in parts.values()):
            return torch.zeros_like(theta)
        return layout.join({name: self._placed(value) for name, value in parts.items()})

    def _check_constants(self) -> None:
        first, last = self.record.params(0), self.record.params(self.steps)
        names = set(self.functional.layout.names)
        for name, value in first.items():
            if name not in names and not torch.equal(value, last[name]):
                must, fix = "buffers and unused parameters must stay as they are", "train without batch normalisation"
                raise ConfigError(must, got=f"{name} changes", key="model", fix=fix)
        if lacking := names - set(first):
            got, fix = f"no {', '.join(sorted(lacking))}", "give every tensor of the model by its name"
            raise NotRecorded("the history must hold every parameter", got=got, key="history", fix=fix)

    def _check_fresh(self) -> None:
        moments = self.record.optimizer(0)
        if any(value.any() for name, value in moments.items() if not name.startswith("step/")):
            must = "a history must begin with a fresh optimizer"
            fix = "give the history from its first step on"
            raise NotRecorded(must, got="optimizer state before step 0", key="history", fix=fix)
        needed = [key for key in (self.rule.first_moment, self.rule.second_moment) if key is not None]
        if self.steps == 1 or (self.rule.second_moment is None and not self.rule.momentum):
            return
        later = self.record.optimizer(1)
        for name in (f"{key}/{name}" for key in needed for name in self.functional.layout.names):
            if name not in later:
                fix = "mechlab.kernels.recomputed_states computes the optimizer state from the gradients"
                must, got = "the history must hold the optimizer state", f"no {name} at step 1"
                raise NotRecorded(must, got=got, key="history", fix=fix)


def functional_model_of(
    recipe: Recipe,
    dtype: torch.dtype | None = None,
    device: str = "cpu",
    weights: Mapping[str, Tensor] | None = None,
) -> tuple[FunctionalModel, UpdateEquations]:
    """Return the model and loss that a recipe trains, and the rule of its updates.

    Args:
        weights: the parameters and buffers of the model; fresh ones by default.
        dtype: of the arithmetic; that of training by default.

    Raises:
        ConfigError: the model, optimizer or precision is not supported.
    """
    model = recipe.architecture() if weights is None else recipe.model(weights)
    rule = equations_of(recipe.optimizer(model))
    sample = recipe.source().batch(0)
    return FunctionalModel(model, recipe.task.spec, sample[: min(4, len(sample))], dtype or recipe.dtype, device), rule


def recomputed_states(
    model: nn.Module,
    spec: TaskSpec,
    data: Batch,
    rule: UpdateEquations,
    arrays: Arrays,
    clip: float | None = None,
    dtype: torch.dtype | None = None,
    known: Callable[[int], Mapping[str, Tensor]] | None = None,
) -> list[dict[str, Tensor]]:
    """Compute the optimizer state before each step from the gradients at the recorded parameters.

    Args:
        arrays: a history whose `states` are ignored.
        dtype: of the arithmetic; that of the parameters by default.
        known: returns recorded parts of the state before a step (`exp_avg_sq/NAME`), which replace the computed ones.

    Returns:
        S mappings from `<state>/<name>` to tensors.
    """
    functional = FunctionalModel(
        model, spec, data[: min(4, len(data))], dtype or next(iter(arrays.params(0).values())).dtype
    )
    functional.set_constants(dict(arrays.params(0)))
    layout, states, state = functional.layout, [], {}
    momentum = torch.zeros(layout.size, dtype=functional.dtype)
    second = torch.zeros_like(momentum) if rule.second_moment else None
    for index in range(len(arrays.batches)):
        states.append(state)
        theta = layout.join({name: value.to(functional.dtype) for name, value in arrays.params(index).items()})
        batch = functional.placed(data[arrays.batch_indices(index)])
        rate, decay = arrays.rates(index)
        gradient = functional.gradient(theta, batch) / len(batch)
        _, gradient = entering_gradient(rule, gradient, theta, decay, clip)
        if second is not None:
            second = rule.second(second, gradient)
        momentum, _ = rule.recursion(index, rate, decay, second).step(momentum, gradient, theta)
        state = {f"{rule.first_moment}/{name}": value.clone() for name, value in layout.split(momentum).items()}
        if second is not None:
            state |= {f"{rule.second_moment}/{name}": value.clone() for name, value in layout.split(second).items()}
        if known is not None and index + 1 < len(arrays.batches):
            state |= {name: torch.as_tensor(value) for name, value in known(index + 1).items() if name in state}
            if second is not None:
                second = layout.join({name: state[f"{rule.second_moment}/{name}"] for name in layout.names})
    return states
