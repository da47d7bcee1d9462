"""Phases of training: planted changes in the curves of several runs, and runs without one."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from figure_checks import check_figure

from mechlab.analyses.attribution.phases import Phases, mean_gain, null_gain
from mechlab.record.artifacts import Artifacts
from mechlab.statistics.segmentation import Segmenter

STEPS = 400
QUICK = {"points": 100, "resamples": 10, "most": 4}


def fake_runs(folder, seeds: int, changes=(150, 280), order=None) -> list[SimpleNamespace]:
    """Runs whose curves rise, fall and are flat, with jumps between at about these steps."""
    runs = []
    for seed in range(seeds):
        rng, steps = np.random.default_rng(seed), np.arange(STEPS)
        first, second = (change + 4 * seed for change in changes)
        trend = np.interp(steps, [0, first - 1, first, second - 1, second, STEPS], [3, 4, -4, -5, 5, 5])
        if order is not None:
            trend = trend[np.random.default_rng(seed).permutation(STEPS)]
        noisy = lambda scale, trend=trend, rng=rng: np.exp(scale * trend + 0.05 * rng.normal(size=STEPS))  # noqa: E731
        masses = {f"{line}:{name}": noisy(1) for line in ("data", "decay") for name in ("first", "second")}
        whole = {f"{line}:all": masses[f"{line}:first"] + masses[f"{line}:second"] for line in ("data", "decay")}
        artifacts = Artifacts(folder / str(seed))
        artifacts.folder.mkdir(parents=True)
        artifacts.save_table("steps", pd.DataFrame({"step": steps, "norm": noisy(0.1), **masses, **whole}))
        metrics = pd.DataFrame({"step": steps[9::10] + 1, "val/loss": noisy(-1)[9::10]})
        runs.append(SimpleNamespace(seed=seed, metrics=metrics, artifacts=lambda _, artifacts=artifacts: artifacts))
    return runs


@pytest.mark.ci
def test_planted_changes_are_located_in_every_run(tmp_path) -> None:
    out, phases = Artifacts(tmp_path / "out"), Phases(**QUICK)
    out.folder.mkdir()
    found = phases.run(fake_runs(tmp_path, 3), out, np.random.default_rng(0))
    assert found.scalars["changes"] == 2 and found.claims["changes"].holds and found.claims["agreement"].holds
    assert found.scalars["change_1"] == pytest.approx(154, abs=8)
    assert found.scalars["change_2"] == pytest.approx(284, abs=8)
    changes = out.table("changes")
    assert len(changes) == 6 and (changes["step_low"] <= changes["step"]).all()
    described = out.table("phases")
    assert list(described["phase"]) == [1, 2, 3] * 3
    assert (described.groupby("seed")["stop"].max() == STEPS).all() and (described["stop"] > described["first"]).all()
    figures = phases.figures(out)
    assert set(figures) == {"phases", "number", "changes"}
    for figure in figures.values():
        check_figure(figure)


def test_runs_whose_changes_differ_do_not_agree(tmp_path) -> None:
    runs = [*fake_runs(tmp_path / "a", 2), *fake_runs(tmp_path / "b", 2, (210, 340))]
    out = Artifacts(tmp_path / "out")
    out.folder.mkdir()
    found = Phases(**QUICK, spread=0.1).run(runs, out, np.random.default_rng(0))
    assert not found.claims["agreement"].holds


@pytest.mark.ci
def test_steps_in_random_order_have_no_phases(tmp_path) -> None:
    out, phases = Artifacts(tmp_path / "out"), Phases(**QUICK)
    out.folder.mkdir()
    found = phases.run(fake_runs(tmp_path, 2, order="random"), out, np.random.default_rng(0))
    assert found.scalars["changes"] == 0 and not found.claims["changes"].holds
    assert set(found.claims) == {"changes"} and "fewer than 3" in found.notes["fewest"]
    assert set(phases.figures(out)) == {"phases", "number"}


def test_smooth_trends_are_one_phase(tmp_path) -> None:
    out = Artifacts(tmp_path / "out")
    out.folder.mkdir()
    found = Phases(**QUICK).run(fake_runs(tmp_path, 2, (500, 600)), out, np.random.default_rng(0))
    assert found.scalars["changes"] == 0 and not found.claims["changes"].holds


def test_no_claim_is_made_of_few_points(tmp_path) -> None:
    out = Artifacts(tmp_path / "out")
    out.folder.mkdir()
    found = Phases(**QUICK | {"points": 20}).run(fake_runs(tmp_path, 2), out, np.random.default_rng(0))
    assert not found.claims and "fewer than 100" in found.notes["fewest_points"]


@pytest.mark.parametrize("curve", ["random walk", "sine"])
def test_few_curves_of_strong_autocorrelation_explain_more_than_their_surrogates(curve) -> None:
    """Pieces explain much of random walks and of sines, far more than of the same rows in random order."""
    steps, above, above_shuffled = np.arange(80), 0, 0
    segmenters = [Segmenter(steps + 0.5, 6)] * 2
    for seed in range(10):
        rng = np.random.default_rng(seed)
        walks = rng.normal(size=(2, 80, 4)).cumsum(1)
        waves = np.sin(4 * np.pi * (steps / 80 + rng.random((2, 1))))[..., None] + 0.05 * rng.normal(size=(2, 80, 4))
        runs = [(run - run.mean(0)) / run.std(0) for run in (walks if curve == "random walk" else waves)]
        gain = lambda runs: min(mean_gain(segmenters[0](run, 2), 2) for run in runs)  # noqa: E731
        above += gain(runs) > null_gain(segmenters, runs, 2, rng)
        above_shuffled += gain(runs) > gain([rng.permutation(run) for run in runs])
    assert above_shuffled == 10 and above <= 3
