"""Repeat a sequence of random sign vectors from memory."""

from __future__ import annotations

import torch
from torch import Tensor

from mechlab.binding.companion import CompanionMatrix
from mechlab.core.constraints import Size
from mechlab.core.task import Batch, Split, Task, TaskSpec


class RepeatCopy(Task):
    """Read s random vectors x_0 .. x_{s-1} in {-1, +1}^d, then output y_t = x_{t mod s} for s <= t < s (1 + repeats).

    The inputs are 0 after step s, and only steps after it have targets (Karuvally et al., arXiv 2310.02430).

    Args:
        d: number of components of a vector.
        s: number of vectors to remember.
        repeats: how often they are repeated.
    """

    length_key = "repeats"

    def __init__(
        self,
        d: Size = 6,
        s: Size = 7,
        repeats: Size = 4,
    ):
        self.d, self.s, self.repeats = d, s, repeats
        self.spec = TaskSpec(inputs=d, outputs=d, kind="sequence", loss="mse", length=s * (1 + repeats))

    def generate(self, n: int, split: Split, rng: torch.Generator) -> Batch:
        """Draw n sequences of uniform signs, float32 (n, T, d) with T = s (1 + repeats), on the generator's device."""
        device = rng.device
        signs = torch.randint(2, (n, self.s, self.d), generator=rng, device=device, dtype=torch.float32).mul_(2).sub_(1)
        inputs = torch.zeros(n, self.spec.length, self.d, device=device)
        inputs[:, : self.s] = signs
        return Batch(inputs, *self.targets(inputs), torch.arange(n, device=device))

    def targets(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the first s vectors of inputs (B, T, d), repeated from step s on (B, T, d), and which steps count."""
        T = inputs.shape[1]
        targets = inputs[:, : self.s].repeat(1, -(-T // self.s), 1)[:, :T]
        targets[:, : self.s] = 0
        mask = torch.ones(inputs.shape[:2], dtype=torch.bool, device=inputs.device)
        mask[:, : self.s] = False
        return targets, mask

    def ground_truth(self) -> CompanionMatrix:
        """Return the system z_t = z_{t-s}, whose spectrum is the s-th roots of 1, each d times."""
        return CompanionMatrix.repeat_copy(self.d, self.s)
