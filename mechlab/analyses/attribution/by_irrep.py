"""Influence of training pairs on what a network knows of each irrep: tables and figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from mechlab.analyses.attribution.explained_examples import group_of
from mechlab.analyses.attribution.tables import scalar_name, top_examples
from mechlab.groups.representations import irreps
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.record.run import Run


def save_by_irrep(run: Run, out: Artifacts, influence: np.ndarray, top: int, **terms: np.ndarray) -> None:
    """Save the influences on the part of each irrep in the right logits, and the pairs of largest influence.

    The table `irreps` has a row for each irrep, with the shares `by_a`, `by_b` and `by_product` of the variance of its
    influences between pairs of different a, b and a b, and their mean `by_chance` over random permutations of the
    pairs; the array `pairs` of "by_irrep" is (N, 2), the training pairs.

    Args:
        influence: (R, N), of the training pairs.
        top: number of helpful and of harmful pairs in the table `examples`, for all irreps but the trivial one.
        terms: (R,) each, further columns of the table `irreps`.
    """
    import pandas as pd

    group = group_of(run.task)
    names = [irrep.name for irrep in irreps(group)]
    pairs = run.task.examples("train").inputs.numpy()
    out.save_arrays("by_irrep", influence=influence, pairs=pairs, order=np.array(group.order))
    labels = {"a": pairs[:, 0], "b": pairs[:, 1], "product": group.table[pairs[:, 0], pairs[:, 1]]}
    shares = {f"by_{name}": between(influence, values) for name, values in labels.items()}
    chance = (group.order - 1) / max(1, len(pairs) - 1)  # exact if each element occurs
    out.save_table("irreps", pd.DataFrame({"irrep": names, **terms, **shares, "by_chance": chance}))
    learned = [row for row, name in enumerate(names) if name != "trivial"]
    learned.sort(key=lambda row: -np.abs(influence[row]).sum())
    table = top_examples(run, None, influence[learned], top, names=[names[row] for row in learned])
    out.save_table("examples", table.assign(scalar=scalar_name("irreps", run.spec.loss)))


def between(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the share (R,) of the variance of each row of values (R, N) that lies between labels (N,); 0 for a row
    without variance.

    Its mean over random permutations of the labels is (number of different labels - 1) / (N - 1).
    """
    groups = (labels[:, None] == np.unique(labels)).astype(float)  # (N, K)
    centred = values - values.mean(1, keepdims=True)
    total = np.square(centred).sum(1)
    explained = (np.square(centred @ groups) / groups.sum(0)).sum(1)
    return explained / np.where(total > 0, total, 1.0)


def pair_maps(out: Artifacts, what: Literal["influence", "derivative"]) -> Figure:
    """Draw the influences, or the derivatives in the weights of pairs, that `save_by_irrep` saved."""
    from mechlab.plotting.pair_maps import influence_of_pairs

    saved = out.arrays("by_irrep")
    names = [str(name) for name in out.table("irreps")["irrep"]]
    return influence_of_pairs(saved["influence"], saved["pairs"], int(saved["order"]), names, what)
