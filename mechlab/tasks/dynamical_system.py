"""A dynamical system with memory: the next state is any function of the last s states and the step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from mechlab.core.constraints import Size, between
from mechlab.core.errors import ConfigError
from mechlab.core.task import Batch, Split, Task, TaskSpec

Rule = Callable[[Tensor, int], Tensor]  # window (B, s, d), the oldest state first, and step -> the next state (B, d)


class DynamicalSystem(Task):
    """Read s random vectors z_0 .. z_{s-1} in {-1, +1}^d, then output z_t = rule(z_{t-s}, ..., z_{t-1}; t - s).

    The inputs are 0 from step s on, and only these `horizon` steps have targets (Karuvally et al., arXiv 2310.02430).

    Args:
        rule: function(window (B, s, d), k) -> (B, d) for the k-th step after the inputs, k from 0, of signs to signs;
            in a configuration its dotted path.
        d: number of components of a vector.
        s: number of vectors to read.
        horizon: steps after the inputs.
        ones: probability of +1.
    """

    length_key: ClassVar[str | None] = "horizon"

    def __init__(
        self,
        rule: Rule,
        d: Size = 8,
        s: Size = 8,
        horizon: Size = 36,
        ones: Annotated[float, between(0, 1)] = 0.5,
    ):
        self.rule, self.d, self.s, self.horizon, self.ones = rule, d, s, horizon, ones
        self.spec = TaskSpec(inputs=d, outputs=d, kind="sequence", loss="mse", length=s + horizon)

    def generate(self, n: int, split: Split, rng: torch.Generator) -> Batch:
        """Draw n sequences, float32 (n, T, d) with T = s + horizon, on the generator's device."""
        device = rng.device
        inputs = torch.zeros(n, self.s + self.horizon, self.d, device=device)
        drawn = torch.rand(n, self.s, self.d, generator=rng, device=device)
        inputs[:, : self.s] = (drawn < self.ones).to(inputs.dtype) * 2 - 1
        return Batch(inputs, *self.targets(inputs), torch.arange(n, device=device))

    def targets(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return z_t (B, T, d) for t >= s, 0 before, given z_0 .. z_{s-1} as the first s inputs (B, T, d); and which
        steps count.

        Raises:
            ConfigError: the rule does not return (B, d).
        """
        T = inputs.shape[1]
        states = torch.zeros_like(inputs)
        states[:, : self.s] = inputs[:, : self.s]
        for t in range(self.s, T):
            state = self.rule(states[:, t - self.s : t], t - self.s)
            if state.shape != states[:, t].shape:
                must = f"rule must return states of shape (B, d) = {tuple(states[:, t].shape)}"
                raise ConfigError(must, got=tuple(state.shape), key="task.rule")
            states[:, t] = state
        states[:, : self.s] = 0
        return states, after(self.s, inputs)

    def ground_truth(self) -> SystemRule:
        """Return the rule itself."""
        return SystemRule(self)


class SystemRule:
    """The rule of a dynamical system, as the mechanism behind it.

    Args:
        task: the dynamical system.
    """

    kind = "dynamical system"

    def __init__(self, task: DynamicalSystem):
        self.d, self.s, self.rule, self.targets = task.d, task.s, task.rule, task.targets


def after(s: int, inputs: Tensor) -> Tensor:
    """Return which steps (B, T) bool of inputs (B, T, ...) come after the first s."""
    return (torch.arange(inputs.shape[1], device=inputs.device) >= s).expand(inputs.shape[:2])


def copy_oldest(window: Tensor, step: int) -> Tensor:
    """Return the oldest state (B, d) of a window (B, s, d): the rule of repeating s vectors."""
    return window[:, 0]
