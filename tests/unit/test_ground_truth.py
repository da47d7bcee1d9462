"""Ground truths: their targets against a loop over letters, or over steps."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mechlab.automata.automaton import Automaton
from mechlab.automata.pushdown.grammars import grammar
from mechlab.automata.random import random_automaton
from mechlab.automata.tomita import tomita
from mechlab.binding.companion import CompanionMatrix
from mechlab.core.task import GroundTruth


def words(letters: int, n: int = 40, longest: int = 9) -> tuple[list[list[int]], torch.Tensor]:
    """Return words of 1 to `longest` letters, and the same one-hot, zero after their ends."""
    rng = np.random.default_rng(0)
    spelled = [rng.integers(letters, size=rng.integers(1, longest + 1)).tolist() for _ in range(n)]
    onehot = torch.zeros(n, longest, letters)
    for row, word in enumerate(spelled):
        onehot[row, : len(word)] = F.one_hot(torch.tensor(word), letters).float()
    return spelled, onehot


def output_of(machine: Automaton, word: list[int]) -> int:
    state = machine.initial
    for letter in word:
        state = machine.transitions[state, letter]
    return int(machine.outputs[state])


def accepts_brackets(word: list[int], kinds: int) -> bool:
    """Whether a word of opening brackets 0, 2, ... and closing brackets 1, 3, ... is balanced."""
    stack: list[int] = []
    for letter in word:
        if letter % 2 == 0:
            stack.append(letter)
        elif not stack or stack.pop() != letter - 1:
            return False
    return not stack and len(word) > 0 and kinds > 0


@pytest.mark.parametrize("machine", [tomita(5), random_automaton(6, 3, np.random.default_rng(1), 4)])
def test_an_automaton_gives_its_output_after_each_letter(machine: Automaton) -> None:
    spelled, onehot = words(len(machine.alphabet))
    targets, inside = machine.targets(onehot)
    for row, word in enumerate(spelled):
        expected = [output_of(machine, word[: t + 1]) for t in range(len(word))]
        assert targets[row].tolist() == expected + [0] * (9 - len(word))
        assert inside[row].tolist() == [t < len(word) for t in range(9)]


def test_a_pushdown_automaton_accepts_balanced_brackets() -> None:
    machine = grammar("L7")
    order = [machine.alphabet.index(letter) for letter in ("(", ")", "[", "]")]
    spelled, _ = words(4, 300, 8)
    spelled += [[0, 1], [0, 2, 3, 1], [0, 2, 1, 3], [2, 3, 0, 1]]
    for word in spelled:
        onehot = F.one_hot(torch.tensor([[order[letter] for letter in word]]), 4).float()
        targets, inside = machine.targets(onehot)
        assert targets[0].tolist() == [int(accepts_brackets(word[: t + 1], 2)) for t in range(len(word))]
        assert inside.all()


def test_a_companion_matrix_continues_the_first_vectors() -> None:
    rng = np.random.default_rng(0)
    d, s, T = 2, 3, 11
    system = CompanionMatrix(rng.normal(size=(s * d, d)) / 3)
    inputs = torch.zeros(4, T, d, dtype=torch.float64)
    inputs[:, :s] = torch.from_numpy(rng.normal(size=(4, s, d)))
    targets, defined = system.targets(inputs)
    assert defined.tolist() == [[t >= s for t in range(T)]] * 4
    for row in range(4):
        past = [vector.numpy() for vector in inputs[row, :s]]
        for _ in range(s, T):
            past.append(system.F.T @ np.concatenate(past[-s:]))
        np.testing.assert_allclose(targets[row, s:], past[s:], rtol=1e-12, atol=1e-14)


def test_anything_with_a_kind_and_targets_is_a_ground_truth() -> None:
    class Parity:
        kind: ClassVar[str] = "parity"

        def targets(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return inputs.sum(-1) % 2, torch.ones(len(inputs), dtype=torch.bool)

    class Nameless:
        targets = Parity.targets

    assert isinstance(Parity(), GroundTruth) and not isinstance(Nameless(), GroundTruth)
    truths = [tomita(3), grammar("L1"), CompanionMatrix.repeat_copy(2, 2)]
    assert all(isinstance(truth, GroundTruth) for truth in truths)
