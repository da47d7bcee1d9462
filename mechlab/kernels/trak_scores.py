"""TRAK: influences of training examples in a model that is linear in random projections of its gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from mechlab.core.task import Batch
from mechlab.kernels.explained import Explained, Outputs
from mechlab.kernels.first_order import all_examples, checked_steps
from mechlab.kernels.functional_model import FunctionalModel
from mechlab.kernels.inner import InnerProducts
from mechlab.kernels.path_kernels import explained_batch, trajectory_of
from mechlab.kernels.projections import RandomProjection

if TYPE_CHECKING:
    from mechlab.kernels.recorded import RecordedTraining
    from mechlab.kernels.trajectory import Trajectory

TOGETHER = 8  # examples that are differentiated together where torch cannot vectorise over them


def trak(
    run_or_history: RecordedTraining | Trajectory,
    inputs: Batch | Tensor,
    outputs: Outputs = "target",
    dtype: torch.dtype | None = None,
    *,
    checkpoints: Sequence[int] | None = None,
    dimensions: int = 512,
    damping: float = 0.1,
    seed: int = 0,
    data: Batch | None = None,
    targets: Tensor | None = None,
    memory: int = 2**30,
    device: str = "cpu",
) -> np.ndarray:
    """Return TRAK scores (X, C, N): the contribution of each training example to each scalar.

    With the projected gradients f_k of the examples' margins, the projected gradient h of a scalar, and the probability
    p_k of example k's own class, the score is h (F^T F + d)^-1 f_k (1 - p_k): F^T F and f_k (1 - p_k) are means over
    checkpoints, each with a projection of its own. Where targets are not classes, f_k is the gradient of minus the
    loss, and (1 - p_k) is 1.

    Args:
        checkpoints: steps whose parameters are used; the end of training by default.
        dimensions: K, of the projections; all P parameters without a projection if K >= P.
        damping: d, relative to the mean of the non-zero eigenvalues of F^T F; the source has 0, for K far below N.
        seed: of the projections.
        data: training examples; all by default.
        (others): see `path_kernel`.

    Raises:
        ConfigError: checkpoints are not steps of the history, or an argument is wrong for `path_kernel`.

    Source: Park et al., arXiv 2303.14186, without the soft threshold.
    """
    trajectory = trajectory_of(run_or_history, dtype, device)
    functional = trajectory.functional
    explained = Explained(functional, explained_batch(trajectory, inputs, targets, outputs), outputs)
    batch, steps = all_examples(trajectory, data), checked_steps(trajectory, checkpoints)
    contributions, weights = 0.0, 0.0
    for number, step in enumerate(steps):
        theta = trajectory.state(step).theta
        P = functional.layout.size
        projected = RandomProjection(P, dimensions, seed + number) if dimensions < P else torch.clone
        directions = projected(explained.gradients(theta))
        features, weight = _features(functional, theta, batch, projected, memory)
        contributions = contributions + _ridge(directions, features, damping) / len(steps)
        weights = weights + weight / len(steps)
    scores = torch.zeros(*explained.shape, trajectory.examples, dtype=torch.float64)
    products = (contributions * weights).double().cpu().unflatten(0, explained.shape)
    return scores.index_add_(-1, batch.index.cpu(), products).numpy()


def _features(
    functional: FunctionalModel, theta: Tensor, batch: Batch, projected: Callable[[Tensor], Tensor], memory: int
) -> tuple[Tensor, Tensor]:
    """Return the projected gradients (N, K) of the examples' margins, or of minus their losses where targets are not
    classes, and the derivatives (N,) of minus the losses in them."""
    kind: Literal["margin", "target"] = "margin" if functional.spec.loss.indices else "target"
    parts = InnerProducts(functional, limit=memory).parts(theta, batch, 3 * functional.layout.size)
    if not Explained(functional, batch[:1], kind).by_rows:  # the work then grows with the square of a part's length
        parts = [batch[start : start + TOGETHER] for start in range(0, len(batch), TOGETHER)]
    features, weights = [], []
    for part in parts:
        scalars = Explained(functional, part, kind)
        features.append(projected(scalars.gradients(theta)))
        values = scalars.values(theta)[:, 0]
        weights.append(torch.sigmoid(-values) if kind == "margin" else torch.ones_like(values))
    return torch.cat(features), torch.cat(weights)


def _ridge(directions: Tensor, features: Tensor, damping: float) -> Tensor:
    """Return h (F^T F + d)^-1 F^T (Q, N) for directions h (Q, K) and features F (N, K), in double precision."""
    directions, features = directions.double(), features.double()
    primal = features.shape[0] > features.shape[1]
    gram = features.T @ features if primal else features @ features.T
    gram.diagonal().add_(damping * gram.diagonal().mean())
    if primal:
        return torch.linalg.solve(gram, directions.T).T @ features.T
    return torch.linalg.solve(gram, features @ directions.T).T
