"""Runs of linear rules as rows of a table: settings, accuracy at a horizon, and spectral errors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mechlab.analyses.binding.linear_network import LinearNetwork, held_out_inputs, right
from mechlab.analyses.spectrum import spectrum_at_origin
from mechlab.binding.companion import CompanionMatrix
from mechlab.binding.published import published_spectral_error
from mechlab.binding.rules import PRESETS, rule_of_id
from mechlab.binding.spectrum import compare
from mechlab.record.sets import run_name

if TYPE_CHECKING:
    import pandas as pd

    from mechlab.record.run import Run

EXAMPLES = 640  # sequences for an accuracy that the record lacks; as many as published
SETTINGS = ["task", "model", "hidden", "weight_decay", "threshold", "configuration"]  # of a row of the table
RULE = ("d", "s", "id", "cells", "signs", "cycles", "rule_seed", "mix")  # settings of tasks that decide the rule
MEASURED = ["accuracy", "angle_error", "modulus_error", "rank", "rank_theory", "rank_error", "missing"]


def run_table(runs: Sequence[Run], horizon: int, persistent: float, rng: np.random.Generator) -> pd.DataFrame:
    """Return a row for each run, failed ones among them, whose measurements are missing.

    Columns are the settings, seed, status and reason; accuracy at the horizon, and its source; the errors of the
    spectrum at the origin; `missing`, the share of theoretical eigenvalues that exceed the learned rank; and
    `published_error`, NaN where the published code gives no number.

    Args:
        runs: finished and failed runs of linear rules.
        horizon: in steps after the input.
        persistent: modulus above which an eigenvalue counts for the rank.
        rng: of the sequences for accuracies that no record has; each run gets the same.
    """
    import pandas as pd

    seed = int(rng.integers(2**63))
    rows = [_row(run, horizon, persistent, np.random.default_rng(seed)) for run in runs]
    columns = [*SETTINGS, "preset", "seed", "status", "reason", *MEASURED, "accuracy_from", "published_error", "run"]
    return pd.DataFrame(rows, columns=columns)


def _row(run: Run, horizon: int, persistent: float, rng: np.random.Generator) -> dict[str, Any]:
    config, truth, status = run.config, run.task.ground_truth(), run.status
    name = run_name(run.folder)
    row = {
        **settings_of(config, truth),
        "configuration": name.rpartition("-s")[0],
        "preset": preset_of(truth),
        "seed": run.seed,
        "status": status["status"],
        "run": name,
    }
    row["hidden"] = row["hidden"] or run.untrained().initial_state(1).shape[1]
    if row["status"] != "done":
        return row | {"reason": str(status.get("reason") or "unknown").splitlines()[0]}
    if not all(torch.isfinite(weight).all() for weight in run.weights().values()):
        return row | {"status": "failed", "reason": "the weights are not finite"}
    accuracy, source = _accuracy(run, horizon, rng)
    learned = spectrum_at_origin(run.model())
    pairs = compare(learned, truth.spectrum, persistent)
    return row | {
        "accuracy": accuracy,
        "accuracy_from": source,
        "angle_error": pairs.angle_error,
        "modulus_error": pairs.modulus_error,
        "rank": pairs.rank,
        "rank_theory": pairs.rank_theory,
        "rank_error": pairs.rank_error,
        "missing": max(0, -pairs.rank_error) / pairs.rank_theory,
        "published_error": published_spectral_error(learned, truth.spectrum, persistent),
    }


def settings_of(config: Mapping[str, Any], truth: CompanionMatrix) -> dict[str, Any]:
    """Return the settings of a run that the published table distinguishes: task by its rule, model, width, weight
    decay (the published L2), and the accuracy that raises the curriculum (NaN without one)."""
    task, _, model = str(config["name"]).rpartition("-")
    curriculum = config.get("curriculum") or {}
    promoted = curriculum.get("lengths") and curriculum.get("steps") is None
    return {
        "task": task_name(task, config["task"], truth),
        "model": model,
        "hidden": config["model"].get("hidden"),
        "weight_decay": float(config["optimizer"].get("weight_decay") or 0.0),
        "threshold": float(curriculum["accuracy"]) if promoted else math.nan,
    }


def task_name(task: str, settings: Mapping[str, Any], truth: CompanionMatrix) -> str:
    """Return a task by its rule: T1 to T4 for the published ones, else its name and the settings of the rule."""
    preset = preset_of(truth)
    if preset and task == "linear_binding":
        return preset
    words = [f"{key}={settings[key]}".replace(" ", "") for key in RULE if settings.get(key) is not None]
    if settings.get("cycles") is None:
        words = [word for word in words if not word.startswith("rule_seed")]
    return " ".join([task, *([preset] if preset else words)])


def preset_of(truth: CompanionMatrix) -> str:
    """Return T1, T2, T3 or T4 if a rule is that of the published task, else an empty text."""
    if (truth.d, truth.s) != (8, 8):
        return ""
    return next((name for name, numbers in PRESETS.items() if np.array_equal(truth.F, rule_of_id(*numbers, 8, 8))), "")


def _accuracy(run: Run, horizon: int, rng: np.random.Generator) -> tuple[float, str]:
    """Return the accuracy at a horizon, and its source: the run's own test, the finding of `dynamics`, or new data."""
    results, truth = run.results, run.task.ground_truth()
    tested = results["metrics"].get("test/accuracy")
    if run.spec.length - truth.s == horizon and tested is not None:
        return float(tested), "test"
    scalars = results.get("findings", {}).get("dynamics", {"scalars": {}})["scalars"]
    if (known := scalars.get(f"accuracy_{horizon}")) is not None:
        return float(known), "dynamics"
    observed = LinearNetwork.of(run).observe(held_out_inputs(run.task, EXAMPLES, horizon, rng))
    correct = right(observed.outputs, observed.targets)[:, truth.s :]
    return float(correct.double().mean()), "new data"
