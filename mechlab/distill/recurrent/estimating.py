"""The time that a search for the smallest network takes."""

from __future__ import annotations

import time

import torch

from mechlab.distill.recurrent.attempts import ROUND, Attempting
from mechlab.distill.recurrent.batched_networks import Sizes
from mechlab.distill.recurrent.levenberg_marquardt import levenberg_marquardt
from mechlab.distill.recurrent.smallest import AFFINE, DEEPER, GROWING, PASSES, SmallestSearch, ladder

TIMED = 2  # steps of gradient descent
LARGE = 100  # parameters from which the Levenberg-Marquardt step of one network is timed in place of all
BISECTED = 3  # sizes that are tried below the first perfect ones, about


def estimated_seconds(search: SmallestSearch) -> tuple[float, float]:
    """Return the seconds of a search in which the smallest networks that are not affine are perfect, with a third of
    their Levenberg-Marquardt steps, and of one in which no network is, with all steps of all passes.

    Steps of both kinds are timed at each size; the search itself is not changed.
    """
    timed = {sizes: _seconds(search, sizes) for sizes in (*AFFINE, *GROWING, *DEEPER)}

    def seconds(sizes: Sizes, passed: int, share: float) -> float:
        descent, refinement = timed[sizes]
        return search.effort(sizes, passed)[1] * descent + share * search.rounds * ROUND * refinement

    least = sum(seconds(sizes, 0, 0.1) for sizes in AFFINE)
    least += (1 + BISECTED * search.tries) * seconds(GROWING[0], 0, 1 / 3)
    return least, sum(seconds(sizes, passed, 1) for passed in range(PASSES) for sizes in ladder(passed))


def _seconds(search: SmallestSearch, sizes: Sizes) -> tuple[float, float]:
    """Return the seconds of a step of gradient descent and of Levenberg-Marquardt, with all networks of an attempt."""
    rng, examples = torch.Generator().manual_seed(0), search.examples
    starts = search.effort(sizes)[0]
    attempting = Attempting(examples, sizes, starts, TIMED, 0, rng)
    weights = attempting.networks.draw(starts, rng)
    started = time.monotonic()
    attempting.descend(weights, tests=False)
    descent = (time.monotonic() - started) / TIMED
    if not search.rounds or not attempting.refined:
        return descent, 0.0
    kept = weights[: attempting.refined if attempting.networks.count < LARGE else 1].double()
    x, y = (values.double() for values in examples.batch(attempting.fitted_on, examples.length, rng))
    damping = torch.full((len(kept),), 1e-2, dtype=torch.float64)
    started = time.monotonic()
    levenberg_marquardt(attempting.networks, kept, damping, x, y, examples.target_std, 1)
    return descent, (time.monotonic() - started) * attempting.refined / len(kept)
