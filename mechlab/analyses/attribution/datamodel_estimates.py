"""The estimators of the analysis `datamodel`, their costs, and what each is computed from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from mechlab.kernels.datamodels import RATIOS, Datamodel, Prior, fit_datamodel, prior_of
from mechlab.kernels.lds import predicted_changes

SAVED = 3  # retrainings for each training example that a prior saves (measured: 2 to 5, the more the better the score)
ONE, MEAN, MEDIAN = "metagradient", "metagradient_mean", "metagradient_median"


def metagradient_cost(outputs: int, weightings: int = 0) -> float:
    """Return the cost, in trainings, of metagradients of Q scalars: for the recorded training, or for other weightings.

    Each step takes the gradient twice (to enter the optimizer, and to be differentiated) and a Hessian-vector product
    for each scalar, which counts as two gradients. At other weightings the training comes first.
    """
    return weightings * (3 + 2 * outputs) if weightings else 2 + 2 * outputs


@dataclass(frozen=True)
class Estimate:
    """What one estimator gives.

    Args:
        name: of the estimator, with its number of retrainings.
        scores: (Q, N).
        predicted: (M, Q) outputs of the held-out subsets.
        retrainings, weightings: that it is fitted to, and that its metagradients are computed at.
        cost: in trainings.
        model: of the regression; None for metagradients alone.
    """

    name: str
    scores: np.ndarray
    predicted: np.ndarray
    retrainings: int
    weightings: int
    cost: float
    model: Datamodel | None = None

    @property
    def pairs(self) -> np.ndarray | None:
        """The interactions (Q, N, N); None for additive estimators."""
        return None if self.model is None else self.model.pairs


@dataclass(frozen=True)
class Estimators:
    """The estimators to compute for Q outputs and N training examples.

    Args:
        outputs, examples: Q and N.
        kind: of the scores that are wanted.
        compare: whether to compute all.
        fitted: numbers of retrainings that models are fitted to.
        several: number of weightings of the metagradients.
        ceiling: retrainings of the best additive model; 0 for none.
        pairs: whether to fit interactions.
    """

    outputs: int
    examples: int
    kind: Literal["auto", "regression", "prior"]
    compare: bool
    fitted: tuple[int, ...]
    several: int
    ceiling: int
    pairs: bool

    @cached_property
    def regression(self) -> bool:
        """Whether the scores are those of regression alone."""
        if self.kind != "auto":
            return self.kind == "regression"
        return self._more >= SAVED * self.examples

    @property
    def _more(self) -> float:
        """The cost of metagradients at several weightings, without trainings that regression needs too."""
        return metagradient_cost(self.outputs, self.several) - self.several

    @property
    def chosen(self) -> str:
        """The name of the estimator of the scores."""
        return f"{'regression' if self.regression else 'prior'}_{max(self.fitted)}"

    @property
    def weightings(self) -> int:
        """Random removals at which metagradients are computed."""
        return self.several if self.compare or not self.regression else 0

    @property
    def retrainings(self) -> int:
        """Retrainings that any model is fitted to."""
        return max(*self.fitted, self.ceiling if self.compare else 0)

    @property
    def reason(self) -> str:
        """Why `auto` chose the estimator; empty if the user did."""
        if self.kind != "auto":
            return ""
        costs = f"metagradients at {self.several:,} weightings cost as much as {self._more:,.0f} more trainings"
        saved = f"they save about {SAVED * self.examples:,}, {SAVED} for each training example"
        return f": {costs}, and {saved}"

    def announcement(self, subsets: int) -> str:
        """Return the size of the work, before it begins."""
        text = f"{1 + subsets + self.retrainings:,} trainings"
        if not self.weightings:
            return text
        cost = metagradient_cost(self.outputs) + metagradient_cost(self.outputs, self.weightings)
        each = f"{1 + self.weightings:,} metagradients of {self.outputs:,} scalars"
        return f"{text}, and {each}, which cost as much as {cost:,.0f}"

    def __call__(
        self, removed: np.ndarray, outputs: np.ndarray, derivatives: np.ndarray | None, tested: np.ndarray
    ) -> Iterator[Estimate]:
        """Yield what each estimator gives.

        Args:
            removed: (K, N) examples that are removed, of which `outputs` (R, Q) has those of the first retrainings.
            derivatives: (1 + W, Q, N) metagradients at the weights 1 and at the first removals.
            tested: (M, N) the held-out removals.
        """
        if derivatives is not None:
            several, W = derivatives[1:], self.weightings
            for name, scores, number in (
                (ONE, derivatives[0], 0),
                (MEAN, several.mean(0), W),
                (MEDIAN, np.median(several, 0), W),
            ):
                cost = metagradient_cost(self.outputs, number)
                yield Estimate(name, scores, predicted_changes(scores, tested), 0, max(number, 1), cost)
        if self.compare or self.regression:
            numbers = sorted({*self.fitted, *([self.ceiling] if self.ceiling else [])})
            yield from self._regressions("regression", numbers, None, removed, outputs, tested)
        if derivatives is not None:
            yield from self._regressions("prior", sorted(set(self.fitted)), prior_of(several), removed, outputs, tested)

    def _regressions(
        self,
        name: str,
        numbers: list[int],
        prior: Prior | None,
        removed: np.ndarray,
        outputs: np.ndarray,
        tested: np.ndarray,
    ) -> Iterator[Estimate]:
        """Yield regressions of some numbers of retrainings, without and with interactions."""
        W = 0 if prior is None else self.weightings
        for number in numbers:
            # the trainings of the weightings are the first of the retrainings
            cost = number if prior is None else number + metagradient_cost(self.outputs, W) - min(number, W)
            for label, ratios in ((name, (0.0,)), *([(f"{name}_pairs", RATIOS)] if self.pairs else [])):
                model = fit_datamodel(removed[:number], outputs[:number], prior, ratios)
                yield Estimate(f"{label}_{number}", model.scores, model.predicted(tested), number, W, cost, model)
