"""Learning rates as a pure function of the step, so that a replay needs no scheduler state."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from mechlab.core.constraints import at_least, between
from mechlab.core.errors import ConfigError


@dataclass(frozen=True)
class Schedule:
    """The factor by which the base learning rate is multiplied at each optimiser step.

    Args:
        kind: constant; cosine or linear (to `final` at the last step); triangular (up until `peak`, then down); table.
        warmup: steps of linear rise to 1 before the schedule proper (not for triangular).
        final: factor at the last step, for cosine and linear.
        peak: share of all steps at which the triangle peaks.
        factors: the factor of each step, for a table; its last one holds for all further steps.
    """

    kind: Literal["constant", "cosine", "linear", "triangular", "table"] = "constant"
    warmup: Annotated[int, at_least(0)] = 0
    final: Annotated[float, between(0, 1)] = 0.0
    peak: Annotated[float, between(0, 1)] = 0.5
    factors: tuple[Annotated[float, at_least(0)], ...] = ()

    def __post_init__(self) -> None:
        if (self.kind == "table") != bool(self.factors):
            got = f"schedule.kind={self.kind} with {len(self.factors)} factors"
            fix = "schedule.factors=[1.0,0.5]" if self.kind == "table" else "schedule.kind=table"
            raise ConfigError("a table, and nothing else, has factors", got=got, key="schedule.factors", fix=fix)

    def factor(self, step: int, steps: int) -> float:
        """Return the factor in force during optimiser step `step` (0-based) of `steps`."""
        if self.kind == "table":
            return self.factors[min(step, len(self.factors) - 1)]
        if self.kind == "triangular":
            done = (step + 1) / (steps + 1)  # neither the first nor the last update has rate 0
            return done / self.peak if done < self.peak else (1 - done) / max(1 - self.peak, 1e-12)
        if step < self.warmup:
            return (step + 1) / self.warmup
        if self.kind == "constant":
            return 1.0
        done = (step - self.warmup) / max(steps - 1 - self.warmup, 1)
        fall = 1 - done if self.kind == "linear" else (1 + math.cos(math.pi * done)) / 2
        return self.final + (1 - self.final) * fall
