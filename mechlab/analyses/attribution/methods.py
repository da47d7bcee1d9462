"""Scores of training examples by each method of attribution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mechlab.analyses.attribution.checkpointed import Checkpointed
from mechlab.analyses.attribution.explained_examples import Outputs
from mechlab.core.errors import ConfigError
from mechlab.core.task import Batch
from mechlab.record.long_work import carry_out

if TYPE_CHECKING:
    from mechlab.kernels.trajectory import Trajectory

METHODS = ("path_kernel", "metagradient", "tracin", "tracin_checkpoints", "gradient_dot")
OF_ALL_EXAMPLES = ("tracin_checkpoints", "gradient_dot")  # methods that need a fixed set of training examples


@dataclass(frozen=True)
class AttributionMethods:
    """The methods of attribution with their settings.

    Args:
        outputs: the explained scalars; see `kernels.explained.Explained`.
        nodes, tolerance: of the quadrature of the path kernel.
        checkpoints: evenly spaced steps of TracIn at checkpoints.
        limit: bytes that a block of work may take.
    """

    outputs: Outputs
    nodes: int
    tolerance: float | None
    checkpoints: int
    limit: int

    def methods(self, chosen: tuple[str, ...], endless: bool) -> list[str]:
        """Return those of the chosen methods that apply; some do not where examples are drawn without end.

        Raises:
            ConfigError: none does.
        """
        applicable = [name for name in chosen if not (endless and name in OF_ALL_EXAMPLES)]
        if not applicable:
            must = "there must be a method to compare" + (" that applies to endless data" if endless else "")
            raise ConfigError(must, got=list(chosen), key="compared", fix="compared=[path_kernel, metagradient]")
        return applicable

    def scores(
        self, method: str, make: Callable[[], Trajectory], batch: Batch, parts: Checkpointed, name: str
    ) -> dict[str, Tensor]:
        """Return `scores` (Q, N) of training examples for each explained scalar, and for the path kernel the `error`
        and `residual` of the decomposition as shares.

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
        from mechlab.kernels import gradient_dot, tracin

        if method == "path_kernel":
            return self._path_kernel(trajectory, batch, parts.file(f"{name}-part"))
        if method == "metagradient":
            return {"scores": self._metagradient(trajectory, batch, parts, name)}
        if method == "gradient_dot":
            scores = gradient_dot(trajectory, batch, self.outputs, memory=self.limit)
        else:
            spaced = np.linspace(0, trajectory.steps, self.checkpoints + 1)[1:].round().astype(int)
            steps = sorted(set(spaced.tolist())) if method == "tracin_checkpoints" else None
            scores = tracin(trajectory, batch, self.outputs, checkpoints=steps, memory=self.limit)
        return {"scores": torch.as_tensor(scores.reshape(-1, trajectory.examples))}

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
        from mechlab.kernels.metagradients import MetagradientBackward

        functional = trajectory.functional
        explained = Explained(functional, functional.placed(batch), self.outputs)
        vectors = 6 * explained.shape[1]  # three adjoints and their updates
        size = vectors * functional.layout.size * functional.dtype.itemsize
        rows = max(1, self.limit // size) if explained.apart else len(batch)

        def block(start: int) -> dict[str, Tensor]:
            part = explained.rows(start, min(start + rows, len(batch))) if explained.apart else explained
            trajectory.forget()
            backward = MetagradientBackward(trajectory, part, self.limit)
            carry_out(backward, "metagradient", parts.file(f"{name}-{start}-part"))
            return {"scores": torch.as_tensor(backward.result().derivative.reshape(-1, trajectory.examples))}

        starts = range(0, len(batch), rows)
        return torch.cat([parts(f"{name}-{start}", lambda start=start: block(start))["scores"] for start in starts])
