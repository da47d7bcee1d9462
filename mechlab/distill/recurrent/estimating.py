"""The time that a search for the smallest network takes."""

from __future__ import annotations

import time

import torch

from mechlab.distill.recurrent.attempts import ROUND, Attempting
from mechlab.distill.recurrent.batched_networks import Sizes
from mechlab.distill.recurrent.smallest import AFFINE, DEEPER, GROWING, SmallestSearch

BISECTED = 3  # sizes that are tried below the first perfect ones, about


def estimated_seconds(search: SmallestSearch) -> tuple[float, float]:
    """Return the seconds of a search in which the smallest networks that are not affine are perfect, and of one in
    which no network is. Steps of each size are timed; the search itself is not changed."""
    seconds = {sizes: _seconds(search, sizes) for sizes in (*AFFINE, *GROWING, *DEEPER)}
    affine, first = sum(seconds[sizes] for sizes in AFFINE), seconds[GROWING[0]]
    return affine + first * (1 + BISECTED * search.tries), sum(seconds.values())


def _seconds(search: SmallestSearch, sizes: Sizes) -> float:
    """Return the seconds of an attempt in which half of the Levenberg-Marquardt steps are made."""
    steps = search.steps_at(sizes)
    with torch.random.fork_rng([]):
        rng = torch.Generator().manual_seed(0)
        timed = [_timed(Attempting(search.examples, sizes, search.starts, *some, rng)) for some in ((1, 0), (4, 0), (1, 1))]
    descent, refining = max(0.0, timed[1] - timed[0]) / 3, max(0.0, timed[2] - timed[0]) / ROUND
    return steps * descent + search.rounds / 2 * ROUND * refining


def _timed(attempting: Attempting) -> float:
    started = time.monotonic()
    attempting.run()
    return time.monotonic() - started
