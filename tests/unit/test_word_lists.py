"""Lists of words: their files, their letters, and analyses of networks on them in place of drawn words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_run import FakeRun
from planted_networks import Planted, Scrambled
from recorded_trainings import recipe_of

from mechlab.analyses.ambiguity import Ambiguity
from mechlab.analyses.clusterings import Clusterings
from mechlab.analyses.conformance import Conformance
from mechlab.analyses.extraction import Extraction
from mechlab.analyses.given_words import WordAnalysis
from mechlab.analyses.labelled_states import evaluation
from mechlab.analyses.noise_dose import NoiseDose
from mechlab.analyses.pictures import Pictures
from mechlab.analyses.retraining import Retraining
from mechlab.analyses.states_over_training import StatesOverTraining
from mechlab.automata import named
from mechlab.automata.words.word_lists import letter_indices, read_words
from mechlab.config.build import prepare, without_files
from mechlab.core.analysis import Analysis, Finding
from mechlab.core.errors import ConfigError
from mechlab.core.task import Batch, Split
from mechlab.models.causal_transformer import CausalTransformer
from mechlab.record import answers
from mechlab.record.artifacts import Artifacts
from mechlab.tasks.automaton import AutomatonWords
from mechlab.tasks.context_free import ContextFree

TASK = AutomatonWords("tomita3", words=400, val_words=150, test_words=10, max_length=10)
ANALYSES = (
    *(Ambiguity, Clusterings, Conformance, Extraction, NoiseDose, Pictures, Retraining),
    StatesOverTraining,
)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.txt", "0 1 1\n\n01\n", ("0 1 1", "", "01")),
        ("a", "\ufeffpod water\r\n  clean  \r\n", ("pod water", "clean")),
        ("a.txt", "0,1\n", ("0,1",)),
        ("a.csv", "011\n\n1", ("011", "", "1")),
        ("a.csv", '"0 1"\n1\n', ("0 1", "1")),
        ("a.csv", "length,word\n3,011\n0,\n1,1\n", ("011", "", "1")),
    ],
)
def test_a_file_has_a_word_on_each_line(tmp_path: Path, name: str, text: str, words: tuple[str, ...]) -> None:
    (tmp_path / name).write_bytes(text.encode())
    assert read_words(tmp_path / name) == words


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"\n\n", "a word of one letter or more"),
        ("a.csv", b"word\n", "a word of one letter or more"),
        ("a.txt", b"\xff\xfe0", "text in UTF-8"),
        ("a.csv", b"0,1\n1,0\n", "one column, or one with the header word. Got the row 0,1"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}.*{message}"):
        read_words(tmp_path / name)


def test_letters_are_single_characters_or_separated() -> None:
    assert letter_indices(["0110", "0 1", "", "1"], ("0", "1")) == [[0, 1, 1, 0], [0, 1], [], [1]]
    assert letter_indices(["coin button coin", "coin"], ("button", "coin")) == [[1, 0, 1], [1]]
    assert letter_indices(["ab", "a b", "ba"], ("a", "b", "ab")) == [[2], [0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["0", "012"], "of the alphabet's letters. Got '2' in word 2: 012"),
        (["coin"], "Got 'c' in word 1"),
        (["0 1", "1", "01"], "occur once. Got word 1 again in word 3: 01"),
        (["0", "01" * 501], "at most 1000 letters. Got 1002 in word 2: 0101.*\\.\\.\\."),
        (["0"] * 100_001, "at most 100000 words. Got 100001"),
    ],
)
def test_words_that_cannot_be_read_are_named(words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        letter_indices(words, ("0", "1"))


@dataclass
class Drawn(FakeRun):
    """A run whose validation words are the distinct ones of its task's."""

    def evaluation(self, split: Split, n: int | None = None) -> Batch:
        batch = super().evaluation(split)
        first = {bytes(word): i for i, word in reversed(list(enumerate(batch.inputs.numpy())))}
        return batch[torch.tensor(sorted(first.values()))[:n]]


def texts(run: FakeRun) -> list[str]:
    """The validation words as texts."""
    inputs = run.evaluation("val").inputs
    return ["".join(TASK.spec.vocabulary[i] for i in word.argmax(-1)[: int(word.sum())]) for word in inputs]


def run_of(language: str = "tomita3") -> Drawn:
    """A run of TASK with a network that computes a language, and a network without memory as the untrained one."""
    return Drawn(TASK, Planted(TASK.spec, named(language)), Scrambled(TASK.spec))


def answer(analysis: Analysis, run: FakeRun, folder: Path) -> Finding:
    folder.mkdir(exist_ok=True)
    return analysis.run(run, Artifacts(folder), np.random.default_rng(0))


READING = {
    "ambiguity": lambda words: Ambiguity(words=words, curve=(), n_init=1, causal=0, nulls=False, bootstrap=50),
    "clusterings": lambda words: Clusterings(("k_means",), words=words),
    "pictures": lambda words: Pictures(("pca",), (2,), words=words),
    "extraction": lambda words: Extraction(words=words, tests=50, agreement_words=300, rounds=1, nulls=False),
}


@pytest.mark.parametrize("name", READING)
def test_given_words_are_read_like_the_same_words_drawn(name: str, tmp_path: Path) -> None:
    """The finding on a file of the validation words is that on the validation words; on fewer words it is another."""
    run, (file, fewer) = run_of("tomita4"), (tmp_path / "words.txt", tmp_path / "fewer.txt")
    words = texts(run)
    file.write_text("\n".join(["", *words]))
    fewer.write_text("\n".join(words[:60]))
    drawn, given, other = (answer(READING[name](w), run, tmp_path / "a") for w in (10_000, str(file), str(fewer)))
    assert given.as_dict() == drawn.as_dict() and given.claims
    assert other.scalars != drawn.scalars


def right_words(language: str, words: list[str]) -> list[bool]:
    """For each word, whether an automaton outputs the class of TASK's after every letter."""
    networks, right = (named(language), TASK.ground_truth()), []
    for word in words:
        states, same = [automaton.initial for automaton in networks], True
        for letter in word:
            states = [a.transitions[q, int(letter)] for a, q in zip(networks, states, strict=True)]
            same &= networks[0].outputs[states[0]] == networks[1].outputs[states[1]]
        right.append(bool(same))
    return right


@pytest.mark.parametrize("language", ["tomita3", "tomita4"])
def test_conformance_on_given_words_is_the_share_of_a_loop(language: str, tmp_path: Path) -> None:
    run = run_of(language)
    words = texts(run)
    found = answer(Conformance(words=tuple(words)), run, tmp_path)
    expected = np.mean(right_words(language, words))
    assert found.scalars["accuracy"] == pytest.approx(expected) and found.scalars["words"] == len(words)
    assert "accuracy_bound" not in found.scalars and f"the {len(words)} given words" in found.claims["right"].statement
    assert found.claims["right"].holds == (language == "tomita3")


@pytest.mark.parametrize("language", ["tomita3", "tomita4"])
def test_an_extracted_automaton_is_compared_on_given_words(language: str, tmp_path: Path) -> None:
    """What is extracted from a network that computes a language agrees with it, and is wrong on the words on which that
    language differs from the ground truth."""
    run = run_of(language)
    found = answer(Extraction(agreement_words=tuple(texts(run)), tests=50, nulls=False), run, tmp_path)
    assert found.scalars["agreement"] == 1 and "epsilon" not in found.scalars
    assert found.claims["equivalent"].holds == (language == "tomita3")
    assert "at least 0.99 of the given words" in found.claims["agrees"].statement


def test_a_batch_of_given_words_has_the_tasks_targets() -> None:
    batch = evaluation(run_of(), ("0100", "", "1"), "val")
    whole = TASK.examples("val")
    assert batch.inputs.dtype == whole.inputs.dtype and batch.inputs.sum((1, 2)).tolist() == [4, 1]
    assert batch.targets.tolist() == [[1, 1, 0, 1], [1, 0, 0, 0]] and batch.mask.sum(1).tolist() == [4, 1]
    brackets = ContextFree("L7", words=100, val_words=50, test_words=50)
    closed = evaluation(FakeRun(brackets, None, None), ("([])", "([)]"), "val")
    assert closed.targets[:, -1].tolist() == [1, 0]


def test_few_given_words_support_no_claim(tmp_path: Path) -> None:
    run = run_of()
    found = answer(Conformance(words=tuple(texts(run)[:49])), run, tmp_path)
    assert not found.claims and "the given words have 49 distinct words" in found.notes["too_few_words"]


@pytest.mark.parametrize("kind", ANALYSES)
def test_words_are_checked_before_anything_is_computed(kind: type[WordAnalysis], tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("0\n2\n")
    for source in kind.word_sources:
        kind(**{source: ("0", "01", "")}).check("it", "automaton", TASK, "analysis.it")
        for words, message in (
            (str(tmp_path / "words.txt"), "word 2: 2"),
            ("none.txt", "No such file"),
            (("", ""), "a word of one letter or more"),
            (("0", "0 1", "01"), "occur once"),
        ):
            with pytest.raises(ConfigError, match=message) as caught:
                kind(**{source: words}).check("it", "automaton", TASK, "analysis.it")
            assert caught.value.key == f"analysis.it.{source}" and "the letters are 0, 1" in caught.value.fix


LONG = "0" * 25  # for a context of 20 steps


@pytest.mark.parametrize(
    ("analysis", "longest"),
    [
        (Conformance(words=("01", "10")), None),  # lengths are those of random words, of which there are none
        (Conformance(words=(LONG,), lengths=(5, 10)), 25),
        (Conformance(lengths=(5, 10)), None),
        (Conformance(), 30),
        (Conformance(words=("0",), lengths=None), None),
        (NoiseDose(words=("01",)), None),
        (NoiseDose(lengths=(5, 10), evaluation_words=("01", LONG)), 25),
        (NoiseDose(evaluation_words=("01",)), 30),
        (Retraining(words=("01",)), 30),
        (Retraining(long_words=("01",)), None),
        (Retraining(words=(LONG,), long_words=("01",)), 25),
        (Extraction(words=("01",), agreement_words=("01",)), 30),  # counterexamples have these lengths too
        (Ambiguity(words=(LONG,)), 25),
        (Ambiguity(words=("0",), lengths=21), 21),
        (Clusterings(words=(LONG,)), 25),
        (Pictures(), None),
    ],
)
def test_the_context_holds_the_longest_word_that_is_read(analysis: WordAnalysis, longest: int | None) -> None:
    recipe = recipe_of(torch.optim.Adam, task=TASK, model=partial(CausalTransformer, width=8, heads=2, context=20))
    if longest is None:
        analysis.check_recipe("it", recipe, "analysis.it")
        return
    with pytest.raises(ConfigError, match=f"reads sequences of up to {longest} steps"):
        analysis.check_recipe("it", recipe, "analysis.it")


def test_the_context_holds_the_longest_word_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text(f"01\n{LONG}\n")
    recipe = recipe_of(torch.optim.Adam, task=TASK, model=partial(CausalTransformer, width=8, heads=2, context=20))
    with pytest.raises(ConfigError, match="up to 25 steps"):
        NoiseDose(lengths=(5, 10), evaluation_words=str(tmp_path / "words.txt")).check_recipe("it", recipe, "it")


def test_the_content_of_a_list_is_part_of_an_answers_identity_and_its_path_is_not(tmp_path: Path) -> None:
    first, same, other = (tmp_path / name for name in ("first.txt", "same.csv", "other.txt"))
    first.write_text("0\n01\n")
    same.write_text("word\n0\n01\n")
    other.write_text("0\n" + "\n".join("1" * length for length in range(1, 60)))
    target = {"_target_": "mechlab.analyses.conformance.Conformance"}
    usual = prepare(target, "analysis.conformance", Analysis).identity()

    def asked(path: Path) -> dict:
        node = without_files({**target, "words": str(path)}, "analysis.conformance")
        return prepare(node, "analysis.conformance", Analysis).identity()

    places = [answers.place(tmp_path, "conformance", asked(path), usual, None).name for path in (first, same, other)]
    assert places[0] == places[1] != places[2] and all(name.startswith("conformance@") for name in places)
    assert answers.differences(asked(first), usual, None) == {"words": ["0", "01"]}
    shown = answers.differences(asked(other), usual, None)["words"]
    assert shown.startswith("60 items, sha256 ") and len(shown) < 30
    inside = {"_target_": "mechlab.training.callbacks.AnalysisCallback", "analysis": {**target, "words": str(first)}}
    assert without_files(inside, "callbacks.it")["analysis"]["words"] == ["0", "01"]
    missing = {**target, "words": "none.txt"}
    assert without_files(missing, "analysis.conformance") == missing  # for `check` to refuse
