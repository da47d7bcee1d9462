"""Periods in similarities: against a fit of all pairs, in networks with and without a planted frequency."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from figure_checks import check_figure
from recorded_trainings import recipe_of
from sklearn.linear_model import Lasso
from small_tasks import train
from torch import nn

from mechlab.analyses.attribution.periodicity import Periodicity
from mechlab.core.errors import ConfigError
from mechlab.kernels.periods import PairDifferences, harmonic_periods, permuted_fits, whole_periods
from mechlab.record.artifacts import Artifacts
from mechlab.tasks.modular_addition import ModularAddition

P, FREQUENCY = 23, 5


class OfTheSum(nn.Module):
    """A trained linear map of two fixed features of the sum of both numbers."""

    def __init__(self, spec, features):
        super().__init__()
        self.register_buffer("features", features)
        self.readout = nn.Linear(features.shape[1], spec.outputs, bias=False)

    def forward(self, inputs):
        return self.readout(self.features[inputs[:, 0] + inputs[:, 2]]).log_softmax(-1)


def wave() -> torch.Tensor:
    angles = 2 * torch.pi * FREQUENCY * torch.arange(2 * P) / P
    return torch.stack([angles.cos(), angles.sin()], 1)


def noise() -> torch.Tensor:
    return torch.randn(2 * P, 2, generator=torch.Generator().manual_seed(0))


def run_of(folder, features: torch.Tensor):
    optimizer = lambda parameters: torch.optim.AdamW(parameters, lr=0.02, weight_decay=0.1)  # noqa: E731
    task = ModularAddition(P, tokens="expression")
    return train(folder, recipe_of(optimizer, steps=6, task=task, model=lambda spec: OfTheSum(spec, features.double())))


def similarity(numbers: np.ndarray, scale: float = 0.5) -> np.ndarray:
    """Cosines of a planted wave and noise."""
    rng = np.random.default_rng(0)
    angles = 2 * np.pi * FREQUENCY * numbers / P
    vectors = np.stack([np.cos(angles), np.sin(angles), *(scale * rng.normal(size=(6, len(numbers))))], 1)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors @ vectors.T


def test_the_fit_is_that_of_all_pairs() -> None:
    rng = np.random.default_rng(1)
    numbers, periods = rng.integers(0, 2 * P, 25), harmonic_periods(P)
    matrix, chosen = similarity(numbers), rng.random((25, 25)) < 0.7
    fit = PairDifferences.of(numbers, chosen).fit(matrix, periods, 0.01)
    rows = [(i, j) for i in range(25) for j in range(i + 1, 25) if chosen[i, j]]
    values = np.array([matrix[i, j] for i, j in rows])
    angles = 2 * np.pi * np.array([abs(numbers[i] - numbers[j]) for i, j in rows])[:, None] / periods
    features = np.concatenate([np.cos(angles), np.sin(angles)], 1)
    slow = Lasso(alpha=0.01, fit_intercept=False, max_iter=10_000).fit(features, values - values.mean())
    np.testing.assert_allclose(np.concatenate([fit.cosine, fit.sine]), slow.coef_, atol=2e-3)
    left = ((values - values.mean() - slow.predict(features)) ** 2).sum()
    assert fit.explained == pytest.approx(1 - left / ((values - values.mean()) ** 2).sum(), abs=1e-3)


def test_the_families_of_periods() -> None:
    assert whole_periods(5).tolist() == [2, 3, 4, 5]
    assert harmonic_periods(7).tolist() == [7, 3.5, pytest.approx(7 / 3)]


def test_chance_stays_below_a_planted_frequency() -> None:
    numbers = np.random.default_rng(2).integers(0, 2 * P, 40)
    chosen, matrix = numbers[:, None] % P != numbers[None] % P, similarity(numbers)
    fit = PairDifferences.of(numbers, chosen).fit(matrix, harmonic_periods(P))
    null = permuted_fits([matrix], numbers, P, chosen, harmonic_periods(P), 20, np.random.default_rng(0))
    assert fit.amplitude.argmax() + 1 == FREQUENCY
    assert fit.amplitude.max() > 2 * null.amplitude.max() and fit.explained > 2 * null.explained.max()


def test_equal_labels_alone_are_no_period() -> None:
    """Examples of one label have cosine 1, others 0: without the pairs of one label nothing is left to fit."""
    numbers = np.random.default_rng(3).integers(0, 2 * P, 40)
    same = numbers[:, None] % P == numbers[None] % P
    assert PairDifferences.of(numbers, ~same).fit(same.astype(float), harmonic_periods(P)).amplitude.max() == 0
    assert (
        PairDifferences.of(numbers, ~np.eye(40, dtype=bool)).fit(same.astype(float), harmonic_periods(P)).explained
        > 0.1
    )


def test_a_planted_frequency_is_located(tmp_path) -> None:
    out, analysis = Artifacts(tmp_path / "out"), Periodicity(examples=60, outputs="target", permutations=20, slices=2)
    found = analysis.run(run_of(tmp_path / "run", wave()), out, np.random.default_rng(0))
    assert found.claims["periodic"].holds and found.scalars["frequency"] == FREQUENCY
    assert found.scalars["explained"] > 0.5 > found.scalars["explained_null"]
    assert found.scalars["explained"] > found.scalars["explained_by_whole_periods"]
    slices = out.table("slices")
    assert (slices["explained"] > 0.5).all() and (slices["frequency"] == FREQUENCY).all()
    assert set(out.table("components")["kind"]) == {"scores", "scores of the first step", "activations"}
    figures = analysis.figures(out)
    assert set(figures) == {"periods", "differences", "components", "scores", "over_training", "cosines"}
    for figure in figures.values():
        check_figure(figure)


def test_features_without_a_period_have_none(tmp_path) -> None:
    analysis = Periodicity(examples=60, outputs="target", permutations=40, slices=0)
    found = analysis.run(run_of(tmp_path / "run", noise()), Artifacts(tmp_path / "out"), np.random.default_rng(0))
    assert not found.claims["periodic"].holds


def test_no_claim_is_made_of_few_examples_and_unknown_components_are_refused(tmp_path) -> None:
    run = run_of(tmp_path / "run", wave())
    found = Periodicity(examples=8, permutations=20).run(run, Artifacts(tmp_path / "out"), np.random.default_rng(0))
    assert not found.claims and "fewer than 20" in found.notes["fewest"]
    found = Periodicity(examples=1).run(run, Artifacts(tmp_path / "one"), np.random.default_rng(0))
    assert "no period is fitted" in found.notes["pairs"]
    with pytest.raises(ConfigError, match="one of the components"):
        Periodicity(component="nothing").check_recipe("periodicity", run.recipe, "analysis.periodicity")
    Periodicity(component="readout").check_recipe("periodicity", run.recipe, "analysis.periodicity")
