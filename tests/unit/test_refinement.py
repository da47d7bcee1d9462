"""Refinement finds planted automata from clusters that say nothing, and its words tell automata apart as proved."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from mechlab.automata.automaton import Automaton
from mechlab.automata.equivalence import equivalent, minimise
from mechlab.automata.extraction.cluster_automaton import observe
from mechlab.automata.extraction.conformance import empty_class, outputs_of
from mechlab.automata.extraction.counterexamples import CounterexampleSearch, difference
from mechlab.automata.extraction.refinement import refine, smallest_near_best
from mechlab.automata.extraction.word_classifier import WordClassifier
from mechlab.automata.library import coffee
from mechlab.automata.random import random_automaton
from mechlab.automata.tomita import tomita
from mechlab.automata.words.prefixes import distinct_prefixes
from mechlab.automata.words.suites import (
    access_words,
    characterising_words,
    random_words,
    short_words,
    state_walks,
    w_method,
)
from mechlab.core.task import TaskSpec
from mechlab.models.constructed import Constructed
from mechlab.models.gru import GRU


def network_of(truth: Automaton, kind: str = "relu2") -> WordClassifier:
    spec = TaskSpec(
        inputs=len(truth.alphabet), outputs=len(truth.classes), kind="sequence", loss="cross_entropy", truth=truth
    )
    return WordClassifier(Constructed(spec, kind).eval(), empty_class(truth))


def refined(network: WordClassifier, truth: Automaton, start: str, tolerance: float = 0.0, rounds: int = 60):
    rng = np.random.default_rng(0)
    words = rng.integers(len(truth.alphabet), size=(150, 8))
    observed = observe(network, distinct_prefixes(words))
    clusters = {
        "one": np.zeros(len(observed), int),
        "random": rng.integers(0, 6, len(observed)),
        "outputs": observed.predicted,
    }[start]
    search = CounterexampleSearch(network, random_words(network.letters, 16, 30, 300, rng), rng, tolerance=tolerance)
    return refine(network, observed, clusters, truth.alphabet, truth.classes, search, rounds)


TRUTHS = {
    **{f"tomita{i}": tomita(i) for i in range(1, 8)},
    "coffee": coffee(),
    "six letters": random_automaton(10, 6, np.random.default_rng(0)),
    "moore": random_automaton(8, 3, np.random.default_rng(1), classes=4),
}


@pytest.mark.parametrize("start", ["one", "random", "outputs"])
@pytest.mark.parametrize("name", TRUTHS)
def test_a_planted_automaton_is_found_whatever_it_begins_with(name: str, start: str) -> None:
    truth = TRUTHS[name]
    found = refined(network_of(truth, "tanh1" if name == "tomita5" else "relu2"), truth, start)
    assert found.agreed and found.rounds[-1].disagreement == 0 and found.rounds[-1].counterexample == -1
    assert equivalent(found.automaton, truth) is None
    assert len(found.automaton.states) == len(minimise(truth).states)


def test_a_network_that_is_no_small_automaton_runs_out_of_budget() -> None:
    torch.manual_seed(3)
    model = GRU(TaskSpec(inputs=2, outputs=2, kind="sequence", loss="cross_entropy"), hidden=12)
    with torch.no_grad():  # strong recurrence, so that the states do not settle
        for parameter in model.layers.parameters():
            parameter *= 6
    found = refined(WordClassifier(model, 1), tomita(5), "one", rounds=6)
    assert not found.agreed and len(found.rounds) == 7
    assert equivalent(found.automaton, tomita(5)) is not None
    assert [line.clusters for line in found.rounds] == sorted(line.clusters for line in found.rounds)


def test_a_little_disagreement_can_be_put_up_with() -> None:
    """A network that goes wrong after seven 1s in a row, of the language 1*, is that language to all but few words."""
    n = 9
    wrong = Automaton(
        ("0", "1"), ("reject", "accept"), [f"s{i}" for i in range(n)], 0,
        [[8, min(i + 1, 7)] for i in range(8)] + [[8, 8]], [1] * 7 + [0, 0],
    )  # fmt: skip
    network = network_of(wrong)
    exact = refined(network, wrong, "one")
    assert exact.agreed and equivalent(exact.automaton, wrong) is None
    loose = refined(network, wrong, "one", tolerance=0.05)
    assert loose.agreed and equivalent(loose.automaton, tomita(1)) is None


def test_the_smallest_of_the_good_is_chosen() -> None:
    automata = [tomita(1), tomita(5), tomita(3)]  # 2, 4 and 5 states
    assert smallest_near_best(automata, [0.5, 0.015, 0.0]) is automata[1]
    assert smallest_near_best(automata, [0.5, 0.03, 0.0]) is automata[2]
    assert smallest_near_best([tomita(3), tomita(7)], [0.01, 0.0]).states == tomita(7).states


def test_difference_against_a_loop() -> None:
    rng = np.random.default_rng(0)
    words, lengths = rng.integers(2, size=(50, 6)), rng.integers(1, 7, 50)
    said = rng.integers(2, size=(50, 6))
    predicted = np.where(rng.random((50, 6)) < 0.05, 1 - said, said)
    first = [[t for t in range(length) if a[t] != b[t]] for a, b, length in zip(predicted, said, lengths, strict=True)]
    found = difference(predicted, said, (words, lengths))
    assert found.share == np.mean([bool(places) for places in first])
    assert len(found.word) == min(places[0] for places in first if places) + 1
    assert difference(said, said, (words, lengths)) == (0.0, None)


@pytest.mark.parametrize("name", ["tomita3", "tomita5", "moore", "six letters"])
def test_access_and_characterising_words(name: str) -> None:
    truth = minimise(TRUTHS[name])
    for state, word in enumerate(access_words(truth)):  # minimise numbers states breadth first
        reached = truth.run(np.array([word], int).reshape(1, -1))[0, -1]
        assert reached == state
        assert all(
            truth.run(np.array([w]))[0, -1] != state for w in itertools.product(*[[0, 1]] * (len(word) - 1)) if w
        )
    words = characterising_words(truth)
    rows = []
    for state in range(len(truth.states)):
        moved = Automaton(truth.alphabet, truth.classes, truth.states, state, truth.transitions, truth.outputs)
        rows.append(tuple(moved.outputs[moved.run(np.array([w], int).reshape(1, -1))[0, -1]] for w in words))
    assert len(set(rows)) == len(truth.states) and len(words) < len(truth.states)


def test_the_w_method_catches_every_automaton_of_two_more_states() -> None:
    """Automata that differ in one transition, or in a chain of states that is entered rarely, never pass."""
    truth = minimise(tomita(3))
    words, lengths = w_method(truth, extra=2)
    said = outputs_of(truth, words)
    rng = np.random.default_rng(0)
    caught = 0
    while caught < 150:
        n = int(rng.integers(5, 8))  # up to two more states
        transitions, outputs = rng.integers(n, size=(n, 2)), rng.integers(2, size=n)
        keep = rng.random((5, 2)) < 0.85
        transitions[:5][keep], outputs[:5] = truth.transitions[keep], truth.outputs
        other = Automaton(truth.alphabet, truth.classes, [f"s{i}" for i in range(n)], 0, transitions, outputs)
        if equivalent(truth, other) is None:
            continue
        caught += 1
        assert difference(outputs_of(other, words), said, (words, lengths)).word is not None


def test_suites_have_the_words_that_they_promise() -> None:
    words, lengths = short_words(3, most=100)
    assert words.shape == (81, 4) and len(np.unique(words, axis=0)) == 81 and set(lengths) == {4}
    walks, lengths = state_walks(minimise(tomita(3)), 7, 5, np.random.default_rng(0))
    assert len(walks) <= 35 and set(lengths) == {5, 6, 7, 8}
    many = w_method(random_automaton(30, 4, np.random.default_rng(0)), extra=5, most=2000)[0]
    assert len(many) <= 2000
