"""Networks whose states are known: an automaton's, and noise."""

from __future__ import annotations

import torch

from mechlab.automata.automaton import Automaton
from mechlab.core.model import SequenceModel
from mechlab.core.task import TaskSpec


class Planted(SequenceModel):
    """A network whose state is the one-hot state of the automaton, and whose output is what the automaton says."""

    def __init__(self, spec: TaskSpec, automaton: Automaton):
        super().__init__(spec)
        self.moves = torch.nn.Parameter(torch.eye(len(automaton.states))[torch.as_tensor(automaton.transitions.copy())])
        self.says = torch.eye(len(automaton.classes))[torch.as_tensor(automaton.outputs.copy())]
        self.initial = automaton.initial

    def initial_state(self, batch: int) -> torch.Tensor:
        return torch.eye(len(self.moves))[self.initial].expand(batch, -1)

    def step(self, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        state = torch.einsum("bm,bi,imj->bj", x, state, self.moves)
        return state @ self.says, state


class Scrambled(SequenceModel):
    """A network whose state is a hash of the word that it has read: `width` integers below `LEVELS`, over `LEVELS`.

    The hash is computed in integers, so that every processor gives the same states, bit by bit.
    """

    PRIME, LEVELS = 999_983, 2**10

    def __init__(self, spec: TaskSpec, width: int = 8):
        super().__init__(spec)
        draws = torch.randint(self.PRIME, (width, width + 1), generator=torch.Generator().manual_seed(4))
        self.weight = torch.nn.Parameter(draws.double())  # (H, 1 + H)

    def initial_state(self, batch: int) -> torch.Tensor:
        return self.weight.new_zeros(batch, len(self.weight))

    def step(self, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        read = torch.cat([1 + x.argmax(-1, keepdim=True), (state * self.LEVELS).round()], -1).long()  # (B, 1 + H)
        mixed = (read @ self.weight.detach().long().T) % self.PRIME  # (B, H)
        for _ in range(3):
            mixed = (mixed * mixed + mixed.roll(1, -1) + 1) % self.PRIME
        state = (mixed % self.LEVELS).to(self.weight.dtype) / self.LEVELS
        return state[:, : self.spec.outputs], state
