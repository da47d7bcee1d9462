"""Phases of a training that ends in generalisation long after memorisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

LEARNED = 0.99  # accuracy
RISE = 2.0  # of the excluded loss above its minimum, for circuit formation
SETTLED = 0.1  # share of the fall of the squared weights that is left at the end of clean-up


@dataclass(frozen=True)
class Phases:
    """Steps at which the phases of a training begin and end; None for those that it does not have.

    Args:
        memorised: the first step with a training accuracy of at least 0.99.
        generalised: the first step with a test accuracy of at least 0.99 that is not lost again.
        circuit: the start of circuit formation, the step of the smallest excluded loss; None if this loss does not
            rise to twice its minimum afterwards.
        clean_up: the start of clean-up, the last step at which the test loss is at least half of its maximum; None if
            training ends without generalisation.
        settled: the end of clean-up, the first step after it with generalisation at which a tenth or less of the fall
            of the squared weights since the start of clean-up is still to come; None if that is the last step, where
            they still fall.
    """

    memorised: int | None = None
    generalised: int | None = None
    circuit: int | None = None
    clean_up: int | None = None
    settled: int | None = None

    @property
    def scalars(self) -> dict[str, float]:
        """The steps that there are, by name."""
        names = {"memorised": "memorised", "generalised": "generalised", "circuit": "circuit_formation"}
        names |= {"clean_up": "clean_up", "settled": "settled"}
        steps = {f"{word}_step": getattr(self, name) for name, word in names.items()}
        return {name: float(step) for name, step in steps.items() if step is not None}


def phases(steps: np.ndarray, curves: Mapping[str, np.ndarray]) -> Phases:
    """Return the phases of a training, from its curves at recorded steps.

    Memorisation comes first: the training loss falls, and with it the loss without the key irreps, since they do not
    matter yet. In circuit formation the latter (the excluded loss) rises while the weights are redistributed to the key
    irreps. In clean-up the test loss falls and weight decay removes what only memorised.

    Args:
        steps: (T,), ascending.
        curves: (T,) each: train_accuracy, test_accuracy, test_loss, squared_weights and, if it is known, excluded_loss.

    Source: Nanda et al., "Progress measures for grokking via mechanistic interpretability", arXiv 2301.05217, section
    5.2, where the phases are drawn by hand.
    """
    train, test, loss = (np.asarray(curves[name]) for name in ("train_accuracy", "test_accuracy", "test_loss"))
    weights, excluded = np.asarray(curves["squared_weights"]), np.asarray(curves.get("excluded_loss", np.nan * steps))
    memorised = _first(steps, train >= LEARNED)
    lost = np.flatnonzero(test < LEARNED)
    first = 0 if not len(lost) else lost[-1] + 1  # at which the test accuracy is high for good
    generalises = len(steps) > 0 and first < len(steps)
    clean_up = settled = circuit = None
    high = np.flatnonzero(loss >= loss.max() / 2) if np.isfinite(loss).all() and len(loss) else []
    end = len(steps)
    if generalises and len(high) and first > 0:
        end = int(high[-1]) + 1
        clean_up = int(steps[high[-1]])
        start = weights[high[-1]]
        fallen = weights - weights[-1] <= SETTLED * max(start - weights[-1], 0)
        settled = _first(steps[:-1], fallen[:-1] & (np.arange(len(steps) - 1) >= max(first, high[-1])))
    if np.isfinite(excluded).all() and end > 1:
        lowest = int(excluded[:end].argmin())
        if excluded[lowest:].max() >= RISE * excluded[lowest] and lowest > 0:
            circuit = int(steps[lowest])
    return Phases(memorised, int(steps[first]) if generalises else None, circuit, clean_up, settled)


def _first(steps: np.ndarray, where: np.ndarray) -> int | None:
    places = np.flatnonzero(where)
    return int(steps[places[0]]) if len(places) else None
