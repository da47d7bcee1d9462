"""A network constructed from the task's automaton, with optional noise in its weights."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor, nn

from mechlab.automata.construction import Construction, construct
from mechlab.core.constraints import above, at_least
from mechlab.core.errors import ConfigError
from mechlab.core.model import SequenceModel, Trace
from mechlab.core.task import TaskSpec
from mechlab.models.rnn import RNN


class Constructed(SequenceModel):
    """An Elman network with the weights of `mechlab.automata.construct`, plus noise; all of them can be trained.

    Networks of two layers copy the state of layer 1 into layer 0 after each step, so both halves of the flat state are
    equal.

    Args:
        spec: of a task whose ground truth is an automaton.
        kind: one layer of tanh units, or two layers of tanh or relu units.
        saturation: size of the ideal pre-activations; by default the least that is proved right on all words.
        noise: standard deviation of the noise added to the weights and biases of the recurrence and to the read-out's
            weights (in the second layer: to its input weights).

    Attributes:
        saturation: the saturation that is used.
        margin: the proved least margin of the right output of the network without noise; see `Construction`.

    Source: Muškardin et al., arXiv 2306.16854, and its published code.
    """

    ground_truth: ClassVar[tuple[str, ...]] = ("automaton",)

    def __init__(
        self,
        spec: TaskSpec,
        kind: Literal["tanh1", "tanh2", "relu2"] = "tanh1",
        saturation: Annotated[float, above(0)] | None = None,
        noise: Annotated[float, at_least(0)] = 0.0,
    ):
        super().__init__(spec)
        letters, classes = len(spec.truth.alphabet), len(spec.truth.classes)
        if (letters, classes) != (spec.inputs, spec.outputs):
            raise ConfigError(
                "a constructed network maps the automaton's letters to its classes, so the task must too",
                got=f"{letters} letters and {classes} classes for {spec.inputs} inputs and {spec.outputs} outputs",
                key="model",
                fix="model=gru, or let the task's targets be the automaton's outputs",
            )
        network = construct(spec.truth, kind, saturation)
        self.saturation, self.margin = network.saturation, network.margin
        self.hidden = len(network.initial)
        activation = kind[:4]
        self.layers = nn.ModuleList(
            nn.RNN(layer["weight_ih"].shape[1], self.hidden, nonlinearity=activation, batch_first=True)
            for layer in network.layers
        )
        self.readout = nn.Linear(self.hidden, spec.outputs)
        self.register_buffer("start", torch.as_tensor(network.initial, dtype=torch.get_default_dtype()))
        self._kind = kind
        self._set(network)
        self._disturb(noise)

    def clean(self) -> Constructed:
        """Return the network as constructed, without noise and training."""
        with torch.random.fork_rng(devices=[]):  # torch draws initial weights
            return Constructed(self.spec, self._kind, self.saturation).to(self.start).eval()

    def disturbed(self, noise: float, seed: int) -> Constructed:
        """Return the network as constructed plus noise of this standard deviation, drawn from the seed."""
        network = self.clean()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network._disturb(noise)
        return network

    @torch.no_grad()
    def _set(self, network: Construction) -> None:
        for layer, weights in zip(self.layers, network.layers, strict=True):
            for name, value in weights.items():
                getattr(layer, f"{name}_l0").copy_(torch.as_tensor(value))
        self.readout.weight.copy_(torch.as_tensor(network.readout))
        self.readout.bias.zero_()

    @torch.no_grad()
    def _disturb(self, noise: float) -> None:
        first = self.layers[0]
        if len(self.layers) == 1:
            disturbed = [*first.parameters(), self.readout.weight]
        else:
            inner = first.weight_ih_l0, first.bias_ih_l0, first.weight_hh_l0
            disturbed = [*inner, self.layers[1].weight_ih_l0, self.readout.weight]
        for parameter in disturbed:
            parameter.add_(noise * torch.randn_like(parameter))

    def initial_state(self, batch: int) -> Tensor:
        """Return the code of the initial state (batch, S), once for each layer; S = N, or 2 N for two layers."""
        return self.start.repeat(batch, len(self.layers))

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read x (B, inputs) in state (B, S); return the output (B, outputs) and the next state (B, S)."""
        for layer, h in zip(self.layers, state.split(self.hidden, -1), strict=True):
            (x,) = RNN.cell(layer, x, h)
        return self.readout(x), x.repeat(1, len(self.layers))

    def resume(self, x: Tensor, state: Tensor, last: int | None = None) -> Trace:
        """Continue from states (B, S) over inputs x (B, T, inputs), a single layer with torch's fused kernel."""
        if len(self.layers) > 1:
            return super().resume(x, state, last)
        states, _ = self.layers[0](x, state[None])
        return Trace(self.readout(states[:, -(last or 0) :]), state, (states,))
