"""The decomposition of a change of outputs over training, and the settings that it is computed with."""

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

TERMS = ("data", "decay", "clipping", "quadrature", "arithmetic")


@dataclass(frozen=True)
class PathKernelDecomposition:
    """The decomposition of the change of X x C explained scalars over S steps, N training examples and P parameters in
    T tensors.

    Each term is computed from its own definition; their sum is `final - initial`, see `completeness`.

    Args:
        initial, final: (X, C) the scalars before and after training.
        influence: (X, C, N) of each training example, in the order of their ids.
        decay, clipping: (X, C) of weight decay, and of the part of the gradients that clipping took away.
        residual: (X, C) of the quadrature: changes of the scalars less inner products with the averaged gradients.
        arithmetic: (X, C) of rounding: recorded updates less those that the equations give.
        earlier: (X, C) of the momentum at the first of chosen steps: gradients and coupled decay of the steps before;
            zero where all steps are explained.
        gaps: (W + 1, X, C) changes of the scalars before, between and after W ranges of chosen steps.
        steps: (S,) the explained steps, all of the training by default.
        by_step: name -> (S, X, C). "data", "decay", "clipping" belong to the step of the gradient; "path" (all but
            decoupled decay), "quadrature", "uncorrected" (the latter without the correction by the secant),
            "arithmetic", "change" to the step along which the gradients were averaged.
        by_tensor: name ("data", "decay", "clipping") -> (X, C, T).
        data_by_step: (S, X, C, T), the data term by the step of the gradient and by tensor; None unless requested.
        mass: "data" and "decay" -> (S, T), absolute contributions of the parameters of a tensor to the change along a
            step, summed over parameters and averaged over explained scalars.
        norm: "data" and "decay" -> (S,), root of the sum of squares of the same contributions over all parameters,
            averaged over explained scalars.
        scores, decay_scores: (X, C, P) the data and decay terms of each parameter; None unless requested.
        influence_by_group: name -> (X, C, N), the influence through a group of parameters.
        influence_by_bin: (bins, X, C, N), the influence by bins of steps; None unless requested.
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
    earlier: np.ndarray
    gaps: np.ndarray
    steps: np.ndarray
    by_step: Mapping[str, np.ndarray]
    by_tensor: Mapping[str, np.ndarray]
    data_by_step: np.ndarray | None
    mass: Mapping[str, np.ndarray]
    norm: Mapping[str, np.ndarray]
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
        terms = self.data + self.decay + self.clipping + self.residual + self.arithmetic + self.earlier + self.rest
        return self.final - self.initial - terms

    @property
    def rest(self) -> np.ndarray:
        """The change (X, C) of the scalars along the steps that are not explained."""
        return self.gaps.sum(0)


@dataclass(frozen=True)
class PathKernelSettings:
    """Settings of a path-kernel decomposition.

    Args:
        quadrature: of the averaged gradients.
        form, limit: of the inner products, and bytes that a block of work may take; see InnerProducts.
        scores: whether to return the scores of single parameters.
        groups: name -> names of tensors, or a mask (P,): groups of parameters for `influence_by_group`.
        bins: first steps of the bins for `influence_by_bin`, the first of them 0; () for none.
        view: "gradient" counts an influence in the bin of the step of the gradient, "path" in that of the step along
            which the gradients of the scalars were averaged.
        steps_by_tensor: whether to return `data_by_step`, the one array that is large where the steps are many.
        steps: ranges (first, stop) of the steps to explain, in order, with others between them; all by default. The
            changes of the scalars along other steps are `gaps`, computed by forward passes alone.

    Raises:
        ConfigError: an unknown form or view, bins that do not begin at 0 and increase, or ranges that are empty or
            not apart.
    """

    quadrature: Quadrature = field(default_factory=Quadrature)
    form: Literal["auto", "jvp", "gemm", "ghost"] = "auto"
    limit: int = 2**30
    scores: bool = True
    groups: Mapping[str, Sequence[str] | Tensor] | None = None
    bins: Sequence[int] = ()
    view: Literal["gradient", "path"] = "gradient"
    steps_by_tensor: bool = False
    steps: Sequence[tuple[int, int]] | None = None

    def __post_init__(self) -> None:
        check_form(self.form)
        if self.view not in ("gradient", "path"):
            raise ConfigError("view must be gradient or path", got=self.view, key="view", fix="view='gradient'")
        if len(self.bins) and (self.bins[0] != 0 or any(b <= a for a, b in pairwise(self.bins))):
            must = "bins must be first steps that begin at 0 and increase"
            raise ConfigError(must, got=list(self.bins), key="bins", fix="bins=[0, 100, 200]")
        edges = [0] if self.steps is None else [edge for part in self.steps for edge in part]
        if not edges or edges[0] < 0 or any(b <= a for a, b in pairwise(edges)):
            must = "steps must be ranges [first, stop] of optimiser steps, in order, with other steps between them"
            got = [list(part) for part in self.steps]
            raise ConfigError(must, got=got, key="steps", fix="steps=[[0, 50], [200, 250]]")

    def check_steps(self, last: int) -> None:
        """Raise ConfigError if a step after the last one is to be explained."""
        if self.steps is not None and self.steps[-1][1] > last:
            must, fix = f"steps must be within the training, which has {last} steps", f"ranges up to {last} or before"
            raise ConfigError(must, got=list(self.steps[-1]), key="steps", fix=fix)
