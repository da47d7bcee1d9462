"""The tables of the ambiguity of many networks: one line for each network, method, correlation, or point of a curve."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mechlab.analyses.clustered_networks import ClusteredNetwork, epoch_curves
from mechlab.record.sets import run_name
from mechlab.statistics.correlation import cluster_interval, line, mean, pearson, spearman, whole

if TYPE_CHECKING:
    import pandas as pd

ALL = "all"
STATISTICS = {"pearson": pearson, "spearman": spearman}
DESCRIBED = ("run", "automaton", "cell_type", "accuracy")  # columns of the table of networks beside the methods
CORRELATIONS = (
    "method", "accuracy", "networks", "automata", "pearson", "pearson_low", "pearson_high", "spearman",
    "spearman_low", "spearman_high", "slope", "intercept",
)  # fmt: skip
POINTS = ("run", "cell_type", "method", "epoch", "ambiguity")

Row = dict[str, Any]


def network_table(networks: Sequence[ClusteredNetwork]) -> pd.DataFrame:
    """Return a line for each network: run, automaton, type of cell, accuracy, and its ambiguity by each method."""
    import pandas as pd

    rows = [
        {
            "run": run_name(network.run.folder),
            "automaton": network.automaton,
            "cell_type": network.cell_type,
            "accuracy": np.nan if network.accuracy is None else network.accuracy,
            **network.ambiguity,
        }
        for network in networks
    ]
    return pd.DataFrame(rows)


def method_rows(table: pd.DataFrame, methods: Sequence[str]) -> Iterator[Row]:
    """Yield each method over all networks, then over those of each type of cell, if there are several."""
    kinds = sorted(table["cell_type"].unique())
    for kind in (ALL, *(kinds if len(kinds) > 1 else ())):
        selected = table if kind == ALL else table[table["cell_type"] == kind]
        for method in methods:
            rows = selected[["automaton", method]].dropna()
            if len(rows):
                yield {
                    "cell_type": kind,
                    "method": method,
                    **_spread(rows[method].to_numpy(), rows["automaton"].tolist()),
                }


def _spread(values: np.ndarray, automata: Sequence[str]) -> Row:
    low, high = cluster_interval(lambda weights: mean(values, weights), automata)
    return {
        "networks": len(values),
        "automata": len(set(automata)),
        "mean": float(values.mean()),
        "mean_low": low,
        "mean_high": high,
        "std": float(values.std(ddof=1)) if len(values) > 1 else None,
        "median": float(np.median(values)),
        "max": float(values.max()),
        "zeros": int((values == 0).sum()),
        "zero_share": float((values == 0).mean()),
    }


def correlation_rows(table: pd.DataFrame, methods: Sequence[str], metric: str) -> Iterator[Row]:
    """Yield the correlation of each method's ambiguity with the accuracy, and the least-squares line."""
    for method in methods:
        pairs = table[["automaton", "accuracy", method]].dropna()
        if len(pairs) < 2:
            continue
        accuracy, ambiguity, automata = (
            pairs["accuracy"].to_numpy(),
            pairs[method].to_numpy(),
            pairs["automaton"].tolist(),
        )
        row: Row = {"method": method, "accuracy": metric, "networks": len(pairs), "automata": len(set(automata))}
        for name, statistic in STATISTICS.items():

            def of(
                weights: np.ndarray, statistic: Any = statistic, x: Any = accuracy, y: Any = ambiguity
            ) -> np.ndarray:
                return statistic(x, y, weights)

            low, high = cluster_interval(of, automata)
            row |= {name: whole(of, len(pairs)), f"{name}_low": low, f"{name}_high": high}
        slope, intercept = line(accuracy, ambiguity) or (None, None)
        yield {**row, "slope": slope, "intercept": intercept}


def curve_rows(networks: Sequence[ClusteredNetwork]) -> Iterator[Row]:
    """Yield the points of each network's curves over the epochs."""
    for network in networks:
        for method, curve in sorted(epoch_curves(network).items()):
            for epoch, ambiguity in curve:
                values = (run_name(network.run.folder), network.cell_type, method, epoch, ambiguity)
                yield dict(zip(POINTS, values, strict=True))


def scalars_of(by_method: Sequence[Row], correlations: Sequence[Row]) -> dict[str, float]:
    """Return the means over all networks, and the correlations, with the ends of their intervals."""
    rows = [(row["method"], "mean", "", row) for row in by_method if row["cell_type"] == ALL]
    rows += [(row["method"], name, f"_{name}", row) for row in correlations for name in STATISTICS]
    scalars = {}
    for method, name, ending, row in rows:
        for end in ("", "_low", "_high"):
            if (value := row[f"{name}{end}"]) is not None:
                scalars[f"{method}{ending}{end}"] = float(value)
    return scalars
