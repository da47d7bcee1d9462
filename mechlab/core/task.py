"""The interface of tasks: sources of labelled examples whose ground truth is known."""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from mechlab.core.constraints import ConstraintError, check, hints_of
from mechlab.core.errors import ConfigError, NoRule
from mechlab.core.inputs import check_inputs
from mechlab.core.loss import Loss, loss_of, per_example
from mechlab.core.precision import in_precision

if TYPE_CHECKING:
    from mechlab.core.evaluation import ClassShares

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class TaskSpec:
    """The properties of a task on which models depend.

    Args:
        inputs: size of one input vector (sequence and static), or size of the vocabulary when `tokens`.
        outputs: size of one output vector: components to regress, or classes.
        kind: "sequence" for inputs (B, T, inputs); "static" for inputs (B, *shape).
        loss: a Loss, or the short name of one: "mse" on real targets, "cross_entropy" on class indices.
        shape: shape of one static input without the batch axis, e.g. (1, 8, 8) or (2,).
        tokens: inputs are integer ids below `inputs` rather than real vectors.
        length: longest sequence in steps; None for static tasks.
        vocabulary: the input alphabet in index order, empty when inputs are not symbols.
        classes: the output classes in index order, empty for regression.
        truth: the known mechanism, for models that are constructed from it; see `Task.blueprint`.
        subconcepts: numbers the parts of a class that examples belong to, for models that are fitted to them.
    """

    inputs: int
    outputs: int
    kind: Literal["sequence", "static"]
    loss: Loss
    shape: tuple[int, ...] = ()
    tokens: bool = False
    length: int | None = None
    vocabulary: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    truth: Any = field(default=None, compare=False, repr=False)
    subconcepts: Callable[[Batch], Tensor] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "loss", loss_of(self.loss))


@dataclass(frozen=True)
class Batch:
    """Labelled examples.

    Args:
        inputs: (B, T, inputs) for sequences, (B, *shape) for static tasks.
        targets: as the loss takes them: real (B, T, outputs) or classes (B, T) for sequences, (B, outputs) or (B,) for
            static tasks. A cropped batch has targets for its last steps only.
        mask: as the targets (B, T), bool, true where a target counts; None when every target does.
        index: (B,) int64, the permanent id of each example in its split.
    """

    inputs: Tensor
    targets: Tensor
    mask: Tensor | None
    index: Tensor

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: Any) -> Batch:
        """Select examples by a slice or an index tensor."""
        return self._map(lambda value: value[rows])

    def to(self, device: str | torch.device, dtype: torch.dtype | None = None) -> Batch:
        """Move to a device; floating tensors also to `dtype`, complex ones to its complex counterpart."""

        def move(value: Tensor) -> Tensor:
            value = value.to(device)
            return value if dtype is None else in_precision(value, dtype)

        return self._map(move)

    def cropped(self, rows: Any = slice(None)) -> Batch:
        """Leave out the steps that count for none of `rows` (all examples by default): inputs after the last target,
        and targets before the first. What remains of the targets belongs to the last steps of the inputs. The mask goes
        if all that remains counts for each of the rows."""
        if self.mask is None:
            return self
        counted = self.mask[rows].any(0).nonzero()
        first, last = int(counted.min()), int(counted.max()) + 1
        part = self.mask[:, first:last]
        mask = None if part[rows].all() else part
        end = (
            self.inputs.shape[1] - self.mask.shape[1] + last
        )  # this batch may itself have targets for its last steps only
        return replace(self, inputs=self.inputs[:, :end], targets=self.targets[:, first:last], mask=mask)

    def _map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        mask = None if self.mask is None else function(self.mask)
        return Batch(function(self.inputs), function(self.targets), mask, function(self.index))


@runtime_checkable
class GroundTruth(Protocol):
    """The known mechanism behind a task: an automaton, a linear system, a group, a program."""

    @property
    def kind(self) -> str:
        """The kind of mechanism, such as "automaton"; analyses name the kinds that they need."""

    def targets(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mechanism's targets for inputs (B, ...), and where it defines one, as a mask (B,) or (B, T).

        Raises:
            NoRule: the mechanism does not determine the targets.
        """


class Task(ABC):
    """A source of labelled examples. Subclasses set `spec` and implement `generate`; tasks with a fixed set of
    examples derive from FiniteTask instead.

    Where targets are a function of the inputs, a subclass implements `targets` and labels its own examples with it.
    Where examples have a length, `length_key` is the constructor's argument that sets it; the constructor then stores
    its arguments under their own names.
    """

    spec: TaskSpec
    length_key: ClassVar[str | None] = None

    @classmethod
    def without_files(cls, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a configuration with what files hold in place of their paths.

        A run's identity and record then hold all that decides it. A task that reads what a person wrote overrides this;
        what cannot be read stays, for the constructor to refuse.
        """
        return dict(arguments)

    @classmethod
    def with_sample_files(cls, arguments: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """Return the arguments of a configuration with the place of small files of the right format, written into a
        folder. A task that reads files which do not come with it overrides this, so that it can be tested."""
        return dict(arguments)

    @classmethod
    def in_folder(cls, arguments: Mapping[str, Any], folder: str | Path) -> dict[str, Any]:
        """Return the arguments of a run's recorded configuration with the place of the run directory, which may have
        been moved. A task whose examples are stored there overrides this."""
        return dict(arguments)

    @abstractmethod
    def generate(self, n: int, split: Split, rng: torch.Generator) -> Batch:
        """Draw n examples of a split: a pure function of its arguments, on the generator's device."""

    @property
    def augments(self) -> bool:
        """True if `augment` changes batches. A task overrides this where that depends on its arguments."""
        return type(self).augment is not Task.augment

    def augment(self, batch: Batch, rng: torch.Generator) -> Batch:
        """Return the batch of one optimiser step with its training examples changed at random, such as shifted images;
        unchanged by default.

        A pure function of its arguments, on the batch's device; the generator depends on the seed and the step alone.
        Held-out examples are not augmented. Ids stay what they are.
        """
        return batch

    def targets(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the targets of inputs (B, ...) of any length, and the mask of those that count, as in a Batch.

        Raises:
            NoRule: targets are recorded with the examples, and are no function of the inputs.
        """
        must = f"{type(self).__name__} must have a rule for targets; its targets are recorded with its examples"
        raise NoRule(must, key="inputs", fix="use the task's own examples")

    def check_inputs(self, inputs: Tensor) -> None:
        """Raise ConfigError unless inputs (B, ...) have the shape, dtype and range of the task's own; sequences may be
        of any length."""
        check_inputs(inputs, self.spec)

    def at_length(self, length: int) -> Task:
        """Return the same task at another length, in the unit of its length key: its constructor's argument
        `length_key` has this value, all others are the same.

        Raises:
            ConfigError: the task has no length key, or does not accept the length.
        """
        name, key = type(self).__name__, self.length_key
        if key is None:
            fix = "choose a task with sequences, such as task=repeat_copy"
            raise ConfigError(f"{name} must have a length that can be set", got="no length key", key="task", fix=fix)
        try:
            length = check(length, hints_of(type(self).__init__)[key])
        except ConstraintError as error:
            raise ConfigError(f"task.{key} must be {error.must}", got=repr(error.got), key=f"task.{key}") from None
        arguments = {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}
        return type(self)(**arguments | {key: length})

    def ground_truth(self) -> GroundTruth | None:
        """Return the known mechanism, or None."""
        return None

    def blueprint(self) -> TaskSpec:
        """Return what a model is built from: the spec, with the known mechanism, and the subconcepts of a task that has
        a method `subconcepts(batch) -> (B,) int64`, in it."""
        return replace(self.spec, truth=self.ground_truth(), subconcepts=getattr(self, "subconcepts", None))

    def score(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor | ClassShares]:
        """Return metrics per example, each (B,): by default `accuracy`, the share of its counted targets that the loss
        takes for right, where the task has one; see `has_accuracy` and `Loss.right`. A metric that is a mean over
        classes, such as balanced accuracy, is given as `core.evaluation.ClassShares`."""
        if not self.has_accuracy:
            return {}
        right = self.spec.loss.right(outputs, batch.targets)
        return {"accuracy": per_example(right.to(outputs.dtype), batch.mask)}

    @functools.cached_property
    def has_accuracy(self) -> bool:
        """True if a target is met or missed: where the loss defines what is right, or all targets of some training
        examples are signs, -1 or 1. False for the regression of real numbers."""
        if type(self.spec.loss).right is not Loss.right:
            return True
        batch = self.generate(100, "train", torch.Generator().manual_seed(0))
        counted = batch.targets if batch.mask is None else batch.targets[batch.mask]
        return bool((counted.abs() == 1).all())

    def chance(self) -> float:
        """Return the accuracy of the best constant guess on the training split's distribution, where the task has an
        accuracy."""
        return 1 / self.spec.outputs if self.spec.loss.classes else 0.5


class FiniteTask(Task):
    """A task with a fixed set of examples in each split."""

    @abstractmethod
    def examples(self, split: Split) -> Batch:
        """Return all examples of a split, in the order of their ids."""

    def groups(self) -> Tensor | None:
        """Return a group number (N,) for each training example; batches never mix groups, unless a batch is everything.
        None for a single group.

        Sequences of different lengths form groups, so that no batch is padded.
        """
        return None

    def recorded_batches(self) -> Tensor | None:
        """Return the ids (S, B) of the examples of each optimiser step, -1 past the end of a smaller batch, where the
        order is part of the data. None for batches by the batch plan."""
        return None

    def generate(self, n: int, split: Split, rng: torch.Generator) -> Batch:
        """Draw n examples of the split with replacement."""
        examples = self.examples(split)
        rows = torch.randint(len(examples), (n,), generator=rng, device=rng.device)
        return examples[rows.cpu()].to(rng.device)
