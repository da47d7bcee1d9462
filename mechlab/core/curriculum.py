"""Training on growing lengths: which length the data of each optimiser step have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from mechlab.core.constraints import at_least, between
from mechlab.core.errors import ConfigError

BLOCK = 64  # steps whose data are drawn or gathered at once; it decides what endless data is, so it is no setting

Stage = tuple[int, int]  # the first optimiser step of a length, and the length


@dataclass(frozen=True)
class Curriculum:
    """The lengths that training data of endless tasks go through, each in the unit of the task's own length key.

    A stage begins at a multiple of 64 steps, since data are drawn in blocks of so many. Where `steps` is null, the next
    length begins once the accuracy on held-out examples of the present one has been at least `accuracy` at `patience`
    block boundaries in a row. The stages are recorded with the run. Validation and test data have the length
    of the task itself throughout.

    Args:
        lengths: in order; empty for the task's own length throughout.
        steps: the first step of each length, 0 for the first; null to go by accuracy.
        accuracy: share of right targets that ends a stage.
        patience: block boundaries in a row.
        examples: held-out examples of the present length, drawn once for each length.
    """

    lengths: tuple[Annotated[int, at_least(1)], ...] = ()
    steps: tuple[Annotated[int, at_least(0)], ...] | None = None
    accuracy: Annotated[float, between(0, 1)] = 0.95
    patience: Annotated[int, at_least(1)] = 1
    examples: Annotated[int, at_least(1)] = 256

    def __post_init__(self) -> None:
        if self.steps is None:
            return
        right = len(self.steps) == len(self.lengths) and list(self.steps) == sorted(set(self.steps))
        if not right or self.steps[:1] != (0,)[: len(self.lengths)] or any(step % BLOCK for step in self.steps):
            must = f"curriculum.steps must have a first step for each length, from 0 up, all multiples of {BLOCK}"
            got = f"{list(self.steps)} for {len(self.lengths)} lengths"
            raise ConfigError(must, got=got, key="curriculum.steps", fix="curriculum.steps=[0,640,1280]")

    @property
    def first_stages(self) -> list[Stage]:
        """The stages that are known before training: all of them where `steps` is given, else the first."""
        if self.steps is not None:
            return list(zip(self.steps, self.lengths, strict=True))
        return [(0, self.lengths[0])] if self.lengths else []

    def next_length(self, stages: list[Stage]) -> int | None:
        """Return the length that may follow the given stages; None where nothing is left to decide."""
        if self.steps is not None or len(stages) >= len(self.lengths):
            return None
        return self.lengths[len(stages)]

    def identity(self) -> dict[str, Any]:
        """Return what decides the data, as plain data; empty without lengths."""
        if not self.lengths:
            return {}
        names = ("lengths", "accuracy", "patience", "examples") if self.steps is None else ("lengths", "steps")
        return {name: getattr(self, name) for name in names}


def length_at(stages: list[Stage], step: int) -> int:
    """Return the length that the data of optimiser step `step` have."""
    return next(length for first, length in reversed(stages) if first <= step)
