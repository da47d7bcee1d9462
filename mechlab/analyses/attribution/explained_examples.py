"""Parts shared by analyses of attribution: the explained examples, labels, and the foremost training examples."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import torch

from mechlab.core.constraints import Filled, Interval, at_least
from mechlab.core.errors import ConfigError
from mechlab.core.task import Batch, FiniteTask, Split
from mechlab.kernels.explained import Outputs

if TYPE_CHECKING:
    import pandas as pd

    from mechlab.core.data import Source
    from mechlab.record.run import Run

Examples = Annotated[int, at_least(1)] | Annotated[tuple[Annotated[int, at_least(0)], ...], Filled()]
Positive = Annotated[float, Interval(0, math.inf, open_low=True, open_high=True)]


@dataclass(frozen=True)
class ExplainedExamples:
    """The explained examples, and the precision of the arithmetic.

    Args:
        split: of the examples.
        examples: their number, from the first on, or their ids.
        dtype: "float32", "float64", or None for that of training.
    """

    split: Split
    examples: Examples
    dtype: str | None = None

    @property
    def torch_dtype(self) -> torch.dtype | None:
        """The dtype as torch names it."""
        return None if self.dtype is None else getattr(torch, self.dtype)

    def batch(self, run: Run | Source) -> Batch:
        """Return the explained examples of a run, or of what it is going to be trained on, cropped to the steps that
        count.

        Raises:
            ConfigError: there is no example of an id.
        """
        if isinstance(self.examples, int):
            return run.evaluation(self.split, self.examples).cropped()
        examples = run.evaluation(self.split)
        if beyond := [i for i in self.examples if i >= len(examples)]:
            must = f"ids of examples must be below {len(examples)}, the number of them in split={self.split}"
            raise ConfigError(must, got=beyond, key="examples", fix=f"ids from 0 to {len(examples) - 1}")
        return examples[torch.tensor(self.examples)].cropped()


def labels_of(run: Run, batch: Batch, n: int, sort: Literal["label", "sum"]) -> tuple[np.ndarray, np.ndarray]:
    """Return sort keys of the training examples (N,) and of the explained ones (X,): the last target, or the sum of the
    inputs. Training examples that are drawn without end are sorted by the order of drawing."""
    explained = _number(batch, sort)
    if not isinstance(run.task, FiniteTask):
        return np.arange(n, dtype=float), explained
    return _number(run.task.examples("train"), sort), explained


def _number(batch: Batch, sort: str) -> np.ndarray:
    values = batch.inputs.flatten(1).double().sum(1) if sort == "sum" else batch.targets.double()
    return (values.flatten(1)[:, -1] if values.ndim > 1 else values).numpy()


def of_own_class(influence: np.ndarray, batch: Batch, outputs: Outputs) -> np.ndarray:
    """Return the influences (X, N) on each explained example's own class where all classes (X, C, N) are explained,
    else on the first scalar."""
    if outputs == "all" and batch.targets.ndim == 1 and not batch.targets.is_floating_point():
        return np.take_along_axis(influence, batch.targets.numpy()[:, None, None], 1)[:, 0]
    return influence[:, 0]


def top_examples(run: Run, batch: Batch, influence: np.ndarray, top: int, less_is_better: bool = False) -> pd.DataFrame:
    """Return the training examples with the largest and smallest influence on each explained example.

    Args:
        influence: (X, N).
        top: examples of either kind.
        less_is_better: whether to lower the scalar is to help, as it is with a loss.

    Returns:
        Columns explained, kind (helpful or harmful), rank, train, influence, and label and input of the training
        example where they are at hand.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    train = run.task.examples("train") if isinstance(run.task, FiniteTask) else None
    ids = batch.index.tolist() if len(influence) == len(batch) else [-1] * len(influence)
    for row, values in enumerate(influence):
        order = np.argsort(values, kind="stable")
        kinds = ("harmful", "helpful") if less_is_better else ("helpful", "harmful")
        for kind, chosen in zip(kinds, (order[::-1], order), strict=True):
            for rank, k in enumerate(chosen[:top]):
                entry = {"explained": ids[row], "kind": kind, "rank": rank + 1, "train": k, "influence": values[k]}
                if train is not None:
                    example = train[k : k + 1]
                    flat = example.inputs.flatten().tolist()
                    entry["label"] = example.targets.flatten()[-1].item()
                    entry["input"] = " ".join(f"{x:g}" for x in flat) if len(flat) <= 8 else ""
                rows.append(entry)
    return pd.DataFrame(rows)


def work_key(analysis: Any, steps: int) -> str:
    """Return a name for work that belongs to an analysis's parameters and this number of steps."""
    parts = [type(analysis).__name__, type(analysis).version, steps, vars(analysis)]
    text = json.dumps(parts, sort_keys=True, default=lambda function: f"{function.__module__}.{function.__qualname__}")
    return hashlib.sha256(text.encode()).hexdigest()[:12]
