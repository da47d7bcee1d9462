"""Means of metrics and scalars over seeds, with bootstrap intervals."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from mechlab.core.analysis import Claim, Finding
from mechlab.core.constraints import at_least
from mechlab.core.errors import ConfigError, did_you_mean
from mechlab.core.set_analysis import SetAnalysis, SetNeeds
from mechlab.record.artifacts import Artifacts
from mechlab.statistics.bootstrap import RESAMPLES, Summary, summarise

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.record.run import Run

ENDINGS = ("_low", "_high")
ENDS = {"at_least": "lower", "at_most": "upper"}
BETTER: dict[str, Literal["below", "above"]] = {"at_least": "above", "at_most": "below"}


class Seeds(SetAnalysis):
    """Summarise every metric, and every scalar of an analysis, over runs that differ in their seed only.

    The interval is the percentile bootstrap of the mean over runs. A claim is tested at its less favourable end.

    Args:
        metric: the metric (`test/accuracy`) or scalar (`<analysis>/<scalar>`) of the figure and of the claim; None for
            the first metric of the test.
        threshold: the claimed bound of its mean; None for no claim.
        side: whether the mean must be at least or at most the threshold.
        fewest: seeds below which no claim is made.
    """

    needs = SetNeeds(runs=2, varies=("seed",), equal=("run_id",))

    def __init__(
        self,
        metric: str | None = None,
        threshold: float | None = None,
        side: Literal["at_least", "at_most"] = "at_least",
        fewest: Annotated[int, at_least(2)] = 5,
    ):
        self.metric, self.threshold, self.side, self.fewest = metric, threshold, side, fewest

    def run(self, runs: Sequence[Run], out: Artifacts, rng: np.random.Generator) -> Finding:
        """Summarise; save the table of summaries and that of all runs."""
        import pandas as pd

        numbers = [numbers_of(run.results) for run in runs]
        names = dict.fromkeys(name for row in numbers for name in row)
        summaries = {name: summarise([row[name] for row in numbers if name in row]) for name in names}
        chosen = self._chosen(summaries)
        out.save_table("means", pd.DataFrame([_row(name, summary) for name, summary in summaries.items()]))
        values = pd.DataFrame([{"seed": run.seed, **row} for run, row in zip(runs, numbers, strict=True)])
        out.save_table("runs", values)
        scalars = {"seeds": float(len(runs))}
        for name, summary in summaries.items():
            scalars |= _scalars(name, summary) if summary.n == len(runs) else {}  # else means of different runs
        notes = {"interval": f"Intervals are percentiles of {RESAMPLES:,} bootstrap means over seeds (95 %)."}
        if len(runs) < self.fewest:
            few = f"{len(runs)} seeds are fewer than {self.fewest}, so their interval is too narrow"
            return Finding(scalars, notes=notes | {"fewest": f"{few}, and no claim is made."})
        return Finding(scalars, self._claims(chosen, summaries[chosen]), notes)

    def _chosen(self, summaries: Mapping[str, Summary]) -> str:
        if self.metric is None:
            return main_metric(summaries)
        if self.metric not in summaries:
            must, fix = "metric must be a metric or scalar of the runs", did_you_mean(self.metric, summaries)
            raise ConfigError(must, got=self.metric, key="analysis.seeds.metric", fix=fix)
        return self.metric

    def _claims(self, name: str, summary: Summary) -> dict[str, Claim]:
        if self.threshold is None:
            return {}
        worse = summary.low if self.side == "at_least" else summary.high
        words = self.side.replace("_", " ")
        over = f"{ENDS[self.side]} end of the 95 % bootstrap interval over {summary.n} seeds"
        return {
            "mean": Claim(
                f"The mean of {name} is {words} {self.threshold:g} ({over}).",
                value=summary.mean,
                threshold=self.threshold,
                holds=bool(worse >= self.threshold if self.side == "at_least" else worse <= self.threshold),
                kind="statistical",
                interval=(summary.low, summary.high),
            )
        }

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the chosen number of each run, with their mean and its interval."""
        from mechlab.plotting.report import MeanInterval, forest

        means, values = out.table("means").set_index("name"), out.table("runs")
        name = self._chosen(dict.fromkeys(means.index))
        row, numbers = means.loc[name], values[name].dropna().tolist()
        interval = MeanInterval(f"{len(numbers)} seeds", numbers, row["mean"], row["mean_low"], row["mean_high"])
        return {"mean": forest(name, [interval], self.threshold, BETTER[self.side])}


def numbers_of(result: Mapping[str, Any]) -> dict[str, float]:
    """Return the finite metrics of a run, and the scalars of its analyses as `<analysis>/<scalar>`."""
    numbers = dict(result["metrics"])
    for analysis, finding in result.get("findings", {}).items():
        numbers |= {f"{analysis}/{name}": value for name, value in finding["scalars"].items()}
    return {name: float(value) for name, value in numbers.items() if value is not None and math.isfinite(value)}


def main_metric(names: Mapping[str, Any]) -> str:
    """Return the metric of the test that is shown first: accuracy, else any other, else the loss.

    >>> main_metric(dict.fromkeys(["train/loss", "test/loss", "test/accuracy"]))
    'test/accuracy'
    """
    tested = [name for name in names if name.startswith("test/")] or list(names)
    return min(tested, key=lambda name: (name.endswith("/loss"), not name.endswith("/accuracy"), name))


def slug(name: str) -> str:
    """Return a metric's name as the name of a scalar.

    >>> slug("test/accuracy")
    'test_accuracy'
    """
    return re.sub(r"\W", "_", name)


def _scalars(name: str, summary: Summary) -> dict[str, float]:
    """Return a mean and the ends of its interval; the ends of a run's own interval have none."""
    ends = {} if name.endswith(ENDINGS) else dict(zip(ENDINGS, (summary.low, summary.high), strict=True))
    return {f"{slug(name)}{ending}": float(value) for ending, value in {"": summary.mean, **ends}.items()}


def _row(name: str, summary: Summary) -> dict[str, Any]:
    spread = float(np.std(summary.values, ddof=1)) if summary.n > 1 else None
    ends = {"mean_low": summary.low, "mean_high": summary.high, "std": spread}
    extremes = {"min": min(summary.values), "max": max(summary.values)}
    return {"name": name, "n": summary.n, "mean": summary.mean, **ends, **extremes}
