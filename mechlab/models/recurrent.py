"""Base of the recurrent networks: layers that torch runs fused over time, and the same computation step by step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mechlab.core.constraints import LARGEST
from mechlab.core.errors import ConfigError
from mechlab.core.model import SequenceModel, Trace
from mechlab.core.task import TaskSpec


class Recurrent(SequenceModel):
    """A stack of recurrent layers under a linear read-out.

    The flat state is the hidden states of all layers, layer by layer, then (LSTM) all cells likewise. Each layer is a
    module of its own, so that the fused kernels return the states of every layer over time.

    Args:
        spec: the task's specification.
        hidden: units per layer, H.
        layers: number of layers, L.
        bias: True for biases in the recurrence and the read-out.
        per_transition: in place of `hidden`, units per layer as a multiple of n m for an automaton of n states and m
            letters; rounded down.
        dropout: share of a layer's hidden states that are zeroed for the next layer while training.
        make: builds one layer from its numbers of inputs and units.

    Raises:
        ConfigError: not exactly one of `hidden` and `per_transition` is given, or the task has no automaton.
    """

    states_per_layer: ClassVar[int] = 1

    def __init__(
        self,
        spec: TaskSpec,
        hidden: int | None,
        layers: int,
        bias: bool,
        per_transition: float | None,
        dropout: float,
        make: Callable[[int, int], nn.RNNBase],
    ):
        super().__init__(spec)
        self.hidden = hidden = units(spec, hidden, per_transition)
        self.layers = nn.ModuleList(make(size, hidden) for size in [spec.inputs] + [hidden] * (layers - 1))
        self.readout = nn.Linear(hidden, spec.outputs, bias=bias)
        self.dropout = dropout

    @staticmethod
    @abstractmethod
    def cell(layer: nn.RNNBase, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Return one layer's next state, the hidden part first; x is (B, inputs), each part of the state (B, H)."""

    def initial_state(self, batch: int) -> Tensor:
        """Return zeros (batch, S), S = H L (2 H L for an LSTM)."""
        return self.readout.weight.new_zeros(batch, self.states_per_layer * len(self.layers) * self.hidden)

    def columns(self, part: str) -> slice:
        """Return the columns of a part of the flat state; see SequenceModel."""
        size = self.hidden * len(self.layers)
        places = {"all": slice(None), "hidden": slice(0, size), "last": slice(size - self.hidden, size)}
        if self.states_per_layer > 1:
            places["cells"] = slice(size, None)
        if part not in places:
            fix = "part=" + " or ".join(places)
            raise ConfigError(f"{type(self).__name__} has no such part", got=part, key="part", fix=fix)
        return places[part]

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read x (B, inputs) in state (B, S); return the output (B, outputs) and the next state (B, S)."""
        parts = list(state.split(self.hidden, -1))
        for depth, layer in enumerate(self.layers):
            own = slice(depth, None, len(self.layers))
            parts[own] = self.cell(layer, self._dropped(x) if depth else x, *parts[own])
            x = parts[depth]
        return self.readout(x), torch.cat(parts, -1)

    def read_out(self, state: Tensor) -> Tensor:
        """Return the outputs (B, outputs) that the read-out takes from states (B, S) after a step."""
        return self.readout(state[..., self.columns("last")])

    def resume(self, x: Tensor, state: Tensor, last: int | None = None) -> Trace:
        """Continue from states (B, S) over inputs x (B, T, inputs) with torch's fused kernels; read out the `last`
        steps (all by default)."""
        before = [part.contiguous() for part in state.split(self.hidden, -1)]  # each (B, H)
        read, hidden = [], [x]
        for depth, layer in enumerate(self.layers):
            own = [part[None] for part in before[depth :: len(self.layers)]]
            read.append(self._dropped(hidden[-1]) if depth else x)
            hidden.append(layer(read[-1], own[0] if len(own) == 1 else tuple(own))[0])
        outputs = self.readout(hidden[-1][:, -(last or 0) :])
        return Trace(outputs, state, self.parts(read, hidden[1:], before))

    def parts(self, read: list[Tensor], hidden: list[Tensor], before: list[Tensor]) -> Sequence[Tensor]:
        """Return the parts of the state over time, each (B, T, H), given each layer's inputs and hidden states over
        time and the parts (B, H) of the state before the first step."""
        return tuple(hidden)

    def _dropped(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training) if self.dropout else x


def units(spec: TaskSpec, hidden: int | None, per_transition: float | None) -> int:
    """Return the units per layer by `hidden` or `per_transition`; see Recurrent."""
    if (hidden is None) == (per_transition is None):
        raise ConfigError(
            "one of model.hidden and model.per_transition must be a number, the other one null",
            got=f"model.hidden={hidden} with model.per_transition={per_transition}",
            key="model.hidden",
            fix="set model.hidden=null where model.per_transition is a number (as size=single, wide and deep do)",
        )
    if per_transition is None:
        return hidden
    if not (hasattr(spec.truth, "size") and hasattr(spec.truth, "alphabet")):
        raise ConfigError(
            "model.per_transition needs a task whose ground truth is an automaton",
            got=f"a ground truth of kind {getattr(spec.truth, 'kind', None)}",
            key="model.per_transition",
            fix="set model.hidden=64 model.per_transition=null, or choose another task",
        )
    hidden = per_transition * spec.truth.size * len(spec.truth.alphabet)
    if hidden > LARGEST:
        raise ConfigError(
            f"model.per_transition must give at most {LARGEST} units per layer",
            got=f"model.per_transition={per_transition:g}, which gives {hidden:g}",
            key="model.per_transition",
            fix="choose a smaller model.per_transition",
        )
    return max(1, int(hidden))


def affine(layer: nn.RNNBase, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """Return W_ih x + b_ih and W_hh h + b_hh of a layer, each (..., gates * H)."""
    return (
        F.linear(x, layer.weight_ih_l0, layer.bias_ih_l0 if layer.bias else None),
        F.linear(h, layer.weight_hh_l0, layer.bias_hh_l0 if layer.bias else None),
    )
