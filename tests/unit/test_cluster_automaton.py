"""Cluster automata, against a loop over words, with conflicts, ties and letters that were never observed."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
import torch

from mechlab.automata.equivalence import equivalent, minimise
from mechlab.automata.extraction.cluster_automaton import (
    Observations,
    cluster_automaton,
    completed,
    nearest_mean,
    observe,
)
from mechlab.automata.extraction.conformance import draw_words, empty_class
from mechlab.automata.extraction.word_classifier import WordClassifier
from mechlab.automata.tomita import tomita
from mechlab.automata.words.prefixes import distinct_prefixes
from mechlab.core.task import TaskSpec
from mechlab.models.constructed import Constructed
from mechlab.models.gru import GRU

BINARY = ("0", "1"), ("reject", "accept")


def spec(index: int) -> TaskSpec:
    truth = tomita(index)
    return TaskSpec(inputs=2, outputs=2, kind="sequence", loss="cross_entropy", length=9, truth=truth)


def prefixes_of(n: int = 60, longest: int = 9, seed: int = 0):
    words, lengths = draw_words(tomita(3), 1, longest, n, np.random.default_rng(seed), "uniform")
    return distinct_prefixes(np.where(np.arange(longest) < lengths[:, None], words, -1)), words, lengths


def textbook(words, lengths, clusters: dict, predicted: dict) -> tuple[dict, dict, float]:
    """Majority successors and outputs, and the share of steps outside the majority, word by word."""
    steps, says = defaultdict(Counter), defaultdict(Counter)
    for word, length in zip(words.tolist(), lengths, strict=True):
        here = "init"
        for t in range(length):
            prefix = tuple(word[: t + 1])
            steps[here, word[t]][clusters[prefix]] += 1
            says[clusters[prefix]][predicted[prefix]] += 1
            here = clusters[prefix]
    most = sum(max(found.values()) for found in steps.values())
    return steps, says, 1 - most / sum(sum(found.values()) for found in steps.values())


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_a_loop_over_words(seed: int) -> None:
    prefixes, words, lengths = prefixes_of(seed=seed)
    torch.manual_seed(seed)
    observed = observe(WordClassifier(GRU(spec(3), hidden=4)), prefixes)
    observed = Observations(
        observed.parent,
        observed.letter,
        observed.length,
        observed.count,
        observed.states,
        np.arange(len(observed)) % 3 % 2,
    )
    clusters = np.random.default_rng(seed).integers(0, 3, len(observed))
    found = cluster_automaton(observed, clusters, *BINARY, empty=1)
    names = {observed.word(p): p for p in range(len(observed))}
    of = {word: int(clusters[p]) for word, p in names.items()}
    predicted = {word: int(observed.predicted[p]) for word, p in names.items()}
    steps, says, conflicts = textbook(words, lengths, of, predicted)
    assert found.transition_conflicts == pytest.approx(conflicts, abs=1e-12)
    automaton = found.automaton
    assert automaton.states == ("init", "c0", "c1", "c2") and automaton.outputs[0] == 1
    for (source, letter), counts in steps.items():
        state = 0 if source == "init" else source + 1
        target = automaton.transitions[state, letter] - 1
        assert counts[target] == max(counts.values())
        assert target == min(one for one, count in counts.items() if count == max(counts.values()))
    for cluster, counts in says.items():
        assert counts[automaton.outputs[cluster + 1]] == max(counts.values())
    for state, prefix in enumerate(found.access[1:], start=1):
        assert clusters[prefix] == state - 1 and observed.predicted[prefix] == automaton.outputs[state]
    assert found.access[0] == -1 and observed.word(-1) == ()


def test_what_was_never_seen_is_read_from_the_network() -> None:
    """Words of 1s alone never tell where 0 leads; completed, they tell the whole automaton."""
    network = WordClassifier(Constructed(spec(3), "relu2").eval(), empty_class(tomita(3)))
    observed = observe(network, distinct_prefixes(np.array([[1, 1, 1]])))
    codes = {tuple(code): i for i, code in enumerate(np.unique(np.round(observed.states, 3), axis=0))}
    clusters = np.array([codes[tuple(code)] for code in np.round(observed.states, 3)])
    with pytest.raises(ValueError, match="complete the prefixes"):
        cluster_automaton(observed, clusters, *BINARY, empty=1)

    def assign(states: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        return np.array([codes.setdefault(tuple(code), len(codes)) for code in np.round(states, 3)])

    more, clusters = completed(network, observed, clusters, assign)
    assert (clusters[:3] == assign(observed.states, observed.predicted)).all() and len(more) > 3
    found = cluster_automaton(more, clusters, *BINARY, empty=network.empty)
    assert equivalent(found.automaton, tomita(3)) is None
    assert found.transition_conflicts == found.output_conflicts == 0
    for prefix in range(len(more)):
        np.testing.assert_array_equal(more.predicted[prefix], network.last([more.word(prefix)])[0])
        assert len(more.word(prefix)) == more.length[prefix]


def test_by_default_states_go_to_the_nearest_mean() -> None:
    states = np.array([[0.0, 0], [0, 1], [5, 5], [6, 5]], np.float32)
    assign = nearest_mean(states, np.array([7, 7, 3, 3]))
    assert assign(np.array([[0.2, 0.2], [4, 4]]), np.zeros(2)).tolist() == [7, 3]


@pytest.mark.parametrize("index", range(1, 8))
def test_the_states_of_a_network_that_is_the_automaton_make_it_up(index: int) -> None:
    network = WordClassifier(Constructed(spec(index), "relu2").eval(), empty_class(tomita(index)))
    observed = observe(network, prefixes_of()[0])
    clusters = np.unique(np.round(observed.states, 3), axis=0, return_inverse=True)[1].reshape(-1)
    observed, clusters = completed(network, observed, clusters)
    found = cluster_automaton(observed, clusters, *BINARY, empty=network.empty)
    assert found.transition_conflicts == 0
    assert equivalent(found.automaton, tomita(index)) is None
    assert len(minimise(found.automaton).states) == len(minimise(tomita(index)).states)
    mixed = cluster_automaton(*completed(network, observed, clusters // 3), *BINARY, empty=network.empty)
    assert mixed.transition_conflicts > 0.01 or len(np.unique(clusters)) <= 3
