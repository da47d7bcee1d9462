"""Scores of training examples by each method of attribution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mechlab.analyses.attribution.checkpointed import Checkpointed
from mechlab.analyses.attribution.explained_examples import Outputs
from mechlab.core.errors import ConfigError
from mechlab.core.task import Batch
from mechlab.record.long_work import carry_out

if TYPE_CHECKING:
    from mechlab.kernels.explained import Explained
    from mechlab.kernels.trajectory import Trajectory

OF_ALL_EXAMPLES = ("tracin_checkpoints", "gradient_dot", "trak", "influence", "nearest", "representer")
METHODS = ("path_kernel", "metagradient", "tracin", *OF_ALL_EXAMPLES)  # the last ones need a fixed set of examples


@dataclass(frozen=True)
class AttributionMethods:
    """The methods of attribution with their settings.

    Args:
        outputs: the explained scalars; see `kernels.explained.Explained`.
        nodes, tolerance: of the quadrature of the path kernel.
        checkpoints: evenly spaced steps of TracIn at checkpoints.
        limit: bytes that a block of work may take.
        dimensions: of the random projections of TRAK.
        damping: of TRAK and of influence functions.
    """

    outputs: Outputs
    nodes: int
    tolerance: float | None
    checkpoints: int
    limit: int
    dimensions: int = 512
    damping: float = 0.1

    def methods(self, chosen: tuple[str, ...], endless: bool) -> list[str]:
        """Return those of the chosen methods that apply; some do not where examples are drawn without end, and
        neighbours explain the own class alone.

        Raises:
            ConfigError: none does.
        """
        from mechlab.kernels.last_layer import OWN_CLASS

        left_out = {*(OF_ALL_EXAMPLES if endless else ()), *(() if self.outputs in OWN_CLASS else ("nearest",))}
        applicable = [name for name in chosen if name not in left_out]
        if not applicable:
            must = "there must be a method to compare" + (" that applies to endless data" if endless else "")
            raise ConfigError(must, got=list(chosen), key="compared", fix="compared=[path_kernel, metagradient]")
        return applicable

    def scores(
        self, method: str, make: Callable[[], Trajectory], batch: Batch, parts: Checkpointed, name: str
    ) -> dict[str, Tensor]:
        """Return `scores` (Q, N) of training examples for each explained scalar; for the path kernel also the `error`
        and `residual` of the decomposition as shares, for TRAK the `projection_error` of `inner_product_error`.

        Args:
            method: one of METHODS.
            make: returns the trajectory; called unless the scores have been saved.
            batch: the explained examples.
            parts: where results are saved.
            name: of the results there.
        """
        own = f"{name}-{method}"
        return parts(own, lambda: self._scores(method, make(), batch, parts, own))

    def _scores(
        self, method: str, trajectory: Trajectory, batch: Batch, parts: Checkpointed, name: str
    ) -> dict[str, Tensor]:
        from mechlab import kernels

        if method == "path_kernel":
            return self._path_kernel(trajectory, batch, parts.file(f"{name}-part"))
        if method == "metagradient":
            return {"scores": self._metagradient(trajectory, batch, parts, name)}
        options: dict[str, Any] = {"memory": self.limit}
        if method == "tracin_checkpoints":
            spaced = np.linspace(0, trajectory.steps, self.checkpoints + 1)[1:].round().astype(int)
            method, options["checkpoints"] = "tracin", sorted(set(spaced.tolist()))
        if method in ("trak", "influence"):
            options["damping"] = self.damping
        if method == "trak":
            options["dimensions"] = self.dimensions
        scores = getattr(kernels, method)(trajectory, batch, self.outputs, **options)
        errors = {"projection_error": self._projection_error(trajectory, batch)} if method == "trak" else {}
        return {"scores": torch.as_tensor(scores.reshape(-1, trajectory.examples)), **errors}

    def _projection_error(self, trajectory: Trajectory, batch: Batch) -> Tensor:
        """Return the error of the inner products of the explained scalars' gradients at the end of training."""
        from mechlab.kernels.explained import Explained
        from mechlab.kernels.projections import RandomProjection, inner_product_error

        functional = trajectory.functional
        theta = trajectory.state(trajectory.steps).theta
        gradients = Explained(functional, functional.placed(batch), self.outputs).gradients(theta)
        if self.dimensions >= functional.layout.size:
            return torch.tensor(0.0)
        projection = RandomProjection(functional.layout.size, self.dimensions)
        return torch.tensor(inner_product_error(projection, gradients, gradients))

    def _path_kernel(self, trajectory: Trajectory, batch: Batch, part: Path) -> dict[str, Tensor]:
        from mechlab.kernels.backward import PathKernelBackward
        from mechlab.kernels.decomposition import PathKernelSettings
        from mechlab.kernels.explained import Explained
        from mechlab.kernels.quadrature import Quadrature

        explained = Explained(trajectory.functional, trajectory.functional.placed(batch), self.outputs)
        quadrature = Quadrature("midpoint", self.nodes, self.tolerance)
        backward = PathKernelBackward(
            trajectory, explained, PathKernelSettings(quadrature, limit=self.limit, scores=False)
        )
        carry_out(backward, "path_kernel", part)
        result = backward.result()
        terms = (result.data, result.decay, result.clipping, result.residual, result.arithmetic)
        size = max(sum(np.abs(term).mean() for term in terms), np.finfo(float).tiny)
        movement = max(np.abs(result.final - result.initial).mean(), np.finfo(float).tiny)
        return {
            "scores": torch.as_tensor(result.influence.reshape(-1, trajectory.examples)),
            "error": torch.tensor(float(np.abs(result.completeness).max() / size)),
            "residual": torch.tensor(float(np.abs(result.residual).mean() / movement)),
        }

    def _metagradient(self, trajectory: Trajectory, batch: Batch, parts: Checkpointed, name: str) -> Tensor:
        """Return the derivatives (Q, N), for blocks of explained examples whose adjoints fit the limit."""
        from mechlab.kernels.explained import Explained
        from mechlab.kernels.metagradients import MetagradientBackward, blocks_of

        explained = Explained(trajectory.functional, trajectory.functional.placed(batch), self.outputs)

        def scores(part: Explained, own: str) -> dict[str, Tensor]:
            trajectory.forget()
            backward = MetagradientBackward(trajectory, part, self.limit)
            carry_out(backward, "metagradient", parts.file(f"{own}-part"))
            return {"scores": torch.as_tensor(backward.result().derivative.reshape(-1, trajectory.examples))}

        blocks = [(f"{name}-{i}", part) for i, part in enumerate(blocks_of(explained, self.limit))]
        return torch.cat([parts(own, lambda own=own, part=part: scores(part, own))["scores"] for own, part in blocks])
