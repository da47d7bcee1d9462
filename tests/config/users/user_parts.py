"""What a user might write: tasks, a loss, a ground truth, an analysis and functions of outputs, in a package of their
own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
import torch
from torch import Tensor

from mechlab.core.analysis import Analysis, Finding, Needs
from mechlab.core.constraints import Size, above
from mechlab.core.loss import Loss
from mechlab.core.set_analysis import SetAnalysis, SetNeeds
from mechlab.core.task import Batch, Split, Task, TaskSpec
from mechlab.record.artifacts import Artifacts
from mechlab.record.run import Run
from mechlab.tasks.repeat_copy import RepeatCopy


class OwnTask(RepeatCopy):
    """A task of the user's own."""


@dataclass(frozen=True)
class OwnHinge(Loss):
    """The squared hinge max(0, margin - output * target)^2, for targets of -1 and 1."""

    margin: Annotated[float, above(0)] = 1.0

    def elements(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each target, in the shape of the targets."""
        return (self.margin - outputs * targets).clamp(min=0).square()


class RunningSum:
    """A ground truth of a kind of its own: the sign of the sum of all steps so far."""

    kind = "running sum"

    def targets(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the signs (B, T, 1) of the running sums of steps (B, T, 1), and that each is defined."""
        signs = torch.where(inputs.cumsum(1) >= 0, 1.0, -1.0).to(inputs.dtype)
        return signs, torch.ones(inputs.shape[:2], dtype=torch.bool, device=inputs.device)


class OwnSigns(Task):
    """Random steps in [-1, 1], and the sign of their running sum from the second step on."""

    length_key = "length"

    def __init__(self, loss: Loss, length: Size = 8):
        self.loss, self.length = loss, length
        self.spec = TaskSpec(inputs=1, outputs=1, kind="sequence", loss=loss, length=length)

    def generate(self, n: int, split: Split, rng: torch.Generator) -> Batch:
        """Draw n sequences of uniform steps (n, T, 1)."""
        inputs = 2 * torch.rand(n, self.length, 1, generator=rng, device=rng.device) - 1
        return Batch(inputs, *self.targets(inputs), torch.arange(n, device=rng.device))

    def targets(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the signs (B, T, 1), and that all but the first count."""
        targets, mask = self.ground_truth().targets(inputs)
        mask[:, 0] = False
        return targets, mask

    def ground_truth(self) -> RunningSum:
        """Return the mechanism."""
        return RunningSum()


class OwnFlips(OwnSigns):
    """The same; in the batch of a training step, half of the sequences change their sign."""

    def augment(self, batch: Batch, rng: torch.Generator) -> Batch:
        """Return the batch with random sequences and their targets negated."""
        signs = 1 - 2 * torch.randint(2, (len(batch), 1, 1), generator=rng, device=batch.inputs.device)
        return replace(batch, inputs=signs * batch.inputs, targets=signs * batch.targets)


class CountSteps(Analysis):
    """Counts the recorded steps, and needs all of them."""

    needs: ClassVar[Needs] = Needs(history="full")

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Count."""
        return Finding({"steps": len(run.history.steps)})


class CountSeeds(SetAnalysis):
    """Counts seeds of one task; two are needed."""

    needs: ClassVar[SetNeeds] = SetNeeds(varies=("seed",), equal=("task",))

    def run(self, runs: Sequence[Run], out: Artifacts, rng: np.random.Generator) -> Finding:
        """Count."""
        return Finding({"count": len({run.seed for run in runs})})


def first(outputs: Tensor) -> Tensor:
    """Return the first column, or step, of each output."""
    return outputs[:, 0]


def three_axes(outputs: Tensor) -> Tensor:
    """Return numbers (1, B, C), with one axis too many."""
    return outputs[None]


def best_class(outputs: Tensor) -> Tensor:
    """Return whole numbers, which have no gradient."""
    return outputs.argmax(-1)


def not_a_number(outputs: Tensor) -> Tensor:
    """Return NaN for each input."""
    return outputs[:, 0].sub(float("inf")).mul(0)
