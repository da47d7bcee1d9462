"""Datamodels against a slow regression that leaves each retraining out in turn, on planted effects, and on noise."""

from __future__ import annotations

import numpy as np
import pytest

from mechlab.kernels.datamodels import Prior, fit_datamodel, prior_of
from mechlab.kernels.lds import common_sets, lds, random_removals, rank_correlations, unseen_removals


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def slow(removed, outputs, mean, variances, penalty, ratio, tested):
    """Predict outputs (M,) by least squares on the removed examples and on the pairs of them, with penalties."""
    first, second = np.triu_indices(removed.shape[1], 1)
    pairs = np.sqrt(ratio * variances[first] * variances[second])
    features = lambda r: np.concatenate([r * np.sqrt(variances), r[:, first] * r[:, second] * pairs], 1)  # noqa: E731
    design = np.concatenate([features(removed), np.ones((len(removed), 1))], 1)
    penalties = np.diag([penalty] * (design.shape[1] - 1) + [0.0])
    found = np.linalg.solve(design.T @ design + penalties, design.T @ (outputs + removed @ mean))
    return np.concatenate([features(tested), np.ones((len(tested), 1))], 1) @ found - tested @ mean


@pytest.mark.parametrize("ratio", [0.0, 0.5])
def test_fit_and_score_are_those_of_slow_regression(rng, ratio):
    """With a prior, with and without pairs, and with the retraining that is predicted left out."""
    removed = random_removals(6, 0.4, 14, rng).astype(float)
    outputs, prior = rng.random((14, 2)), Prior(0.1 * rng.normal(size=(2, 6)), 0.5 + rng.random((2, 6)))
    model = fit_datamodel(removed, outputs, prior, (ratio,), (0.3,))
    difference = outputs + removed @ prior.mean.T
    assert (np.abs(difference - np.median(difference, 0)) < 2 * difference.std(0)).all()  # so that nothing is limited
    left_out = np.zeros_like(outputs)
    for q in range(2):
        arguments = prior.mean[q], prior.spread[q] ** 2, 0.3, ratio
        np.testing.assert_allclose(
            model.predicted(removed)[:, q], slow(removed, outputs[:, q], *arguments, removed), atol=1e-9
        )
        for m in range(14):
            others = np.arange(14) != m
            left_out[m, q] = slow(removed[others], outputs[others, q], *arguments, removed[[m]])[0]
    assert model.score == pytest.approx(rank_correlations(left_out, outputs).mean())
    choice = fit_datamodel(removed, outputs, prior, (0.0, ratio), (1e-3, 0.3, 1e3))
    assert choice.score >= model.score


def test_planted_effects_are_found_and_noise_is_not(rng):
    scores, removed = rng.normal(size=(3, 30)), random_removals(30, 0.1, 300, rng)
    tested = unseen_removals(30, 0.1, 100, removed, rng)
    outputs = 2 - removed @ scores.T + 0.05 * rng.normal(size=(300, 3))
    model = fit_datamodel(removed, outputs)
    assert lds(model.predicted(tested), -(tested @ scores.T)) > 0.99
    centred = lambda values: values - values.mean(1, keepdims=True)  # noqa: E731  # sets of one size fix no mean
    np.testing.assert_allclose(centred(model.scores), centred(scores), atol=0.1)
    noise = fit_datamodel(removed, rng.permuted(outputs, axis=0))
    assert abs(lds(noise.predicted(tested), -(tested @ scores.T))) < 0.3 and noise.score < 0.3


def test_planted_interactions_are_found(rng):
    """Removing 2 and 5 together costs 3 more than the sum; that is the strongest pair, and predictions improve."""
    scores, removed = rng.normal(size=(1, 10)), random_removals(10, 0.3, 200, rng)
    effect = lambda sets: -(sets @ scores.T) - 3.0 * (sets[:, [2]] & sets[:, [5]])  # noqa: E731
    additive, pairwise = fit_datamodel(removed, effect(removed)), fit_datamodel(removed, effect(removed), ratios=(1.0,))
    assert np.unravel_index(np.abs(pairwise.pairs[0]).argmax(), (10, 10)) == (2, 5) and pairwise.pairs[0, 2, 5] < -2
    errors = [np.abs(m.predicted(removed) - effect(removed)).mean() for m in (additive, pairwise)]
    assert errors[1] < errors[0] / 3
    assert additive.pairs is None


def test_a_prior_replaces_retrainings_and_outliers_are_limited(rng):
    """Metagradients with heavy tails scatter around the truth: their median and few retrainings predict better than
    either alone, and one wild retraining changes little."""
    scores, removed = rng.normal(size=(2, 40)), random_removals(40, 0.1, 25, rng)
    tested = random_removals(40, 0.1, 200, rng)
    noise = 1.5 * rng.standard_t(1.2, size=(31, 2, 40))
    prior = prior_of(scores + noise)
    outputs, truth = 0.3 * rng.normal(size=(25, 2)) - removed @ scores.T, -(tested @ scores.T)
    both = lds(fit_datamodel(removed, outputs, prior).predicted(tested), truth)
    assert both > lds(fit_datamodel(removed, outputs).predicted(tested), truth) + 0.02
    assert both > lds(-(tested @ prior.mean.T), truth) and both > lds(-(tested @ (scores + noise.mean(0)).T), truth)
    outputs[3] += 100
    assert lds(fit_datamodel(removed, outputs, prior).predicted(tested), truth) > both - 0.05


def test_constant_outputs_and_derivatives_without_spread_are_fitted(rng):
    removed = random_removals(8, 0.3, 10, rng)
    prior = prior_of(np.zeros((3, 2, 8)))
    np.testing.assert_array_equal(prior.spread, 1)
    np.testing.assert_allclose(fit_datamodel(removed, np.ones((10, 2)), prior).predicted(removed), 1)


def test_unseen_sets_are_other_sets_as_far_as_there_are_any(rng):
    known = random_removals(12, 0.2, 30, rng)
    unseen = unseen_removals(12, 0.2, 20, known, rng)
    assert unseen.shape == (20, 12) and (unseen.sum(1) == 2).all()
    assert common_sets(unseen, known) == 0 and common_sets(known, known) == 30
    assert not {row.tobytes() for row in unseen} & {row.tobytes() for row in known}
    assert unseen_removals(3, 0.3, 5, np.eye(3, dtype=bool), rng).shape == (5, 3)
