"""The published rows of networks that multiply in a group."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from mechlab.core.config_folder import config_dir
from mechlab.record.files import read_yaml

SIZES = {  # of the published networks
    "group_mlp": {"hidden": 128, "embedding": 256, "variant": "relu"},
    "group_transformer": {"hidden": 512, "width": 128, "heads": 4, "head_width": 32},
}


@functools.cache
def published() -> dict[str, Any]:
    """Return the published settings and numbers, as conf/published has them."""
    files = (config_dir() / "published" / f"{name}.yaml" for name in ("groups_settings", "groups"))
    return {key: value for file in files for key, value in read_yaml(file).items()}


def published_row(group: str, model: str, task: Mapping[str, Any], sizes: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the published row of a network with these settings: numbers and `irreps` by name, and under `corrected`
    those that are wrong in print; None where there is none.

    The group, the kind and sizes of the network, the share of training pairs and the seed of the split must match, and
    all other pairs be test pairs.

    Args:
        group: its name.
        model: group_mlp or group_transformer.
        task, sizes: the sections task and model of the run's configuration.
    """
    table, size = published(), SIZES.get(model)
    if size is None or any(sizes.get(name) != value for name, value in size.items()):
        return None
    if task.get("hold_out") is not None or task.get("val_fraction") is not None:
        return None
    settings = table["settings"].get(group, {}).get(model)
    if settings is None or task.get("train_fraction") != settings["train_fraction"]:
        return None
    return table["rows"].get(group, {}).get(model, {}).get(f"s{task.get('seed')}")


def published_seeds(group: str, model: str) -> dict[str, Any] | None:
    """Return how many of the published networks of many seeds learned each irrep (`learned`), which first (`first`),
    and how many irreps (`key_irreps`), with the number of `networks`; None where there is nothing in print."""
    return published()["seeds"].get(group, {}).get(model)
