"""The bootstrap of the report against scipy's, and what must hold of any interval."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap as reference

from mechlab.statistics.bootstrap import bootstrap, summarise


@pytest.mark.parametrize("n", [5, 20, 100])
def test_the_interval_is_that_of_scipy(n: int) -> None:
    values = np.random.default_rng(n).lognormal(size=n)
    found = bootstrap(list(values))
    wanted = reference(
        (values,), np.mean, method="percentile", n_resamples=20_000, random_state=np.random.default_rng(1)
    )
    width = wanted.confidence_interval.high - wanted.confidence_interval.low
    assert found == pytest.approx(wanted.confidence_interval, abs=0.05 * width)


def test_the_interval_of_two_runs_is_their_range() -> None:
    """Each of the two is drawn twice in a quarter of all resamples, more than the tails leave out."""
    assert bootstrap([0.25, 0.75]) == (0.25, 0.75)


def test_the_interval_is_the_same_every_time_and_moves_with_the_values() -> None:
    values = [0.1, 0.5, 0.3, 0.9]
    assert bootstrap(values) == bootstrap(values)
    assert bootstrap([4 + 2 * value for value in values]) == pytest.approx([4 + 2 * end for end in bootstrap(values)])


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-300, -1e300])
def test_equal_runs_have_no_width(value: float) -> None:
    found = summarise([value] * 7)
    assert (found.mean, found.low, found.high) == (value, value, value)


def test_the_mean_is_inside() -> None:
    for seed in range(30):
        values = np.random.default_rng(seed).standard_cauchy(6).tolist()
        found = summarise(values)
        assert min(values) <= found.low <= found.mean <= found.high <= max(values)


def test_a_single_run_has_no_interval() -> None:
    found = summarise([0.5])
    assert (found.n, found.mean, found.low, found.high) == (1, 0.5, None, None)
