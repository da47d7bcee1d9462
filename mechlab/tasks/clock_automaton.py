"""An automaton whose transitions change with the time of day."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mechlab.automata.automaton import Automaton
from mechlab.core.constraints import Size
from mechlab.core.task import Batch, Split, Task, TaskSpec

LETTERS = ("none", "a", "b", "c")
PROBABILITIES = (0.1, 0.3, 0.3, 0.3)
PERIOD = 6  # steps of a day; the first half is light
DAY, NIGHT = (0, 1, 2), (0, 2, 1)  # the state after a, b and c


class ClockAutomaton(Task):
    """Output the state of an automaton with three states after each letter. By day (step mod 6 < 3) a, b and c lead to
    states 1, 2 and 3; by night to 1, 3 and 2; without a letter the state stays (Karuvally et al., arXiv 2310.02430).

    Inputs are one-hot letters (B, T, 4), targets (B, T) the states. The ground truth is the automaton with the clock in
    its state, 18 states in all.

    Args:
        steps: length of a sequence.
    """

    length_key = "steps"

    def __init__(self, steps: Size = 60):
        self.steps = steps
        self.spec = TaskSpec(
            inputs=len(LETTERS),
            outputs=3,
            kind="sequence",
            loss="cross_entropy",
            length=steps,
            vocabulary=LETTERS,
            classes=("1", "2", "3"),
        )
        self._automaton = _with_clock()

    def generate(self, n: int, split: Split, rng: torch.Generator) -> Batch:
        """Draw n sequences of letters, inputs float32 (n, steps, 4), on the generator's device."""
        weights = torch.tensor(PROBABILITIES, device=rng.device).expand(n, -1)
        letters = torch.multinomial(weights, self.steps, replacement=True, generator=rng)
        inputs = F.one_hot(letters, len(LETTERS)).float()
        return Batch(inputs, *self.targets(inputs), torch.arange(n, device=rng.device))

    def targets(self, inputs: Tensor) -> tuple[Tensor, None]:
        """Return the state (B, T) int64 after each letter of inputs (B, T, 4)."""
        return self._automaton.targets(inputs)[0], None

    def ground_truth(self) -> Automaton:
        """Return the automaton whose states are pairs of state and time of day."""
        return self._automaton

    def chance(self) -> float:
        """Return the share of the most frequent state, estimated on 2,000 sequences."""
        batch = self.generate(2000, "train", torch.Generator().manual_seed(0))
        return float(torch.bincount(batch.targets.flatten(), minlength=3).max() / batch.targets.numel())


def _with_clock() -> Automaton:
    """Return the Moore machine of 18 states: state k at time t has the number 6 k + t, t the step to come mod 6."""
    transitions = np.empty((3 * PERIOD, len(LETTERS)), np.int64)
    for state in range(3):
        for time in range(PERIOD):
            following = (state, *(DAY if time < PERIOD // 2 else NIGHT))
            transitions[PERIOD * state + time] = [PERIOD * target + (time + 1) % PERIOD for target in following]
    names = tuple(f"{state + 1} at {time}" for state in range(3) for time in range(PERIOD))
    outputs = np.repeat(np.arange(3), PERIOD)
    return Automaton(LETTERS, ("1", "2", "3"), names, 0, transitions, outputs)
