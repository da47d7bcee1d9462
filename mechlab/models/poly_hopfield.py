"""The polynomial episodic Hopfield network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mechlab.core.constraints import Size
from mechlab.core.model import SequenceModel
from mechlab.core.task import TaskSpec

START = 1e-3  # of every unit


class PolyHopfield(SequenceModel):
    """x = clip(W_0 tanh(h) + W_i u + b_1, 0, 1)^power with M memories, h' = W_1 x + b_2, and as output a perceptron of
    h' with one hidden layer of relu units. Every h starts at 0.001.

    Args:
        spec: the task's specification.
        hidden: H, units of the state.
        memories: M.
        power: exponent of the interaction.

    Source: Karuvally et al., "General Sequential Episodic Memory Model", arXiv 2212.05563, and the published code of
    arXiv 2310.02430.
    """

    def __init__(self, spec: TaskSpec, hidden: Size = 64, memories: Size = 128, power: Size = 1):
        super().__init__(spec)
        self.power = power
        self.recall = nn.Linear(hidden, memories)
        self.entry = nn.Linear(spec.inputs, memories, bias=False)
        self.transition = nn.Linear(memories, hidden)
        self.readout = perceptron(hidden, spec.outputs)
        xavier(self)

    def initial_state(self, batch: int) -> Tensor:
        """Return 0.001 throughout, (batch, H)."""
        return self.recall.weight.new_full((batch, self.recall.in_features), START)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read x (B, inputs) in state (B, H); return the output (B, outputs) and the next state (B, H)."""
        memories = (self.recall(torch.tanh(state)) + self.entry(x)).clamp(0, 1) ** self.power
        state = self.transition(memories)
        return self.readout(state), state

    def read_out(self, state: Tensor) -> Tensor:
        """Return the outputs (B, outputs) for states (B, H) after a step."""
        return self.readout(state)


def perceptron(hidden: int, outputs: int) -> nn.Sequential:
    """Return the read-out of both Hopfield networks: hidden -> hidden relu units -> outputs."""
    return nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def xavier(model: nn.Module) -> None:
    """Draw all matrices from the Xavier uniform distribution."""
    for parameter in model.parameters():
        if parameter.ndim == 2:
            nn.init.xavier_uniform_(parameter)
