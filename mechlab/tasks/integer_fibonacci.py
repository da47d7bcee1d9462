"""The Fibonacci sequence of integers in binary code, three numbers at a time."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from mechlab.core.constraints import Size, between
from mechlab.core.loss import SigmoidSquaredError
from mechlab.core.task import Batch, Split, Task, TaskSpec
from mechlab.tasks.coded import bits, draw_codes, number_of
from mechlab.tasks.dynamical_system import after


class IntegerFibonacci(Task):
    """Read two integers a, b below 2^d, then output a, b, a + b, then b, a + b, a + 2b, and so on: of each group of
    three the last is the sum of the others modulo 2^d, and the next group begins with the second (Karuvally et al.,
    arXiv 2310.02430).

    Inputs are the bits as signs, the lowest first, then zeros; targets are the bits as 0 and 1, from step 2 on. One
    pair in ten is for validation, another for test.

    Args:
        d: bits of a number.
        horizon: steps after the inputs.
    """

    length_key = "horizon"

    def __init__(self, d: Annotated[int, between(2, 31)] = 8, horizon: Size = 36):
        self.d, self.horizon = d, horizon
        loss = SigmoidSquaredError(reduction="mean")
        self.spec = TaskSpec(inputs=d, outputs=d, kind="sequence", loss=loss, length=2 + horizon)

    def generate(self, n: int, split: Split, rng: torch.Generator) -> Batch:
        """Draw n pairs, inputs and targets float32 (n, 2 + horizon, d), on the generator's device."""
        codes = draw_codes(n, 4**self.d, split, rng)
        inputs = torch.zeros(n, 2 + self.horizon, self.d, device=rng.device)
        inputs[:, :2] = 2 * bits(codes, 2 * self.d).unflatten(1, (2, self.d)) - 1
        return Batch(inputs, *self.targets(inputs), torch.arange(n, device=rng.device))

    def targets(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the bits (B, T, d) of the sequence from step 2 on, given two numbers as the first inputs (B, T, d);
        and which steps count."""
        a, b = number_of(inputs[:, 0]), number_of(inputs[:, min(1, inputs.shape[1] - 1)])
        numbers = []
        while len(numbers) < inputs.shape[1] - 2:
            c = (a + b) % 2**self.d
            numbers += [a, b, c]
            a, b = b, c
        targets = torch.zeros_like(inputs)
        if numbers:
            targets[:, 2:] = bits(torch.stack(numbers, 1)[:, : inputs.shape[1] - 2], self.d).to(inputs.dtype)
        return targets, after(2, inputs)
