"""A linear map that is fitted in closed form."""

from __future__ import annotations

import math
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mechlab.core.constraints import at_least
from mechlab.core.model import StaticModel
from mechlab.core.task import Batch, TaskSpec


class Linear(StaticModel):
    """y = W x + b, solved by ridge regression before training.

    Real inputs are flattened; tokens become one-hot vectors, one after the other. The solution minimises

        sum_n |W x_n + b - t_n|^2 + ridge N |W|^2

    over the N training examples, with the one-hot vector of a class as its target t_n.

    Args:
        spec: of a static task.
        ridge: strength of the penalty, which leaves out b; 0 gives the least-squares solution of least norm.

    Source: Hoerl and Kennard, "Ridge regression", Technometrics 12 (1970).
    """

    def __init__(self, spec: TaskSpec, ridge: Annotated[float, at_least(0)] = 1e-3):
        super().__init__(spec)
        self.ridge = ridge
        size = math.prod(spec.shape)
        self.readout = nn.Linear(size * spec.inputs if spec.tokens else size, spec.outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs (B, *shape) to outputs (B, outputs)."""
        return self.readout(self._features(inputs))

    @torch.no_grad()
    def solve(self, examples: Batch, rng: torch.Generator) -> None:
        """Set W and b to the solution, computed in double precision by a singular value decomposition."""
        x = self._features(examples.inputs).double()
        t = examples.targets if examples.targets.is_floating_point() else F.one_hot(examples.targets, self.spec.outputs)
        means = x.mean(0), t.double().mean(0)
        u, s, v = torch.linalg.svd(x - means[0], full_matrices=False)
        significant = s > s.max() * max(x.shape) * torch.finfo(s.dtype).eps
        inverse = torch.where(
            significant, s / (s.square() + self.ridge * len(x)).clamp(min=torch.finfo(s.dtype).tiny), 0.0
        )
        weight = (t.double() - means[1]).T @ u * inverse @ v
        self.readout.weight.copy_(weight)
        self.readout.bias.copy_(means[1] - weight @ means[0])

    def _features(self, inputs: Tensor) -> Tensor:
        dtype = self.readout.weight.dtype
        return (F.one_hot(inputs, self.spec.inputs) if self.spec.tokens else inputs).flatten(1).to(dtype)
