"""Bit-serial AND or OR of two operands, with markers for what is read and written."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from mechlab.core.constraints import between
from mechlab.core.errors import ConfigError
from mechlab.core.loss import SigmoidSquaredError, per_example
from mechlab.core.task import Batch, Split, Task, TaskSpec
from mechlab.tasks.coded import bits, draw_codes
from mechlab.tasks.dynamical_system import after

DATA, FIRST, SECOND, AND, OR, READ, WRITTEN = range(7)  # channels


class Logic(Task):
    """Read two operands of s bits, a bit per step, and an operator; then repeat what was read, and output the result
    (Karuvally et al., arXiv 2310.02430).

    Channels, all 0 or 1: data; markers of the first and of the second operand; AND, OR; end of the input; end of the
    sequence. Inputs: s steps of the first operand, s of the second, the operator, the end of the input. Targets, from
    step 2s + 2: the 2s + 1 first inputs, the s bits of the result, the end of the sequence. One example in ten is for
    validation, another for test.

    Args:
        s: bits of an operand.
        d: channels, of at least 7; further ones stay 0.
    """

    length_key = "s"

    def __init__(self, s: Annotated[int, between(2, 31)] = 8, d: Annotated[int, between(7, 1024)] = 7):
        self.s, self.d = s, d
        self.spec = TaskSpec(inputs=d, outputs=d, kind="sequence", loss=SigmoidSquaredError(), length=5 * s + 4)

    def generate(self, n: int, split: Split, rng: torch.Generator) -> Batch:
        """Draw n examples, inputs and targets float32 (n, 5 s + 4, d), on the generator's device."""
        s = self.s
        codes = bits(draw_codes(n, 2 ** (2 * s + 1), split, rng), 2 * s + 1)
        inputs = torch.zeros(n, self.spec.length, self.d, device=rng.device)
        inputs[:, : 2 * s, DATA] = codes[:, : 2 * s]
        inputs[:, :s, FIRST] = inputs[:, s : 2 * s, SECOND] = 1
        inputs[:, 2 * s, AND], inputs[:, 2 * s, OR] = 1 - codes[:, -1], codes[:, -1]
        inputs[:, 2 * s + 1, READ] = 1
        return Batch(inputs, *self.targets(inputs), torch.arange(n, device=rng.device))

    def targets(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is repeated and the result (B, T, d), given inputs (B, T, d) with T = 5 s + 4 for any s; and
        which steps count.

        Raises:
            ConfigError: T is no such length.
        """
        s, rest = divmod(inputs.shape[1] - 4, 5)
        if s < 1 or rest:
            raise ConfigError("inputs must have 5 s + 4 steps", got=inputs.shape[1], key="inputs")
        first, second = inputs[:, :s, DATA], inputs[:, s : 2 * s, DATA]
        conjunction = inputs[:, 2 * s, AND, None] > 0.5
        targets = torch.zeros_like(inputs)
        targets[:, 2 * s + 2 : 4 * s + 3] = inputs[:, : 2 * s + 1]
        targets[:, 4 * s + 3 : 5 * s + 3, DATA] = torch.where(conjunction, first * second, torch.maximum(first, second))
        targets[:, 5 * s + 3, WRITTEN] = 1
        return targets, after(2 * s + 2, inputs)

    def check_inputs(self, inputs: Tensor) -> None:
        """Raise ConfigError unless inputs are real numbers (B, 5 s + 4, d) for some s."""
        super().check_inputs(inputs)
        self.targets(inputs[:1])

    def score(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return the accuracy (B,) on the data channel, the only one that depends on the operands."""
        right = self.spec.loss.right(outputs, batch.targets)[..., DATA]
        return {"accuracy": per_example(right.to(outputs.dtype), batch.mask)}

    def chance(self) -> float:
        """Return the share of zeros among the targets on the data channel: half of the 3 s bits, and two other
        steps."""
        return (1.5 * self.s + 2) / (3 * self.s + 2)
