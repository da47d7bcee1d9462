"""The account of a training: what it consists of, and how it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np
from torch import Tensor

from mechlab.core.errors import ConfigError
from mechlab.core.layout import Layout
from mechlab.kernels.inner import check_form
from mechlab.kernels.quadrature import Quadrature

LINES = ("data", "decay", "clipping", "quadrature", "arithmetic")


@dataclass(frozen=True)
class PathKernelDecomposition:
    """The decomposition of X x C explained scalars over S steps, N training examples and P parameters in T tensors.

    Each term is computed from its own definition; together they are `final - initial`, see `completeness`.

    Args:
        initial, final: (X, C) the scalars before and after training.
        influence: (X, C, N) of each training example, in the order of their permanent ids.
        decay, clipping: (X, C) of weight decay, and of the part of the gradients that clipping took away.
        residual: (X, C) of the quadrature: changes of the scalars less inner products with the averaged gradients.
        arithmetic: (X, C) of rounding: recorded updates less those that the equations give.
        by_step: name -> (S, X, C). "data", "decay", "clipping" at the step of the gradient; "path" (all but decoupled
            decay, at the step of the path), "quadrature", "arithmetic", "change" at the step that was made.
        by_tensor: name ("data", "decay", "clipping") -> (X, C, T).
        data_by_step: (S, X, C, T), the data term by the step at which gradients were taken, and by tensor; None if not
            requested.
        mass: "data" and "decay" -> (S, T), sum over a tensor's scalars of absolute items where the step was made, the
            mean over all explained scalars.
        scores, decay_scores: (X, C, P) the data and decay terms of every scalar parameter; None if not requested.
        influence_by_group: name -> (X, C, N), the influence through a group of parameters.
        influence_by_bin: (bins, X, C, N), the influence by bins of steps; None if not requested.
        nodes, evaluations: (S,) nodes of the quadrature, and gradients that were evaluated; means over blocks.
        layout: names and places of the tensors on the axis of P.
    """

    initial: np.ndarray
    final: np.ndarray
    influence: np.ndarray
    decay: np.ndarray
    clipping: np.ndarray
    residual: np.ndarray
    arithmetic: np.ndarray
    by_step: Mapping[str, np.ndarray]
    by_tensor: Mapping[str, np.ndarray]
    data_by_step: np.ndarray | None
    mass: Mapping[str, np.ndarray]
    scores: np.ndarray | None
    decay_scores: np.ndarray | None
    influence_by_group: Mapping[str, np.ndarray]
    influence_by_bin: np.ndarray | None
    nodes: np.ndarray
    evaluations: np.ndarray
    layout: Layout

    @property
    def data(self) -> np.ndarray:
        """The sum (X, C) of all influences."""
        return self.influence.sum(-1)

    @property
    def completeness(self) -> np.ndarray:
        """The change of the scalars less the sum of all terms (X, C): zero but for rounding."""
        lines = self.data + self.decay + self.clipping + self.residual + self.arithmetic
        return self.final - self.initial - lines


@dataclass(frozen=True)
class PathKernelSettings:
    """Settings of a decomposition.

    Args:
        quadrature: of the averaged gradients.
        form, limit: of the inner products, and bytes that a block of work may take; see InnerProducts.
        scores: whether to store the scores of single parameters.
        groups: name -> names of tensors, or a mask (P,), whose influences are also separated.
        bins: first steps of bins of steps, the first of them 0, whose influences are also separated; () for none.
        view: whether an influence belongs to the bin in which the gradient was taken, or in which the step was made.
        steps_by_tensor: whether to store the data term by step and tensor, the one array that is large where the steps
            are many.

    Raises:
        ConfigError: an unknown form or view, or bins that do not begin at 0 and increase.
    """

    quadrature: Quadrature = field(default_factory=Quadrature)
    form: Literal["auto", "jvp", "gemm", "ghost"] = "auto"
    limit: int = 2**30
    scores: bool = True
    groups: Mapping[str, Sequence[str] | Tensor] | None = None
    bins: Sequence[int] = ()
    view: Literal["gradient", "path"] = "gradient"
    steps_by_tensor: bool = False

    def __post_init__(self) -> None:
        check_form(self.form)
        if self.view not in ("gradient", "path"):
            raise ConfigError("view must be gradient or path", got=self.view, key="view", fix="view='gradient'")
        if len(self.bins) and (self.bins[0] != 0 or any(b <= a for a, b in pairwise(self.bins))):
            must = "bins must be first steps that begin at 0 and increase"
            raise ConfigError(must, got=list(self.bins), key="bins", fix="bins=[0, 100, 200]")
