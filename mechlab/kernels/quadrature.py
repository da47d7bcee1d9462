"""Gradients averaged along the straight line between two parameter vectors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral
from typing import Literal

import torch
from torch import Tensor

from mechlab.core.errors import ConfigError
from mechlab.kernels.explained import Explained
from mechlab.kernels.line import Line


@dataclass(frozen=True)
class Quadrature:
    """How gradients are averaged along an optimiser step.

    Args:
        rule: "midpoint": the line is cut into parts, with the gradient at the midpoint of each. Rules of higher order
            integrate networks with kinks no better.
        nodes: number of equal parts; with a tolerance the initial number.
        tolerance: parts are refined for each explained input until the residual of the step is for each of its scalars
            at most this share of the movement of the scalars along a step, see `allowed_residual`; None for equal
            parts. See `line`.
        most: the largest number of nodes.
        secant: whether to correct the average along the step so that the residual is zero (a discrete gradient). The
            change is then exact for any number of nodes; influences of single examples are no better. The residual
            without the correction is computed too.

    Raises:
        ConfigError: another rule, numbers of nodes below 1, or a tolerance that is not above 0.
    """

    rule: Literal["midpoint"] = "midpoint"
    nodes: int = 20
    tolerance: float | None = None
    most: int = 64
    secant: bool = False

    def __post_init__(self) -> None:
        if self.rule != "midpoint":
            raise ConfigError("rule must be midpoint", got=self.rule, key="rule", fix="rule=midpoint")
        for name, number in (("nodes", self.nodes), ("most_nodes", self.most)):
            if not isinstance(number, Integral) or number < 1:
                must = f"{name} must be a whole number of at least 1"
                raise ConfigError(must, got=number, key=name, fix=f"{name}=1")
        if self.tolerance is not None and not 0 < self.tolerance < math.inf:
            must, fix = "tolerance must be a number above 0, or None for a fixed number of nodes", "tolerance=1e-3"
            raise ConfigError(must, got=self.tolerance, key="tolerance", fix=fix)


@dataclass(frozen=True)
class Average:
    """The averaged gradients of one step.

    Args:
        gradients: (Q, P).
        residual: (Q,) the change of each scalar less the inner product of its averaged gradient with the step.
        uncorrected: (Q,) the residual before the correction by the secant.
        nodes: number of nodes of nonzero weight, the mean over inputs.
        evaluations: number of gradients evaluated, the mean over inputs.
    """

    gradients: Tensor
    residual: Tensor
    uncorrected: Tensor
    nodes: float
    evaluations: float


def allowed_residual(tolerance: float, change: Tensor, typical: float) -> float:
    """Return the residual of a step that needs no more nodes, in the unit of the scalars.

    Args:
        tolerance: as a share of the mean absolute change of the scalars along the step, or of the typical one where
            that is larger.
        change: of the scalars along the step.
        typical: mean absolute change of the scalars along a step: a mean over other steps.
    """
    return tolerance * max(float(change.abs().mean()), typical)


def average(
    explained: Explained,
    start: Tensor,
    end: Tensor,
    change: Tensor,
    how: Quadrature,
    chunk: int,
    capacity: int,
    out: Tensor | None = None,
    typical: float = 0.0,
) -> Average:
    """Average the gradients from parameters start (P,) to end (P,).

    Args:
        change: (Q,) of the scalars from start to end.
        chunk: inputs that are differentiated at once.
        capacity: gradients (Q, P) that may be in memory; others are evaluated again when they are needed.
        out: (Q, P) memory that the gradients may be written to.
        typical: movement of the scalars along a step; see `allowed_residual`.
    """
    step = end - start
    if how.tolerance is None:
        nodes = evaluations = float(how.nodes)
        shares = [(node + 0.5) / how.nodes for node in range(how.nodes)]
        gradients = explained.mean_gradients([torch.add(start, step, alpha=share) for share in shares], chunk, out)
    else:
        line = Line(explained, start, step, chunk, capacity * (explained.shape[0] if explained.by_rows else 1))
        allowed = allowed_residual(how.tolerance, change, typical)
        gradients = line.refined(change, how.nodes, allowed, how.most)
        nodes, evaluations = line.nodes, line.evaluations
    residual = uncorrected = change - gradients @ step
    if how.secant and (square := step @ step) > 0:
        gradients += residual[:, None] * (step / square)
        residual = change - gradients @ step
    return Average(gradients, residual, uncorrected, nodes, evaluations)
