"""Curves of training: of runs, and exported from TensorBoard."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from figure_checks import check_figure
from recorded_trainings import recipe_of
from small_tasks import train

from mechlab.analyses.run_names import run_names
from mechlab.analyses.training_curves import TrainingCurves, read_exported
from mechlab.config.build import without_files
from mechlab.core.errors import ConfigError
from mechlab.record.artifacts import Artifacts


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    optimizer = lambda parameters: torch.optim.AdamW(parameters, lr=0.02, weight_decay=0.5)  # noqa: E731
    return train(tmp_path_factory.mktemp("run"), recipe_of(optimizer, steps=20))


def curves(runs, folder, **parameters):
    out = Artifacts(folder)
    found = TrainingCurves(**parameters).run(runs, out, np.random.default_rng(0))
    return found, out.table("curves").set_index(["curve", "metric"])


def export(path, points):
    lines = ["Wall time,Step,Value", *(f"1700000000.5,{step},{value}" for step, value in points)]
    path.write_text("\n".join(lines))
    return str(path)


@pytest.mark.ci
def test_curves_are_those_that_were_logged_and_the_norm_is_that_of_all_parameters(run, tmp_path):
    found, table = curves([run], tmp_path)
    logged = run.metrics[["step", "val/loss"]].dropna()
    assert table.loc[("seed 0", "val/loss"), "value"].tolist() == logged["val/loss"].tolist()
    assert table.loc[("seed 0", "val/loss"), "step"].tolist() == logged["step"].tolist()
    norms = table.loc[("seed 0", "norm")].set_index("step")["value"]
    for step in (0, 7, 20):
        squares = [x**2 for parameter in run.at(step).model().parameters() for x in parameter.flatten().tolist()]
        assert norms[step] == pytest.approx(sum(squares) ** 0.5)
    assert found.scalars["runs"] == 1


def test_an_exported_curve_lies_beside_those_of_the_runs(run, tmp_path):
    logged = run.metrics[["step", "val/accuracy"]].dropna().to_numpy()
    path = export(tmp_path / "curve.csv", [*((step, value + 0.125) for step, value in logged), (500, 7.0)])
    found, table = curves([run], tmp_path, exported={"val/accuracy": path})
    assert found.scalars["deviation_val_accuracy"] == pytest.approx(0.125)
    assert table.loc[("exported", "val/accuracy"), "value"].iloc[-1] == 7
    (figure,) = TrainingCurves().figures(Artifacts(tmp_path)).values()
    check_figure(figure)


def test_the_points_of_a_file_take_the_place_of_its_path(tmp_path):
    path = export(tmp_path / "curve.csv", [(20, 0.5), (10, 0.25)])
    node = {"_target_": "mechlab.analyses.training_curves.TrainingCurves", "exported": {"norm": path}}
    assert without_files(node, "analysis.training_curves")["exported"] == {"norm": [[10, 0.25], [20, 0.5]]}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Step,Value\n1,two", "could not convert"),
        ("Wall time,Step\n1,2", "no column 'Value'"),
        ("Wall time,Step,Value", "a point"),
        (None, "No such file"),
    ],
)
def test_a_file_that_is_no_export_is_refused(tmp_path, text, says):
    path = tmp_path / "curve.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=says) as caught:
        read_exported(str(path), "val/loss")
    assert caught.value.key == "analysis.training_curves.exported.val/loss"


def named(seed, name="tomita-gru", folder="a-s0", **config):
    config = {"name": name, "model": {"hidden": 8}, "paths": {"root": folder}, "seed": seed, **config}
    return SimpleNamespace(seed=seed, folder=Path(folder), config=config)


def test_runs_are_named_by_what_differs():
    assert run_names([named(3)]) == ["seed 3"]
    assert run_names([named(0), named(1, folder="b-s1")]) == ["seed 0", "seed 1"]
    wide = named(0, model={"hidden": 16})
    assert run_names([named(0), wide]) == ["model.hidden=8, seed 0", "model.hidden=16, seed 0"]
    other = named(0, "repeat_copy-rnn", model={"hidden": 64})
    assert run_names([named(0), other]) == ["gru on tomita, seed 0", "rnn on repeat_copy, seed 0"]
    assert run_names([named(0), named(0, folder="b-s0")]) == ["seed 0 (a-s0)", "seed 0 (b-s0)"]


def test_metrics_that_are_not_drawn_are_refused():
    with pytest.raises(ConfigError, match="losses, accuracies or the norm"):
        TrainingCurves({"val/perplexity": "curve.csv"}).check("training_curves", {"a/b-s0": {}})
