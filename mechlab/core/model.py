"""The interfaces of models: a static map, or a recurrent system that can be stepped."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn
from torch.func import jacrev, jvp, vmap

from mechlab.core.errors import ConfigError
from mechlab.core.forward_mode import load_forward_mode
from mechlab.core.precision import set_precision
from mechlab.core.saved import Saved
from mechlab.core.task import TaskSpec


@dataclass(frozen=True)
class Trace:
    """The outputs and states of a sequence model on a batch.

    Args:
        outputs: (B, T, outputs), or of the last steps only if no more were requested.
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


class Model(nn.Module):
    """The common base of static and sequence models.

    A subclass that is constructed from the task's ground truth names the kinds of it that it takes, any of them; it
    finds the ground truth in `spec.truth`. Parameters that are declared for the sake of a publication and that nothing
    reads are named in `unused`; they have no gradient, and optimizers leave them alone.

    A model that is fitted in closed form or by clustering has a method

        solve(examples: Batch, rng: torch.Generator) -> None

    which sets parameters and buffers from the training examples (all of a fixed set, or some thousand draws of endless
    data; cropped as in training). It is called once, before the first optimiser step; a training of 0 steps ends there.
    It may change the shapes of tensors, on which no step of `forward` may then depend before it: an unsolved model runs
    too. The memory and history sizes announced before training are those of the unsolved model. Where it takes long, it
    may save its state in `saved`, unless that is None, and goes on from there after an interruption. If it chooses
    sizes, `found` names those of the model as it is; figures bear them beside the configuration.
    """

    kind: ClassVar[str]
    ground_truth: ClassVar[tuple[str, ...]] = ()
    unused: tuple[str, ...] = ()
    solve: ClassVar[Callable[..., None] | None] = None
    saved: Saved | None = None
    found: str = ""

    def __init__(self, spec: TaskSpec):
        super().__init__()
        self.spec = spec

    @classmethod
    def without_files(cls, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a configuration with what files hold in place of their paths; see
        `Task.without_files`."""
        return dict(arguments)

    def resize(self, weights: Mapping[str, Tensor]) -> None:
        """Give the tensors of a solved model the shapes of recorded weights, which are loaded next.

        A model whose tensors also differ in number or name overrides this.
        """
        tensors = dict(self.named_parameters()) | dict(self.named_buffers())
        for name, value in weights.items():
            if name in tensors and tensors[name].shape != value.shape:
                tensors[name].data = tensors[name].new_empty(value.shape)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move and convert as torch does; a floating dtype gives complex tensors its complex counterpart, where torch
        would drop their imaginary parts."""
        device, dtype, non_blocking, memory_format = torch._C._nn._parse_to(*args, **kwargs)
        options = {"device": device, "dtype": dtype, "non_blocking": non_blocking, "memory_format": memory_format}
        if dtype is not None and dtype.is_floating_point:
            set_precision(self, dtype)
            options["dtype"] = None
        return super().to(**options)  # type: ignore[call-overload]


class StaticModel(Model):
    """A map from an input to an output: forward(inputs (B, *shape)) -> outputs (B, outputs).

    A subclass that accepts one format of input only declares it: "tokens" (B, T) or "images" (B, channels, height,
    width), and of images also the smallest height and width. For `ground_truth`, `unused` and `solve` see Model.
    """

    kind = "static"
    reads: ClassVar[Literal["anything", "tokens", "images"]] = "anything"
    smallest: ClassVar[int] = 1


class SequenceModel(Model):
    """A recurrent system with a flat state (B, S).

    A subclass implements `initial_state` and `step`; `resume` and `forward` then work, and either may be overridden by
    something faster that agrees with repeated `step` and takes the same arguments. `forward` is `resume` from the
    initial state unless it is overridden itself. For `ground_truth`, `unused` and `solve` see Model.
    Analyses of states need real ones: complex numbers go into the state as `torch.view_as_real` has them.
    """

    kind = "sequence"

    @abstractmethod
    def initial_state(self, batch: int) -> Tensor:
        """Return the state (batch, S) before the first step."""

    @abstractmethod
    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read x (B, inputs) in state (B, S); return the output (B, outputs) and the next state (B, S)."""

    def forward(self, x: Tensor, last: int | None = None) -> Trace:
        """Read sequences x (B, T, inputs); the outputs are those of the `last` steps (all by default)."""
        return self.resume(x, self.initial_state(len(x)), last)

    def resume(self, x: Tensor, state: Tensor, last: int | None = None) -> Trace:
        """Continue from states (B, S) over inputs x (B, T, inputs), T at least 1; the outputs are those of the `last`
        steps (all by default), and `initial` of the trace is the given state."""
        initial, outputs, states = state, [], []
        for t in range(x.shape[1]):
            output, state = self.step(x[:, t], state)
            outputs.append(output)
            states.append(state)
        return Trace(torch.stack(outputs[-(last or 0) :], 1), initial, (torch.stack(states, 1),))

    def read_out(self, state: Tensor) -> Tensor:
        """Return the outputs (B, outputs) of a step at input 0 that ends in a state (B, S), as far as the model reads
        them off that state.

        Raises:
            ConfigError: the model does not say how.
        """
        must = f"{type(self).__name__} must say how outputs follow from the state after a step"
        raise ConfigError(must, key="model", fix="implement read_out(state)")

    def columns(self, part: str) -> slice:
        """Return which columns of the flat state are a part of it: "all"; in networks of layers "hidden" (states of all
        layers), "cells" (of an LSTM) or "last" (the hidden state of the last layer).

        Raises:
            ConfigError: the state has no such part.
        """
        if part != "all":
            raise ConfigError(f"the state of {type(self).__name__} has one part", got=part, key="part", fix="part=all")
        return slice(None)

    @torch.no_grad()
    def jacobian(self, x: Tensor, state: Tensor) -> Tensor:
        """Return d next state / d state (B, S, S) at inputs x (B, inputs) and states (B, S); (S, S) at one input
        (inputs,) and one state (S,)."""
        if state.ndim == 1:
            return self.jacobian(x[None], state[None])[0]

        def transition(x: Tensor, state: Tensor) -> Tensor:
            return self.step(x[None], state[None])[1][0]

        try:
            return vmap(jacrev(transition, argnums=1))(x, state)
        except RuntimeError:  # an operation that torch.func has no rule for
            return self._jacobian_by_rows(x, state)

    @torch.no_grad()
    def jvp(self, x: Tensor, state: Tensor, tangent: Tensor) -> Tensor:
        """Return the Jacobians of `jacobian` times tangents, (B, S) at B states; (S,) at one."""
        if state.ndim == 1:
            return self.jvp(x[None], state[None], tangent[None])[0]

        def transition(state: Tensor) -> Tensor:
            return self.step(x, state)[1]

        load_forward_mode()
        try:
            return jvp(transition, (state,), (tangent,))[1]
        except RuntimeError:
            with torch.enable_grad():
                return torch.autograd.functional.jvp(transition, state, tangent)[1]

    @torch.enable_grad()
    def _jacobian_by_rows(self, x: Tensor, state: Tensor) -> Tensor:
        """Return `jacobian` by a backward pass for each of the S components of the next state."""
        state = state.detach().requires_grad_()
        following = self.step(x, state)[1]
        rows = []
        for component in following.sum(0):
            (row,) = torch.autograd.grad(component, state, retain_graph=True, allow_unused=True)
            rows.append(torch.zeros_like(state) if row is None else row)
        return torch.stack(rows, 1)


def outputs_of(model: nn.Module, inputs: Tensor) -> Tensor:
    """Return a model's outputs alone, for either kind of model."""
    result = model(inputs)
    return result.outputs if isinstance(result, Trace) else result
