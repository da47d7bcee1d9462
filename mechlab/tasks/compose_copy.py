"""Compose the next vector of components of different past vectors."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from mechlab.binding.companion import CompanionMatrix
from mechlab.binding.rules import SignedChoice
from mechlab.core.constraints import Size
from mechlab.core.errors import ConfigError
from mechlab.core.evaluation import ClassShares
from mechlab.core.task import Batch
from mechlab.tasks.dynamical_system import DynamicalSystem, SystemRule


class ComposeCopy(DynamicalSystem):
    """Read s random vectors in {-1, +1}^d, then output a composition of past ones (Karuvally et al., arXiv 2310.02430):

    - `mix=diagonal`: z_t[j] = z_{t-s+j}[j], with d = s;
    - `mix=one`: the first half of the components z_{t-s}[j], the others -z_{t-s+1}[j];
    - `mix=two`: two rules in turn. With q = floor(d/3) and k = t - s, for even k components 0 .. q-1 are
      -z_{t-s}[q .. 2q-1], components q .. 2q-1 are z_{t-s+1}[d-q .. d-1], and the rest z_{t-s} unchanged; for odd k the
      halves of z_{t-s} and z_{t-s+1} are exchanged.

    Args:
        mix: which composition.
        d: number of components of a vector.
        s: number of vectors to read.
        horizon: steps after the inputs.
        compat: "published" makes the rest of mix=two 0, as in the published code, so that with an odd s the states
            die out; targets of 0 then count as missed, whatever the output.

    Raises:
        ConfigError: d and s do not suit the composition.
    """

    def __init__(
        self,
        mix: Literal["diagonal", "one", "two"] = "diagonal",
        d: Size = 8,
        s: Size = 8,
        horizon: Size = 36,
        compat: Literal["none", "published"] = "none",
    ):
        self.mix, self.compat = mix, compat
        fits = {"diagonal": d == s, "one": d >= 2 and s >= 2, "two": d >= 4 and d % 2 == 0 and s >= 2}
        if not fits[mix]:
            must = {
                "diagonal": "d = s",
                "one": "d and s of at least 2",
                "two": "an even d of at least 4, and s of at least 2",
            }
            raise ConfigError(f"task.mix={mix} must have {must[mix]}", got=f"d={d}, s={s}", key="task.d")
        if compat == "published" and mix != "two":
            raise ConfigError("task.compat=published must come with task.mix=two", got=mix, key="task.compat")
        rule = self._two_rules if mix == "two" else _choice(mix, d, s)
        super().__init__(rule, d, s, horizon)

    def score(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor | ClassShares]:
        """Return the accuracy (B,), by sign; a target of 0 counts as missed."""
        if self.compat == "none":
            return super().score(outputs, batch)
        right = ((outputs >= 0) == (batch.targets >= 0)) & (batch.targets != 0)
        shares = right.to(outputs.dtype).mean(-1)
        counted = torch.ones_like(shares) if batch.mask is None else batch.mask.to(outputs.dtype)
        return {"accuracy": (shares * counted).sum(1) / counted.sum(1)}

    def chance(self) -> float:
        """Return the accuracy of the best constant guess: half the share of the targets that are not 0."""
        if self.compat == "none":
            return super().chance()
        batch = self.generate(256, "train", torch.Generator().manual_seed(0))
        return float((batch.targets[:, self.s :] != 0).double().mean()) / 2

    def ground_truth(self) -> CompanionMatrix | SystemRule:
        """Return the linear system; of mix=two, whose rule changes with the step, the rule."""
        return CompanionMatrix(self.rule.F) if isinstance(self.rule, SignedChoice) else SystemRule(self)

    def _two_rules(self, window: Tensor, step: int) -> Tensor:
        q, half = self.d // 3, self.d // 2
        oldest, second = window[:, 0], window[:, 1]
        if step % 2:
            return torch.cat([oldest[:, half:], second[:, :half]], 1)
        rest = oldest[:, 2 * q :]
        return torch.cat(
            [-oldest[:, q : 2 * q], second[:, self.d - q :], 0 * rest if self.compat == "published" else rest], 1
        )


def _choice(mix: str, d: int, s: int) -> SignedChoice:
    if mix == "diagonal":
        return SignedChoice(tuple(j * d + j for j in range(d)), (1,) * d, s)
    copied = d // 2
    cells = tuple(j if j < copied else d + j for j in range(d))
    return SignedChoice(cells, tuple(1 if j < copied else -1 for j in range(d)), s)
