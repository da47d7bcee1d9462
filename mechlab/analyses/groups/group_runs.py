"""Networks that multiply in a group, by what `irreps` measured of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mechlab.analyses.groups.published import published_row
from mechlab.record.sets import run_name

if TYPE_CHECKING:
    import pandas as pd

    from mechlab.groups import Group
    from mechlab.record.run import Run

IRREPS = "irreps"
READ = ("result.json", f"analyses/{IRREPS}/*.csv")


@dataclass(frozen=True, eq=False)
class GroupRun:
    """A network that multiplies in a group.

    Args:
        name: of the run, `<task>-<model>/<run_id>-s<seed>`.
        group: the group.
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
    group: Group
    model: str
    hidden: int | None
    train_fraction: float | None
    seed: int
    scalars: dict[str, float]
    accuracy: float
    irreps: pd.DataFrame
    published: dict[str, Any] | None

    @cached_property
    def key_irreps(self) -> list[str]:
        """Names of the key irreps, in the order of learning, where it is known."""
        return self.irreps[self.irreps["key"].astype(bool)].sort_values("order", kind="stable")["name"].tolist()

    @cached_property
    def order(self) -> list[str]:
        """Names of the key irreps in the order of learning; none where training was not recorded."""
        return self.key_irreps if self.irreps["order"].notna().any() else []


def group_runs(runs: Sequence[Run]) -> list[GroupRun]:
    """Return what `irreps` measured of each run."""
    return [_group_run(run) for run in runs]


def _group_run(run: Run) -> GroupRun:
    task, sizes = run.config["task"], run.config["model"]
    group, model = run.task.ground_truth().group, model_of(str(sizes["_target_"]))
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
        published=published_row(group.name, model, task, sizes),
    )


def model_of(target: str) -> str:
    """Return the kind of network by the module of its class.

    >>> model_of("mechlab.models.group_mlp.GroupMLP")
    'group_mlp'
    """
    return target.split(".")[-2]
