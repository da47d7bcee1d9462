"""Networks that multiply in a group, by what `irreps` measured of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mechlab.analyses.groups.published import published_row
from mechlab.record.sets import run_name

if TYPE_CHECKING:
    import pandas as pd

    from mechlab.record.run import Run

IRREPS = "irreps"
READ = ("result.json", f"analyses/{IRREPS}/*.csv")


@dataclass(frozen=True)
class GroupRun:
    """A network that multiplies in a group.

    Args:
        name: of the run, `<task>-<model>/<run_id>-s<seed>`.
        group: its name.
        model: such as group_mlp.
        hidden: number of hidden units, or None.
        train_fraction: share of the pairs that it was trained on, or None.
        seed: of the split, where it has one, else of the run.
        scalars: those of `irreps`.
        accuracy: on the test pairs.
        irreps: a row for each irrep; see `irreps`.
        published: the published row of this network, or None; see `published_row`.
    """

    name: str
    group: str
    model: str
    hidden: int | None
    train_fraction: float | None
    seed: int
    scalars: dict[str, float]
    accuracy: float
    irreps: pd.DataFrame
    published: dict[str, Any] | None

    @property
    def key_irreps(self) -> list[str]:
        """Names of the key irreps, in the order of learning."""
        return self.irreps[self.irreps["key"].astype(bool)].sort_values("order", kind="stable")["name"].tolist()


def group_runs(runs: Sequence[Run]) -> list[GroupRun]:
    """Return what `irreps` measured of each run."""
    return [_group_run(run) for run in runs]


def _group_run(run: Run) -> GroupRun:
    task, sizes = run.config["task"], run.config["model"]
    group, model = str(task["group"]), str(run.config["name"]).rpartition("-")[2]
    results = run.results
    scalars = results["findings"][IRREPS]["scalars"]
    accuracy = scalars.get("test_accuracy", results["metrics"].get("test/accuracy"))
    seed = task.get("seed")
    return GroupRun(
        name=run_name(run.folder),
        group=group,
        model=model,
        hidden=sizes.get("hidden"),
        train_fraction=task.get("train_fraction"),
        seed=run.seed if seed is None else seed,
        scalars=scalars,
        accuracy=float("nan") if accuracy is None else float(accuracy),
        irreps=run.artifacts(IRREPS).table(IRREPS),
        published=published_row(group, model, task, sizes),
    )
