"""Claims that rest on too few words are not made, and the finding says so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_run import FakeRun
from word_task import Words

from mechlab.analyses.ambiguity import Ambiguity
from mechlab.analyses.clusterings import Clusterings
from mechlab.analyses.conformance import Conformance
from mechlab.analyses.extraction import Extraction
from mechlab.analyses.labelled_states import LEAST_PREFIXES, LEAST_WORDS, evaluation_words, supported_finding
from mechlab.analyses.pictures import Pictures
from mechlab.automata.tomita import tomita
from mechlab.automata.words.prefixes import distinct_prefixes
from mechlab.core.analysis import Claim
from mechlab.jobs import console
from mechlab.models.gru import GRU
from mechlab.record.artifacts import Artifacts
from mechlab.tasks.tomita import Tomita

CLAIMS = {
    kind: Claim("It is so.", value=1.0, threshold=0.5, holds=True, kind=kind) for kind in ("statistical", "exact")
}


@dataclass
class Drawn:
    """As many prefixes and words as are said."""

    prefixes: int
    distinct_words: int

    def __len__(self) -> int:
        return self.prefixes


@pytest.mark.parametrize("prefixes", [LEAST_PREFIXES - 1, LEAST_PREFIXES])
@pytest.mark.parametrize("words", [LEAST_WORDS - 1, LEAST_WORDS])
def test_a_statistical_claim_needs_prefixes_and_words(prefixes: int, words: int) -> None:
    found = supported_finding({"score": 1.0}, CLAIMS, Drawn(prefixes, words))
    enough = prefixes >= LEAST_PREFIXES and words >= LEAST_WORDS
    assert list(found.claims) == (["statistical", "exact"] if enough else ["exact"])
    assert found.scalars == {"score": 1.0} and len(found.notes) == (not enough)
    assert ("notes" in found.as_dict()) == (not enough)


ANALYSES = {
    "ambiguity": lambda words: Ambiguity(words=words, n_init=1, curve=(), bootstrap=0, causal=2),
    "clusterings": lambda words: Clusterings(("k_means",), words=words),
    "conformance": lambda words: Conformance(words=words),
    "extraction": lambda words: Extraction(words=50, tests=50, agreement_words=words, rounds=2),
    "pictures": lambda words: Pictures(("pca",), (2,), words=words),
}


@pytest.mark.parametrize("name", ANALYSES)
def test_analyses_make_no_claim_about_few_words(name: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    task = Words(tomita(3))
    torch.manual_seed(0)
    run = FakeRun(task, GRU(task.spec, hidden=4).eval(), GRU(task.spec, hidden=4).eval())
    few, many = (ANALYSES[name](n).run(run, Artifacts(tmp_path), np.random.default_rng(0)) for n in (20, 400))
    assert not any(claim.kind == "statistical" for claim in few.claims.values())
    assert set(many.claims) > set(few.claims) and not many.notes
    assert set(few.scalars) == set(many.scalars)
    console.print_findings({name: few.as_dict()})
    printed = capsys.readouterr().out
    assert all(slug in printed for slug in set(many.claims) - set(few.claims))
    assert "20 distinct words" in printed or "distinct prefixes" in printed


def test_words_are_counted_once() -> None:
    words = np.array([[0, 1, 1], [0, -1, -1], [0, 1, 1], [0, 1, -1]])
    assert distinct_prefixes(words).distinct_words == 3


def test_some_words_of_an_ordered_split_are_of_all_lengths() -> None:
    """The first words of a published split are its shortest."""
    task = Tomita(3, words=500, val_words=600, test_words=10, compat="published")
    run = FakeRun(task, None, None)
    whole, some = (evaluation_words(run, n, "val") for n in (10_000, 60))
    lengths = (some >= 0).sum(1)
    assert len(some) == 60 and (np.diff(lengths) >= 0).all() and lengths[-1] == 14
    assert lengths.mean() == pytest.approx((whole >= 0).sum(1).mean(), abs=0.5)
