"""The Wilson interval: textbook values, the equation that defines it, its symmetry and its coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mechlab.statistics.wilson import wilson

TABLE = {  # of Newcombe 1998, Statistics in Medicine 17, table I (method 3), and of statsmodels' proportion_confint
    (81, 263): (0.2553, 0.3662),
    (15, 148): (0.0624, 0.1605),
    (0, 20): (0.0, 0.1611),
    (1, 29): (0.0061, 0.1718),
    (8, 10): (0.4902, 0.9433),
}


@pytest.mark.parametrize("counts", TABLE)
def test_textbook_values(counts: tuple[int, int]) -> None:
    assert wilson(*counts) == pytest.approx(TABLE[counts], abs=5e-5)


def test_ends_are_where_the_score_test_rejects() -> None:
    """At either end p the share lies 1.96 standard errors of p from p."""
    for passed, n in ((3, 7), (19, 20), (250, 1000)):
        for p in wilson(passed, n):
            assert abs(passed / n - p) / math.sqrt(p * (1 - p) / n) == pytest.approx(1.959964, abs=1e-6)


def test_failures_mirror_successes_and_the_ends_are_closed() -> None:
    low, high = wilson(3, 20)
    assert wilson(17, 20) == pytest.approx((1 - high, 1 - low))
    assert wilson(20, 20)[1] == 1 and wilson(0, 20)[0] == 0 and wilson(0, 0) == (0, 1)
    assert wilson(3, 20, 0.5)[0] > low


def test_coverage_is_about_the_level() -> None:
    """Over random trials; the normal approximation has 88 % here."""
    passed = np.random.default_rng(0).binomial(20, 0.9, 4000)
    inside = [low <= 0.9 <= high for low, high in (wilson(int(k), 20) for k in passed)]
    assert 0.93 < np.mean(inside) < 0.98


@pytest.mark.parametrize("arguments", [(-1, 5), (6, 5), (1, 5, 1.0)])
def test_impossible_counts_are_refused(arguments: tuple) -> None:
    with pytest.raises(ValueError, match="from 0 to n"):
        wilson(*arguments)
