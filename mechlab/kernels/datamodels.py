"""Datamodels: outputs of retrained networks as functions of the removed training examples, fitted to retrainings.

The additive model predicts an output as an intercept minus the sum of the scores of the removed examples. Ridge
regression shrinks the scores towards a prior mean, in units of a prior standard deviation: 0 and 1, or median and
spread of metagradients at several weightings of the examples. Metagradients have heavy tails, which the median discards
and the spread shows. Effects of removing two examples together, beyond the sum of both, are shrunk towards 0. With the
removals r of a retraining (0 or 1 for each example) and prior standard deviations s, the kernel is

    k(r, r') = sum_i s_i^2 r_i r'_i + ratio * sum_{i<j} s_i^2 s_j^2 r_i r_j r'_i r'_j,

and the prediction is intercept - <r, prior mean> + sum over retrainings m of k(r, r_m) a_m. Penalty and ratio are those
whose leave-one-out predictions, which have a closed form, have the largest rank correlation with the outputs. Outputs
have heavy tails too: their differences from the prior's predictions are limited to 3 robust standard deviations.
Source: Ilyas et al. (datamodels), arXiv 2202.00622; Dubrule 1983 (leave-one-out errors with an intercept that is not
penalised); Huber 1964 (limited residuals).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import median_abs_deviation

from mechlab.kernels.lds import lds

PENALTIES = tuple(np.geomspace(1e-3, 1e4, 43))  # outputs have unit variance, and prior standard deviations have mean 1
RATIOS = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0)
FLOOR = 0.1  # smallest prior standard deviation, relative to their mean
WIDEST = 3.0  # largest difference of an output from the prior's prediction, in robust standard deviations


@dataclass(frozen=True)
class Prior:
    """What is assumed of scores before any retraining.

    Args:
        mean: (Q, N).
        spread: (Q, N) standard deviations up to a common factor, which cross-validation chooses.
    """

    mean: np.ndarray
    spread: np.ndarray


@dataclass(frozen=True)
class Datamodel:
    """Additive, and maybe pairwise, effects of removing N training examples on Q outputs.

    Args:
        intercept: (Q,).
        scores: (Q, N); an output without some examples is lower by the sum of their scores.
        pairs: (Q, N, N) symmetric, the further change of an output where both examples are removed; None for an
            additive model.
        penalty, ratio: as cross-validation chose them.
        score: rank correlation of leave-one-out predictions and outputs, mean over outputs.
    """

    intercept: np.ndarray
    scores: np.ndarray
    pairs: np.ndarray | None
    penalty: float
    ratio: float
    score: float

    def predicted(self, removed: np.ndarray) -> np.ndarray:
        """Return the predicted outputs (M, Q) of networks that are trained without some examples (M, N)."""
        r = removed.astype(float)
        outputs = self.intercept - r @ self.scores.T
        if self.pairs is not None:
            outputs += np.einsum("mk,qkl,ml->mq", r, self.pairs, r, optimize=True) / 2
        return outputs


def prior_of(derivatives: np.ndarray) -> Prior:
    """Return the median of metagradients (W, Q, N) at W weightings, and their spread: the median distance to it."""
    median = np.median(derivatives, 0)
    spread = np.median(np.abs(derivatives - median), 0)
    size = spread.mean(1, keepdims=True)
    return Prior(median, np.where(size > 0, np.maximum(spread, FLOOR * size) / np.where(size > 0, size, 1), 1.0))


def fit_datamodel(
    removed: np.ndarray,
    outputs: np.ndarray,
    prior: Prior | None = None,
    ratios: Sequence[float] = (0.0,),
    penalties: Sequence[float] = PENALTIES,
) -> Datamodel:
    """Return the regression of outputs on removals, with penalty and ratio by leave-one-out cross-validation.

    Args:
        removed: (M, N) sets of removed examples.
        outputs: (M, Q) of the networks that were trained without them.
        prior: of the scores; mean 0 and equal spreads by default.
        ratios: prior variances of effects of pairs, relative to those of examples; (0,) for an additive model.
        penalties: from which one is chosen for all outputs.
    """
    Q, N = outputs.shape[1], removed.shape[1]
    r, mean = removed.astype(float), np.zeros((Q, N)) if prior is None else prior.mean
    variances = np.ones((1, N)) if prior is None else prior.spread**2  # of all outputs, or of each
    expected = -r @ mean.T
    residual = _limited(outputs - expected)
    scale = _nonzero(residual.std(0))
    groups = np.split(residual / scale, len(variances), axis=1)
    best: tuple[float, float, float, np.ndarray] | None = None
    for ratio in ratios:
        fits = [_leave_one_out(_kernel(r, v, ratio), g, penalties) for v, g in zip(variances, groups, strict=True)]
        for penalty, parts in zip(penalties, zip(*fits, strict=True), strict=True):
            weights, errors = (scale * np.concatenate(each, 1) for each in zip(*parts, strict=True))  # (M, Q)
            score = lds(expected + residual - errors, outputs)
            if best is None or score > best[0]:
                best = score, penalty, ratio, weights
    score, penalty, ratio, weights = best
    variances = np.broadcast_to(variances, (Q, N))
    scores, pairs = mean - variances * (weights.T @ r), None
    if ratio:
        pairs = ratio * np.einsum("mk,mq,ml->qkl", r, weights, r, optimize=True)
        pairs *= variances[:, :, None] * variances[:, None] * (1 - np.eye(N))
    model = Datamodel(np.zeros(Q), scores, pairs, penalty, ratio, score)
    return replace(model, intercept=(expected + residual - model.predicted(r)).mean(0))


def _limited(values: np.ndarray) -> np.ndarray:
    """Return values (M, Q), limited to some robust standard deviations from their medians."""
    median = np.median(values, 0)
    width = WIDEST * median_abs_deviation(values, scale="normal")
    return np.where(width > 0, np.clip(values, median - width, median + width), values)


def _kernel(removed: np.ndarray, variances: np.ndarray, ratio: float) -> np.ndarray:
    """Return the kernel (M, M) of removals (M, N), for the prior variances (N,) of the scores."""
    shared = (variances * removed) @ removed.T
    return shared if not ratio else shared + ratio * (shared**2 - (variances**2 * removed) @ removed.T) / 2


def _leave_one_out(
    kernel: np.ndarray, outputs: np.ndarray, penalties: Sequence[float]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the weights (M, Q) of kernel ridge regression with an intercept, and its leave-one-out errors (M, Q), for
    each penalty."""
    values, vectors = np.linalg.eigh(kernel - kernel.mean(0) - kernel.mean(1)[:, None] + kernel.mean())
    vectors -= vectors.mean(0)  # what is constant is not penalised
    places, squares, fits = vectors.T @ outputs, vectors**2, []
    for penalty in penalties:
        inverse = 1 / (np.maximum(values, 0) + penalty)
        weights = vectors @ (inverse[:, None] * places)
        fits.append((weights, weights / (squares @ inverse)[:, None]))
    return fits


def _nonzero(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, values, 1.0)
