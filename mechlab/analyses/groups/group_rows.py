"""The rows of the table of networks that multiply in groups, and their LaTeX."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mechlab.analyses.groups.group_runs import GroupRun
from mechlab.core.latex import booktabs
from mechlab.statistics.bootstrap import bootstrap

if TYPE_CHECKING:
    import pandas as pd

TITLES = {  # of the measured numbers, by the scalar of `irreps`
    "test_loss": "test loss",
    "excluded_loss": "excluded",
    "restricted_loss": "restricted",
    "logit_fve": "logit FVE",
    "embed_x_fve": "W_a FVE",
    "embed_y_fve": "W_b FVE",
    "unembed_fve": "W_U FVE",
    "hidden_fve": "MLP FVE",
    "hidden_ab_fve": "MLP ρ(ab) FVE",
}
MEASURED = tuple(TITLES)
CELL = ["group", "model", "hidden", "train_fraction"]  # settings of the networks of a mean
SHARED = ("group_transformer",)  # networks with one embedding for both factors, of which W_b FVE is left out
FEWEST = 3  # seeds that an interval of a mean needs

Row = dict[str, Any]


def run_rows(runs: Sequence[GroupRun], accuracy: float) -> pd.DataFrame:
    """Return a row for each network: settings, key irreps in the order of learning, the measured numbers, and for each
    of them the published and the corrected one and the deviation from the latter.

    Args:
        runs: the networks.
        accuracy: the least test accuracy of a network that generalises.
    """
    import pandas as pd

    rows = [_row(run, accuracy) for run in runs]
    return pd.DataFrame(rows).sort_values([*CELL, "seed", "run"], kind="stable", ignore_index=True)


def _row(run: GroupRun, accuracy: float) -> Row:
    row: Row = {"group": run.group.name, "model": run.model, "hidden": run.hidden, "train_fraction": run.train_fraction}
    row |= {"seed": run.seed, "run": run.name, "test_accuracy": run.accuracy, "generalises": run.accuracy >= accuracy}
    known = run.published or {}
    corrected = known.get("corrected", {})
    right = corrected.get("irreps", known.get("irreps"))
    row |= {"irreps": " ".join(run.key_irreps), "key_irreps": len(run.key_irreps), "published": bool(known)}
    row |= {"irreps_published": " ".join(known.get("irreps", [])), "irreps_corrected": " ".join(right or [])}
    row["same_irreps"] = set(run.key_irreps) == set(right) if right else None
    for name in MEASURED:
        value, number = run.scalars.get(name, math.nan), corrected.get(name, known.get(name, math.nan))
        row |= {name: value, f"{name}_published": known.get(name, math.nan)}
        row |= {f"{name}_corrected": corrected.get(name, math.nan), f"{name}_deviation": value - number}
    return row


def mean_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each group and kind of network: means over seeds with their bootstrap intervals, and the means
    of the published and of the corrected numbers, where all of the networks have them.

    Args:
        rows: as `run_rows` returns them.
    """
    import pandas as pd

    means = []
    for key, cell in rows.groupby(CELL, dropna=False):
        row: Row = {**dict(zip(CELL, key, strict=True)), "networks": len(cell), "seeds": cell["seed"].nunique()}
        row |= {"generalising": int(cell["generalises"].sum()), "key_irreps": float(cell["key_irreps"].mean())}
        for name in MEASURED:
            values, known = cell[name].dropna(), cell[f"{name}_published"]
            low, high = bootstrap(values) if len(values) >= FEWEST else (None, None)
            row |= {name: values.mean(), f"{name}_low": low, f"{name}_high": high}
            row[f"{name}_published"] = known.mean(skipna=False)
            row[f"{name}_corrected"] = cell[f"{name}_corrected"].fillna(known).mean(skipna=False)
        means.append(row)
    return pd.DataFrame(means)


def latex_runs(rows: pd.DataFrame, remark: str) -> str:
    """Return the table of networks for a paper, divided by group and kind of network; where a published number is
    known, the corrected one follows in brackets."""
    columns = ["group", "network", "seed", "key irreps in the order of learning", *TITLES.values()]
    groups = []
    for _, cell in rows.groupby(CELL, dropna=False):
        lines = []
        for row in cell.to_dict("records"):
            irreps = ", ".join(short(name) for name in row["irreps"].split())
            lines.append([row["group"], _network(row), str(row["seed"]), irreps or "--", *_cells(row)])
        groups.append(lines)
    return booktabs(columns, groups, "llrl" + "r" * len(TITLES), remark)


def latex_means(means: pd.DataFrame, remark: str) -> str:
    """Return the table of means over seeds for a paper, divided by group."""
    columns = ["group", "network", "seeds", "generalise", *TITLES.values()]
    groups = []
    for _, cell in means.groupby("group", sort=False):
        settings = [[row["group"], _network(row), str(row["seeds"])] for row in cell.to_dict("records")]
        counts = [f"{row['generalising']} of {row['networks']}" for row in cell.to_dict("records")]
        numbers = [_cells(row) for row in cell.to_dict("records")]
        groups.append([[*s, c, *n] for s, c, n in zip(settings, counts, numbers, strict=True)])
    return booktabs(columns, groups, "llrr" + "r" * len(TITLES), remark)


def short(irrep: str) -> str:
    """Return an irrep's name as tables have it: the two-dimensional ones of C_n and D_n by their frequency.

    >>> short("freq_12"), short("5d_a")
    ('12', '5d_a')
    """
    return irrep.removeprefix("freq_")


def _network(row: Row) -> str:
    names = {"group_mlp": "MLP", "group_transformer": "T"}
    hidden = row["hidden"]
    usual = {"group_mlp": 128, "group_transformer": 512}.get(row["model"])
    sized = "" if hidden is None or hidden != hidden or hidden == usual else f" h={hidden:g}"
    return names.get(row["model"], row["model"]) + sized


def _cells(row: Row) -> list[str]:
    cells = []
    for name in MEASURED:
        known, corrected = row[f"{name}_published"], row[f"{name}_corrected"]
        right = known if corrected != corrected else corrected
        beside = "" if right != right else f" ({number(name, right)})"
        left_out = name == "embed_y_fve" and row["model"] in SHARED
        cells.append("--" if left_out else number(name, row[name]) + beside)
    return cells


def number(name: str, value: float) -> str:
    """Return a measured number as tables have it: small losses with three digits, others with four decimals.

    >>> number("test_loss", 2.94e-6), number("excluded_loss", 7.5914), number("logit_fve", 0.84812)
    ('2.94e-06', '7.59', '0.8481')
    """
    if value != value:
        return "--"
    if name == "excluded_loss":
        return f"{value:.2f}"
    return f"{value:.2e}" if name.endswith("_loss") else f"{value:.4f}"
