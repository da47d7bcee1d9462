"""Labels and ambiguities of every kind of ground truth, in both analyses, against the definitions word by word."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_run import FakeRun
from word_task import Words

from mechlab.analyses.ambiguity import Ambiguity
from mechlab.analyses.clusterings import Clusterings
from mechlab.analyses.labelled_states import label_names, labelled_states, words_of
from mechlab.automata.extraction.conformance import outputs_of
from mechlab.automata.mealy import moore_of_mealy
from mechlab.automata.pushdown.grammars import grammar
from mechlab.automata.random import random_automaton
from mechlab.automata.tomita import tomita
from mechlab.core.errors import ConfigError
from mechlab.models.gru import GRU
from mechlab.models.lstm import LSTM
from mechlab.record.artifacts import Artifacts
from mechlab.tasks.automaton import AutomatonWords
from mechlab.tasks.context_free import ContextFree

Word = Sequence[str]
PUSHDOWN = {  # state, letter, needed top (or None) -> action, next state; whatever else goes to err
    "L1": {
        ("q0", "a", None): ("push", "q1"),
        ("q1", "a", None): ("push", "q1"),
        ("q1", "b", "a"): ("pop", "q2"),
        ("q2", "b", "a"): ("pop", "q2"),
    },
    "L7": {
        **{(state, letter, None): ("push", "q1") for state in ("q0", "q1") for letter in "(["},
        ("q1", ")", "("): ("pop", "q1"),
        ("q1", "]", "["): ("pop", "q1"),
    },
}
MEALY = {  # a vending machine: p counts coins modulo two, and s is out of order
    ("p", "coin"): ("q", "more"),
    ("q", "coin"): ("p", "cup"),
    ("p", "kick"): ("s", "none"),
    ("q", "kick"): ("q", "none"),
    ("s", "coin"): ("s", "none"),
    ("s", "kick"): ("s", "none"),
}


def pushdown_label(name: str, by: str) -> Callable[[Word], object]:
    """The label of a word, by reading it letter after letter with a list for a stack."""

    def label(word: Word) -> object:
        state, stack = "q0", ["$"]
        for letter in word:
            for (source, read, top), (action, target) in PUSHDOWN[name].items():
                if (source, read) == (state, letter) and top in (None, stack[-1]):
                    state = target
                    stack.append(letter) if action == "push" else stack.pop()
                    break
            else:
                state = "err"
        return {"state": state, "height": (state, min(len(stack), 3)), "top": (state, stack[-1])}[by]

    return label


def mealy_machine():
    states, letters, outputs = ("p", "q", "s"), ("coin", "kick"), ("cup", "more", "none")
    moves = [[states.index(MEALY[s, a][0]) for a in letters] for s in states]
    says = [[outputs.index(MEALY[s, a][1]) for a in letters] for s in states]
    return moore_of_mealy(letters, outputs, states, 0, moves, says)


def mealy_label(word: Word) -> str:
    state = "p"
    for letter in word:
        state = MEALY[state, letter][0]
    return state


def state_label(automaton) -> Callable[[Word], object]:
    def label(word: Word) -> object:
        state = automaton.initial
        for letter in word:
            state = automaton.transitions[state][automaton.alphabet.index(letter)]
        return state

    return label


DFA, MOORE = tomita(3), random_automaton(8, 3, np.random.default_rng(0), classes=3)
CASES = {
    "DFA": (DFA, "state", state_label(DFA), 5),
    "Moore": (MOORE, "state", state_label(MOORE), 8),
    "Mealy": (mealy_machine(), "state", mealy_label, 3),
    **{
        f"{name} {by}": (grammar(name), by, pushdown_label(name, by), n * factor)
        for name, n, letters in (("L1", 4, 2), ("L7", 3, 4))
        for by, factor in (("state", 1), ("height", 3), ("top", letters))
    },
}


def textbook(words: list[Word], label: Callable[[Word], object], cluster: dict[Word, int]) -> list[float]:
    """Mean, weighted, largest and least ambiguity, by a loop over the prefixes of all words."""
    table, labels = defaultdict(Counter), set()
    for word in words:
        for end in range(1, len(word) + 1):
            found = label(word[:end])
            table[cluster[word[:end]]][found] += 1
            labels.add(found)
    scores, sizes = [], []
    for counts in table.values():
        size = sum(counts.values())
        scores.append(-sum(n / size * math.log(n / size, len(labels)) for n in counts.values() if n < size))
        sizes.append(size)
    weighted = sum(size * score for size, score in zip(sizes, scores, strict=True)) / sum(sizes)
    return [sum(scores) / len(scores), weighted, max(scores), min(scores)]


def clustered(run: FakeRun, clusters: np.ndarray) -> dict[Word, int]:
    """The cluster of each prefix, given those (P,) of the distinct prefixes."""
    prefixes, letters = labelled_states(run, 150, "val").prefixes, run.task.truth.alphabet
    return {
        tuple(letters[a] for a in prefixes.words[row, :length]): int(c)
        for row, length, c in zip(prefixes.row, prefixes.length, clusters, strict=True)
    }


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple:
    truth, by, label, most = CASES[request.param]
    task = Words(truth, length=10)
    torch.manual_seed(0)
    model = GRU(task.spec, hidden=6).eval()
    run = FakeRun(task, model, model)
    letters = words_of(run.evaluation("val", 150).inputs)
    words = [tuple(truth.alphabet[a] for a in word if a >= 0) for word in letters]
    return run, by, label, most, words


def test_ambiguity_is_the_textbooks(case: tuple, tmp_path: Path) -> None:
    run, by, label, most, words = case
    analysis = Ambiguity(multiple=1.0, curve=(), words=150, by=by, n_init=1, nulls=False, bootstrap=0, causal=0)
    found = analysis.run(run, Artifacts(tmp_path), np.random.default_rng(0)).scalars
    assert found["clusters"] == most  # states times labels per state
    cluster = clustered(run, Artifacts(tmp_path).arrays("states")["clusters"])
    expected = textbook(words, label, cluster)
    np.testing.assert_allclose([found[name] for name in ("mean", "weighted", "max", "min")], expected, 1e-12, 1e-15)
    assert expected[1] > 0.1


def test_clusterings_are_the_textbooks(case: tuple, tmp_path: Path) -> None:
    run, by, label, _, words = case
    analysis = Clusterings(("k_means_double", "DBSCAN_half", "lda"), words=150, by=by)
    analysis.run(run, Artifacts(tmp_path), np.random.default_rng(0))
    saved, table = Artifacts(tmp_path).arrays("clusters"), Artifacts(tmp_path).table("methods").set_index("method")
    for method in ("k_means_double", "DBSCAN_half", "lda"):
        expected = textbook(words, label, clustered(run, saved[f"{method}.clusters"]))
        found = table.loc[method, ["mean", "weighted", "max", "min"]].to_numpy(float)
        np.testing.assert_allclose(found, expected, 1e-12, 1e-15)


def test_labels_have_the_names_of_what_they_tell(case: tuple) -> None:
    """Equal labels are equal states, and the other way round; there is a name for each."""
    run, by, label, _, _ = case
    found, names = labelled_states(run, 150, "val", by), label_names(run.task.truth, by)
    assert found.names == names
    mine = clustered(run, found.labels)
    theirs = {word: label(word) for word in mine}
    assert (
        len(set(zip(mine.values(), theirs.values(), strict=True)))
        == len(set(mine.values()))
        == len(set(theirs.values()))
    )
    for word, number in mine.items():
        text = (
            theirs[word]
            if isinstance(theirs[word], str)
            else theirs[word][0]
            if isinstance(theirs[word], tuple)
            else ""
        )
        assert names[number].startswith(text)


def test_a_mealy_machine_has_its_own_states_though_some_are_split() -> None:
    machine = mealy_machine()
    assert len(machine.states) > 3 and label_names(machine) == ("p", "q", "s")


def test_what_is_told_is_what_the_definitions_tell() -> None:
    words = np.array([[0, 0, 1, 0], [0, 1, 1, 1]])
    np.testing.assert_array_equal(outputs_of(mealy_machine(), words), [[1, 0, 2, 2], [1, 2, 2, 2]])
    np.testing.assert_array_equal(outputs_of(grammar("L1"), np.array([[0, 0, 1, 1, 1]])), [[0, 0, 0, 1, 0]])


def observed(task, model=None, **options):
    """What a network of three units, trained or not, and the task's ground truth reach."""
    return labelled_states(FakeRun(task, model or GRU(task.blueprint(), 3), None), 40, "val", **options)


@pytest.mark.parametrize(("part", "columns"), [("hidden", slice(0, 6)), ("cells", slice(6, 12)), ("last", slice(3, 6))])
def test_a_part_of_the_state_is_kept(part, columns):
    """Of an LSTM of two layers with three units: hidden states of both, then cells of both."""
    task = AutomatonWords("tomita5", words=200)
    model = LSTM(task.blueprint(), 3, 2)
    np.testing.assert_array_equal(observed(task, model, part=part).states, observed(task, model).states[:, columns])


def test_a_part_that_there_is_not_is_refused():
    with pytest.raises(ConfigError, match="no such part"):
        observed(AutomatonWords("tomita5", words=200), part="cells")


@pytest.mark.parametrize("task", [AutomatonWords("coffee", words=200), ContextFree("L7", words=200)])
def test_labels_by_transition_tell_the_state_before_and_the_letter(task):
    found, states = observed(task, by="transition"), observed(task)
    first = found.names[found.labels[0]].rsplit(", ", 1)[0]
    for label, parent, letter in zip(found.labels, found.prefixes.parent, found.prefixes.letter, strict=True):
        before = first if parent < 0 else states.names[states.labels[parent]]
        assert found.names[label] == f"{before}, {task.spec.vocabulary[letter]}"
    assert found.factor == len(task.spec.vocabulary)


def test_words_that_end_in_a_trap_are_left_out():
    task = AutomatonWords("tomita3", words=200, sampler="balanced")
    truth = task.ground_truth()
    (trap,) = [name for name, row in zip(truth.states, truth.transitions.tolist(), strict=True) if len({*row}) == 1]
    seen, kept = observed(task), observed(task, keep_traps=False)
    assert trap in {seen.names[label] for label in seen.labels}
    assert trap not in {kept.names[label] for label in kept.labels}
