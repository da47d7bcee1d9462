"""The influences of training examples as files, and the examples with the largest ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from mechlab.analyses.attribution.tables import images_of, own_class, scalar_name, sort_keys, top_examples
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    from mechlab.core.task import Batch
    from mechlab.kernels.decomposition import PathKernelDecomposition
    from mechlab.kernels.explained import Explained, Outputs
    from mechlab.record.run import Run


def save_influences(
    run: Run,
    out: Artifacts,
    result: PathKernelDecomposition,
    explained: Explained,
    batch: Batch,
    outputs: Outputs,
    sort: Literal["label", "sum"],
    top: int,
) -> None:
    """Save the influences on each example's own class with sort keys, the training examples with the largest ones, and
    for images their pixels.

    Args:
        explained: the explained scalars of `batch`.
        outputs: as they were configured.
        sort: order of examples.
        top: number of helpful and of harmful examples.
    """
    of_examples = explained.apart
    train, keys = sort_keys(run, batch, result.influence.shape[-1], sort)
    own = own_class(result.influence, batch, outputs, of_examples)
    keys = keys if of_examples else np.zeros(0)
    out.save_arrays("own_class", influence=own, train=train, explained=keys, ids=batch.index)
    names = () if of_examples or len(own) == 1 else [f"scalar {row}" for row in range(len(own))]
    table = top_examples(run, None if names else batch, own, top, outputs == "loss", names)
    out.save_table("examples", table.assign(scalar=scalar_name(outputs, run.spec.loss)))
    if (images := images_of(run, batch if of_examples else batch[:0], table)) is not None:
        out.save_arrays("images", **images)
