"""The interface of recorded trainings that attribution reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

if TYPE_CHECKING:
    from mechlab.core.recipe import Recipe


class RecordedSteps(Protocol):
    """The recorded steps of a training: states of the steps 0, ..., S - 1, and the parameters at its end, step S."""

    def params(self, step: int) -> Mapping[str, Tensor]:
        """Return the parameters and buffers before optimiser step `step`, by name."""

    def optimizer(self, step: int) -> Mapping[str, Tensor]:
        """Return the optimizer state before optimiser step `step`, as `<state>/<parameter name>`."""

    def batch_indices(self, step: int) -> Tensor:
        """Return the ids (B,) of the examples of optimiser step `step`."""

    def rates(self, step: int) -> tuple[float, float]:
        """Return (learning rate, weight decay) in force during optimiser step `step`."""


class RecordedHistory(RecordedSteps, Protocol):
    """The recorded steps of a training, which are listed and may have hashes."""

    @property
    def steps(self) -> Sequence[int]:
        """The recorded steps, in order."""

    @property
    def device(self) -> str:
        """The device of the training, whose generator drew endless and augmented examples."""

    def digest(self, step: int) -> int | None:
        """Return the recorded hash of the parameters before optimiser step `step`, or None."""

    def check_exact(self, must: str) -> None:
        """Raise NotRecorded, with the sentence `must`, unless whole states are recorded as they were trained."""


class RecordedTraining(Protocol):
    """A training with its history, such as a Run.

    Attributes:
        recipe: what was trained.
        history: its steps.
        moment: the end of the training that is explained: "last", or a recorded step.
    """

    recipe: Recipe
    history: RecordedHistory
    moment: str | int
