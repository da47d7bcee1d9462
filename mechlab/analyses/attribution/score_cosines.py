"""Cosines between examples' vectors of parameter scores, by component and slice of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mechlab.core.errors import ConfigError
from mechlab.core.loss import per_example
from mechlab.record.long_work import carry_out

if TYPE_CHECKING:
    from mechlab.core.layout import Layout
    from mechlab.core.task import TaskSpec
    from mechlab.kernels import explained
    from mechlab.kernels.explained import Explained
    from mechlab.kernels.quadrature import Quadrature
    from mechlab.kernels.trajectory import Trajectory

Slices = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class ScoreGrams:
    """Inner products of examples' vectors of parameter scores within G components, over B slices of training.

    Args:
        components: their names (G,).
        slices: (first, stop) steps of each slice (B,).
        grams: (G, X, X) for each slice (B,).
        residual: share of the quadrature residual in the movement of the explained scalars, by slice (B,).
    """

    components: list[str]
    slices: Slices
    grams: list[np.ndarray]
    residual: np.ndarray

    def cosines(self, slice_: int = 0) -> np.ndarray:
        """Return the cosines (G, X, X) between the vectors of a slice."""
        return cosine_matrices(self.grams[slice_])


def score_grams(
    name: str,
    trajectory: Trajectory,
    explained: Explained,
    groups: Mapping[str, Sequence[str]],
    quadrature: Quadrature,
    limit: int,
    checkpoint: Path,
    slices: Slices | None = None,
    rows: Mapping[int, np.ndarray] | None = None,
) -> ScoreGrams:
    """Return the inner products of examples' vectors of parameter scores, resuming an interrupted attempt.

    The score of a parameter is the part of the change of an example's explained scalar that all training examples
    brought about through it: its data score of `ParameterScoresForward`. Scalars of one example are summed.

    Args:
        name: of the analysis, for the progress line.
        trajectory: the recorded training.
        explained: one or more scalars of each of X examples; see `summed_outputs`.
        groups: component -> names of its tensors.
        quadrature: of the gradients along each step.
        limit: bytes of memory.
        checkpoint: file of the intermediate results.
        slices: (first, stop) steps, which may overlap; all steps by default.
        rows: slice -> the examples that are compared in it; all examples in other slices.

    Raises:
        ConfigError: the scalars are not of one example each, or the vectors do not fit into memory.
    """
    from mechlab.kernels.parameter_scores import ParameterScoresForward

    X, C = explained.shape
    if not explained.apart or len(explained.batch) != X:
        must, fix = "each explained scalar must be of one example", "outputs=target"
        raise ConfigError(must, got="scalars of several examples", key="outputs", fix=fix)
    layout = trajectory.functional.layout

    def reduce(slice_: int, _: slice, data: Tensor, decay: Tensor | None) -> dict[str, Tensor]:
        scores = data.unflatten(0, (X, C)).sum(1)
        if rows is not None and slice_ in rows:
            scores = scores[torch.as_tensor(rows[slice_], device=scores.device)]
        return {"grams": _inner_products(scores, layout, groups)}

    slices = [(0, trajectory.steps)] if slices is None else list(slices)
    forward = ParameterScoresForward(trajectory, explained, quadrature, slices, reduce, limit, whole=True)
    carry_out(forward, name, checkpoint)
    result = forward.result()
    movement = result.change.abs().mean((1, 2)).clamp(min=torch.finfo(torch.float64).tiny)
    residual = result.residual.abs().mean((1, 2)) / movement
    return ScoreGrams(list(groups), slices, [parts[0]["grams"].numpy() for parts in result.parts], residual.numpy())


def cosine_matrices(grams: np.ndarray) -> np.ndarray:
    """Return the cosines (..., X, X) of vectors with inner products (..., X, X); NaN for vectors of length zero.

    >>> cosine_matrices(np.array([[4.0, 2.0, 0.0], [2.0, 4.0, 0.0], [0.0, 0.0, 0.0]]))[0].tolist()
    [1.0, 0.5, nan]
    """
    squares = np.diagonal(grams, axis1=-2, axis2=-1)
    lengths = np.sqrt(np.where(squares > 0, squares, np.nan))
    return np.clip(grams / lengths[..., :, None] / lengths[..., None, :], -1.0, 1.0)


def summed_outputs(outputs: explained.Outputs, spec: TaskSpec) -> explained.Outputs:
    """Return explained scalars with the same sum for each example: "all" becomes one scalar, the sum over classes of
    their log-probabilities at the targets that count, which takes one gradient in place of one for each class."""
    if outputs != "all":
        return outputs
    return lambda values, batch: per_example(spec.loss.scalars(values), batch.mask, "sum")


def first_moving_step(trajectory: Trajectory) -> int:
    """Return the first optimiser step with a learning rate above 0."""
    return next((step for step in range(trajectory.steps) if trajectory.record.rates(step)[0] > 0), 0)


def _inner_products(scores: Tensor, layout: Layout, groups: Mapping[str, Sequence[str]]) -> Tensor:
    """Return the inner products (G, X, X) of scores (X, P) within each group of tensors."""
    used = dict.fromkeys(name for members in groups.values() for name in members)
    parts = {name: scores[:, layout.places[name]] for name in used}
    of_tensor = {name: part @ part.T for name, part in parts.items()}
    return torch.stack([torch.stack([of_tensor[name] for name in members]).sum(0) for members in groups.values()])
