"""Recurrent networks as programs: networks with known weights, negative controls, files, figures, refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
from figure_checks import check_figure
from planted_recurrent import alternating, capped, distilled, summing, untrained

from mechlab.analyses.distill.distill_rnn import DistillRNN, principal
from mechlab.core.errors import ConfigError
from mechlab.distill.recurrent.program_data import program_from_data
from mechlab.plotting.recurrent_programs import lengths_figure, registers_figure
from mechlab.tasks.mips import Mips
from mechlab.tasks.repeat_copy import RepeatCopy


def in_python(out, name: str = "program"):
    """Return a function of the module program.py."""
    module: dict = {}
    exec((out.folder / "program.py").read_text(), module)
    return module[name]


@pytest.mark.parametrize(
    ("name", "made", "status"),
    [("sum", summing, "tested"), pytest.param("parity", alternating, "lossless", marks=pytest.mark.ci)],
)
def test_a_network_of_a_known_rule_becomes_a_program(tmp_path, name, made, status):
    task = Mips(name)
    run = distilled(tmp_path, task, made(task))
    out, finding = run.artifacts("distill_rnn"), run.finding
    assert finding.claims["program"].holds and finding.claims["long"].holds
    assert finding.claims["program"].null == finding.claims["long"].null == 0
    assert finding.scalars[status] == finding.scalars["registers"] == 1 and finding.scalars["lines"] <= 8
    assert [finding.scalars[f"program_{n}"] for n in (10, 100, 1000)] == [1, 1, 1]
    inputs = task.integers(3, 57, np.random.default_rng(5))
    targets = task.rule.targets(inputs)[..., 0]
    assert [in_python(out)(word) for word in inputs[..., 0].tolist()] == targets.tolist()
    program = program_from_data(json.loads((out.folder / "program.json").read_text()))
    assert (program(inputs)[..., 0] == targets).all() and program.certificate.status == status
    register = out.table("registers").iloc[0]
    assert register["r2"] > 0.999 and register["exact"] == 1
    assert set(DistillRNN().figures(out)) == {"lengths", "registers"}


def test_without_a_program_the_finding_gives_the_reason(tmp_path):
    task = Mips("max")
    run = distilled(tmp_path, task, untrained(task, 3))
    finding, out = run.finding, run.artifacts("distill_rnn")
    assert not finding.scalars["distilled"] and not any(claim.holds for claim in finding.claims.values())
    assert finding.notes["refused"].startswith("No program was made: ") and finding.notes["refused"].endswith(".")
    assert finding.notes["network_counterexample"].startswith("After [")
    assert not (out.folder / "program.py").exists() and set(out.table("lengths")["subject"]) == {"network"}
    assert set(DistillRNN().figures(out)) == {"lengths"}


@pytest.mark.ci
def test_a_program_of_a_wrong_network_is_wrong_too(tmp_path):
    """The network returns min(x, 90): its program does, and the claims about the rule fail with a counterexample."""
    task = Mips("identity")
    run = distilled(tmp_path, task, capped(task))
    finding, table = run.finding, run.artifacts("distill_rnn").table("lengths")
    assert finding.scalars["distilled"] and not any(claim.holds for claim in finding.claims.values())
    assert not finding.scalars["registers"] and not finding.scalars["mismatches"]
    for subject in ("network", "program"):
        share = table[(table["subject"] == subject) & (table["length"] == 10)]["share"].item()
        assert share == pytest.approx(0.91**10, abs=5 * np.sqrt(0.24 / 5000))  # letters up to 90, independent
        assert finding.notes[f"{subject}_counterexample"].startswith("After [")
    letters, returned = finding.notes["program_counterexample"].split(" the program returns 90, the rule ")
    assert letters.endswith(f"{returned[:-1]}]") and int(returned[:-1]) > 90


def test_it_is_refused_of_other_tasks():
    with pytest.raises(ConfigError, match="sequence rule"):
        DistillRNN().check("distill_rnn", "repeat_copy", RepeatCopy(), "analysis.distill_rnn")


def test_principal_components_are_those_of_the_covariance():
    states = np.random.default_rng(0).normal(size=(200, 4)) * (5, 3, 1, 0.1)
    places, shares = principal(states)
    values, vectors = np.linalg.eigh(np.cov(states.T))
    assert shares == pytest.approx(values[:-3:-1] / values.sum())
    expected = (states - states.mean(0)) @ vectors[:, :-3:-1]
    assert np.abs(places) == pytest.approx(np.abs(expected))
    places, shares = principal(states[:, :1])
    assert shares.tolist() == [1, 0] and not places[:, 1].any()
    assert principal(np.zeros((5, 3)))[1].tolist() == [0, 0]


def test_figures_stay_readable():
    rng = np.random.default_rng(0)
    table = distill_table()
    for figure in (
        lengths_figure(table),
        lengths_figure(table[table["subject"] == "network"]),
        registers_figure(rng.normal(size=(1000, 2)), rng.integers(0, 2000, (1000, 4)), np.array([0.7, 0.2]), "stuv"),
        registers_figure(rng.normal(size=(90, 2)), rng.integers(0, 3, (90, 1)), np.array([1.0, 0]), ["s"]),
        registers_figure(np.zeros((9, 2)), np.zeros((9, 1)), np.zeros(2), ["s"]),
    ):
        check_figure(figure)


def distill_table():
    from mechlab.analyses.distill.exact_at_lengths import AtLength, lengths_table

    shares = {"network": (10_000, 999, 3), "program": (10_000, 1000, 1000)}
    rows = [
        AtLength(subject, length, n, right)
        for subject, counts in shares.items()
        for length, n, right in zip((10, 100, 1000), (10_000, 1000, 1000), counts, strict=True)
    ]
    return lengths_table(rows)
