"""Automata that AALpy's algorithms learn from networks, finite and pushdown, with our searches for counterexamples."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from test_conformance import Oracle
from test_refinement import TRUTHS, network_of

from mechlab.automata.equivalence import equivalent, minimise
from mechlab.automata.extraction.conformance import conformance, draw_words, empty_class
from mechlab.automata.extraction.learning import from_aalpy, learn, membership_oracle, oracle
from mechlab.automata.extraction.word_classifier import WordClassifier
from mechlab.automata.pushdown.grammars import grammar
from mechlab.automata.pushdown.learning import learn_visibly, matched_words
from mechlab.automata.pushdown.visibly import depths, from_sevpa, visible_alphabet
from mechlab.automata.tomita import tomita
from mechlab.automata.words.suites import random_words
from mechlab.core.task import TaskSpec
from mechlab.models.gru import GRU


def learned_from(network: WordClassifier, truth, method: str = "lstar", kind: str = "all", **options):
    rng = np.random.default_rng(0)
    search = oracle(kind, network, random_words(network.letters, 16, 30, 300, rng), rng, extra=4)
    return learn(network, truth.alphabet, truth.classes, search, method, **options)


@pytest.mark.parametrize("method", ["lstar", "kv"])
@pytest.mark.parametrize("name", TRUTHS)
def test_a_planted_automaton_is_learned(name: str, method: str) -> None:
    truth = TRUTHS[name]
    found = learned_from(network_of(truth), truth, method)
    assert found.agreed and equivalent(found.automaton, truth) is None
    assert len(found.automaton.states) == len(minimise(truth).states) == found.states[-1]


@pytest.mark.parametrize("kind", ["random", "w_method", "state_prefix"])
@pytest.mark.parametrize("method", ["lstar", "kv"])
def test_each_oracle_alone_suffices(method: str, kind: str) -> None:
    found = learned_from(network_of(tomita(7)), tomita(7), method, kind)
    assert found.agreed and equivalent(found.automaton, tomita(7)) is None


def chaotic() -> WordClassifier:
    torch.manual_seed(3)
    model = GRU(TaskSpec(inputs=2, outputs=2, kind="sequence", loss="cross_entropy"), hidden=12)
    with torch.no_grad():
        for parameter in model.layers.parameters():
            parameter *= 6
    return WordClassifier(model, 1)


@pytest.mark.parametrize("budget", [{"rounds": 2}, {"queries": 60}])
@pytest.mark.parametrize("method", ["lstar", "kv"])
def test_the_budget_ends_it(method: str, budget: dict[str, int]) -> None:
    found = learned_from(chaotic(), tomita(5), method, **budget)
    assert not found.agreed and len(found.shares) <= 3
    assert equivalent(found.automaton, tomita(5)) is not None


def test_nothing_is_drawn_from_global_generators() -> None:
    random.seed(1)
    np.random.seed(1)
    before = random.getstate(), np.random.get_state()[1].tolist()
    one = learned_from(network_of(tomita(3)), tomita(3), "kv")
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    random.seed(2)
    other = learned_from(network_of(tomita(3)), tomita(3), "kv")
    assert one.automaton == other.automaton and one.shares == other.shares


def test_aalpys_own_oracle_finds_the_same() -> None:
    from aalpy import RandomWordEqOracle, run_KV, run_Lstar

    random.seed(0)
    letters = [0, 1]
    for run in (run_Lstar, run_KV):
        system = membership_oracle(network_of(tomita(4)), 100_000)
        teacher = RandomWordEqOracle(letters, system, num_walks=60, min_walk_len=3, max_walk_len=15)
        found = run(letters, system, teacher, automaton_type="moore", cache_and_non_det_check=False, print_level=0)
        assert equivalent(from_aalpy(found, ("0", "1"), ("reject", "accept")), tomita(4)) is None


def test_a_dfa_of_aalpy_is_converted() -> None:
    from aalpy.automata import Dfa

    machine = Dfa.from_state_setup({"a": (True, {0: "b", 1: "a"}), "b": (False, {0: "b", 1: "b"})})
    found = from_aalpy(machine, ("0", "1"), ("reject", "accept"))
    assert equivalent(found, tomita(1)) is None


def network_of_pushdown(name: str) -> WordClassifier:
    machine = grammar(name)
    spec = TaskSpec(inputs=len(machine.alphabet), outputs=2, kind="sequence", loss="cross_entropy")
    return WordClassifier(Oracle(spec, machine), empty_class(machine))


@pytest.mark.parametrize("name", ["L1", "L4", "L7", "L9", "L15"])
def test_a_planted_pushdown_automaton_is_learned(name: str) -> None:
    """On balanced words, longer ones among them, what was learned says what the pushdown automaton says."""
    machine, rng = grammar(name), np.random.default_rng(0)
    pool = draw_words(machine, 1, 16, 400, rng, "balanced")
    found = learn_visibly(network_of_pushdown(name), machine, pool, rng, tests=400)
    words, lengths = draw_words(machine, 2, 24, 400, rng, "balanced")
    said = found.automaton.outputs(words)
    assert found.agreed and conformance(said, machine.outputs(words), lengths).accuracy == 1
    constant = conformance(np.zeros_like(said), machine.outputs(words), lengths)
    assert constant.balanced == constant.last == 0.5


def test_what_is_learned_runs_as_in_aalpy() -> None:
    from aalpy import SevpaAlphabet, run_KV

    from mechlab.automata.extraction.counterexamples import Difference
    from mechlab.automata.extraction.learning import equivalence_oracle

    machine, network = grammar("L14"), network_of_pushdown("L14")
    kinds = visible_alphabet(machine)
    alphabet = SevpaAlphabet(list(kinds.internal), list(kinds.calls), list(kinds.returns))
    system = membership_oracle(network, 10**6, lambda word, predicted: predicted == 1)
    rng = np.random.default_rng(0)
    pool = draw_words(machine, 1, 10, 300, rng, "balanced")
    predicted = network.outputs(*pool)

    def compare(hypothesis):
        found = from_sevpa(hypothesis, machine.alphabet, kinds)
        said = found.outputs(pool[0])
        for word, length, ours in zip(pool[0].tolist(), pool[1], said, strict=True):
            theirs = hypothesis.execute_sequence(hypothesis.initial_state, word[:length])
            assert [int(one) for one in theirs] == ours[:length].tolist()
        wrong = [
            tuple(w[:n])
            for w, n, a, b in zip(pool[0].tolist(), pool[1], predicted, said, strict=True)
            if a[n - 1] != b[n - 1]
        ]
        return found, Difference(len(wrong) / len(predicted), min(wrong, key=len, default=None))

    teacher = equivalence_oracle(alphabet.get_merged_alphabet(), system, compare, 20)
    run_KV(alphabet, system, teacher, automaton_type="vpa", cache_and_non_det_check=False, print_level=0)
    assert teacher.agreed and len(teacher.hypotheses) > 1


def test_letters_of_one_kind_each() -> None:
    kinds = visible_alphabet(grammar("L13"))
    assert [grammar("L13").alphabet[i] for i in (*kinds.calls, *kinds.returns)] == ["(", ")"]
    assert len(kinds.internal) == 3
    with pytest.raises(ValueError, match="'c' does push2"):
        visible_alphabet(grammar("L6"))


def test_matched_words_match() -> None:
    for name in ("L7", "L13"):
        kinds = visible_alphabet(grammar(name))
        words, lengths = matched_words(kinds, 11, 300, np.random.default_rng(0))
        for word, length in zip(words.tolist(), lengths, strict=True):
            height, word = 0, word[:length]
            for letter in word:
                height += (letter in kinds.calls) - (letter in kinds.returns)
                assert height >= 0
            assert height == 0
            assert depths(np.array([word]), kinds)[0, -1] == 0
    assert depths(np.array([[1, 0, 0]]), visible_alphabet(grammar("L1")))[0].tolist() == [-1, -1, -1]


def test_untrained_networks_are_not_the_language() -> None:
    """Of an automaton that accepts nothing but matching brackets, much is right for any network; but not all, and it is
    not what the network tells.
    """
    machine, rng = grammar("L7"), np.random.default_rng(0)
    torch.manual_seed(0)
    network = WordClassifier(GRU(TaskSpec(inputs=4, outputs=2, kind="sequence", loss="cross_entropy"), hidden=8))
    pool = draw_words(machine, 1, 12, 300, rng, "balanced")
    found = learn_visibly(network, machine, pool, rng, tests=200, rounds=5, queries=2000)
    said = found.automaton.outputs(pool[0])
    assert conformance(said, machine.outputs(pool[0]), pool[1]).accuracy < 0.9
    assert conformance(said, network.outputs(*pool), pool[1]).accuracy < 0.9
