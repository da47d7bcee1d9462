"""Means over seeds: against numpy, the claim on planted means, and its floor."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mechlab.analyses.seeds import Seeds
from mechlab.core.analysis import Finding
from mechlab.core.errors import ConfigError
from mechlab.record.artifacts import Artifacts


def runs(accuracies: list[float]) -> list[Any]:
    """Runs with a test accuracy each, and a scalar that only the first has."""
    results = [{"metrics": {"test/loss": 1 - value, "test/accuracy": value}, "findings": {}} for value in accuracies]
    results[0]["findings"] = {"probe@12": {"scalars": {"rank": 3.0}, "claims": {}}}
    return [SimpleNamespace(seed=seed, results=result) for seed, result in enumerate(results)]


def asked(folder: Path, accuracies: list[float], **parameters: Any) -> Finding:
    return Seeds(**parameters).run(runs(accuracies), Artifacts(folder), np.random.default_rng(0))


def test_means_are_those_of_the_runs(tmp_path: Path) -> None:
    values = np.random.default_rng(0).uniform(0.6, 0.9, 8).tolist()
    found = asked(tmp_path, values)
    assert found.scalars["test_accuracy"] == pytest.approx(np.mean(values)) and found.scalars["seeds"] == 8
    assert min(values) <= found.scalars["test_accuracy_low"] < np.mean(values) < found.scalars["test_accuracy_high"]
    assert "probe_12_rank" not in found.scalars, "a mean of other runs"
    table = Artifacts(tmp_path).table("means").set_index("name")
    assert table["n"].to_dict() == {"test/loss": 8, "test/accuracy": 8, "probe@12/rank": 1}
    assert table["std"]["test/accuracy"] == pytest.approx(np.std(values, ddof=1))
    assert list(Artifacts(tmp_path).table("runs")["test/accuracy"]) == values


def test_the_claim_takes_the_worse_end_of_the_interval(tmp_path: Path) -> None:
    values = [0.5, 0.6, 0.7, 0.8, 0.9]
    low, high = (asked(tmp_path, values).scalars[f"test_accuracy_{end}"] for end in ("low", "high"))
    for side, threshold, holds in (
        ("at_least", low - 0.01, True),
        ("at_least", low + 0.01, False),
        ("at_most", high + 0.01, True),
        ("at_most", high - 0.01, False),
    ):
        claim = asked(tmp_path, values, threshold=threshold, side=side).claims["mean"]
        assert claim.holds is holds and claim.interval == (low, high) and claim.value == pytest.approx(0.7)
    assert asked(tmp_path, values).claims == {}


def test_a_loss_is_claimed_where_it_is_named(tmp_path: Path) -> None:
    found = asked(tmp_path, [0.9] * 5, metric="test/loss", threshold=0.2, side="at_most")
    assert found.claims["mean"].holds and "test/loss" in found.claims["mean"].statement
    with pytest.raises(ConfigError, match="did you mean 'test/loss'"):
        asked(tmp_path, [0.9] * 5, metric="test/los")


def test_no_claim_is_made_of_few_seeds(tmp_path: Path) -> None:
    found = asked(tmp_path, [0.9] * 4, threshold=0.5)
    assert not found.claims and "fewer than 5" in found.notes["fewest"]
    assert asked(tmp_path, [0.9] * 4, threshold=0.5, fewest=4).claims["mean"].holds
