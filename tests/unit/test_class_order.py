"""The order of classes, against all permutations."""

import itertools

import numpy as np
import pytest

from mechlab.automata.class_order import class_order


@pytest.mark.parametrize("seed", range(20))
def test_the_best_and_the_next_best_of_all_permutations_are_found(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 6))
    counts = rng.integers(0, 30, (n, n)) * rng.integers(0, 2, (n, n))
    counts[0, 0] += 1
    counts[:, 1] *= rng.integers(0, 2)  # a class may never occur
    occur = counts.sum(0)
    sums = sorted(
        (sum(counts[o, c] / occur[c] for o, c in enumerate(order) if occur[c]), order)
        for order in itertools.permutations(range(n))
    )
    found, share = class_order(counts), np.count_nonzero(occur)
    np.testing.assert_allclose([found.fit, found.next_fit], [sums[-1][0] / share, sums[-2][0] / share], atol=1e-12)
    assert found.gap == pytest.approx(sums[-1][0] - sums[-2][0], abs=1e-12)
    assert found.given == pytest.approx({order: value for value, order in sums}[tuple(range(n))] / share)
    if found.gap > 1e-9:
        assert tuple(found.classes) == sums[-1][1]


def test_a_rare_class_counts_as_much_as_a_frequent_one():
    """Of 10,000 answers 9,990 are one class's: an order that gets the rare ones wrong fits half, not .999."""
    found = class_order([[9990, 0], [0, 10]])
    assert (found.fit, found.next_fit, found.gap) == (1.0, 0.0, 2.0)
    assert class_order([[9990, 10], [0, 0]]).gap == 0  # a network that always says the same tells nothing


def test_one_class_has_one_order():
    found = class_order([[5]])
    assert (found.classes.tolist(), found.fit, found.gap) == ([0], 1.0, float("inf"))


@pytest.mark.parametrize("counts", [[[1, 2]], [[0, 0], [0, 0]], [[1, -1], [0, 1]], [1, 2]])
def test_what_is_no_table_is_refused(counts):
    with pytest.raises(ValueError, match="square table"):
        class_order(counts)
