"""The rows of the table of variable binding: means and pass rates over seeds, and the published selection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mechlab.analyses.binding.binding_runs import SETTINGS
from mechlab.binding.published_table import PUBLISHED
from mechlab.core.latex import booktabs
from mechlab.statistics.bootstrap import bootstrap
from mechlab.statistics.wilson import wilson

if TYPE_CHECKING:
    import pandas as pd

MEANS = ("accuracy", "angle_error", "modulus_error", "rank")
PASSES = ("accuracy", "rank", "both", "angle")
CELL = ["task", "model", "hidden", "weight_decay"]  # settings of a published cell
FEWEST = 3  # seeds that an interval of a mean needs
AT_CHANCE = 0.55  # largest accuracy of a network that guesses

Row = dict[str, Any]


def with_passes(runs: pd.DataFrame, accuracy: float, angle: float) -> pd.DataFrame:
    """Return the runs with a column for each criterion that they may pass; a failed run passes none.

    Args:
        runs: a row for each run; see `run_table`.
        accuracy: the least accuracy.
        angle: the largest mean angle error, in radians.
    """
    passes = {
        "pass_accuracy": runs["accuracy"] >= accuracy,
        "pass_rank": runs["rank_error"] == 0,
        "pass_angle": runs["angle_error"] <= angle,
    }
    return runs.assign(**passes, pass_both=passes["pass_accuracy"] & passes["pass_rank"])


def summary_rows(runs: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each configuration: counts, means over seeds with 95 % bootstrap intervals and standard
    deviations, and pass rates with Wilson intervals; and beside them the published selection from all runs of the same
    task, model, width and weight decay, and the published numbers.

    Args:
        runs: as `with_passes` returns them.
    """
    import pandas as pd

    cells = {key: _selection(cell) for key, cell in runs.groupby(CELL, sort=False)}
    rows = []
    for key, group in runs.groupby(SETTINGS, dropna=False):
        settings = dict(zip(SETTINGS, key, strict=True))
        place = tuple(settings[name] for name in CELL)
        rows.append({**settings, **_summary(group), **cells[place], **_published(group)})
    return pd.DataFrame(rows)


def _summary(group: pd.DataFrame) -> Row:
    finished = group[group["status"] == "done"]
    row: Row = {
        "runs": len(group),
        "failed": len(group) - len(finished),
        "at_chance": int((finished["accuracy"] <= AT_CHANCE).sum()),
        "rank_theory": finished["rank_theory"].max() if len(finished) else None,
    }
    for name in MEANS:
        row |= _mean(name, finished[name].to_numpy(float))
    for name in PASSES:
        passed = int(group[f"pass_{name}"].sum())
        low, high = wilson(passed, len(group))
        row |= {f"passed_{name}": passed, f"rate_{name}": passed / len(group)}
        row |= {f"rate_{name}_low": low, f"rate_{name}_high": high}
    return row


def _mean(name: str, values: np.ndarray) -> Row:
    low, high = bootstrap(values) if len(values) >= FEWEST else (None, None)
    spread = float(values.std(ddof=1)) if len(values) > 1 else None
    mean = float(values.mean()) if len(values) else None
    return {name: mean, f"{name}_low": low, f"{name}_high": high, f"{name}_sd": spread}


def _selection(cell: pd.DataFrame) -> Row:
    """Return the published numbers of a cell, computed from these runs as published: of each seed the least published
    error among runs that pass the accuracy and have one, and the greatest accuracy; then means over seeds.

    `dropped` runs do not enter the error; of these, `dropped_accuracy` did not pass, and `dropped_nan` did but have no
    error.
    """
    scored = cell["published_error"].notna()
    selected = cell[cell["pass_accuracy"] & scored]
    errors, accuracies = selected.groupby("seed")["published_error"].min(), cell.groupby("seed")["accuracy"].max()
    return {
        "selection_error": float(errors.mean()) if len(errors) else None,
        "selection_accuracy": float(accuracies.mean()) if accuracies.notna().any() else None,
        "selection_seeds": len(errors),
        "dropped": len(cell) - len(selected),
        "dropped_accuracy": int((~cell["pass_accuracy"]).sum()),
        "dropped_nan": int((cell["pass_accuracy"] & ~scored).sum()),
    }


def _published(group: pd.DataFrame) -> Row:
    first = group.iloc[0]
    key = (first["task"], int(first["hidden"]), float(first["weight_decay"]))
    cell = PUBLISHED.get(key) if first["model"] == "rnn" else None
    error, accuracy = (None, None) if cell is None else cell
    return {"published_error": error, "published_accuracy": accuracy}


def row_names(rows: pd.DataFrame) -> list[str]:
    """Return a name for each row: the task, and the settings in which rows differ."""
    words = {"model": "{}", "hidden": "h={:g}", "weight_decay": "L2={:g}", "threshold": "promoted at {:g}"}
    shown = [name for name in words if rows[name].nunique(dropna=False) > 1]
    names = [
        " ".join([row["task"], *(words[name].format(row[name]) for name in shown if row[name] == row[name])])
        for row in rows.to_dict("records")
    ]
    ids = [str(configuration).rpartition("/")[2] for configuration in rows["configuration"]]
    return [f"{name} ({run_id})" if names.count(name) > 1 else name for name, run_id in zip(names, ids, strict=True)]


def latex(rows: pd.DataFrame, remark: str) -> str:
    """Return the table for a paper, in groups by task.

    Args:
        rows: as `summary_rows` returns them.
        remark: a comment above it.
    """
    columns = ["network", "runs", "accuracy", "angle error", "rank", "accuracy and rank", "selected", "published"]
    groups: dict[str, list[list[str]]] = {}
    for name, row in zip(row_names(rows), rows.to_dict("records"), strict=True):
        row = {key: None if value != value else value for key, value in row.items()}
        rate = _with_interval(row["rate_both"], row["rate_both_low"], row["rate_both_high"], 2)
        cells = [
            name,
            f"{row['runs']}" + (f" ({row['failed']} failed)" if row["failed"] else ""),
            _with_interval(row["accuracy"], row["accuracy_low"], row["accuracy_high"], 3),
            _with_interval(row["angle_error"], row["angle_error_low"], row["angle_error_high"], 5),
            "--" if row["rank"] is None else f"{row['rank']:.1f} of {row['rank_theory']:g}",
            f"{row['passed_both']}: {rate}",
            f"{_number(row['selection_error'], 5)} ({_number(row['selection_accuracy'], 2)})",
            f"{_number(row['published_error'], 4)} ({_number(row['published_accuracy'], 2)})",
        ]
        groups.setdefault(row["task"], []).append(cells)
    return booktabs(columns, list(groups.values()), "l" + "r" * (len(columns) - 1), remark)


def _with_interval(value: float | None, low: float | None, high: float | None, digits: int) -> str:
    if value is None or low is None or high is None:
        return _number(value, digits)
    return f"{_number(value, digits)} [{_number(low, digits)}, {_number(high, digits)}]"


def _number(value: float | None, digits: int) -> str:
    return "--" if value is None else f"{value:.{digits}f}"
