"""Recovery of networks that keep a part of another one: on planted curves, and of runs that are killed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from figure_checks import check_figure

from mechlab.analyses.attribution.transplant import Transplant
from mechlab.core.analysis import Finding
from mechlab.core.errors import ConfigError
from mechlab.record.artifacts import Artifacts

STEPS = np.arange(10, 110, 10)
OUTER_NAME = "input_emb, decoder"
OUTER, INNER = ("input_emb.*", "decoder.*"), ("linear*",)


def network(seed: int, recovers: int, parts: Any = OUTER, at: Any = 0, **config: Any) -> Any:
    """A run whose validation accuracy is 1 from a step on, and that logs training and validation in separate rows."""
    validated = pd.DataFrame({"step": STEPS, "val/accuracy": (recovers <= STEPS).astype(float)})
    trained = pd.DataFrame({"step": STEPS, "train/accuracy": 0.5})
    config = {"init_from": "runs/other", "init_parts": parts, "init_at": at, **config}
    return SimpleNamespace(seed=seed, config=config, folder=Path("run"), metrics=pd.concat([validated, trained]))


def asked(runs: list[Any], folder: Path, **parameters: Any) -> Finding:
    return Transplant(**parameters).run(runs, Artifacts(folder), np.random.default_rng(0))


def planted(saved: int, seeds: int = 4) -> list[Any]:
    """Networks that keep one of two parts, which saves `saved` steps and 20 more if it is from step 30, not 0."""
    kept = [(OUTER, saved), (INNER, saved + 20)]
    controls = [network(seed, 80 + 10 * (seed % 2), parts) for parts, _ in kept for seed in range(seeds)]
    late = [network(seed, 80 + 10 * (seed % 2) - n, parts, 30) for parts, n in kept for seed in range(seeds)]
    return [*late, *controls]


def test_each_part_has_its_claim(tmp_path):
    claims = asked(planted(40), tmp_path).claims
    assert [claim.value for claim in claims.values()] == [40, 60] and all(claim.holds for claim in claims.values())
    first = claims["sooner_1"]
    assert first.interval == (40, 40) and "input_emb, decoder from step 30" in first.statement
    for saved, holds in ((0, [False, True]), (-20, [False, False])):
        assert [claim.holds for claim in asked(planted(saved), tmp_path).claims.values()] == holds


@pytest.mark.ci
def test_shuffled_steps_save_nothing(tmp_path):
    runs = planted(40, seeds=6)
    order = np.random.default_rng(0).permutation([run.config["init_at"] for run in runs])
    for run, at in zip(runs, order, strict=True):
        run.config["init_at"] = int(at)
    assert not any(claim.holds for claim in asked(runs, tmp_path).claims.values())


def test_few_seeds_or_no_control_make_no_claim(tmp_path):
    for runs in (planted(40, seeds=2), planted(40)[:8]):
        found = asked(runs, tmp_path)
        assert not found.claims and "fewest" in found.notes


def test_several_networks_of_one_seed_count_once(tmp_path):
    twice = [run for run in planted(40, seeds=2) for _ in range(3)]
    assert "fewest" in asked(twice, tmp_path / "two").notes
    runs = planted(40)
    late = next(run for run in runs if run.config["init_at"] == 30)
    found = asked([*runs, network(late.seed, 80, late.config["init_parts"], 30)], tmp_path / "four")
    assert found.claims["sooner_1"].value == pytest.approx((20 + 3 * 40) / 4)  # that seed: (40 + 80) / 2 from 80
    means = Artifacts(tmp_path / "four").table("means").set_index(["kept", "from_step"])
    row = means.loc[(OUTER_NAME, 30)]
    assert row["networks"] == 5 and row["seeds"] == 4
    assert row["recovery_step"] == pytest.approx((60 + 50 + 40 + 50) / 4)  # seeds recover at 40 and 80, 50, 40, 50


def test_nothing_kept_is_a_control_too(tmp_path):
    nothing = [network(seed, 100, None, "last", init_from=None) for seed in range(4)]
    found = asked([*nothing, *planted(40)[:8]], tmp_path)
    assert all(claim.holds for claim in found.claims.values()) and len(found.claims) == 2 and found.scalars["kept"] == 3
    assert Artifacts(tmp_path).table("networks")["kept"].iloc[-1] == "nothing kept"


def test_networks_that_keep_nothing_alone_are_drawn(tmp_path):
    found = asked([network(seed, 30, None, "last", init_from=None) for seed in range(2)], tmp_path)
    assert not found.claims
    for figure in Transplant().figures(Artifacts(tmp_path)).values():
        check_figure(figure)


def test_means_are_those_of_the_networks(tmp_path):
    runs = [network(0, 30), network(1, 50), network(2, 1000)]
    found = asked(runs, tmp_path)
    (row,) = Artifacts(tmp_path).table("means").to_dict("records")
    assert row["recovery_step"] == pytest.approx((30 + 50 + 100) / 3) and row["recovered"] == 2 and row["seeds"] == 3
    assert found.scalars["recovered"] == 2 and found.scalars["final_val_accuracy"] == pytest.approx(2 / 3)
    curves = Artifacts(tmp_path).table("curves").set_index(["split", "step"])["accuracy"]
    assert curves["val"].to_dict() == {step: (int(step >= 30) + int(step >= 50)) / 3 for step in STEPS}
    assert set(curves["train"]) == {0.5}


def test_frozen_parts_and_named_moments_are_apart(tmp_path):
    runs = [network(0, 30), network(0, 30, init_freeze=True), network(0, 40, at="last"), network(0, 20, None, 10)]
    asked(runs, tmp_path)
    table = Artifacts(tmp_path).table("networks")
    assert set(table["kept"]) == {"input_emb, decoder", "input_emb, decoder (frozen)", "everything"}
    assert set(table["from_step"].astype(str)) == {"0", "10", "last"}
    for figure in Transplant().figures(Artifacts(tmp_path)).values():
        check_figure(figure)


def test_runs_without_an_accuracy_are_refused(tmp_path):
    run = network(0, 30)
    run.metrics = run.metrics.drop(columns="val/accuracy")
    with pytest.raises(ConfigError, match="logged the accuracy"):
        asked([run], tmp_path)
