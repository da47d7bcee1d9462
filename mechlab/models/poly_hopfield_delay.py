"""The polynomial episodic Hopfield network with delay units."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mechlab.core.constraints import Size
from mechlab.core.task import TaskSpec
from mechlab.models.poly_hopfield import START, PolyHopfield, xavier


class PolyHopfieldDelay(PolyHopfield):
    """z = sigmoid(W_ic u + W_hc tanh(h) + b_c), c' = (1 - z) tanh(h) + z c, h' = W_1 x + b_2 with M memories
    x = (W_0 tanh(h) + W_i u + W_c c' + b_1)^power, and as output a perceptron of h'. The flat state is h, then c; both
    start at 0.001, and W_hc at 0.

    Args:
        spec: the task's specification.
        hidden: H, units of h and of c.
        memories: M.
        power: exponent of the interaction.

    Source: Karuvally et al., "General Sequential Episodic Memory Model", arXiv 2212.05563, and the published code of
    arXiv 2310.02430.
    """

    def __init__(self, spec: TaskSpec, hidden: Size = 64, memories: Size = 128, power: Size = 1):
        super().__init__(spec, hidden, memories, power)
        self.delayed = nn.Linear(hidden, memories, bias=False)
        self.gate_entry = nn.Linear(spec.inputs, hidden)
        self.gate = nn.Linear(hidden, hidden, bias=False)
        xavier(self)
        nn.init.zeros_(self.gate.weight)

    def initial_state(self, batch: int) -> Tensor:
        """Return 0.001 throughout, (batch, 2 H)."""
        return self.recall.weight.new_full((batch, 2 * self.recall.in_features), START)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read x (B, inputs) in state (B, 2 H); return the output (B, outputs) and the next state (B, 2 H)."""
        h, c = state.chunk(2, -1)
        active = torch.tanh(h)
        z = torch.sigmoid(self.gate_entry(x) + self.gate(active))
        c = (1 - z) * active + z * c
        h = self.transition((self.recall(active) + self.entry(x) + self.delayed(c)) ** self.power)
        return self.readout(h), torch.cat([h, c], -1)

    def read_out(self, state: Tensor) -> Tensor:
        """Return the outputs (B, outputs) for states (B, 2 H) after a step."""
        return self.readout(state.chunk(2, -1)[0])
