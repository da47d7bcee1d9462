"""Networks whose states were clustered: their ambiguity, accuracy and architecture, read from their runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mechlab.analyses.seeds import numbers_of
from mechlab.clustering.methods import METHODS
from mechlab.core.errors import MechlabError
from mechlab.record.answers import read_finding
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    import pandas as pd

    from mechlab.record.run import Run

CLUSTERINGS, OVER_TRAINING = "clusterings", "states_over_training"
HELD_OUT = "_held_out"
SEPARATORS = ("lda", "lr")  # a network is separable if neither leaves any ambiguity
ACCURACIES = ("conformance/accuracy", "test/accuracy", "val/accuracy")  # the first that as many as possible have
READ = (  # of each run, beside the finding of `clusterings`
    "result.json",
    "metrics.csv",
    f"analyses/{CLUSTERINGS}/moments/over_training.csv",
    f"analyses/{OVER_TRAINING}/finding.json",
)
DATA = {  # task keys that decide which words are drawn and how they are labelled; all others decide the automaton
    "_target_", "seed", "words", "val_words", "test_words", "max_length", "test_lengths", "sampler", "supervise",
    "compat", "stack_limit", "break_on_impossible", "target",
}  # fmt: skip


@dataclass(frozen=True)
class ClusteredNetwork:
    """A network whose states were clustered.

    Args:
        run: its run.
        model: the model's name.
        cell_type: the model's name, or of an Elman network its activation.
        automaton: the task's name and the settings that decide the automaton.
        accuracy: None if it is not known.
        ambiguity: weighted ambiguity, by method; of classifiers also on held-out rows (`lda_held_out`).
    """

    run: Run
    model: str
    cell_type: str
    automaton: str
    accuracy: float | None
    ambiguity: dict[str, float]

    @property
    def separable(self) -> bool:
        """True if LDA and logistic regression both separate all states of the automaton."""
        return all(self.ambiguity.get(method) == 0 for method in SEPARATORS)


def clustered_networks(runs: Sequence[Run]) -> tuple[list[ClusteredNetwork], str]:
    """Return a network for each run, and the name of the metric used as accuracy. Every run must have a finding of
    `clusterings`."""
    numbers = [numbers_of(run.results) for run in runs]
    metric = max(ACCURACIES, key=lambda name: sum(name in values for values in numbers))
    return [_network(run, values, metric) for run, values in zip(runs, numbers, strict=True)], metric


def _network(run: Run, numbers: Mapping[str, float], metric: str) -> ClusteredNetwork:
    config = run.config
    task, _, model = str(config["name"]).rpartition("-")
    settings = {key: value for key, value in sorted(config["task"].items()) if key not in DATA}
    automaton = " ".join([task, *(f"{key}={_typed(value)}" for key, value in settings.items())])
    elman = model.split("_")[0] == "rnn"
    cell_type = str(config["model"].get("activation", model)) if elman else model
    names = [name for method in METHODS for name in (method, f"{method}{HELD_OUT}")]
    prefix = f"{CLUSTERINGS}/"
    ambiguity = {name: numbers[prefix + name] for name in names if prefix + name in numbers}
    return ClusteredNetwork(run, model, cell_type, automaton, numbers.get(metric), ambiguity)


def epoch_curves(network: ClusteredNetwork) -> dict[str, list[tuple[float, float]]]:
    """Return (epoch, ambiguity) pairs by method: from the source with the most points: scalars logged while training,
    `clusterings` of recorded steps, or the states over training. A single pair is no curve."""
    import pandas as pd

    run, known = network.run, network.ambiguity
    metrics = run.metrics if (run.folder / "metrics.csv").is_file() else pd.DataFrame({"step": []})
    steps = _steps_per_epoch(run, metrics)
    if steps is None:
        return {}
    tables = [metrics.rename(columns={f"{CLUSTERINGS}/{name}": name for name in known})]
    folder = run.artifacts(CLUSTERINGS).folder / "moments"
    if (folder / "over_training.csv").is_file():
        tables.append(Artifacts(folder).table("over_training"))
    tables += _states_over_training(run)
    curves: dict[str, list[tuple[float, float]]] = {}
    for table in tables:
        for method in known.keys() & set(table.columns):
            rows = table[["step", method]].dropna()
            curve = [(float(step) / steps, float(value)) for step, value in rows.itertuples(index=False)]
            if len(curve) > max(1, len(curves.get(method, []))):
                curves[method] = curve
    return curves


def _states_over_training(run: Run) -> list[pd.DataFrame]:
    """Return the table of `states_over_training` with the names of `clusterings`, if there is one."""
    folder = run.artifacts(OVER_TRAINING).folder
    try:
        multiple = read_finding(folder).get("parameters", {}).get("multiple")
        table = Artifacts(folder).table("training")
    except (MechlabError, OSError):
        return []
    return [table.rename(columns={"weighted": f"k_means_{multiple:g}"} if isinstance(multiple, int | float) else {})]


def _steps_per_epoch(run: Run, metrics: pd.DataFrame) -> float | None:
    """Return how many optimiser steps an epoch has: as configured, else where the first validation was."""
    configured = run.config["trainer"].get("steps_per_epoch")
    if isinstance(configured, int):
        return configured
    if "val/loss" not in metrics:
        return None
    steps = metrics["step"][metrics["val/loss"].notna() & (metrics["step"] > 0)]
    return float(steps.iloc[0]) if len(steps) else None


def _typed(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
