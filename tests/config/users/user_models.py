"""Models that a user might write: one that is fitted by clustering, with as many prototypes as its data need, and a
recurrent one with operations that torch.func has no rules for."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn

from mechlab.core.constraints import above
from mechlab.core.model import SequenceModel, StaticModel
from mechlab.core.task import Batch, TaskSpec


class Prototypes(StaticModel):
    """A class's score is minus the squared distance to its nearest prototype.

    Solving visits the examples in random order; an example farther than `radius` from all prototypes of its class is a
    new one. Unsolved, there is one random prototype for each class.
    """

    reads: ClassVar = "images"

    def __init__(self, spec: TaskSpec, radius: Annotated[float, above(0)] = 1.5):
        super().__init__(spec)
        self.radius = radius
        self.prototypes = nn.Parameter(torch.randn(spec.outputs, spec.inputs))
        self.register_buffer("classes", torch.arange(spec.outputs))

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs (B, *shape) to scores (B, classes)."""
        squares = (inputs.flatten(1)[:, None] - self.prototypes).square().sum(-1)
        others = self.classes != torch.arange(self.spec.outputs, device=self.classes.device)[:, None]
        return -(squares[:, None] + 1e6 * others).amin(-1)

    @torch.no_grad()
    def solve(self, examples: Batch, rng: torch.Generator) -> None:
        """Choose prototypes; where an example has several targets, the largest is its class."""
        inputs, targets, chosen = examples.inputs.flatten(1), examples.targets, []
        targets = targets.argmax(1) if targets.ndim > 1 else targets
        for i in torch.randperm(len(examples), generator=rng).tolist():
            own = [k for k in chosen if targets[k] == targets[i]]
            if not own or (inputs[own] - inputs[i]).norm(dim=1).min() > self.radius:
                chosen.append(i)
        self.prototypes = nn.Parameter(inputs[chosen])
        self.classes = targets[chosen]


class _NoRules(torch.autograd.Function):
    """The sine with a backward pass alone: neither batched nor in forward mode."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradient * x.cos()


class Sines(SequenceModel):
    """h' = sin(W h + U x), y = V h'."""

    def __init__(self, spec: TaskSpec):
        super().__init__(spec)
        self.recurrence, self.input = nn.Linear(5, 5), nn.Linear(spec.inputs, 5)
        self.readout = nn.Linear(5, spec.outputs)

    def initial_state(self, batch: int) -> Tensor:
        """Return zeros (batch, 5)."""
        return self.readout.weight.new_zeros(batch, 5)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read x (B, inputs) in state (B, 5)."""
        state = _NoRules.apply(self.recurrence(state) + self.input(x))
        return self.readout(state), state
