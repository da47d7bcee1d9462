"""State machines planted in recurrent networks, and the programs that are made of them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from mechlab.automata.automaton import Automaton
from mechlab.automata.mealy import mealy_of, minimal_mealy, moore_of_mealy
from mechlab.core.model import SequenceModel
from mechlab.core.task import TaskSpec
from mechlab.distill import distill_rnn
from mechlab.distill.certificate import DistillError
from mechlab.distill.recurrent.enumeration import Bank
from mechlab.distill.recurrent.expressions import evaluate
from mechlab.distill.recurrent.machines import Machine, machine_of
from mechlab.distill.recurrent.numbering import machine_program
from mechlab.distill.recurrent.observed import observe


@dataclass(frozen=True)
class MachineRule:
    """The rule of a Mealy machine over the letters 0..m-1, read one letter at a time."""

    transitions: np.ndarray
    results: np.ndarray  # (n, m)
    initial: int = 0
    channels: int = 1
    low: int = 0

    @property
    def high(self) -> int:
        return self.transitions.shape[1] - 1

    def targets(self, inputs: np.ndarray) -> np.ndarray:
        outputs = np.empty_like(inputs)
        for row, word in enumerate(inputs[..., 0].tolist()):
            state = self.initial
            for t, letter in enumerate(word):
                outputs[row, t, 0] = self.results[state, letter]
                state = self.transitions[state, letter]
        return outputs


@dataclass(frozen=True)
class MachineTask:
    rule: MachineRule
    length: int = 10

    def integers(self, n: int, length: int, rng: np.random.Generator) -> np.ndarray:
        return rng.integers(self.rule.low, self.rule.high + 1, (n, length, 1))


class PlantedMachine(SequenceModel):
    """A Moore machine as a ReLU network: the state is a code of the machine's state, rotated at random.

    f has three affine maps: the units of the second are 1 for the pair of the old state and the letter, of which the
    first has computed the letter's indicators; ramps from 1/4 to 3/4 remove the noise of the step before.
    """

    def __init__(self, automaton: Automaton, results: np.ndarray, code: str, noise: float, rng: np.random.Generator):
        n, m = automaton.transitions.shape
        super().__init__(TaskSpec(inputs=1, outputs=1, kind="sequence", loss="mse"))
        width = n + 2
        rotation = np.linalg.qr(rng.normal(size=(width, width)))[0]
        codes = rotation[:n] if code == "one_hot" else rng.normal(size=(n, width)) @ rotation  # (n, H)
        read = np.linalg.pinv(codes)  # (H, n), indicators of states
        shifts = np.arange(-1, m + 1)
        first = np.zeros((width + 1, 2 * n + len(shifts)))  # two ends of the ramp of each state; ReLU(x - shift)
        first[:width, :n] = first[:width, n : 2 * n] = 2 * read
        first[width, 2 * n :] = 1
        bias = np.concatenate([np.full(n, -0.5), np.full(n, -1.5), -shifts])
        second, third = np.zeros((first.shape[1], n * m)), np.zeros((n * m, width))
        for state, letter in itertools.product(range(n), range(m)):
            pair = state * m + letter
            second[[state, n + state], pair] = 1, -1
            second[2 * n + letter : 2 * n + letter + 3, pair] = 1, -2, 1
            third[pair] = codes[automaton.transitions[state, letter]]
        self.maps = [
            torch.tensor(weight + noise * rng.normal(size=weight.shape))
            for weight in (first, bias, second, third, read @ results[automaton.outputs][:, None])
        ]
        self.first = torch.tensor(codes[automaton.initial])

    def initial_state(self, batch: int) -> Tensor:
        return self.first.expand(batch, -1)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        first, bias, second, third, read = self.maps
        hidden = torch.relu(torch.cat([state, x], -1) @ first + bias)
        state = torch.relu(hidden @ second - 1) @ third
        return state @ read, state


def random_machine(n: int, m: int, rng: np.random.Generator) -> tuple[Automaton, np.ndarray]:
    """Return the Moore form of a random minimal Mealy machine of n states, and the integer of each class."""
    classes = ["y0", "y1", "y2"][: rng.integers(2, 4)]
    while True:
        transitions, outputs = rng.integers(n, size=(n, m)), rng.integers(len(classes), size=(n, m))
        names = [f"s{k}" for k in range(n)]
        moore = moore_of_mealy([str(k) for k in range(m)], classes, names, 0, transitions, outputs)
        smallest = minimal_mealy(moore)
        if smallest.size == n:
            return smallest, rng.choice(np.arange(-2, 5), len(classes), replace=False)


def rule_of(automaton: Automaton, results: np.ndarray) -> MachineRule:
    mealy = mealy_of(automaton)
    return MachineRule(mealy.transitions, results[mealy.outputs], mealy.initial)


@pytest.mark.parametrize("seed", range(20))
def test_planted_machines_are_recovered(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, m, code = 2 + seed % 7, 2 + seed % 3, ("one_hot", "random")[seed % 2]
    automaton, results = random_machine(n, m, rng)
    task = MachineTask(rule_of(automaton, results), length=12)
    machine = machine_of(observe(PlantedMachine(automaton, results, code, 1e-3, rng), task))
    assert machine.transitions.shape == (n, m)
    words = task.integers(200, 60, rng)
    state, outputs = np.full(len(words), machine.initial), np.empty_like(words)
    for t in range(words.shape[1]):
        outputs[:, t, 0] = machine.outputs[state, words[:, t, 0], 0]
        state = machine.transitions[state, words[:, t, 0]]
    assert (outputs == task.rule.targets(words)).all()


def test_a_planted_machine_becomes_a_verified_program() -> None:
    rng = np.random.default_rng(0)
    transitions = (np.arange(5)[:, None] + np.arange(3)) % 5
    results = np.arange(5)[:, None] + np.arange(3) >= 5
    names, classes = [f"s{k}" for k in range(5)], ["0", "1"]
    automaton = minimal_mealy(moore_of_mealy("012", classes, names, 0, transitions, results.astype(int)))
    task = MachineTask(rule_of(automaton, np.array([0, 1])))
    program = distill_rnn(PlantedMachine(automaton, np.array([0, 1]), "random", 1e-3, rng), task, samples=2000)
    assert program.status == "lossless"
    assert program.certificate is not None
    assert program.certificate.inputs == 3**10
    assert program.origin == "states"  # a code of random vectors: the nearest state, if no affine read-out
    assert [row[0] for row in program.certificate.lengths] == [10, 100, 1000]
    assert all(wrong == 0 for *_, wrong in program.certificate.lengths)
    assert "% 5" in program.source
    scope: dict = {}
    exec(program.source, {"__builtins__": {"int": int, "min": min, "max": max, "abs": abs}}, scope)
    word = rng.integers(3, size=(500, 1))
    assert scope["program"](word[:, 0].tolist()) == task.rule.targets(word[None])[0, :, 0].tolist()


@pytest.mark.parametrize("seed", range(3))
def test_untrained_and_shuffled_networks_give_no_program(seed: int) -> None:
    rng = np.random.default_rng(seed)
    automaton, results = random_machine(4, 2, rng)
    task = MachineTask(rule_of(automaton, results))
    untrained = PlantedMachine(automaton, results, "random", 0.0, rng)
    untrained.maps = [torch.tensor(rng.normal(size=part.shape) / np.sqrt(len(part))) for part in untrained.maps]
    with pytest.raises(DistillError):
        distill_rnn(untrained, task, samples=500)
    other, _ = random_machine(6, 2, rng)  # a network of another machine, as if its targets had been exchanged
    shuffled = PlantedMachine(other, rng.permutation(3)[: len(other.classes)], "one_hot", 1e-3, rng)
    with pytest.raises(DistillError, match="constant outputs"):
        distill_rnn(shuffled, task, samples=500)


def test_a_counter_without_bound_is_no_machine() -> None:
    n = 40  # more states than ten letters reach
    transitions = np.minimum(np.arange(n)[:, None] + np.arange(2), n - 1)
    outputs = np.broadcast_to(np.arange(n)[:, None], (n, 2))

    class Counting(PlantedMachine):
        def __init__(self) -> None:
            SequenceModel.__init__(self, TaskSpec(inputs=1, outputs=1, kind="sequence", loss="mse"))

        def initial_state(self, batch: int) -> Tensor:
            return torch.zeros(batch, 1)

        def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
            return state, state + x

    with pytest.raises(DistillError, match="state machine"):
        machine_of(observe(Counting(), MachineTask(MachineRule(transitions, outputs))))


@pytest.mark.parametrize("seed", range(4))
def test_every_program_of_a_machine_computes_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    automaton, results = random_machine(3 + seed, 2 + seed % 2, rng)
    rule = rule_of(automaton, results)
    letters = np.arange(rule.transitions.shape[1])[:, None]
    machine = Machine(letters, rule.initial, rule.transitions, rule.results[..., None])
    words = MachineTask(rule).integers(50, 40, rng)
    programs = list(machine_program(machine, ("x",)))
    assert [program.size for program in programs] == sorted(program.size for program in programs)
    for program in programs:
        assert (program(words) == rule.targets(words)).all()


def test_carries_are_written_as_a_sum() -> None:
    pairs = np.array(list(itertools.product(range(4), repeat=2)))
    total = pairs.sum(1) + np.arange(2)[:, None]
    program = next(machine_program(Machine(pairs, 0, total // 4, (total % 4)[..., None]), ("a", "b")))
    assert len(program.registers) == 1
    assert program.outputs[0] == program.outputs[0]
    assert "a + b" in program.source
    assert "% 4" in program.source


def test_a_bank_holds_each_function_once_and_shortest_first() -> None:
    x, y = np.divmod(np.arange(20), 4)
    bank = Bank({"x": x, "y": y}, (0, 1, 2), most=800)
    assert len(np.unique(bank.values, axis=0)) == len(bank.values)
    assert (np.diff(bank.costs) >= 0).all()
    for row in range(0, len(bank.values), 37):
        expression = bank.expression(row)
        assert (evaluate(expression, {"x": x, "y": y}) == bank.values[row]).all()
    assert str(bank.expression(bank.find(np.maximum(x, y)))) == "max(x, y)"
    assert bank.find(np.random.default_rng(0).integers(0, 99, 20)) is None


def test_a_machine_with_rare_errors_is_found() -> None:
    rng = np.random.default_rng(1)
    automaton, results = random_machine(4, 3, rng)
    task = MachineTask(rule_of(automaton, results))
    observed = observe(PlantedMachine(automaton, results, "one_hot", 1e-3, rng), task)
    wrong = observed.outputs.copy()
    wrong[7, 9] = results[0] + results[1] - wrong[7, 9]
    machine = machine_of(replace(observed, outputs=wrong))
    assert machine.transitions.shape == (4, 3)
