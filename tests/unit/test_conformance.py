"""Conformance, against a loop over letters, and of networks that are right, constant and nearly right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fake_run import FakeRun
from torch import Tensor

from mechlab.analyses.conformance import Conformance
from mechlab.automata.bounds import lower_bound
from mechlab.automata.extraction.conformance import by_length, conformance, draw_words, empty_class, outputs_of
from mechlab.automata.extraction.word_classifier import WordClassifier
from mechlab.automata.library import coffee
from mechlab.automata.pushdown.grammars import grammar
from mechlab.automata.tomita import tomita
from mechlab.core.analysis import Finding
from mechlab.core.model import SequenceModel, Trace
from mechlab.models.gru import GRU
from mechlab.models.lstm import LSTM
from mechlab.record.artifacts import Artifacts
from mechlab.tasks.context_free import ContextFree
from mechlab.tasks.tomita import Tomita


class Oracle(SequenceModel):
    """A model that tells what a machine says, wherever that may be changed."""

    def __init__(self, spec, machine, change=lambda said: said):
        super().__init__(spec)
        self.machine, self.change = machine, change

    def initial_state(self, batch: int) -> Tensor:
        return torch.zeros(batch, 1)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def forward(self, x: Tensor, last: int | None = None) -> Trace:
        said = self.change(outputs_of(self.machine, x.argmax(-1).numpy()))
        outputs = torch.nn.functional.one_hot(torch.as_tensor(said), self.spec.outputs).float()
        return Trace(outputs, self.initial_state(len(x)), ())


def textbook(predicted: np.ndarray, right: np.ndarray, lengths: np.ndarray) -> dict[str, float]:
    """Share of words, of letters, and balanced share of letters, letter by letter."""
    words, letters = [], {}
    for t, r, length in zip(predicted, right, lengths, strict=True):
        words.append(True)
        for i in range(length):
            letters.setdefault(r[i], []).append(t[i] == r[i])
            words[-1] = words[-1] and t[i] == r[i]
    every = [good for goods in letters.values() for good in goods]
    shares = [sum(goods) / len(goods) for goods in letters.values()]
    constant = max(len(goods) for goods in letters.values()) / len(every)
    return {
        "accuracy": sum(words) / len(words),
        "letters": sum(every) / len(every),
        "balanced": sum(shares) / len(shares),
        "constant": constant,
    }


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_the_textbook(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 7, 40)
    right = rng.integers(0, 3, (40, 6))
    predicted = np.where(rng.random((40, 6)) < 0.15, rng.integers(0, 3, (40, 6)), right)
    found = conformance(predicted, right, lengths)
    for name, value in textbook(predicted, right, lengths).items():
        assert getattr(found, name) == pytest.approx(value, abs=1e-12)
    lines = dict(by_length(predicted, right, lengths))
    assert sum(line.words * line.accuracy for line in lines.values()) == pytest.approx(40 * found.accuracy)
    assert list(lines) == sorted(set(lengths))


@pytest.mark.parametrize("make", [GRU, LSTM])
@pytest.mark.parametrize("chunk", [2**22, 300])
def test_all_words_at_once_are_the_steps_of_each_word(make, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mechlab.automata.extraction.word_classifier.CHUNK", chunk)
    torch.manual_seed(0)
    model = make(Tomita(words=1, val_words=1, test_words=1).spec, hidden=5)
    with torch.no_grad():
        model.readout.bias -= model.readout.bias
    words, lengths = draw_words(tomita(3), 2, 9, 30, np.random.default_rng(0), "uniform")
    network = WordClassifier(model)
    predicted = network.outputs(words, lengths)
    assert (network.queries, network.steps) == (30, lengths.sum())
    for word, length, classes in zip(words, lengths, predicted, strict=True):
        state = model.initial_state(1)
        for t in range(length):
            output, state = model.step(torch.eye(2)[word[t]][None], state)
            assert classes[t] == output.argmax()
    assert network.last([(0, 1, 1), ()]).tolist() == [network.outputs(np.array([[0, 1, 1]]))[0, -1], 0]


def test_a_letter_that_is_none_is_refused() -> None:
    model = GRU(Tomita(words=1, val_words=1, test_words=1).spec, hidden=2)
    with pytest.raises(ValueError, match="below 2"):
        WordClassifier(model).outputs(np.array([[0, 2]]))


@pytest.mark.parametrize("name", ["L1", "L7", "L12"])
def test_balanced_words_of_context_free_languages_are_half_accepted(name: str) -> None:
    machine = grammar(name)
    words, lengths = draw_words(machine, 5, 12, 400, np.random.default_rng(0), "balanced")
    last = machine.outputs(words)[np.arange(len(words)), lengths - 1]
    assert 380 <= len(words) <= 430 and set(lengths) <= {6, 8, 10, 12}
    for length in set(lengths):
        assert last[lengths == length].mean() == pytest.approx(0.5, abs=0.03)
    with pytest.raises(ValueError, match="must have an accepted word"):
        draw_words(machine, 5, 5, 10, np.random.default_rng(0), "balanced")


def test_what_is_said_on_the_empty_word() -> None:
    assert [empty_class(tomita(i)) for i in range(1, 8)] == [1, 0, 1, 1, 1, 1, 1]
    assert empty_class(coffee()) == 0 and empty_class(grammar("L7")) == 0


def test_the_bound_is_that_of_clopper_and_pearson() -> None:
    """Were the true share the bound, so many good draws or more would have the probability delta."""
    from scipy.stats import binom

    for good, n in [(90, 100), (1, 7), (999, 1000)]:
        assert binom.sf(good - 1, n, lower_bound(good, n, 0.05)) == pytest.approx(0.05, abs=1e-9)
    assert lower_bound(500, 500, 0.1) == pytest.approx(0.1 ** (1 / 500), abs=1e-12)
    assert lower_bound(0, 9, 0.1) == 0


def analyse(task, model, folder: Path, **options) -> Finding:
    run = FakeRun(task, model, model)
    options = {"words": 600, **options}
    return Conformance(**options).run(run, Artifacts(folder), np.random.default_rng(0))


@pytest.mark.parametrize("sampler", ["uniform", "balanced"])
def test_a_right_network_a_constant_and_one_slip(sampler: str, tmp_path: Path) -> None:
    """On uniform words over brackets to reject is nearly perfect; balanced, it is a coin."""
    task = ContextFree("L7", words=10, val_words=10, test_words=10)
    machine = task.ground_truth()
    options = {"sampler": sampler, "lengths": (10, 14)}
    right = analyse(task, Oracle(task.spec, machine), tmp_path, **options)
    assert right.scalars["accuracy"] == right.scalars["balanced"] == 1 and right.claims["right"].holds
    assert right.claims["right"].null < 1
    constant = analyse(task, Oracle(task.spec, machine, np.zeros_like), tmp_path, **options)
    assert constant.scalars["balanced"] == 0.5
    assert constant.scalars["last"] == (0.5 if sampler == "balanced" else 1.0)  # no whole uniform word is accepted
    assert constant.scalars["letters"] == constant.scalars["constant"] > 0.8
    assert constant.scalars["accuracy"] == constant.scalars["constant_words"] < (1.01 if sampler == "uniform" else 0.55)
    assert not constant.claims["right"].holds

    def slip(said: np.ndarray) -> np.ndarray:
        said[:, 0] = 1 - said[:, 0]  # after the first letter only
        return said

    slipped = analyse(task, Oracle(task.spec, machine, slip), tmp_path, **options)
    assert slipped.scalars["accuracy"] == 0 and slipped.scalars["letters"] > 0.9


def test_saves_scores_by_length_and_draws_them(tmp_path: Path) -> None:
    task = Tomita(index=5, words=10, val_words=10, test_words=10)
    finding = analyse(task, Oracle(task.spec, tomita(4)), tmp_path, lengths=(9, 3))
    table = Artifacts(tmp_path).table("by_length")
    assert list(table["length"]) == list(range(3, 10)) and table["words"].sum() == finding.scalars["words"] == 600
    assert (table["words"] * table["accuracy"]).sum() == pytest.approx(600 * finding.scalars["accuracy"])
    assert finding.scalars["accuracy_bound"] <= finding.scalars["accuracy"] < 0.5
    assert list(Conformance().figures(Artifacts(tmp_path))) == ["by_length"]
