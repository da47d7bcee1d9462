"""The analyses `datamodel` and `datamodel_over_runs`: against retraining, planted outcomes, and interrupted work."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from recorded_trainings import recipe_of, recorded, trajectory_of
from small_tasks import Echo, Points, small_recipe, train
from test_kernel_retraining import Line

from mechlab.analyses.attribution import reweighted_training
from mechlab.analyses.attribution.checkpointed import Checkpointed
from mechlab.analyses.attribution.datamodel import Datamodel
from mechlab.analyses.attribution.datamodel_estimates import Estimators, metagradient_cost
from mechlab.analyses.attribution.datamodel_over_runs import DatamodelOverRuns
from mechlab.analyses.attribution.datamodel_tables import DatamodelClaims, Predictions, Scores
from mechlab.analyses.attribution.reweighted_training import ReweightedTraining
from mechlab.kernels.explained import Explained
from mechlab.kernels.lds import rank_correlations
from mechlab.kernels.metagradients import MetagradientBackward
from mechlab.kernels.trajectory import Trajectory
from mechlab.record.artifacts import Artifacts

SMALL = {"examples": 2, "fraction": 0.2, "retrainings": (4, 8), "weightings": 3, "ceiling": 10, "subsets": 6}


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.05)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(tmp_path_factory.mktemp("run"), recipe_of(sgd, steps=3, task=Points(20), model=Line))


def asked(run, folder, **options):
    folder.mkdir()
    analysis = Datamodel(**(SMALL | {"resamples": 20} | options))
    return analysis.run(run, Artifacts(folder), np.random.default_rng(0)), Artifacts(folder), analysis


def test_metagradients_at_other_weights_are_those_of_recorded_trainings(run, tmp_path):
    """Each is the derivative along the plain training with these weights, in threads and block by block."""
    trajectory = trajectory_of(run.recipe, recorded(run.recipe))
    batch = run.evaluation("val", 3)
    explained = Explained(trajectory.functional, batch, "target")
    removed = np.zeros((3, 20), bool)
    removed[1, [2, 5]] = removed[2, 7] = True
    size = trajectory.functional.layout.size * 8
    for number, limit in enumerate((2**30, 12 * size)):  # 12 vectors: two explained examples, and four recorded states
        training = ReweightedTraining(run.recipe, trajectory, explained, limit, 2)
        found = training.metagradients(removed, Checkpointed(tmp_path / str(number)))
        for row, sets in zip(found, removed, strict=True):
            weights = torch.tensor(1.0 - sets)
            slow = trajectory_of(run.recipe, recorded(run.recipe, weights=weights))
            backward = MetagradientBackward(slow, Explained(slow.functional, batch, "target"), weights=weights)
            list(backward)
            np.testing.assert_allclose(row, backward.result().derivative[:, 0], atol=1e-12)


def test_metagradients_of_examples_that_are_drawn_once(tmp_path):
    """With all examples they are those of the record; without an example they are derivatives at its weight 0."""
    endless = train(tmp_path / "run", small_recipe(Echo(), "sgd", steps=4, dtype=torch.float64))
    trajectory = Trajectory.of_run(endless)
    explained = Explained(trajectory.functional, endless.evaluation("val", 2), "target")
    removed = np.zeros((2, trajectory.examples), bool)
    removed[1, 5] = True
    training = ReweightedTraining(endless.recipe, trajectory, explained, 2**30, 2)
    whole, without = training.metagradients(removed, Checkpointed(tmp_path / "parts"))
    backward = MetagradientBackward(trajectory, explained)
    list(backward)
    np.testing.assert_allclose(whole, backward.result().derivative.reshape(whole.shape), atol=1e-12)
    assert trajectory.examples == 12 and np.abs(whole - without).max() > 1e-6


def test_estimators_predict_held_out_subsets(run, tmp_path):
    """The outputs are those of plain retraining, no fitted subset is held out, and every estimator has its row."""
    finding, out, analysis = asked(run, tmp_path / "out", subsets=100)
    measured = Predictions.read(out)
    batch = run.evaluation("val", 2)
    model = run.recipe.model()
    model.load_state_dict(recorded(run.recipe, weights=torch.tensor(1.0 - measured.removed[4])).params(3))
    expected = -run.recipe.task.spec.loss.examples(model(batch.inputs), batch.targets, None).detach().numpy()
    np.testing.assert_allclose(measured.actual[4], expected, atol=1e-10)
    table = out.table("estimators").set_index("estimator")
    regressions = [f"{kind}_{number}" for kind in ("regression", "regression_pairs") for number in (4, 8, 10)]
    priors = [f"{kind}_{number}" for kind in ("prior", "prior_pairs") for number in (4, 8)]
    methods = ["metagradient", "metagradient_mean", "metagradient_median"]
    assert set(table.index) == {*methods, *regressions, *priors}
    for name, values in measured.predicted.items():
        assert table.loc[name, "lds"] == pytest.approx(rank_correlations(values, measured.actual).mean())
        assert finding.scalars[f"lds_{name}"] == pytest.approx(table.loc[name, "lds"])  # CSV of old pandas rounds
    assert finding.scalars["lds_metagradient"] > 0.9  # a linear model after three small steps
    assert table.loc["prior_8", "cost"] == 8 + 3 * (3 + 2 * 2) - 3 and table.loc["regression_8", "cost"] == 8
    assert table.loc[table["chosen"]].index.tolist() == ["prior_8"]
    scores = out.arrays("scores")["scores"]
    assert scores.shape == (2, 20) and set(finding.claims) == {"predicts", "prior", "margin"}
    assert abs(finding.claims["predicts"].null) < 0.6 and finding.scalars["replay_error"] < 1e-9
    assert set(analysis.figures(out)) == {"costs", "predicted", "weightings"}


def test_regression_alone_needs_no_metagradients(run, tmp_path, monkeypatch):
    monkeypatch.setattr(ReweightedTraining, "metagradients", lambda *_: pytest.fail("differentiated"))
    options = {"compare": False, "estimator": "regression", "interactions": False}
    finding, out, analysis = asked(run, tmp_path / "out", **options)
    assert out.table("estimators")["estimator"].tolist() == ["regression_4", "regression_8"]
    assert not finding.claims and "fewest" in finding.notes
    assert "weightings" not in analysis.figures(out) and finding.scalars["cost"] == 8


def test_the_cheaper_estimator_is_chosen():
    """Three retrainings for each example, or metagradients at 64 weightings, whose cost grows with the outputs."""
    made = lambda Q, N: Estimators(Q, N, "auto", False, (64, 300), 64, 0, False)  # noqa: E731
    assert metagradient_cost(1, 64) == 320 and made(1, 85).regression and not made(1, 86).regression
    assert made(8, 60).chosen == "regression_300" and made(8, 60).weightings == 0
    assert made(1, 4000).chosen == "prior_300" and made(1, 4000).weightings == 64


@pytest.mark.ci
def test_interrupted_work_goes_on(run, tmp_path, monkeypatch):
    """Interrupted between retraining and differentiating, and after both, it ends in the same answer."""
    whole, folder = asked(run, tmp_path / "whole")[0], run.folder / "work"
    for place, parts in (("metagradients", 1), ("recorded", 2)):
        with monkeypatch.context() as patch:
            patch.setattr(ReweightedTraining, place, interrupted)
            with pytest.raises(KeyboardInterrupt):
                asked(run, tmp_path / place)
        assert len(list(folder.glob("datamodel-*/*"))) == parts
    monkeypatch.setattr(reweighted_training.ReweightedTraining, "_measured", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr(reweighted_training.ReweightedTraining, "_derived", lambda *_: pytest.fail("derived again"))
    assert asked(run, tmp_path / "again")[0].as_dict() == whole.as_dict()
    assert not folder.exists()


def interrupted(*_):
    raise KeyboardInterrupt


def planted(rng, noise: float, subsets: int = 120) -> Predictions:
    actual = rng.normal(size=(subsets, 3))
    near = lambda scale: actual + scale * rng.normal(size=actual.shape)  # noqa: E731
    predicted = {"metagradient": near(2.0), "prior_300": near(noise), "prior_64": near(noise)}
    predicted["prior_pairs_64"] = near(noise / 2)
    return Predictions(rng.random((subsets, 9)) < 0.2, actual, predicted)


def test_claims_hold_for_predictions_that_are_near_and_fail_for_others():
    rng, claims = np.random.default_rng(0), DatamodelClaims(0.8, 0.08, 0.85)
    for noise, holds in ((0.2, True), (2.0, False)):
        scores = Scores.of([planted(rng, noise)], 200, rng)
        table = pd.DataFrame(scores.rows()).assign(chosen=[False, False, True, False], retrainings=[0, 300, 64, 64])
        found = claims.claims(table, 0.0, "planted")
        assert [claim.holds for claim in found.values()] == [holds] * 3
        assert scores.pair_gains()["pair_gain_prior_64_low"] > 0


class Recorded:
    """A run with a finding of the analysis alone."""

    def __init__(self, folder, seed):
        self.folder, self.seed = folder, seed

    def artifacts(self, name):
        return Artifacts(self.folder)


def test_over_runs_scores_are_means(tmp_path):
    rng, runs, answers = np.random.default_rng(1), [], [planted(np.random.default_rng(s), 0.3) for s in range(3)]
    for seed, answer in enumerate(answers):
        out = Artifacts(tmp_path / str(seed))
        out.folder.mkdir()
        answer.save(out)
        out.save_arrays("scores", scores=rng.normal(size=(3, 9)))
        rows = pd.DataFrame({"estimator": list(answer.predicted), "retrainings": [0, 300, 64, 64], "weightings": 64})
        out.save_table(
            "estimators", rows.assign(cost=[18.0, 1452.0, 1216.0, 1216.0], chosen=[False, False, True, False])
        )
        runs.append(Recorded(out.folder, seed))
    (tmp_path / "set").mkdir()
    out = Artifacts(tmp_path / "set")
    finding = DatamodelOverRuns(resamples=50).run(runs, out, rng)
    expected = np.mean([answer.scores()["prior_64"] for answer in answers])
    assert finding.scalars["lds_prior_64"] == pytest.approx(expected) and finding.claims["prior"].holds
    assert "of prior_64," in finding.claims["prior"].statement
    assert out.table("runs")["seed"].tolist() == [0, 1, 2] and list(DatamodelOverRuns().figures(out)) == ["costs"]
    wide = DatamodelOverRuns(resamples=50, draw_runs=True).run(runs, out, rng)
    assert "over runs and held-out subsets" in wide.claims["prior"].statement
    assert wide.scalars["lds_prior_64"] == finding.scalars["lds_prior_64"]
    assert not DatamodelOverRuns(resamples=50).run(runs[:2], out, rng).claims
