"""SuccessorErrors of clusters: none conflict in a perfect automaton, and a loop counts those that do."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest

from mechlab.automata.tomita import tomita
from mechlab.automata.words.prefixes import Prefixes, distinct_prefixes
from mechlab.clustering.bisimulation import successor_errors


def prefixes_of(words: int = 200, seed: int = 0) -> Prefixes:
    rng = np.random.default_rng(seed)
    return distinct_prefixes(
        np.where(np.arange(9) < rng.integers(1, 10, (words, 1)), rng.integers(2, size=(words, 9)), -1)
    )


def counted(clusters: np.ndarray, prefixes: Prefixes) -> tuple[float, float]:
    """Conflict and entropy by a loop over the occurrences of prefixes."""
    after, steps = defaultdict(Counter), 0
    for p in range(len(prefixes)):
        if prefixes.parent[p] >= 0:
            after[clusters[prefixes.parent[p]], prefixes.letter[p]][clusters[p]] += int(prefixes.count[p])
            steps += int(prefixes.count[p])
    lost = sum(sum(counts.values()) - max(counts.values()) for counts in after.values())
    entropy = 0.0
    for counts in after.values():
        total = sum(counts.values())
        entropy -= sum(n * np.log(n / total) for n in counts.values())
    return lost / steps, entropy / steps / np.log(len(set(clusters.tolist())))


def test_agrees_with_a_loop() -> None:
    prefixes = prefixes_of()
    clusters = np.random.default_rng(1).integers(-1, 5, len(prefixes))
    found = successor_errors(clusters, prefixes.parent, prefixes.letter, prefixes.count)
    assert (found.conflict, found.entropy) == pytest.approx(counted(clusters, prefixes), abs=1e-12)
    assert found.conflict > 0.4 and found.entropy > 0.7
    assert found.by_cluster.shape == (6,) and (found.by_cluster > 0).all()


@pytest.mark.parametrize("index", range(1, 8))
def test_states_of_an_automaton_have_one_successor_by_each_letter(index: int) -> None:
    prefixes = prefixes_of()
    found = successor_errors(prefixes.automaton_states(tomita(index)), prefixes.parent, prefixes.letter, prefixes.count)
    assert found.conflict == 0 and found.entropy == pytest.approx(0, abs=1e-12) and (found.by_cluster == 0).all()


def test_outputs_alone_do_not_tell_what_follows() -> None:
    """Clusters that are pure in the output need not be states: those of Tomita 5 forget one parity."""
    prefixes = prefixes_of()
    outputs = tomita(5).outputs[prefixes.automaton_states(tomita(5))]
    assert successor_errors(outputs, prefixes.parent, prefixes.letter, prefixes.count).conflict > 0.2


@pytest.mark.parametrize("length", [1, 5])
def test_one_cluster_and_no_steps_are_no_fault(length: int) -> None:
    prefixes = distinct_prefixes(np.zeros((2, length), int))
    found = successor_errors(np.zeros(len(prefixes), int), prefixes.parent, prefixes.letter)
    assert (found.conflict, found.entropy, found.by_cluster.tolist()) == (0, 0, [0])
