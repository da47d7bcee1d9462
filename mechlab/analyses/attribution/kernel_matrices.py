"""Influences of training examples by component and by bin of steps, as matrices over sorted examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from mechlab.analyses.attribution.example_keys import example_table, sorted_order
from mechlab.analyses.attribution.matrix_tables import matrix_blocks, matrix_table
from mechlab.analyses.attribution.tables import own_class
from mechlab.core.task import Batch, FiniteTask
from mechlab.kernels.explained import Outputs
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.kernels.decomposition import PathKernelDecomposition
    from mechlab.record.run import Run

DRAWN = 300  # most rows and columns of a matrix; neighbours are summed beyond
BINS = 6  # most bins of steps that are drawn, at equal distances
TOTAL = "all parameters"


def save_kernel_matrices(
    run: Run,
    out: Artifacts,
    result: PathKernelDecomposition,
    batch: Batch,
    outputs: Outputs,
    edges: Sequence[int],
    sort: Literal["label", "sum"],
) -> None:
    """Save the influences by component and by bin of steps where there are some: tables `kernels_by_component` and
    `kernels_by_step`, with explained examples in the rows and training examples in the columns, both sorted, and
    `kernel_axes` with the names of both. Nothing is saved unless each row of scalars belongs to one example.

    Args:
        batch: the explained examples.
        outputs: the explained scalars, of which those of the own class are used.
        edges: (B + 1,) first steps of the bins, and the end of the last one.
        sort: order of the examples.
    """
    import pandas as pd

    groups, bins = result.influence_by_group, result.influence_by_bin
    if len(result.influence) != len(batch) or not (groups or bins is not None):
        return
    rows, columns = sorted_order(run.spec, batch, sort).numpy(), np.arange(result.influence.shape[-1])
    axes = [example_table(run.spec, batch[rows], ["explained"] * len(batch), sort)]
    if isinstance(run.task, FiniteTask):
        train = run.task.examples("train")
        columns = sorted_order(run.spec, train, sort).numpy()
        axes.append(example_table(run.spec, train[columns], ["train"] * len(train), sort))
    else:
        ids = [str(i) for i in columns]
        axes.append(pd.DataFrame({"example": columns, "split": "train", "tick": ids}))

    def drawn(influence: np.ndarray) -> np.ndarray:
        return matrix_blocks(own_class(influence, batch, outputs)[rows][:, columns], DRAWN, sums=True)

    out.save_table("kernel_axes", pd.concat(axes, ignore_index=True))
    if groups:
        matrices = {TOTAL: result.influence, **groups}
        out.save_table("kernels_by_component", matrix_table({name: drawn(part) for name, part in matrices.items()}))
    if bins is not None:
        chosen = sorted({round(i) for i in np.linspace(0, len(bins) - 1, min(BINS, len(bins)))})
        by_step = {f"steps {edges[i]} to {edges[i + 1]}": drawn(bins[i]) for i in chosen}
        out.save_table("kernels_by_step", matrix_table(by_step))


def kernel_figures(out: Artifacts, sort: Literal["label", "sum"]) -> dict[str, Figure]:
    """Draw what `save_kernel_matrices` saved; figures `kernels_by_component`, and `kernels_by_step` with colours on a
    logarithmic scale."""
    from mechlab.plotting.kernel_matrices import matrix_panels

    names = [name for name in ("kernels_by_component", "kernels_by_step") if (out.folder / f"{name}.csv").exists()]
    if not names:
        return {}
    table = out.table("kernel_axes")
    table["tick"] = table["tick"].astype(str)
    explained, train = (table[table["split"] == side]["tick"].tolist() for side in ("explained", "train"))
    order = "sum (label)" if sort == "sum" else sort
    axes = (f"explained examples, by {order}", f"training examples, by {order}")
    scales = {"kernels_by_component": "linear", "kernels_by_step": "log"}
    return {name: matrix_panels(out.table(name), explained, train, axes, scales[name], "influence") for name in names}
