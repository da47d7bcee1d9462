"""Clusterings by name: against scikit-learn on copied rows, on planted clusters, and on noise that tells nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fake_run import FakeRun
from sklearn.cluster import DBSCAN, OPTICS, MeanShift
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score

from mechlab.analyses.clusterings import Clusterings, scores
from mechlab.automata.tomita import tomita
from mechlab.clustering import ambiguity
from mechlab.clustering.dbscan import NOISE, dbscan
from mechlab.clustering.kmeans import kmeans, starts_for
from mechlab.clustering.mean_shift import mean_shift
from mechlab.clustering.methods import METHODS, SPLITS, LabelledPoints, bandwidth, cluster
from mechlab.core.analysis import Finding
from mechlab.core.task import TaskSpec
from mechlab.models.constructed import Constructed
from mechlab.models.gru import GRU
from mechlab.record.artifacts import Artifacts
from mechlab.tasks.tomita import Tomita

CENTRES = np.array([[0.0, 0, 0, 0], [9, 0, 0, 0], [0, 9, 0, 0], [0, 0, 9, 0]])
COUNTED = {"k_means_dec": 3, "k_means": 4, "k_means_inc": 5, "k_means_double": 8, "k_means_4": 16, "k_means_6": 24}
COUNTED |= {"k_means_8": 32, "mini_batch_k_means": 32, "gaussian_mixture": 4}

PUBLISHED = (
    "k_means",
    "mini_batch_k_means",
    "DBSCAN",
    "mean_shift_2",
    "OPTICS",
    "lda",
    "lr",
)  # a member of each family
# that the published setting shows other rows, or other weights, than the fair one
SETTINGS = [*((method, "fair") for method in METHODS), *((method, "published") for method in PUBLISHED)]


def planted(size: int = 60, spread: float = 0.3, seed: int = 0, factor: int = 1) -> LabelledPoints:
    """Four balls of points, one for each label, of which the first occur most."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(4 * size) % 4)
    points = CENTRES[labels] + rng.normal(0, spread, (4 * size, 4))
    index = np.concatenate([np.arange(4 * size), np.arange(4 * size) // 3, rng.integers(4 * size, size=size)])
    return LabelledPoints(points, labels, rng.permutation(index), states=4, factor=factor)


def same(one: np.ndarray, other: np.ndarray) -> bool:
    return adjusted_rand_score(one, other) == pytest.approx(1)


@pytest.mark.parametrize(("method", "setting"), SETTINGS)
def test_planted_clusters_are_found_and_told_apart_from_chance(method: str, setting: str) -> None:
    """Clusters that are far apart are pure by every method that may have enough of them; shuffled labels are not."""
    rows = planted()
    found = cluster(method, rows, np.random.default_rng(0), setting)
    quiet = found.clusters != NOISE
    labels = rows.labels[found.rows]
    pure = ambiguity(found.clusters[quiet], labels[quiet], found.counts[quiet]).weighted
    assert pure < 1e-9 or method in ("k_means_dec", "mean_shift")  # which have too few
    shuffled = LabelledPoints(rows.points, np.random.default_rng(1).permutation(rows.labels), rows.index, 4)
    noise = cluster(method, shuffled, np.random.default_rng(0), setting)
    told = noise.clusters if noise.held_out is None else noise.held_out[0]
    assert ambiguity(told, shuffled.labels[noise.rows], noise.counts).weighted > 0.5


@pytest.mark.parametrize("factor", [1, 3])
@pytest.mark.parametrize("method", COUNTED)
def test_clusters_are_as_many_as_the_name_says(method: str, factor: int) -> None:
    found = cluster(method, planted(spread=2.0, factor=factor), np.random.default_rng(0))
    most, least = COUNTED[method] * factor, 1 if method.startswith("k_means") else 0.8
    assert least * most <= len(np.unique(found.clusters)) <= most


@pytest.mark.parametrize(("method", "setting"), SETTINGS)
def test_the_same_seed_gives_the_same_clusters(method: str, setting: str) -> None:
    rows = planted(spread=2.0)
    one, other = (cluster(method, rows, np.random.default_rng(3), setting) for _ in range(2))
    np.testing.assert_array_equal(one.clusters, other.clusters)
    np.testing.assert_array_equal(one.rows, other.rows)


@pytest.mark.parametrize("method", METHODS)
def test_the_fair_setting_shows_every_method_each_prefix_once(method: str) -> None:
    """The answer does not depend on how often prefixes occur, and no row is left out of the scores."""
    rows = planted(spread=1.0)
    once = LabelledPoints(rows.points, rows.labels, np.arange(len(rows.points)), 4)
    found, alone = (cluster(method, some, np.random.default_rng(0)) for some in (rows, once))
    np.testing.assert_array_equal(found.clusters, alone.clusters)
    np.testing.assert_array_equal(found.rows, np.arange(len(rows.points)))
    assert found.counts.sum() == len(rows.index)


@pytest.mark.parametrize("block", [2**22, 1000])
@pytest.mark.parametrize("spread", [0.3, 0.8, 2.0])
def test_dbscan_is_scikit_learns_to_the_number(spread: float, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mechlab.clustering.distances.BLOCK", block)
    points = planted(spread=spread).points
    weights = np.random.default_rng(0).integers(1, 4, len(points))
    for radius in (0.1, 0.5, 1.0, 2.0, 20.0):
        np.testing.assert_array_equal(dbscan(points, radius), DBSCAN(eps=radius, min_samples=5).fit_predict(points))
        expected = DBSCAN(eps=radius, min_samples=5).fit_predict(points, sample_weight=weights)
        np.testing.assert_array_equal(dbscan(points, radius, weights=weights), expected)


@pytest.mark.parametrize("name,radius", [("DBSCAN_half", 0.25), ("DBSCAN", 0.5), ("DBSCAN_double", 1.0)])
@pytest.mark.parametrize("setting", ["fair", "published"])
def test_dbscan_is_that_of_copied_rows(name: str, radius: float, setting: str) -> None:
    rows = planted(spread=0.8)
    copies = rows.index if setting == "published" else np.arange(len(rows.points))
    expected = DBSCAN(eps=radius, min_samples=5).fit_predict(rows.points[copies])
    found = cluster(name, rows, np.random.default_rng(0), setting).clusters[copies]
    np.testing.assert_array_equal(found == NOISE, expected == NOISE)
    assert NOISE in expected and same(found, expected)


@pytest.mark.parametrize("radius", [0.5, 1.5, 4.0, 30.0])
@pytest.mark.parametrize("spread", [0.3, 2.0])
def test_mean_shift_is_scikit_learns(radius: float, spread: float) -> None:
    points, index = planted(size=25, spread=spread).points, planted(size=25).index
    np.testing.assert_array_equal(mean_shift(points, radius), MeanShift(bandwidth=radius).fit_predict(points))
    weights = np.bincount(index, minlength=len(points))
    copies = MeanShift(bandwidth=radius).fit_predict(points[index])
    np.testing.assert_array_equal(mean_shift(points, radius, weights)[index], copies)


def test_as_published_mean_shift_and_optics_see_the_first_quarter_of_the_rows() -> None:
    rows = planted(spread=1.0)
    quarter = rows.index[: len(rows.index) // 4]
    found = cluster("OPTICS", rows, np.random.default_rng(0), "published")
    np.testing.assert_array_equal(found.rows, quarter)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(found.clusters, OPTICS().fit_predict(rows.points[quarter]))
    found = cluster("mean_shift_2", rows, np.random.default_rng(0), "published")
    assert found.counts.sum() == len(quarter) and set(found.rows) == set(quarter)
    width = bandwidth(rows.points[np.random.default_rng(0).permutation(rows.index)]) / 2
    where = {row: place for place, row in enumerate(found.rows)}
    expected = MeanShift(bandwidth=width).fit_predict(rows.points[quarter])
    np.testing.assert_array_equal(found.clusters[[where[row] for row in quarter]], expected)


@pytest.mark.parametrize("kind", [LinearDiscriminantAnalysis, LogisticRegression])
def test_classifiers_are_scikit_learns_on_copied_rows(kind: type) -> None:
    rows = planted(spread=3.0)
    found = cluster("lda" if kind is LinearDiscriminantAnalysis else "lr", rows, np.random.default_rng(0), "published")
    expected = kind().fit(rows.points[rows.index], rows.labels[rows.index]).predict(rows.points)
    assert (found.clusters == expected).mean() > 0.995


@pytest.mark.parametrize("method", ["lda", "lr"])
def test_what_was_not_seen_is_not_learned_by_heart(method: str) -> None:
    """In 80 dimensions 60 points can be separated by any labels: the fitted rows say nothing, the unseen ones do."""
    rng = np.random.default_rng(0)
    rows = LabelledPoints(10 * rng.normal(size=(60, 80)), rng.integers(2, size=60), np.arange(60), 2)
    found = cluster(method, rows, rng)
    if method == "lr":
        assert ambiguity(found.clusters, rows.labels).weighted == 0
    assert min(ambiguity(told, rows.labels).weighted for told in found.held_out) > 0.8


def test_a_verdict_on_unseen_rows_does_not_hang_on_the_split() -> None:
    """Three prefixes that occur often lie apart: whether LDA tells them depends on which are in one fold. Single splits
    say 0 or more than .1; the claim takes the upper end of the interval over splits, whatever the seed."""
    rng = np.random.default_rng(0)
    labels = np.arange(93) % 3 * (np.arange(93) < 90)
    points = np.array([[0.0, 0], [6, 0], [0, 6]])[labels] + rng.normal(0, 0.4, (93, 2))
    points[90:] = np.array([5, 2]) + rng.normal(0, 0.1, (3, 2))
    rows = LabelledPoints(points, labels, np.concatenate([np.arange(90), np.repeat([90, 91, 92], 6)]), 3)
    singles, verdicts = [], set()
    for seed in range(6):
        found = cluster("lda", rows, np.random.default_rng(seed))
        assert found.held_out.shape == (SPLITS["lda"], 93)
        repeats = [ambiguity(told, labels, found.counts).weighted for told in found.held_out]
        claim = Clusterings()._claim({"method": "lda", **scores(found, rows, np.random.default_rng(0))})
        assert claim.value == pytest.approx(np.mean(repeats))
        assert claim.interval == pytest.approx(np.quantile(repeats, [0.025, 0.975]))
        assert claim.interval[0] <= claim.value <= claim.interval[1] and "10 random splits" in claim.statement
        singles.append(repeats[0] <= claim.threshold)
        verdicts.add(claim.holds)
    assert len(set(singles)) == 2 and verdicts == {False}
    assert Finding({}, {"lda": claim}).as_dict()["claims"]["lda"]["interval"] == list(claim.interval)


@pytest.mark.parametrize(("method", "setting"), SETTINGS)
@pytest.mark.parametrize("points", [np.zeros((12, 3)), np.ones((3, 2)), 1 + 1e-13 * np.arange(24.0).reshape(12, 2)])
def test_states_that_are_nearly_one_are_no_fault(method: str, setting: str, points: np.ndarray) -> None:
    rows = LabelledPoints(points, np.arange(len(points)) % 2, np.arange(len(points)), 2)
    found = cluster(method, rows, np.random.default_rng(0), setting)
    assert len(found.clusters) == len(found.rows) == len(found.counts)
    alike = LabelledPoints(points, np.zeros(len(points), int), np.arange(len(points)), 1)
    cluster(method, alike, np.random.default_rng(0), setting)


def test_k_means_starts_more_often_where_that_is_cheap() -> None:
    """Ten balls of a few points: a single start misses some, the best of many is within 1 % of the best of 300. A large
    problem gets ten starts, and so does every one as published."""
    rng = np.random.default_rng(0)
    points = rng.normal(0, 3, (10, 4))[np.arange(200) % 10] + rng.normal(0, 0.4, (200, 4))

    def inertia(clusters: np.ndarray) -> float:
        return sum(((points[clusters == c] - points[clusters == c].mean(0)) ** 2).sum() for c in np.unique(clusters))

    best = inertia(kmeans(points, 10, rng, 300))
    assert max(inertia(kmeans(points, 10, np.random.default_rng(seed), 1)) for seed in range(10)) > 1.1 * best
    assert max(inertia(kmeans(points, 10, np.random.default_rng(seed))) for seed in range(10)) < 1.01 * best
    assert starts_for(points, 10) == 30 and starts_for(np.empty((11_000, 28)), 56) == 10
    rows = LabelledPoints(points, np.arange(200) % 10, np.arange(200), 10)
    for setting, starts in (("fair", 30), ("published", 10)):
        found = cluster("k_means", rows, np.random.default_rng(0), setting)
        assert found.starts == scores(found, rows, np.random.default_rng(0))["starts"] == starts


def test_refuses_an_unknown_method() -> None:
    with pytest.raises(ValueError, match="method must be one of k_means_dec"):
        cluster("k_medians", planted(), np.random.default_rng(0))


def analyse(model: torch.nn.Module, folder: Path, **options) -> Finding:
    task = Tomita(words=10, val_words=400, test_words=10, max_length=10)
    run = FakeRun(task, model.eval(), model.eval())
    return Clusterings(**{"words": 400, **options}).run(run, Artifacts(folder), np.random.default_rng(0))


def spec() -> TaskSpec:
    return TaskSpec(inputs=2, outputs=2, kind="sequence", loss="cross_entropy", length=10, truth=tomita(3))


@pytest.mark.ci
def test_a_network_that_is_the_automaton_is_pure_by_every_method_that_can_be(tmp_path: Path) -> None:
    """The codes of the relu network are the states, one point for each."""
    finding = analyse(Constructed(spec(), "relu2"), tmp_path)
    assert set(finding.claims) == set(METHODS)
    blind = {name for name, claim in finding.claims.items() if not claim.holds}
    assert blind <= {"k_means_dec", "mean_shift", "OPTICS", "HDBSCAN", "DBSCAN_triple", "DBSCAN_quad"}
    assert finding.scalars["lr_held_out"] == finding.scalars["k_means"] == finding.scalars["DBSCAN"] == 0
    table = Artifacts(tmp_path).table("methods").set_index("method")
    assert table.loc["k_means", "ami"] == pytest.approx(1) and table.loc["k_means", "null_permuted"] > 0.5
    assert (table["rows"] == table["rows"].iloc[0]).all()
    assert list(Clusterings().figures(Artifacts(tmp_path))) == ["methods"]


def test_an_untrained_network_is_not(tmp_path: Path) -> None:
    torch.manual_seed(0)
    finding = analyse(GRU(spec(), hidden=8), tmp_path, methods=("k_means", "DBSCAN", "lr", "gaussian_mixture"))
    assert not any(claim.holds for claim in finding.claims.values())


def test_a_method_draws_the_same_in_any_company(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = GRU(spec(), hidden=8)
    alone = analyse(model, tmp_path / "alone", methods=("k_means_4",))
    among = analyse(model, tmp_path / "among", methods=("lda", "k_means_4", "mean_shift_2"))
    assert among.scalars["k_means_4"] == alone.scalars["k_means_4"]
    saved = [Artifacts(tmp_path / name).arrays("clusters")["k_means_4.clusters"] for name in ("alone", "among")]
    np.testing.assert_array_equal(*saved)


def test_noise_is_told_apart_from_clusters() -> None:
    """Points between the balls are noise of all labels: ambiguous as one more cluster, and left out nothing is."""
    rows = planted(size=60, spread=0.1)
    strays = np.random.default_rng(1).uniform(2, 7, (40, 4)) * 3
    labels = np.concatenate([rows.labels, np.arange(40) % 4])
    more = LabelledPoints(np.concatenate([rows.points, strays]), labels, np.arange(280), 4)
    line = scores(cluster("DBSCAN", more, np.random.default_rng(0)), more, np.random.default_rng(0))
    assert (line["clusters"], line["noise"], line["clustered"]) == (4, 40 / 280, 0)
    assert line["weighted"] == pytest.approx(40 / 280) and line["max"] == pytest.approx(1)


@pytest.mark.parametrize("method", ["lda", "lr"])
def test_classifiers_are_scored_against_the_labels_that_they_were_fitted_to(method: str) -> None:
    """Labels that tell of a stack as well: points that show only the control state are pure in that, and yet fail."""
    rng = np.random.default_rng(0)
    labels = rng.integers(12, size=400)
    state, stack = labels // 4, labels % 4
    index = np.arange(400)
    blind, seeing = np.eye(3)[state], np.hstack([np.eye(3)[state], np.eye(4)[stack]])
    for points, pure in ((blind, False), (seeing, True)):
        rows = LabelledPoints(points + rng.normal(0, 0.01, points.shape), labels, index, 3, factor=4)
        found = cluster(method, rows, rng)
        line = scores(found, rows, rng)
        assert all(ambiguity(told, state).weighted == 0 for told in found.held_out)
        assert line["weighted"] == pytest.approx(0 if pure else np.log(4) / np.log(12), abs=0.03)
        assert line["held_out"] == pytest.approx(line["weighted"], abs=0.03)


@pytest.mark.parametrize("setting", ["fair", "published"])
def test_a_single_label_leaves_nothing_open(setting: str) -> None:
    """By every method, with finite scores, whatever the clusters."""
    rows = planted(size=30, spread=1.0)
    alike = LabelledPoints(rows.points, np.zeros(120, int), rows.index, 1)
    for method in METHODS if setting == "fair" else PUBLISHED:
        line = scores(cluster(method, alike, np.random.default_rng(0), setting), alike, np.random.default_rng(0))
        assert line["weighted"] == line["max"] == line["null_permuted"] == line["null_random"] == 0, method
        assert np.isfinite([value for name, value in line.items() if name != "clustered"]).all(), method


def test_the_table_scores_successors_in_the_fair_setting(tmp_path: Path) -> None:
    """Where every prefix is clustered: those of the automaton's states never conflict, those of too few clusters do."""
    methods = ("k_means_dec", "k_means")
    analyse(Constructed(spec(), "relu2"), tmp_path, methods=methods)
    table = Artifacts(tmp_path).table("methods").set_index("method")
    assert table.loc["k_means", "conflict"] == 0 < 0.01 < table.loc["k_means_dec", "conflict"]
    for name in ("homogeneity", "completeness", "nmi", "ami"):
        assert table.loc["k_means", name] == pytest.approx(1)
    assert table.loc["k_means", "injective"] == 0 < table.loc["k_means_dec", "injective"]
    analyse(Constructed(spec(), "relu2"), tmp_path, methods=methods, setting="published")
    assert "conflict" not in Artifacts(tmp_path).table("methods")
