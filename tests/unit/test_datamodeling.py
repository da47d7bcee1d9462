"""The analysis `datamodeling`: outputs against plain retraining, interrupted work, planted wrong labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recorded_trainings import recipe_of, recorded
from small_tasks import train
from torch import nn

from mechlab.analyses.attribution import reweighted_training
from mechlab.analyses.attribution.datamodeling_tables import Measurements, over_runs
from mechlab.analyses.attribution.methods import METHODS, AttributionMethods
from mechlab.analyses.datamodeling import Datamodeling
from mechlab.core.errors import ConfigError
from mechlab.core.model import StaticModel
from mechlab.core.task import Batch, FiniteTask, TaskSpec
from mechlab.record.artifacts import Artifacts

SMALL = {"examples": 2, "fractions": (0.2, 0.5), "subsets": 6, "leave_one_out": 3, "resamples": 20, "other_seeds": 1}


def adamw(parameters):
    return torch.optim.AdamW(parameters, lr=0.02, weight_decay=0.5)


def ask(run, folder, **options):
    folder.mkdir()
    finding = Datamodeling(**(SMALL | options)).run(run, Artifacts(folder), np.random.default_rng(0))
    return finding, Measurements.read(Artifacts(folder))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(tmp_path_factory.mktemp("run"), recipe_of(adamw, steps=4))


@pytest.fixture(scope="module")
def answer(run, tmp_path_factory):
    return ask(run, tmp_path_factory.mktemp("answer") / "out", compared=METHODS)


@pytest.mark.ci
def test_outputs_are_those_of_plain_retraining(run, answer):
    """For each kind of removal, a training by core/step.py without the examples gives the log-probabilities."""
    _, measured = answer
    batch = run.evaluation("val", 2)

    def slow(removed: np.ndarray) -> np.ndarray:
        arrays = recorded(run.recipe, weights=torch.tensor(1.0 - removed))
        model = run.recipe.model()
        model.load_state_dict(arrays.params(4))
        return model(batch.inputs)[torch.arange(2), batch.targets].detach().numpy()

    for removed, found in (
        (measured.random_removed[1, 2], measured.random[1, 2]),
        (measured.alone_removed[0], measured.alone[0]),
        (np.zeros(measured.alone_removed.shape[1]), measured.recorded),
    ):
        np.testing.assert_allclose(slow(removed), found, atol=1e-10)
    size = measured.random_removed[0, 0].sum()
    most = np.argsort(-measured.scores["tracin"][1], kind="stable")[:size]
    removed = np.isin(np.arange(measured.random_removed.shape[-1]), most)
    assert slow(removed)[1] == pytest.approx(measured.helpful["tracin"][0, 1], abs=1e-10)


def test_the_answer_holds_every_measure(answer):
    finding, measured = answer
    assert set(measured.scores) == set(METHODS)
    for name in METHODS:
        for scalar in (f"lds_{name}_20", f"lds_{name}_50", f"helpful_{name}", f"leave_one_out_{name}"):
            assert np.isfinite(finding.scalars[scalar])
        assert abs(finding.scalars[f"stability_{name}"]) <= 1
        assert name == "nearest" or 0 <= finding.scalars[f"mislabelled_{name}"] <= 1
    assert "mislabelled_nearest" not in finding.scalars and np.isfinite(finding.scalars["helpful_same_label"])
    assert finding.claims["replay"].holds and finding.claims["completeness"].holds
    assert {"predicts", "margin"} < set(finding.claims)


def test_one_after_another_is_side_by_side(run, answer, tmp_path, monkeypatch):
    monkeypatch.setattr("mechlab.kernels.reweighted.WORTHWHILE", 0)
    _, alone = ask(run, tmp_path / "out", workers=2, mislabelled=0, other_seeds=0, compared=("gradient_dot",))
    for name in ("random", "alone", "replayed"):
        np.testing.assert_allclose(getattr(alone, name), getattr(answer[1], name), atol=1e-10)


def test_interrupted_work_goes_on(run, tmp_path, monkeypatch):
    """Interrupted before and after training again, it skips what is done and ends in the same answer."""
    options = {"compared": ("gradient_dot",), "mislabelled": 0}
    whole, kept = ask(run, tmp_path / "whole", **options)[0], run.folder / "work"
    for place, parts in (("outputs", 1), ("recorded", 2)):
        with monkeypatch.context() as patch:
            patch.setattr(reweighted_training.ReweightedTraining, place, interrupted)
            with pytest.raises(KeyboardInterrupt):
                ask(run, tmp_path / place, **options)
        assert len(list(kept.glob("datamodeling-*/*"))) == parts
    monkeypatch.setattr(reweighted_training.ReweightedTraining, "_measured", lambda *_: pytest.fail("trained again"))
    assert ask(run, tmp_path / "again", **options)[0].as_dict() == whole.as_dict()
    assert not kept.exists()


def interrupted(*_):
    raise KeyboardInterrupt


def test_over_runs_one_run_has_its_own_scores(run, answer, tmp_path, monkeypatch):
    finding, measured = answer
    out = Artifacts(tmp_path)
    measured.save(out)
    import pandas as pd

    out.save_table("removed", pd.DataFrame({"removed": [0.2, 0.5]}))
    monkeypatch.setattr(type(run), "artifacts", lambda self, name: out)
    table = over_runs([run, run], 50, np.random.default_rng(0), draw_runs=True)
    for row in table.to_dict("records"):
        assert row["lds"] == pytest.approx(finding.scalars[f"lds_{row['method']}_{100 * row['removed']:g}"])
        assert row["lds_low"] <= row["lds"] + 0.3 and row["runs"] == 2
    assert (table.loc[table["method"] == "metagradient", ["behind", "behind_low", "behind_high"]] == 0).all(axis=None)


class Clouds(FiniteTask):
    """Two kinds of points far apart."""

    spec = TaskSpec(inputs=2, outputs=2, kind="static", loss="cross_entropy", shape=(2,))

    def examples(self, split):
        rng = torch.Generator().manual_seed(["train", "val", "test"].index(split))
        labels = torch.arange(40) % 2
        return Batch(torch.randn(40, 2, generator=rng) + 4.0 * labels[:, None] - 2, labels, None, torch.arange(40))


class Line(StaticModel):
    """One linear layer."""

    def __init__(self, spec):
        super().__init__(spec)
        self.line = nn.Linear(2, 2)

    def forward(self, inputs):
        return self.line(inputs)


def test_wrong_labels_among_easy_ones_influence_themselves_most(tmp_path):
    sgd = lambda parameters: torch.optim.SGD(parameters, lr=0.3)  # noqa: E731
    run = train(tmp_path / "run", recipe_of(sgd, steps=15, task=Clouds(), model=Line))
    options = {"leave_one_out": 0, "remove_helpful": False, "other_seeds": 0}
    finding, measured = ask(run, tmp_path / "out", compared=("metagradient", "gradient_dot"), **options)
    assert measured.labels["wrong"].sum() == 4
    for name in measured.scores:
        assert finding.scalars[f"mislabelled_{name}"] > 0.95, name
    assert not [name for name in finding.scalars if name.startswith(("leave_one_out", "helpful"))]
    assert finding.scalars["lds_metagradient_20"] > 0.8


def test_without_a_method_there_is_nothing_to_compare():
    asked = AttributionMethods("target", 1, None, 10, 2**30)
    assert asked.methods(METHODS, endless=True) == ["path_kernel", "metagradient", "tracin"]
    with pytest.raises(ConfigError, match="endless"):
        asked.methods(("gradient_dot",), endless=True)


def test_validation_is_the_same_analysis_under_its_first_name():
    """Runs have recorded that name, and the class under it, which must differ in the identity alone."""
    from mechlab.analyses.validation import Validation

    assert issubclass(Validation, Datamodeling) and Validation.version == Datamodeling.version
    assert vars(Validation(**SMALL)) == vars(Datamodeling(**SMALL))
