"""Extraction as an analysis: planted networks, untrained ones, what is saved, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_run import FakeRun
from test_conformance import Oracle

from mechlab.analyses.extraction import Extraction
from mechlab.automata.definition import from_definition
from mechlab.automata.dot import read_dot
from mechlab.automata.equivalence import equivalent
from mechlab.automata.tomita import tomita
from mechlab.core.analysis import Finding
from mechlab.core.errors import ConfigError
from mechlab.core.task import Task
from mechlab.models.constructed import Constructed
from mechlab.models.gru import GRU
from mechlab.record.artifacts import Artifacts
from mechlab.tasks.automaton import AutomatonWords
from mechlab.tasks.context_free import ContextFree
from mechlab.tasks.tomita import Tomita

FEW = {"words": 10, "val_words": 300, "test_words": 10}
SMALL = {"words": 300, "tests": 300, "agreement_words": 1000}


def untrained(task: Task) -> GRU:
    torch.manual_seed(0)
    return GRU(task.spec, hidden=8).eval()


def analyse(task: Task, model: torch.nn.Module, folder: Path, **options) -> Finding:
    run = FakeRun(task, model, untrained(task))
    return Extraction(**{**SMALL, **options}).run(run, Artifacts(folder), np.random.default_rng(0))


@pytest.mark.parametrize("method", ["clusters", "lstar", "kv"])
@pytest.mark.parametrize("index", [3, 5])
def test_a_network_that_is_the_automaton_is_proved_to_be_it(index: int, method: str, tmp_path: Path) -> None:
    task = Tomita(index=index, **FEW)
    finding = analyse(task, Constructed(task.blueprint(), "tanh1").eval(), tmp_path, method=method)
    scalars, claim = finding.scalars, finding.claims["equivalent"]
    assert scalars["states"] == scalars["true_states"] == len(tomita(index).states)
    assert (claim.value, claim.holds, claim.kind, claim.null) == (1, True, "exact", 0)
    assert scalars["agreement"] == 1 and scalars["epsilon"] == pytest.approx(1 - 0.05 ** (1 / 1000), rel=1e-6)
    assert finding.claims["agrees"].holds and finding.claims["agrees"].null < 0.5
    assert scalars["counterexample_length"] == -1 and not (tmp_path / "counterexample.csv").exists()
    assert scalars["queries"] > 1000 and scalars["steps"] > 16_000


@pytest.mark.parametrize(
    "task", [AutomatonWords("coffee", **FEW), AutomatonWords("random", states=8, letters=4, outputs=3, **FEW)]
)
def test_mealy_and_moore_machines(task: Task, tmp_path: Path) -> None:
    finding = analyse(task, Constructed(task.blueprint(), "relu2").eval(), tmp_path, nulls=False)
    assert finding.claims["equivalent"].holds and finding.claims["equivalent"].null is None
    assert list(Extraction().figures(Artifacts(tmp_path))) == ["automaton"]


def test_what_is_saved_is_the_automaton(tmp_path: Path) -> None:
    task = Tomita(index=3, **FEW)
    analyse(task, Constructed(task.blueprint(), "relu2").eval(), tmp_path, start="outputs", nulls=False)
    assert equivalent(read_dot(tmp_path / "automaton.dot"), tomita(3)) is None
    assert equivalent(from_definition(json.loads((tmp_path / "automaton.json").read_text())), tomita(3)) is None
    table = Artifacts(tmp_path).table("automaton").set_index("state")
    state = table.index[0]
    for letter in "01100111":  # the table runs
        state = table.loc[state, letter]
    assert (
        table.loc[state, "output"]
        == ["reject", "accept"][tomita(3).outputs[tomita(3).run([[0, 1, 1, 0, 0, 1, 1, 1]])[0, -1]]]
    )
    rounds = Artifacts(tmp_path).table("rounds")
    assert rounds["disagreement"].iloc[-1] == 0 and rounds["counterexample"].iloc[-1] == -1


def test_another_automaton_is_told_apart_by_a_shortest_word(tmp_path: Path) -> None:
    """The network knows no factor 000, the ground truth is 0*1*0*1*."""
    task, other = Tomita(index=7, **FEW), Tomita(index=4, **FEW)
    finding = analyse(task, Constructed(other.blueprint(), "relu2").eval(), tmp_path, nulls=False)
    assert not finding.claims["equivalent"].holds and finding.claims["agrees"].holds
    table = Artifacts(tmp_path).table("counterexample")
    assert finding.scalars["counterexample_length"] == len(equivalent(tomita(4), tomita(7))) == len(table) - 1 == 3
    assert list(table["letter"][1:].astype(int)) == [0, 0, 0]
    assert (table["truth"].iloc[-1], table["extracted"].iloc[-1], table["network"].iloc[-1]) == (
        "accept",
        "reject",
        "reject",
    )


def test_an_untrained_network_is_not_the_automaton(tmp_path: Path) -> None:
    task = Tomita(index=5, **FEW)
    for method in ("clusters", "lstar", "kv"):
        finding = analyse(task, untrained(task), tmp_path / method, method=method, nulls=False)
        assert not finding.claims["equivalent"].holds


@pytest.mark.parametrize("method", ["clusters", "lstar", "vpl"])
def test_pushdown_automata_are_compared_on_balanced_words(method: str, tmp_path: Path) -> None:
    """Brackets are learned by what has a stack, and by no small finite automaton."""
    task = ContextFree("L7", **FEW)
    options = {"lengths": (2, 16), "rounds": 8, "nulls": False}
    model = Oracle(task.spec, task.ground_truth())
    if method == "clusters":
        model = untrained(task)
    finding = analyse(task, model, tmp_path, method=method, **options)
    claim = finding.claims["conforms"]
    assert claim.kind == "statistical" and claim.holds == (method == "vpl")
    assert finding.claims["agrees"].holds == (method != "lstar")  # what is untrained is an automaton, a constant
    assert (finding.scalars["truth"] == 1) == (method == "vpl")
    assert "equivalent" not in finding.claims
    figures = Extraction(method=method).figures(Artifacts(tmp_path))
    assert list(figures) == ([] if method == "vpl" else ["automaton"])
    assert len(Artifacts(tmp_path).table("automaton"))


@pytest.mark.parametrize(
    "task", [Tomita(index=3, **FEW), ContextFree("L6", **FEW), ContextFree("L7", target="state", **FEW)]
)
def test_letters_that_are_not_visible_are_refused(task: Task) -> None:
    with pytest.raises(ConfigError, match="visibly pushdown") as caught:
        Extraction(method="vpl").check("extraction", "some", task, "analysis.extraction")
    assert caught.value.key == "analysis.extraction.method"
    Extraction().check("extraction", "some", task, "analysis.extraction")
    Extraction(method="vpl").check("extraction", "some", ContextFree("L7", **FEW), "analysis.extraction")


@pytest.mark.parametrize("method", ["clusters", "kv"])
def test_same_generator_gives_the_same_finding(method: str, tmp_path: Path) -> None:
    task = Tomita(index=4, **FEW)
    one, other = (analyse(task, untrained(task), tmp_path / name, method=method) for name in ("one", "other"))
    assert one.as_dict() == other.as_dict()
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes()
