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
    """Settings of the average of gradients along an optimiser step.

    Args:
        rule: "midpoint": the line is cut into parts, and each is represented by the gradient in its middle. Networks
            with kinks are integrated no better by rules of higher order.
        nodes: number of parts, all equal; with a tolerance the number to begin with.
        tolerance: for each explained input by itself, parts are refined until the residual of the step is at most this
            large for each of the input's scalars, in their own unit; None for equal parts. See `line`.
        most: the largest number of nodes.
        secant: whether the residual is removed by moving the average along the step (a discrete gradient): the change
            is then exact for any number of nodes, the individual influences are not better.

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
    """The result of a quadrature along one step.

    Args:
        gradients: (Q, P) averaged gradients.
        residual: (Q,) the change of each scalar less the inner product of its averaged gradient with the step.
        nodes: number of nodes that carry weight, the mean over inputs.
        evaluations: number of gradients evaluated, the mean over inputs.
    """

    gradients: Tensor
    residual: Tensor
    nodes: float
    evaluations: float


def average(
    explained: Explained,
    start: Tensor,
    end: Tensor,
    change: Tensor,
    how: Quadrature,
    chunk: int,
    stored: int,
    out: Tensor | None = None,
) -> Average:
    """Average the gradients from parameters start (P,) to end (P,).

    Args:
        change: (Q,) by how much the scalars change from start to end.
        chunk: inputs that are differentiated at once.
        stored: gradients (Q, P) that may stay in memory; those beyond are evaluated again when they are needed.
        out: (Q, P) memory that the gradients may be written to.
    """
    step = end - start
    if how.tolerance is None:
        nodes = evaluations = float(how.nodes)
        shares = [(node + 0.5) / how.nodes for node in range(how.nodes)]
        gradients = explained.mean_gradients([torch.add(start, step, alpha=share) for share in shares], chunk, out)
    else:
        line = Line(explained, start, step, chunk, stored * (explained.shape[0] if explained.by_rows else 1))
        gradients = line.refined(change, how.nodes, how.tolerance, how.most)
        nodes, evaluations = line.nodes, line.evaluations
    residual = change - gradients @ step
    if how.secant and (square := step @ step) > 0:
        gradients += residual[:, None] * (step / square)
        residual = change - gradients @ step
    return Average(gradients, residual, nodes, evaluations)
