"""Measures of the importance of single parameters, for pruning."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from mechlab.analyses.attribution.checkpointed import Checkpointed
from mechlab.core.task import Batch
from mechlab.record.long_work import carry_out

if TYPE_CHECKING:
    from mechlab.kernels.quadrature import Quadrature
    from mechlab.kernels.trajectory import Trajectory

Method = Literal["path_kernel", "path_kernel_total", "metagradient", "magnitude", "snip", "taylor", "fisher", "random"]


class Importance:
    """The importance of each parameter for each split of the examples.

    Args:
        trajectory: the recorded training.
        batch: all examples (X).
        reserved: (K, X), the examples that serve to compute importance.
        outputs: "target" or "all", in the path-kernel score.
        quadrature: of the path-kernel score.
        limit: bytes that a block of work may take.
        parts: where intermediate results are saved.
    """

    def __init__(
        self,
        trajectory: Trajectory,
        batch: Batch,
        reserved: Tensor,
        outputs: Literal["target", "all"],
        quadrature: Quadrature,
        limit: int,
        parts: Checkpointed,
    ):
        self.trajectory, self.batch, self.outputs, self.quadrature = trajectory, batch, outputs, quadrature
        self.reserved = reserved.to(trajectory.functional.device, trajectory.functional.dtype)
        self.limit, self.parts = limit, parts

    def __call__(self, method: Method, rng: np.random.Generator) -> Tensor:
        """Return the importance (K, P) of the parameters."""
        if method == "random":
            return torch.as_tensor(rng.random((len(self.reserved), len(self._theta))))
        if method == "magnitude":
            return self._theta.abs().expand(len(self.reserved), -1)
        if method in ("path_kernel", "path_kernel_total"):
            return self._path_kernel[method]
        if method == "metagradient":
            return self._metagradient()
        if method == "fisher":
            return self._theta.square() * self._fisher()
        sums, squares = self._moments
        return (self._theta * sums).abs() if method == "snip" else self._theta.square() * squares

    @cached_property
    def _theta(self) -> Tensor:
        return self.trajectory.theta(self.trajectory.steps)

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        """The sums (K, P) of the gradients of the losses at the end of training, and of their squares."""
        from mechlab.kernels.explained import Explained
        from mechlab.kernels.pruning import gradient_moments

        explained = Explained(self.trajectory.functional, self.batch, "target")
        return gradient_moments(explained, self._theta, self.reserved[..., None], self.limit)

    def _fisher(self) -> Tensor:
        """Return the diagonal (K, P) of the Fisher information at the end of training."""
        from mechlab.kernels.explained import Explained, counted_scalars
        from mechlab.kernels.pruning import gradient_moments

        explained = Explained(self.trajectory.functional, self.batch, "all")
        probabilities = explained.values(self._theta).exp() * counted_scalars(self.batch, explained.shape[1])
        weights = self.reserved[..., None] * probabilities
        return gradient_moments(explained, self._theta, weights, self.limit)[1]

    @cached_property
    def _path_kernel(self) -> dict[str, Tensor]:
        """The sums (K, P) of the sizes of the data scores, and of data and decay scores together."""
        from mechlab.kernels.explained import Explained, counted_scalars
        from mechlab.kernels.parameter_scores import ParameterScoresForward

        explained = Explained(self.trajectory.functional, self.batch, self.outputs)
        weights = self.reserved.repeat_interleave(explained.shape[1], 1)  # (K, Q)
        if self.outputs == "all":
            weights = weights * counted_scalars(self.batch, explained.shape[1]).flatten()

        def sizes(number: int, rows: slice, data: Tensor, decay: Tensor | None) -> dict[str, Tensor]:
            total = data if decay is None else decay.add_(data)
            chosen = weights[:, rows]
            return {"path_kernel": chosen @ data.abs(), "path_kernel_total": chosen @ total.abs()}

        scores = ParameterScoresForward(self.trajectory, explained, self.quadrature, reduce=sizes, limit=self.limit)
        carry_out(scores, "pruning, scores", self.parts.file("scores-part"))
        result = scores.result()
        return {name: result.summed(name)[0] for name in ("path_kernel", "path_kernel_total")}

    def _metagradient(self) -> Tensor:
        from mechlab.core.step import example_losses
        from mechlab.kernels.explained import Explained
        from mechlab.kernels.metagradients import MetagradientBackward

        functional = self.trajectory.functional
        shares = self.reserved / self.reserved.sum(1, keepdim=True)
        losses = lambda outputs, batch: shares @ example_losses(outputs, batch, functional.spec).to(shares)  # noqa: E731
        backward = MetagradientBackward(self.trajectory, Explained(functional, self.batch, losses), self.limit)
        carry_out(backward, "pruning, metagradient", self.parts.file("metagradient-part"))
        self.trajectory.forget()
        return (self.trajectory.theta(0) * backward.of_initial).abs()
