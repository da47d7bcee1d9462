"""Ground truths that are functions of one input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor


@dataclass(frozen=True)
class KnownProgram:
    """A ground truth of kind "program": the function that gives the targets of any inputs.

    Args:
        rule: maps inputs (B, ...) to targets (B, ...).
        defined: maps inputs (B, ...) to whether the function is defined there, (B,) bool; None for everywhere.
    """

    rule: Callable[[Tensor], Tensor]
    defined: Callable[[Tensor], Tensor] | None = None
    kind: ClassVar[str] = "program"

    def targets(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the targets of inputs (B, ...), and where they are defined, (B,) bool."""
        everywhere = torch.ones(len(inputs), dtype=torch.bool, device=inputs.device)
        return self.rule(inputs), everywhere if self.defined is None else self.defined(inputs)
