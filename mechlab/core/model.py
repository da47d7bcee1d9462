"""What a model is: a static map, or a recurrent system that can be stepped."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from mechlab.core.errors import ConfigError
from mechlab.core.task import TaskSpec


@dataclass(frozen=True)
class Trace:
    """What a sequence model did on a batch.

    Args:
        outputs: (B, T, outputs), or of the last steps only if no more were asked for.
        initial: (B, S), the flat state before the first step.
        parts: tensors (B, T, s_i) whose concatenation is the flat state after each step; S is the sum of the s_i. Any
            sequence, so that a model may put off computing what training never looks at.
        extras: further activations by name.
    """

    outputs: Tensor
    initial: Tensor
    parts: Sequence[Tensor]
    extras: dict[str, Tensor] = field(default_factory=dict)

    @property
    def states(self) -> Tensor:
        """The flat states (B, T+1, S), the initial one first."""
        return torch.cat([self.initial[:, None], torch.cat(tuple(self.parts), -1)], 1)


class StaticModel(nn.Module):
    """A map from an input to an output: forward(inputs (B, *shape)) -> outputs (B, outputs).

    A subclass that is constructed from the task's ground truth names the kinds of it that it takes, any of them; it
    finds the ground truth in `spec.truth`. A subclass that cannot read just any input says what it reads: "tokens"
    (B, T) or "images" (B, channels, height, width). Parameters that are declared for the sake of a publication and that
    nothing reads are named in `unused`; they have no gradient, and optimizers leave them alone.
    """

    kind = "static"
    ground_truth: ClassVar[tuple[str, ...]] = ()
    reads: ClassVar[Literal["anything", "tokens", "images"]] = "anything"
    unused: tuple[str, ...] = ()

    def __init__(self, spec: TaskSpec):
        super().__init__()
        self.spec = spec


class SequenceModel(nn.Module):
    """A recurrent system with a flat state (B, S).

    A subclass implements `initial_state` and `step`; `forward` then works, and may be overridden by something faster
    that agrees with repeated `step` and takes the same arguments. `ground_truth` is as in a StaticModel. Analyses of
    states need real ones: complex numbers go into the state as `torch.view_as_real` has them.
    """

    kind = "sequence"
    ground_truth: ClassVar[tuple[str, ...]] = ()

    def __init__(self, spec: TaskSpec):
        super().__init__()
        self.spec = spec

    @abstractmethod
    def initial_state(self, batch: int) -> Tensor:
        """Return the state (batch, S) before the first step."""

    @abstractmethod
    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read x (B, inputs) in state (B, S); return the output (B, outputs) and the next state (B, S)."""

    def forward(self, x: Tensor, last: int | None = None) -> Trace:
        """Read sequences x (B, T, inputs); the outputs are those of the `last` steps (all by default)."""
        initial = state = self.initial_state(len(x))
        outputs, states = [], []
        for t in range(x.shape[1]):
            output, state = self.step(x[:, t], state)
            outputs.append(output)
            states.append(state)
        return Trace(torch.stack(outputs[-(last or 0) :], 1), initial, (torch.stack(states, 1),))

    def columns(self, part: str) -> slice:
        """Return which columns of the flat state are a part of it: "all"; in networks of layers "hidden" (states of all
        layers), "cells" (of an LSTM) or "last" (the hidden state of the last layer).

        Raises:
            ConfigError: the state has no such part.
        """
        if part != "all":
            raise ConfigError(f"the state of {type(self).__name__} has one part", got=part, key="part", fix="part=all")
        return slice(None)

    def jacobian(self, x: Tensor, state: Tensor) -> Tensor:
        """Return d next_state / d state (S, S) at one input x (inputs,) and state (S,)."""

        def transition(state: Tensor) -> Tensor:
            return self.step(x[None], state[None])[1][0]

        return torch.autograd.functional.jacobian(transition, state)


def outputs_of(model: nn.Module, inputs: Tensor) -> Tensor:
    """Return a model's outputs alone, for either kind of model."""
    result = model(inputs)
    return result.outputs if isinstance(result, Trace) else result
