"""Loss, accuracy and norm of the parameters over training, of runs and of exported TensorBoard curves."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from mechlab.analyses.run_names import run_names
from mechlab.core.analysis import Finding
from mechlab.core.constraints import Filled
from mechlab.core.errors import ConfigError
from mechlab.core.set_analysis import SetAnalysis, SetNeeds
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mechlab.record.run import Run

QUANTITIES = ("loss", "accuracy")
SPLITS = ("train", "val")
NORMS = 200  # steps at which the norm of a run's parameters is computed, at most
COLUMNS = ("Step", "Value")  # of TensorBoard's export, beside Wall time
EXPORTED = "exported"

Point = tuple[float, float]  # step and value
Curve = str | Annotated[tuple[Point, ...], Filled()]


class TrainingCurves(SetAnalysis):
    """Tabulate and draw loss, accuracy and the Euclidean norm of all parameters over the training of one or more runs,
    with curves that were exported from TensorBoard on the same axes.

    Args:
        exported: by metric, such as "val/accuracy" or "norm", the path of a CSV file that TensorBoard has exported
            (columns Wall time, Step, Value), or its (step, value) pairs.
    """

    needs = SetNeeds(runs=1, files=("result.json", "metrics.csv", "provenance/config.yaml", "history/*.safetensors"))

    def __init__(self, exported: dict[str, Curve] | None = None):
        self.exported = exported

    @classmethod
    def without_files(cls, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a configuration with the points of exported files in place of their paths."""
        curves = {
            metric: read_exported(curve, metric) if isinstance(curve, str) else curve
            for metric, curve in (arguments.get("exported") or {}).items()
        }
        return {**arguments, "exported": curves or None}

    def check(self, name: str, configs: Mapping[str, Mapping[str, Any]]) -> None:
        """Raise ConfigError if there is no run, or if an exported metric is none that is drawn."""
        super().check(name, configs)
        known = [*(f"{split}/{quantity}" for quantity in QUANTITIES for split in SPLITS), "norm"]
        for metric in self.exported or {}:
            if metric not in known:
                must, fix = "exported metrics must be losses, accuracies or the norm", ", ".join(known)
                raise ConfigError(must, got=metric, key=f"analysis.{name}.exported", fix=fix)

    def run(self, runs: Sequence[Run], out: Artifacts, rng: np.random.Generator) -> Finding:
        """Save one table of all curves."""
        import pandas as pd

        names = run_names(runs)
        rows = [
            {"curve": name, "metric": metric, "step": step, "value": value}
            for run, name in zip(runs, names, strict=True)
            for metric, points in _curves(run).items()
            for step, value in points
        ]
        exported = {
            metric: read_exported(curve, metric) if isinstance(curve, str) else curve
            for metric, curve in (self.exported or {}).items()
        }
        rows += [
            {"curve": EXPORTED, "metric": metric, "step": step, "value": value}
            for metric, points in exported.items()
            for step, value in points
        ]
        curves = pd.DataFrame(rows)
        out.save_table("curves", curves)
        scalars = {"runs": float(len(runs)), "metrics": float(curves["metric"].nunique())}
        for metric, points in exported.items():
            own = curves[(curves["metric"] == metric) & (curves["curve"] != EXPORTED)]
            if (deviation := _deviation(own, points)) is not None:
                scalars[f"deviation_{metric.replace('/', '_')}"] = deviation
        notes = {}
        if exported:
            notes["deviation"] = (
                "deviation_METRIC is the mean absolute difference between the exported curve and those of the runs, "
                "which are interpolated at its steps, as far as they go."
            )
        return Finding(scalars, {}, notes)

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw all curves: a panel each for loss, accuracy and norm."""
        from mechlab.plotting.training_curves import curves_figure

        return {"curves": curves_figure(out.table("curves"), EXPORTED)}


def read_exported(path: str, metric: str) -> list[list[float]]:
    """Return the (step, value) pairs of a CSV file that TensorBoard has exported.

    Args:
        path: of the file.
        metric: that it holds, for messages.

    Raises:
        ConfigError: the file cannot be read, or lacks a column or a number.
    """
    key = f"analysis.training_curves.exported.{metric}"
    try:
        with open(path, newline="", encoding="utf-8") as file:
            points = [[float(row[column]) for column in COLUMNS] for row in csv.DictReader(file)]
    except (OSError, KeyError, TypeError, ValueError, UnicodeDecodeError) as error:
        must = "an exported curve must be a CSV file with columns Wall time, Step and Value, as TensorBoard saves it"
        got = f"{path}: {f'no column {error}' if isinstance(error, KeyError) else error}"
        raise ConfigError(must, got=got, key=key, fix="TensorBoard: Show data download links, CSV") from None
    if not points:
        must = "an exported curve must have a point"
        raise ConfigError(must, got=path, key=key, fix="export the curve again")
    return sorted(points)


def _curves(run: Run) -> dict[str, list[Point]]:
    """Return the curves of a run by metric: (step, value) pairs."""
    logged = run.metrics
    names = [f"{split}/{quantity}" for quantity in QUANTITIES for split in SPLITS if f"{split}/{quantity}" in logged]
    curves = {name: logged[["step", name]].dropna().to_numpy(float).tolist() for name in names}
    return {**{name: [tuple(point) for point in points] for name, points in curves.items()}, "norm": _norms(run)}


def _norms(run: Run) -> list[Point]:
    """Return the Euclidean norm of the parameters at up to NORMS stored steps; at the end alone if none is stored."""
    names = [name for name, _ in run.model().named_parameters()]
    stored = run.history.stored
    places = sorted(set(np.linspace(0, len(stored) - 1, NORMS).round().astype(int).tolist())) if stored else []
    states = [(stored[i], run.history.params(stored[i])) for i in places] or [(run.status["step"], run.weights())]
    return [
        (float(step), math.sqrt(sum(float(state[name].double().square().sum()) for name in names)))
        for step, state in states
    ]


def _deviation(own: pd.DataFrame, points: Sequence[Sequence[float]]) -> float | None:
    """Return the mean absolute difference between a curve and those of the runs, at the steps that all of them cover;
    None where there is no such step."""
    steps, values = np.array(points, float).T
    curves = [(line["step"].to_numpy(float), line["value"].to_numpy(float)) for _, line in own.groupby("curve")]
    if not curves:
        return None
    low, high = max(at.min() for at, _ in curves), min(at.max() for at, _ in curves)
    shared = (steps >= low) & (steps <= high)
    if not shared.any():
        return None
    return float(np.mean([np.abs(np.interp(steps[shared], *curve) - values[shared]) for curve in curves]))
