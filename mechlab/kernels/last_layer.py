"""Baselines of attribution in the last linear layer: nearest neighbours in its inputs, and representer points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from mechlab.core.errors import ConfigError
from mechlab.core.task import Batch
from mechlab.kernels.explained import Explained, Outputs
from mechlab.kernels.first_order import all_examples
from mechlab.kernels.functional_model import FunctionalModel
from mechlab.kernels.ghost import Captured, Ghost
from mechlab.kernels.inner import InnerProducts
from mechlab.kernels.path_kernels import explained_batch, trajectory_of

if TYPE_CHECKING:
    from mechlab.kernels.recorded import RecordedTraining
    from mechlab.kernels.trajectory import Trajectory

OWN_CLASS = ("target", "margin")  # the explained scalars that neighbours are defined for


def nearest(
    run_or_history: RecordedTraining | Trajectory,
    inputs: Batch | Tensor,
    outputs: Outputs = "target",
    dtype: torch.dtype | None = None,
    *,
    data: Batch | None = None,
    targets: Tensor | None = None,
    memory: int = 2**30,
    device: str = "cpu",
) -> np.ndarray:
    """Return the similarity (X, 1, N) of each training example to each explained one.

    It is the cosine of the inputs of the last linear layer at the end of training (means over its positions), or of the
    outputs of a model without one. Where targets are single classes it is multiplied by 1 - 1 / C for the same class,
    and by -1 / C for another.

    Args:
        outputs: "target" or "margin".
        data: training examples; all by default.
        (others): see `path_kernel`.

    Raises:
        ConfigError: other outputs, or an argument is wrong for `path_kernel`.

    Source: of the baseline, Hanawa et al., arXiv 2006.04528.
    """
    if outputs not in OWN_CLASS:
        must, fix = f"nearest neighbours explain outputs={' or '.join(OWN_CLASS)}", "outputs=target"
        raise ConfigError(must, got=str(outputs), key="outputs", fix=fix)
    trajectory = trajectory_of(run_or_history, dtype, device)
    functional = trajectory.functional
    theta = trajectory.state(trajectory.steps).theta
    explained, batch = explained_batch(trajectory, inputs, targets, outputs), all_examples(trajectory, data)
    similarity = _features(functional, theta, explained, memory) @ _features(functional, theta, batch, memory).T
    if functional.spec.loss.indices and batch.targets.ndim == 1:
        same = (explained.targets[:, None] == batch.targets).to(similarity)
        similarity = similarity * (same - 1 / functional.spec.outputs)
    return similarity[:, None].double().cpu().numpy()


def representer(
    run_or_history: RecordedTraining | Trajectory,
    inputs: Batch | Tensor,
    outputs: Outputs = "target",
    dtype: torch.dtype | None = None,
    *,
    data: Batch | None = None,
    targets: Tensor | None = None,
    memory: int = 2**30,
    device: str = "cpu",
) -> np.ndarray:
    """Return the representer values (X, C, N) of training examples, for a coefficient of weight decay of 1/2.

    In a network whose last layer has converged with L2 regularisation, the layer is a sum over training examples of
    outer products of the loss's derivative in the layer's outputs and of its inputs. Training example k then
    contributes -1 / N <gradient of k's loss, gradient of q> in that layer to the scalar q, to first order in it.

    Args:
        data: training examples; all by default.
        (others): see `path_kernel`.

    Raises:
        ConfigError: a model without a linear layer, or an argument is wrong for `path_kernel`.

    Source: Yeh et al., arXiv 1811.09720.
    """
    trajectory = trajectory_of(run_or_history, dtype, device)
    functional = trajectory.functional
    explained = Explained(functional, explained_batch(trajectory, inputs, targets, outputs), outputs)
    theta, batch = trajectory.state(trajectory.steps).theta, all_examples(trajectory, data)
    ghost = Ghost(functional)
    if (name := _last_layer(ghost.capture(theta, batch[:1], total=False))) is None:
        must, fix = "representer points need a torch.nn.Linear or Conv2d in the model", "leave representer out"
        raise ConfigError(must, got="none", key="model", fix=fix)
    kept = torch.zeros_like(theta)
    kept[ghost.places(name)] = 1
    directions, inner = explained.gradients(theta) * kept, InnerProducts(functional, limit=memory)
    products, _ = inner(inner.choose(theta, batch, len(directions)), theta, batch, directions)
    return (-products.double() / len(batch)).cpu().unflatten(0, explained.shape).numpy()


def _last_layer(captured: Captured) -> str | None:
    """Return the name of the linear or convolution layer that was called last; None without one."""
    return next((name for name, given, _ in reversed(captured.layers) if given.is_floating_point()), None)


def _features(functional: FunctionalModel, theta: Tensor, batch: Batch, memory: int) -> Tensor:
    """Return the inputs (B, in) of the last linear layer, or the outputs, as vectors of length 1."""
    ghost, features = Ghost(functional), []
    for part in InnerProducts(functional, limit=memory).parts(theta, batch, 0):
        captured = ghost.capture(theta, part, total=False)
        if (name := _last_layer(captured)) is None:
            with torch.no_grad():
                found = functional.outputs(functional.layout.split(theta), part).flatten(1)
        else:
            found = {layer: given for layer, given, _ in captured.layers}[name].mean(1)
        features.append(normalize(found, dim=1))
    return torch.cat(features)
