"""The table of path kernels: claims need several pairs of network and task, and an error fails them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from torch import nn

from mechlab.analyses.attribution.attribution_table import AttributionTable
from mechlab.record.artifacts import Artifacts


def run_of(name: str, error: float, bits: int = 32, seed: int = 0):
    scalars = {"steps": 3.0, "movement": 1.0, "residual_of_movement": 1e-3, "arithmetic_of_movement": 1e-7}
    scalars |= {"evaluations": 1.0, "completeness_error": error}
    config = {"name": name, "seed": seed, "optimizer": {"_target_": "torch.optim.Adam"}}
    config["trainer"] = {"precision": bits}
    result = {"metrics": {"test/accuracy": 0.5}, "findings": {"path_kernel": {"scalars": scalars}}}
    recipe = SimpleNamespace(architecture=lambda: nn.Linear(2, 3), examples_per_step=4)
    return SimpleNamespace(config=config, results=result, recipe=recipe)


def finding_of(runs, tmp_path, **options):
    out = Artifacts(tmp_path)
    return AttributionTable(**options).run(runs, out, np.random.default_rng(0)), out


NAMES = ("tomita-gru", "digits-mlp", "digits-cnn", "repeat_copy-rnn")


def test_each_run_has_a_row_and_the_claim_is_about_the_worst(tmp_path):
    errors = (1e-6, 2e-6, 3e-5, 1e-7)
    found, out = finding_of([run_of(*pair) for pair in zip(NAMES, errors, strict=True)], tmp_path)
    table = out.table("runs")
    assert set(table["task"]) == {"tomita", "digits", "repeat_copy"} and (table["parameters"] == 9).all()
    assert found.scalars["pairs"] == 4 and found.scalars["completeness_error"] == pytest.approx(3e-5)
    claim = found.claims["completeness"]
    assert claim.holds and claim.value == pytest.approx(0.3)
    assert list(AttributionTable().figures(out)) == ["errors"]


@pytest.mark.parametrize(("error", "bits"), [(2e-4, 32), (2e-9, 64)])
def test_one_error_beyond_its_precision_fails_the_claim(tmp_path, error, bits):
    runs = [run_of(name, 1e-10, 64) for name in NAMES[:3]] + [run_of(NAMES[3], error, bits)]
    found, _ = finding_of(runs, tmp_path)
    assert not found.claims["completeness"].holds


def test_seeds_of_one_network_are_no_further_pairs(tmp_path):
    found, _ = finding_of([run_of("tomita-gru", 1e-6, seed=seed) for seed in range(6)], tmp_path)
    assert not found.claims and "fewer than 4" in found.notes["fewest"]
