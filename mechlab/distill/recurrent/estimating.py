"""The time that a search for the smallest network takes."""

from __future__ import annotations

import time

import torch

from mechlab.distill.recurrent.attempts import Attempting
from mechlab.distill.recurrent.batched_networks import Sizes
from mechlab.distill.recurrent.smallest import AFFINE, DEEPER, GROWING, SmallestSearch, ladder

TIMED = 2  # steps
BISECTED = 3  # sizes that are tried below the first perfect ones, about


def estimated_seconds(search: SmallestSearch) -> tuple[float, float]:
    """Return the seconds of a search in which the smallest networks that are not affine are perfect, and of one in
    which no network is. Steps of gradient descent are timed at each size, and half as long is added for what follows
    them; the search itself is not changed."""
    seconds = {sizes: 1.5 * _descent(search, sizes) for sizes in (*AFFINE, *GROWING, *DEEPER)}
    affine, first = sum(seconds[sizes] for sizes in AFFINE), seconds[GROWING[0]]
    return affine + first * (1 + BISECTED * search.tries), sum(seconds[sizes] * longer for sizes, longer in ladder())


def _descent(search: SmallestSearch, sizes: Sizes) -> float:
    """Return the seconds of the gradient descent of an attempt."""
    rng = torch.Generator().manual_seed(0)
    starts, steps = search.effort(sizes)
    attempting = Attempting(search.examples, sizes, starts, TIMED, 0, rng)
    weights = attempting.networks.draw(starts, rng)
    started = time.monotonic()
    attempting.descend(weights, tests=False)
    return (time.monotonic() - started) / TIMED * steps
