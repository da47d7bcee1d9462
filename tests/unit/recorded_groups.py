"""Runs of networks that multiply in a group, with a made-up finding of `irreps`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from mechlab.analyses.groups.group_rows import MEASURED
from mechlab.analyses.groups.published import published
from mechlab.groups import group, irreps
from mechlab.record.artifacts import Artifacts

SIZES = {"group_mlp": {"hidden": 128, "embedding": 256, "variant": "relu"}}
SIZES["group_transformer"] = {"hidden": 512, "width": 128, "heads": 4, "head_width": 32}
CLASSES = {"group_mlp": "GroupMLP", "group_transformer": "GroupTransformer"}


STEPS = (0, 1, 10, 100, 1000)


@dataclass
class Recorded:
    """What is read of a run."""

    folder: Path
    config: dict[str, Any]
    results: dict[str, Any]
    seed: int
    group: str

    @property
    def task(self) -> SimpleNamespace:
        return SimpleNamespace(ground_truth=lambda: SimpleNamespace(group=group(self.group)))

    def artifacts(self, analysis: str) -> Artifacts:
        return Artifacts(self.folder / "analyses" / analysis)


def recorded(
    root: Path,
    name: str,
    model: str,
    seed: int,
    keys: Sequence[str],
    accuracy: float = 1.0,
    scalars: dict[str, float] | None = None,
    learned: bool = True,
    **sizes: Any,
) -> Recorded:
    """A run whose finding of irreps has these key irreps, in this order of learning, and made-up numbers."""
    rng = np.random.default_rng([seed, len(model), len(name)])
    numbers = {metric: float(rng.uniform(0.1, 1)) for metric in MEASURED} | {"test_accuracy": accuracy}
    every, keys = [irrep.name for irrep in irreps(group(name))], list(keys)
    order = [keys.index(irrep) if learned and irrep in keys else None for irrep in every]
    columns = {"name": every, "similarity": [0.3 * (irrep in keys) for irrep in every]}
    table = pd.DataFrame({**columns, "key": [irrep in keys for irrep in every], "order": order})
    folder = root / f"group-{model}" / f"{name}{len(sizes)}-s{seed}"
    Artifacts(folder / "analyses" / "irreps").save_table("irreps", table)
    settings = published()["settings"].get(name, {}).get(model, {"train_fraction": 0.5})
    task = {"group": name, "train_fraction": settings["train_fraction"], "seed": seed}
    target = f"mechlab.models.{model}.{CLASSES[model]}"
    config = {"name": f"group-{model}", "task": task, "model": {"_target_": target, **SIZES[model], **sizes}}
    finding = {"scalars": numbers | (scalars or {})}
    if learned:
        curves = [
            {"step": step, "name": irrep, "similarity": _similarity(step, keys, irrep)}
            for irrep in every
            for step in STEPS
        ]
        Artifacts(folder / "analyses" / "irreps").save_table("irreps_over_training", pd.DataFrame(curves))
        losses = {f"{split}_loss": [4.0 / (1 + step) for step in STEPS] for split in ("train", "test")}
        shares = {f"{split}_accuracy": [accuracy * step / 1000 for step in STEPS] for split in ("train", "test")}
        progress = pd.DataFrame({"step": STEPS, **losses, **shares})
        Artifacts(folder / "analyses" / "irreps").save_table("training", progress)
    return Recorded(folder, config, {"metrics": {}, "findings": {"irreps": finding}}, seed, name)


def _similarity(step: int, keys: list[str], irrep: str) -> float:
    """The similarity of an irrep: key irreps rise one after the other, from the tenth step on."""
    return 0.3 * step / 1000 / (1 + keys.index(irrep)) if irrep in keys else 0.001
