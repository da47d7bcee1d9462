"""The comparison of MAX-SAT algorithms with a network: planted scorers, known formulas, refusals."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mechlab.analyses.distill.maxsat_table import MaxSatTable, network_scorer
from mechlab.core.errors import ConfigError
from mechlab.distill.cnf import random_k_sat
from mechlab.distill.maxsat import assignments
from mechlab.distill.maxsat_comparison import compared, scores
from mechlab.record.artifacts import Artifacts
from mechlab.tasks.digits import Digits
from mechlab.tasks.maxsat import MaxSat


class Weighted(nn.Module):
    """Scores that add up the weights of unit and of longer clauses."""

    def __init__(self, unit: float, longer: float):
        super().__init__()
        self.weights = nn.Parameter(torch.tensor([unit, longer]))

    def forward(self, inputs: Tensor) -> Tensor:
        longer = (inputs[:, :, 2:].sum(2) > 0).long()
        return (inputs[:, :, :2] * self.weights[longer][:, :, None]).sum(1)


def analysed(tmp_path, network: nn.Module, **options):
    """Return the finding and the table of a network in place of a trained one."""
    task = MaxSat(variables=8)
    analysis = MaxSatTable(**{"instances": 60, "trials": 2, "clauses": (30, 60)} | options)
    analysis.check("maxsat_table", "maxsat", task, "analysis")
    run = SimpleNamespace(spec=task.spec, task=task, model=lambda: network)
    out = Artifacts(tmp_path)
    finding = analysis.run(run, out, np.random.default_rng(0))
    assert set(analysis.figures(out)) == {"differences"}
    return finding, out.table("algorithms")


def test_a_planted_scorer_is_near_johnson_and_a_reversed_one_is_not(tmp_path):
    finding, table = analysed(tmp_path, Weighted(4.0, 1.0), instances=300)
    assert finding.claims["near_johnson"].holds and finding.claims["above_greedy"].holds
    assert (
        finding.scalars["random"] < finding.scalars["greedy"] < finding.scalars["network"] < finding.scalars["optimum"]
    )
    assert set(table["clauses"]) == {"all", "30", "60"} and len(table) == 3 * 7
    finding, _ = analysed(tmp_path, Weighted(-4.0, -1.0))
    assert not finding.claims["near_johnson"].holds and not finding.claims["above_greedy"].holds
    assert finding.scalars["network"] < finding.scalars["random"]


def test_a_scorer_that_counts_clauses_is_greedy(tmp_path):
    """The negative control of `above_greedy`: as good as greedy is not above it."""
    finding, _ = analysed(tmp_path, Weighted(1.0, 1.0), instances=200)
    claim = finding.claims["above_greedy"]
    assert not claim.holds and claim.interval[0] < 0 < claim.interval[1]
    assert claim.null == pytest.approx(finding.scalars["random"] - finding.scalars["greedy"])


def test_differences_are_paired():
    values = {"johnson": np.array([0.5, 0.7, 0.9]), "other": np.array([0.6, 0.7, 0.8])}
    other = compared(values)[1]
    assert (other.score, other.difference) == (pytest.approx(0.7), pytest.approx(0))
    assert other.error == pytest.approx(0.1 / math.sqrt(3)) and other.difference_error == pytest.approx(
        0.1 / math.sqrt(3)
    )


def test_formulas_of_different_sizes_are_scored_in_their_order():
    rng = np.random.default_rng(0)
    cnfs = [random_k_sat(n, 30, 3, rng) for n in (4, 6, 4)]
    assert np.allclose(scores(cnfs, "johnson"), [scores([cnf], "johnson")[0] for cnf in cnfs])


def test_smaller_formulas_are_filled_up():
    cnf = random_k_sat(5, 20, 3, np.random.default_rng(0))
    scorer = network_scorer(Weighted(4.0, 1.0), (80, 8))
    shapes = []
    assignments([cnf], lambda matrices: shapes.append(matrices.shape) or scorer(matrices))
    assert shapes == [(1, 20, 10)] * 5


def test_files_take_the_place_of_random_formulas(tmp_path):
    (tmp_path / "a.cnf").write_text("p cnf 2 2\n1 2 0\n-1 0\n")
    path = str(tmp_path / "a.cnf")
    given = MaxSatTable.without_files({"files": [path], "trials": 3})
    assert given == {"files": ["p cnf 2 2\n1 2 0\n-1 0\n"], "trials": 3}
    assert MaxSatTable.without_files({"files": ["missing.cnf"]}) == {"files": ["missing.cnf"]}
    for files in ((path,), tuple(given["files"])):
        finding, table = analysed(tmp_path, Weighted(4.0, 1.0), files=files)
        assert not finding.claims and "30 formulas" in finding.notes["few"]
        assert finding.scalars["johnson"] == finding.scalars["network"] == 1 and set(table["clauses"]) == {"all"}


REFUSED = [
    ({"clauses": (81,)}, "at most 80 clauses"),
    ({"length": 9}, "at most 8 literals"),
    ({"length": 2.5}, "whole number of literals"),
    ({"files": ("missing.cnf",)}, "text file"),
    ({"files": ("p cnf 9 1\n1 0\n",)}, "8 variables"),
]


@pytest.mark.parametrize(("options", "must"), REFUSED, ids=[must for _, must in REFUSED])
def test_what_does_not_fit_is_refused_before_training(options, must):
    with pytest.raises(ConfigError, match=must) as error:
        MaxSatTable(**options).check("maxsat_table", "maxsat", MaxSat(variables=8), "analysis.maxsat_table")
    assert error.value.key


def test_other_tasks_and_a_missing_solver_are_refused(monkeypatch):
    with pytest.raises(ConfigError, match="clause preference"):
        MaxSatTable().check("maxsat_table", "digits", Digits(), "analysis")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="python-sat"):
        MaxSatTable(optimum=True).check("maxsat_table", "maxsat", MaxSat(variables=17), "analysis")
    MaxSatTable(optimum=True).check("maxsat_table", "maxsat", MaxSat(variables=16), "analysis")


def test_binomial_formulas_have_clauses_of_other_lengths(tmp_path):
    finding, _ = analysed(tmp_path, Weighted(4.0, 1.0), formulas="binomial", length=2)
    assert finding.scalars["random"] < 0.8
