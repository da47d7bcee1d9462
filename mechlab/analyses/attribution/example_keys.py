"""What examples have in common: relations between pairs of them, numbers to sort them by, and their texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from mechlab.core.errors import ConfigError
from mechlab.core.task import Batch, TaskSpec

if TYPE_CHECKING:
    import pandas as pd

Key = Literal["label", "sum", "token"]
LONGEST = 8  # tokens or numbers of an input that are written out


def joined(first: Batch, second: Batch) -> Batch:
    """Return the examples of two batches, one after the other.

    Raises:
        ConfigError: they are sequences of different lengths, or with targets at different steps.
    """
    batches = (first, second)
    if first.inputs.shape[1:] != second.inputs.shape[1:] or first.targets.shape[1:] != second.targets.shape[1:]:
        got = " and ".join(str(tuple(batch.inputs.shape[1:])) for batch in batches)
        must = "training examples must have the shape of the explained ones"
        raise ConfigError(must, got=got, key="training", fix="training=0")
    masks = [torch.ones(b.targets.shape[:2], dtype=torch.bool) if b.mask is None else b.mask for b in batches]
    mask = None if first.mask is None and second.mask is None else torch.cat(masks)
    parts = [torch.cat([getattr(batch, name) for batch in batches]) for name in ("inputs", "targets", "index")]
    return Batch(parts[0], parts[1], mask, parts[2])


def labels_of(spec: TaskSpec, batch: Batch) -> np.ndarray | None:
    """Return the class (X,) of each example, for sequences at its last step that counts; None without classes."""
    if not spec.loss.indices:
        return None
    targets = batch.targets.flatten(1) if batch.targets.ndim > 1 else batch.targets[:, None]
    if batch.mask is None:
        return targets[:, -1].numpy()
    steps = torch.arange(targets.shape[1])
    last = torch.where(batch.mask.flatten(1), steps, -1).amax(1).clamp(min=0)
    return targets.gather(1, last[:, None])[:, 0].numpy()


def sums_of(spec: TaskSpec, batch: Batch) -> np.ndarray | None:
    """Return the sum (X,) of the tokens of each example at those positions where examples differ; None without
    tokens."""
    return _varying(batch).sum(1) if spec.tokens and len(batch) else None


def relations(spec: TaskSpec, batch: Batch, keys: tuple[Key, ...]) -> dict[str, np.ndarray]:
    """Return for each key which pairs of examples (X, X) have it in common, without keys that examples of the task do
    not have: "label" for an equal class, "sum" for an equal sum of tokens, "token" for one or more tokens in common,
    at any of the positions where examples differ."""
    numbers = {"label": labels_of(spec, batch), "sum": sums_of(spec, batch)}
    found = {}
    for key in keys:
        if key == "token" and spec.tokens:
            present = np.zeros((len(batch), spec.inputs), dtype=np.float32)
            varying = _varying(batch)
            np.put_along_axis(present, varying, 1.0, axis=1)
            found[key] = present @ present.T > 0
        elif (values := numbers.get(key)) is not None:
            found[key] = values[:, None] == values[None]
    return found


def sorted_order(spec: TaskSpec, batch: Batch, sort: Literal["label", "sum"]) -> Tensor:
    """Return the places (X,) of examples sorted by label or by sum, and as they are where they have none."""
    values = sums_of(spec, batch) if sort == "sum" else labels_of(spec, batch)
    return torch.arange(len(batch)) if values is None else torch.as_tensor(np.argsort(values, kind="stable"))


def example_table(spec: TaskSpec, batch: Batch, splits: list[str], sort: Literal["label", "sum"]) -> pd.DataFrame:
    """Return a row for each example: columns example (its id), split, label (the number of its class), sum, input and
    tick, its name on an axis: the class, or "sum (class)" where examples are sorted by sums."""
    import pandas as pd

    labels, sums = labels_of(spec, batch), sums_of(spec, batch)
    ids = batch.index.tolist()
    names = ids if labels is None else [spec.classes[k] if spec.classes else k for k in labels]
    ticks = names if sort == "label" or sums is None else [f"{a} ({b})" for a, b in zip(sums, names, strict=True)]
    columns = {"example": ids, "split": splits, "label": labels, "sum": sums, "input": texts_of(spec, batch)}
    return pd.DataFrame({**columns, "tick": [str(tick) for tick in ticks]})


def texts_of(spec: TaskSpec, batch: Batch, among: Batch | None = None) -> list[str]:
    """Return the inputs in words; empty for long ones.

    Args:
        among: examples; tokens that all of them have at the same position are left out.
    """
    inputs = batch.inputs.flatten(1)
    rows = (inputs[:, _varies(among)] if spec.tokens and among is not None else inputs).tolist()
    if not rows or len(rows[0]) > LONGEST:
        return [""] * len(batch)
    if spec.tokens and spec.vocabulary:
        return [" ".join(spec.vocabulary[int(token)] for token in row) for row in rows]
    return [" ".join(f"{value:g}" for value in row) for row in rows]


def _varying(batch: Batch) -> np.ndarray:
    """Return the tokens at those positions where examples differ."""
    return batch.inputs.flatten(1)[:, _varies(batch)].numpy()


def _varies(batch: Batch) -> Tensor:
    """Return at which positions of their inputs examples differ."""
    inputs = batch.inputs.flatten(1)
    return (inputs != inputs[:1]).any(0)
