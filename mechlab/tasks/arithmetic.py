"""Bitwise AND or OR of two operands in parallel, with operands and operator repeated."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from mechlab.core.constraints import Size, between
from mechlab.core.loss import SigmoidSquaredError
from mechlab.core.task import Batch, Split, Task, TaskSpec
from mechlab.tasks.coded import bits, draw_codes
from mechlab.tasks.dynamical_system import after

READ = 3  # steps: two operands and the operator


class Arithmetic(Task):
    """Read two operands of d - 2 bits and an operator, then output operands, operator and result, again and again
    (Karuvally et al., arXiv 2310.02430).

    Channels 0 and 1 stand for AND and OR, the others for bits, the lowest first; all values are 0 and 1. One example in
    ten is for validation, another for test. Steps 0 to 2 have no targets.

    Args:
        d: channels.
        repeats: how often the four rows are output.
    """

    length_key = "repeats"

    def __init__(self, d: Annotated[int, between(4, 32)] = 10, repeats: Size = 5):
        self.d, self.repeats = d, repeats
        self.spec = TaskSpec(
            inputs=d, outputs=d, kind="sequence", loss=SigmoidSquaredError(), length=READ + 4 * repeats
        )

    def generate(self, n: int, split: Split, rng: torch.Generator) -> Batch:
        """Draw n examples, inputs and targets float32 (n, 3 + 4 repeats, d), on the generator's device."""
        width = self.d - 2
        codes = bits(draw_codes(n, 2 ** (2 * width + 1), split, rng), 2 * width + 1)
        inputs = torch.zeros(n, self.spec.length, self.d, device=rng.device)
        inputs[:, 0, 2:], inputs[:, 1, 2:] = codes[:, :width], codes[:, width : 2 * width]
        inputs[:, 2, 0], inputs[:, 2, 1] = 1 - codes[:, -1], codes[:, -1]
        return Batch(inputs, *self.targets(inputs), torch.arange(n, device=rng.device))

    def targets(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the rows (B, T, d) from step 3 on, given operands and operator as the first inputs (B, T, d); and
        which steps count."""
        T = inputs.shape[1]
        rows = inputs.new_zeros(len(inputs), READ + 1, self.d)
        rows[:, : min(T, READ)] = inputs[:, :READ]
        one, other, operator = rows[:, 0], rows[:, 1], rows[:, 2]
        rows[:, 3, 2:] = torch.where(operator[:, :1] > 0.5, one * other, torch.maximum(one, other))[:, 2:]
        targets = torch.zeros_like(inputs)
        if T > READ:
            targets[:, READ:] = rows.repeat(1, -(-T // 4), 1)[:, : T - READ]
        return targets, after(READ, inputs)

    def chance(self) -> float:
        """Return the share of zeros among the targets: all but half of the bits of three rows and one bit of the
        operator's."""
        return 1 - (1.5 * (self.d - 2) + 1) / (4 * self.d)
