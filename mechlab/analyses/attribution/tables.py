"""Tables of the scores of training examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from mechlab.analyses.attribution.example_keys import texts_of
from mechlab.core.loss import BernoulliLoss, Loss
from mechlab.core.task import Batch, FiniteTask
from mechlab.kernels.explained import Outputs

if TYPE_CHECKING:
    import pandas as pd

    from mechlab.record.run import Run


def sort_keys(run: Run, batch: Batch, n: int, sort: Literal["label", "sum"]) -> tuple[np.ndarray, np.ndarray]:
    """Return sort keys of the training examples (N,) and of the explained ones (X,): the last target, or the sum of the
    inputs, without tokens that are the same in all training examples. Training examples that are drawn without end are
    sorted by the order of drawing."""
    if not isinstance(run.task, FiniteTask):
        return np.arange(n, dtype=float), _number(batch, sort)
    train = run.task.examples("train")
    inputs = train.inputs.flatten(1)
    differ = (inputs != inputs[0]).any(0)  # tokens such as "plus" and "equals" do not
    return _number(train, sort, differ), _number(batch, sort, differ)


def _number(batch: Batch, sort: str, differ: Tensor | slice = slice(None)) -> np.ndarray:
    values = batch.inputs.flatten(1)[:, differ].double().sum(1) if sort == "sum" else batch.targets.double()
    return (values.flatten(1)[:, -1] if values.ndim > 1 else values).numpy()


def own_class(influence: np.ndarray, batch: Batch, outputs: Outputs, of_examples: bool = True) -> np.ndarray:
    """Return the influences (X, N) on each explained example's own class where all classes (X, C, N) are explained, and
    otherwise on its first scalar; those on all scalars (X C, N) where they do not belong to examples."""
    if not of_examples:
        return influence.reshape(-1, influence.shape[-1])
    if outputs == "all" and batch.targets.ndim == 1 and not batch.targets.is_floating_point():
        return np.take_along_axis(influence, batch.targets.numpy()[:, None, None], 1)[:, 0]
    return influence[:, 0]


def scalar_name(outputs: Outputs | Literal["irreps"], loss: Loss) -> str:
    """Return what `own_class` returns the influences on, with its unit in brackets where it has one.

    Args:
        outputs: the explained scalars, as they were configured.
        loss: of the task.

    >>> from mechlab.core.loss import CrossEntropy
    >>> scalar_name("loss", CrossEntropy())
    'mean loss (nats)'
    """
    nats = " (nats)" if loss.classes or isinstance(loss, BernoulliLoss) else ""
    if callable(outputs):
        return getattr(outputs, "__name__", "a function of the outputs")
    names = {
        "all": "log-probability of the own class" if loss.indices else "first output",
        "target": "log-probability of the own class" if loss.indices else "minus the loss",
        "margin": "log-odds of the own class",
        "loss": "mean loss",
        "irreps": "part of the right product's logit",
    }
    has_unit = outputs in ("target", "margin", "loss") or (outputs == "all" and loss.indices)
    return names[outputs] + (nats if has_unit else "")


def images_of(run: Run, batch: Batch, top: pd.DataFrame) -> dict[str, np.ndarray] | None:
    """Return the explained examples and those of a table as images (B, H, W) or (B, H, W, 3), with their ids; None for
    a task whose inputs are no images, or are drawn without end.

    Args:
        top: what `top_examples` returned.
    """
    shape = tuple(run.task.spec.shape)
    if not isinstance(run.task, FiniteTask) or len(shape) != 3 or shape[0] not in (1, 3) or min(shape[1:]) < 2:
        return None
    ids = np.unique(top["train"])
    images = {}
    for name, inputs in {"explained": batch.inputs, "train": run.task.examples("train").inputs[ids]}.items():
        pixels = inputs.float().permute(0, 2, 3, 1).numpy()
        images[name] = pixels[..., 0] if shape[0] == 1 else pixels
    return {**images, "explained_ids": batch.index.numpy(), "train_ids": ids}


def top_examples(
    run: Run,
    batch: Batch | None,
    influence: np.ndarray,
    top: int,
    less_is_better: bool = False,
    names: Sequence[str] = (),
) -> pd.DataFrame:
    """Return the training examples with the largest and smallest influence on each explained example.

    Args:
        batch: the explained examples; None for scalars with names.
        influence: (X, N).
        top: number of examples of either kind.
        less_is_better: True for scalars such as a loss, where a negative influence is helpful.
        names: of the explained scalars (X,); by default the ids of the explained examples, or -1 for all of them.

    Returns:
        Columns explained, kind (helpful or harmful), rank, train, influence, and label and input of the training
        example where the task has a fixed set of them: its tokens without those that all training examples have in
        common, or its numbers.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    train = run.task.examples("train") if isinstance(run.task, FiniteTask) else None
    ids: Sequence[Any] = names
    if batch is not None:
        ids = batch.index.tolist() if len(influence) == len(batch) else [-1] * len(influence)
    for row, values in enumerate(influence):
        order = np.argsort(values, kind="stable")
        kinds = ("harmful", "helpful") if less_is_better else ("helpful", "harmful")
        for kind, chosen in zip(kinds, (order[::-1], order), strict=True):
            for rank, k in enumerate(chosen[:top]):
                entry = {"explained": ids[row], "kind": kind, "rank": rank + 1, "train": k, "influence": values[k]}
                rows.append(entry)
    table = pd.DataFrame(rows)
    if train is not None and rows:
        examples = train[torch.tensor(table["train"].tolist())]
        table["label"] = examples.targets.reshape(len(table), -1)[:, -1].numpy()
        table["input"] = texts_of(run.spec, examples, train)
    return table
