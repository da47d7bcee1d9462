"""Ambiguity, against the textbook loop, scikit-learn, planted networks and random ones."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_run import FakeRun
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import completeness_score, homogeneity_score

from mechlab.analyses.ambiguity import Ambiguity
from mechlab.analyses.reached import words_of
from mechlab.automata.automaton import Automaton
from mechlab.automata.prefixes import distinct_prefixes
from mechlab.clustering import ambiguity
from mechlab.clustering.kmeans import kmeans
from mechlab.clustering.scores import (
    cluster_ambiguity,
    contingency,
    homogeneity,
    permuted_ambiguity,
    table_ambiguity,
)
from mechlab.core.analysis import Artifacts, Finding
from mechlab.core.model import SequenceModel
from mechlab.core.task import Batch, Split, Task, TaskSpec
from mechlab.models.gru import GRU
from mechlab.models.lstm import LSTM

few = settings(max_examples=30, deadline=None)
seeds = st.integers(0, 10**6)


def textbook(table: np.ndarray) -> tuple[float, float, float, float]:
    """Mean, weighted, largest and least ambiguity by loops over the definition."""
    occurring = sum(any(row[s] > 0 for row in table) for s in range(table.shape[1]))
    scores = []
    for row in table:
        p = [cell / sum(row) for cell in row]
        scores.append(-sum(x * math.log(x, occurring) for x in p if x > 0) if occurring > 1 else 0.0)
    weighted = sum(sum(row) * score for row, score in zip(table, scores, strict=True)) / table.sum()
    return sum(scores) / len(scores), weighted, max(scores), min(scores)


def random_table(clusters: int, labels: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 6, (clusters, labels)) * rng.integers(0, 2, (clusters, labels))
    table[np.arange(clusters), rng.integers(labels, size=clusters)] += 1  # no cluster is empty
    return table.astype(float)


@few
@given(clusters=st.integers(1, 7), labels=st.integers(1, 6), seed=seeds)
def test_agrees_with_the_textbook(clusters: int, labels: int, seed: int) -> None:
    table = random_table(clusters, labels, seed)
    scores = table_ambiguity(table)
    np.testing.assert_allclose([scores.mean, scores.weighted, scores.max, scores.min], textbook(table), atol=1e-12)
    bounds = np.array([0, scores.min, scores.weighted, scores.max, 1])
    assert (np.diff(bounds) >= -1e-12).all()


@few
@given(clusters=st.integers(1, 7), labels=st.integers(2, 6), seed=seeds)
def test_weighted_is_the_conditional_entropy(clusters: int, labels: int, seed: int) -> None:
    table = random_table(clusters, labels, seed)
    joint = table / table.sum()
    conditional = sum(-p * math.log(p / row.sum()) for row in joint for p in row if p > 0)
    occurring = np.count_nonzero(table.any(0))
    if occurring > 1:
        assert table_ambiguity(table).weighted == pytest.approx(conditional / math.log(occurring), abs=1e-12)


@few
@given(seed=seeds)
def test_homogeneity_and_completeness_are_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    clusters, labels = rng.integers(0, 4, 30), rng.integers(0, 3, 30)
    table = contingency(clusters, labels)
    assert homogeneity(table) == pytest.approx(homogeneity_score(labels, clusters), abs=1e-10)
    assert homogeneity(table.T) == pytest.approx(completeness_score(labels, clusters), abs=1e-10)


@few
@given(seed=seeds)
def test_weights_are_repetitions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    clusters, labels, weights = rng.integers(-1, 3, 20), rng.integers(0, 4, 20), rng.integers(1, 5, 20)
    repeated = contingency(clusters.repeat(weights), labels.repeat(weights))
    np.testing.assert_array_equal(contingency(clusters, labels, weights), repeated)
    assert ambiguity(clusters, labels, weights) == ambiguity(clusters.repeat(weights), labels.repeat(weights))
    np.testing.assert_allclose(ambiguity(clusters, labels, weights), textbook(repeated), atol=1e-12)


def test_extremes() -> None:
    assert table_ambiguity(np.diag([3, 1, 2])).weighted == 0
    assert table_ambiguity(np.ones((4, 3))).weighted == pytest.approx(1, abs=1e-12)
    one_label = np.array([[2.0, 0.0], [5.0, 0.0]])
    assert (*table_ambiguity(one_label), homogeneity(one_label)) == (0, 0, 0, 0, 1)


@pytest.mark.parametrize("table", [[[1, -1]], [[1, 2], [0, 0]], np.zeros((0, 2))])
def test_refuses_what_is_no_table(table: list) -> None:
    with pytest.raises(ValueError, match="contingency table"):
        cluster_ambiguity(table)


def test_permuted_labels_of_balanced_clusters_are_ambiguous() -> None:
    labels = np.arange(3000) % 3
    assert permuted_ambiguity(labels, labels, np.ones(3000), np.random.default_rng(0)) > 0.99


@pytest.mark.parametrize("k", [1, 3, 50])
def test_kmeans_clips_and_stays_quiet(k: int) -> None:
    points = np.repeat(np.eye(3), 4, axis=0)
    points[0] += 1e-12  # distinct, but too close to be told apart
    clusters = kmeans(points, k, np.random.default_rng(0))
    assert len(np.unique(clusters)) == min(k, 3)


PARITIES = Automaton(
    alphabet=("0", "1"),
    classes=("reject", "accept"),
    states=("even even", "odd even", "even odd", "odd odd"),
    initial=0,
    transitions=np.array([[1, 2], [0, 3], [3, 0], [2, 1]]),
    outputs=np.array([1, 0, 0, 0]),
)


class Words(Task):
    """Uniform words of 1 to 12 letters, labelled by an automaton after the last letter."""

    def __init__(self, automaton: Automaton):
        self.automaton = automaton
        self.spec = TaskSpec(inputs=2, outputs=2, kind="sequence", loss="cross_entropy", length=12)

    def generate(self, n: int, split: Split, rng: torch.Generator) -> Batch:
        letters = torch.randint(2, (n, 12), generator=rng)
        lengths = torch.randint(1, 13, (n, 1), generator=rng)
        steps = torch.arange(12)
        inputs = torch.nn.functional.one_hot(letters, 2) * (steps < lengths)[..., None]
        states = torch.as_tensor(self.automaton.run(letters.numpy()))[:, 1:]
        targets = torch.tensor(self.automaton.outputs)[states]
        return Batch(inputs.float(), targets, steps == lengths - 1, torch.arange(n))

    def ground_truth(self) -> Automaton:
        return self.automaton


class Planted(SequenceModel):
    """A network whose state is the one-hot state of the automaton."""

    def __init__(self, spec: TaskSpec, automaton: Automaton):
        super().__init__(spec)
        self.moves = torch.nn.Parameter(torch.eye(len(automaton.states))[torch.as_tensor(automaton.transitions.copy())])
        self.initial = automaton.initial

    def initial_state(self, batch: int) -> torch.Tensor:
        return torch.eye(len(self.moves))[self.initial].expand(batch, -1)

    def step(self, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        state = torch.einsum("bm,bi,imj->bj", x, state, self.moves)
        return state[:, :2], state


class Scrambled(SequenceModel):
    """A network whose state is a pseudo-random vector, another one for every prefix."""

    def __init__(self, spec: TaskSpec):
        super().__init__(spec)
        self.weight = torch.nn.Parameter(torch.randn(8, 10, generator=torch.Generator().manual_seed(0)).double())

    def initial_state(self, batch: int) -> torch.Tensor:
        return self.weight.new_zeros(batch, 8)

    def step(self, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        state = torch.sin(1000 * torch.cat([state, x], -1) @ self.weight.T)
        return state[:, :2], state


def analyse(model: SequenceModel, folder: Path, **options) -> Finding:
    task = Words(PARITIES)
    analysis = Ambiguity(**{"words": 300, "n_init": 2, **options})
    run = FakeRun(task, model.eval(), Scrambled(task.spec).eval())
    return analysis.run(run, Artifacts(folder), np.random.default_rng(0))


def test_planted_automaton_is_pure(tmp_path: Path) -> None:
    finding = analyse(Planted(Words(PARITIES).spec, PARITIES), tmp_path, curve=(1.0,))
    assert finding.scalars["weighted"] == finding.scalars["max"] == 0
    assert finding.scalars["clusters"] == finding.scalars["states"] == 4
    assert all(claim.holds for claim in finding.claims.values())
    clusters = Artifacts(tmp_path).table("clusters")
    assert sorted(clusters["state"]) == sorted(PARITIES.states)
    words = words_of(Words(PARITIES).generate(300, "val", torch.Generator().manual_seed(0)).inputs)
    assert clusters["size"].sum() == (words >= 0).sum()
    assert clusters["prefixes"].sum() == finding.scalars["prefixes"] == len(distinct_prefixes(words))
    assert sorted(Ambiguity().figures(Artifacts(tmp_path))) == ["curve", "states"]


def test_random_states_are_as_ambiguous_as_permuted_ones(tmp_path: Path) -> None:
    finding = analyse(Scrambled(Words(PARITIES).spec), tmp_path, fit="distinct")
    assert finding.scalars["weighted"] == pytest.approx(finding.scalars["null_permuted"], abs=0.08)
    assert not any(claim.holds for claim in finding.claims.values())


def test_half_an_automaton_is_half_ambiguous(tmp_path: Path) -> None:
    """A network that knows the parity of the 0s and not that of the 1s leaves one of two bits open."""
    half = Automaton(("0", "1"), ("reject", "accept"), ("even", "odd"), 0, [[1, 0], [0, 1]], [1, 0])
    finding = analyse(Planted(Words(PARITIES).spec, half), tmp_path)
    assert finding.scalars["weighted"] == pytest.approx(0.5, abs=0.03)
    assert not finding.claims["pure"].holds


def test_untrained_network_is_not_pure(tmp_path: Path) -> None:
    torch.manual_seed(0)
    finding = analyse(GRU(Words(PARITIES).spec, hidden=8), tmp_path)
    assert not any(claim.holds for claim in finding.claims.values())


def test_without_nulls_and_curve(tmp_path: Path) -> None:
    finding = analyse(Planted(Words(PARITIES).spec, PARITIES), tmp_path, nulls=False, curve=(), multiple=1.0)
    assert list(finding.claims) == ["pure"]
    assert finding.claims["pure"].null is None
    assert len(Artifacts(tmp_path).table("curve")) == 1
    assert sorted(Ambiguity().figures(Artifacts(tmp_path))) == ["curve", "states"]


def test_same_generator_gives_the_same_finding(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = LSTM(Words(PARITIES).spec, hidden=6)
    assert analyse(model, tmp_path).as_dict() == analyse(model, tmp_path).as_dict()


def test_weighted_points_cluster_as_their_copies():
    """A weight is the same as that many copies: both find the planted clusters, and agree on what they cost."""
    from mechlab.clustering.kmeans import kmeans

    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(centre, 0.05, (20, 2)) for centre in ((0, 0), (1, 0), (0, 1), (0.2, 0))])
    counts = rng.integers(1, 30, len(points))

    def cost(found: np.ndarray) -> float:
        return sum(
            (
                counts[found == c, None]
                * (points[found == c] - np.average(points[found == c], 0, counts[found == c])) ** 2
            ).sum()
            for c in np.unique(found)
        )

    weighted = kmeans(points, 3, np.random.default_rng(1), weights=counts)
    copies = kmeans(np.repeat(points, counts, 0), 3, np.random.default_rng(2))
    of_copies = copies[np.concatenate([[0], np.cumsum(counts)[:-1]])]
    assert cost(weighted) == pytest.approx(cost(of_copies), rel=1e-9)
    assert cost(kmeans(points, 3, np.random.default_rng(3))) >= cost(weighted) - 1e-12


def test_the_permuted_null_keeps_what_there_is_to_know() -> None:
    """Labels that are common by weight and rare among the distinct rows stay common: the null is near H(S) / log n."""
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.zeros(200, int), np.ones(1800, int)])
    weights = np.where(labels == 0, 9, 1)  # half of all rows each
    null = permuted_ambiguity(rng.integers(0, 4, 2000), labels, weights, rng)
    assert null == pytest.approx(1.0, abs=0.02)
