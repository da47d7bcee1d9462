"""Copy symbols after a delay."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from mechlab.core.constraints import Size, between
from mechlab.core.errors import ConfigError
from mechlab.core.task import Batch, Split, Task, TaskSpec


class CopyingMemory(Task):
    """Read s random symbols, wait, and output them after a signal: the copying memory of Hochreiter and Schmidhuber
    (1997), as in Karuvally et al., arXiv 2310.02430.

    Inputs are one-hot (B, T, symbols + 2) with T = delay + 2 s: s symbols, then the filler, at step s + delay - 1 the
    signal, then the filler. Targets (B, T) are the filler, and the s symbols at the last s steps. All steps count in
    the loss; the accuracy is that of the last s.

    Args:
        symbols: size of the alphabet.
        s: number of symbols to remember.
        delay: steps from the last symbol to the first output.
    """

    length_key = "delay"

    def __init__(self, symbols: Annotated[int, between(2, 1024)] = 8, s: Size = 10, delay: Size = 100):
        self.symbols, self.s, self.delay = symbols, s, delay
        names = tuple(map(str, range(symbols)))
        self.spec = TaskSpec(
            inputs=symbols + 2,
            outputs=symbols + 1,
            kind="sequence",
            loss="cross_entropy",
            length=delay + 2 * s,
            vocabulary=(*names, "filler", "signal"),
            classes=(*names, "filler"),
        )

    def generate(self, n: int, split: Split, rng: torch.Generator) -> Batch:
        """Draw n sequences, inputs float32 (n, T, symbols + 2), on the generator's device."""
        device, T = rng.device, self.spec.length
        letters = torch.full((n, T), self.symbols, device=device)
        letters[:, : self.s] = torch.randint(self.symbols, (n, self.s), generator=rng, device=device)
        letters[:, self.s + self.delay - 1] = self.symbols + 1
        inputs = F.one_hot(letters, self.symbols + 2).float()
        return Batch(inputs, *self.targets(inputs), torch.arange(n, device=device))

    def targets(self, inputs: Tensor) -> tuple[Tensor, None]:
        """Return the filler, and the first s symbols at the last s steps, (B, T) int64, given inputs (B, T, symbols +
        2).

        Raises:
            ConfigError: the inputs have no room for both.
        """
        if inputs.shape[1] <= 2 * self.s:
            must = f"inputs must have more than 2 s = {2 * self.s} steps"
            raise ConfigError(must, got=inputs.shape[1], key="inputs")
        targets = torch.full(inputs.shape[:2], self.symbols, device=inputs.device)
        targets[:, -self.s :] = inputs[:, : self.s, : self.symbols].argmax(-1)
        return targets, None

    def score(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return the accuracy (B,) on the last s steps."""
        right = self.spec.loss.right(outputs, batch.targets)[:, -self.s :]
        return {"accuracy": right.to(outputs.dtype).mean(1)}

    def chance(self) -> float:
        """Return the accuracy of one symbol on the last s steps."""
        return 1 / self.symbols
