"""Ambiguity, against the textbook loop, scikit-learn, planted networks and random ones."""

import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_run import FakeRun
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_networks import Planted, Scrambled
from word_task import Words

from mechlab.analyses.ambiguity import Ambiguity
from mechlab.analyses.labelled_states import label_names, words_of
from mechlab.automata.automaton import Automaton
from mechlab.automata.pushdown.grammars import grammar
from mechlab.automata.tomita import tomita
from mechlab.automata.words.prefixes import distinct_prefixes
from mechlab.clustering import ambiguity
from mechlab.clustering.information import homogeneity
from mechlab.clustering.kmeans import kmeans
from mechlab.clustering.scores import cluster_ambiguity, contingency, table_ambiguity
from mechlab.core.analysis import Finding
from mechlab.core.errors import ConfigError
from mechlab.core.model import SequenceModel
from mechlab.models.gru import GRU
from mechlab.models.lstm import LSTM
from mechlab.plotting.ambiguity import states_figure
from mechlab.record.artifacts import Artifacts

few = settings(max_examples=30)
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


RNG = partial(np.random.default_rng, 0)


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
    assert sorted(Ambiguity().figures(Artifacts(tmp_path))) == ["causal", "curve", "factors", "states"]


def test_every_score_of_the_planted_automaton_is_perfect(tmp_path: Path) -> None:
    scalars = analyse(
        Planted(Words(PARITIES).spec, PARITIES), tmp_path, multiple=1.0, lengths=20, length_words=50
    ).scalars
    best = {"homogeneity": 1, "completeness": 1, "nmi": 1, "ami": 1, "injective": 0, "injective_max": 0}
    best |= {"conflict": 0, "successor_entropy": 0, "weighted_low": 0, "weighted_high": 0}
    best |= {"causal_kept": 1, "causal_right": 1, "causal_right_own": 1, "longest": 0, "longest_balanced": 0}
    best |= {"factor_0_mod_2": 0, "factor_1_mod_2": 0, "factor_length_mod_2": 0}
    assert {name: scalars[name] for name in best} == pytest.approx(best, abs=1e-12)
    assert scalars["null_random"] > 0.1 and scalars["conflict_untrained"] > 0.2 and scalars["separation"] > 1e6
    assert scalars["causal_control"] == pytest.approx(0.5, abs=0.2)
    lengths = Artifacts(tmp_path).table("lengths")
    assert lengths["length"].tolist() == list(range(1, 21)) and lengths["fitted"].sum() == 12
    assert (lengths[["weighted", "balanced"]] == 0).all(axis=None)


def test_random_states_do_not_depend_on_rounding() -> None:
    """States that differ in their last bits are followed by the same states, after every letter."""
    model = Scrambled(Words(PARITIES).spec)
    rng = np.random.default_rng(0)
    exact = rounded = model.initial_state(50)
    for letters in rng.integers(2, size=(12, 50)):
        x = torch.eye(2)[torch.as_tensor(letters)]
        exact, rounded = (model.step(x, state)[1] for state in (exact, rounded * (1 + 1e-12)))
        assert torch.equal(exact, rounded)
    assert len(torch.unique(exact, dim=0)) == 50


def test_random_states_are_as_ambiguous_as_permuted_ones(tmp_path: Path) -> None:
    finding = analyse(Scrambled(Words(PARITIES).spec), tmp_path, fit="distinct")
    assert finding.scalars["weighted"] == pytest.approx(finding.scalars["null_permuted"], abs=0.08)
    assert not any(claim.holds for claim in finding.claims.values())


def test_half_an_automaton_is_half_ambiguous(tmp_path: Path) -> None:
    """A network that knows the parity of the 0s and not that of the 1s leaves one of two bits open, and says which."""
    half = Automaton(("0", "1"), ("reject", "accept"), ("even", "odd"), 0, [[1, 0], [0, 1]], [1, 0])
    given = {"zeros": [["even even", "even odd"], ["odd even", "odd odd"]], "accepting": [1, 0, 0, 0]}
    model = Planted(Words(PARITIES).spec, half)
    finding = analyse(model, tmp_path, factors=given, lengths=20)
    assert finding.scalars["weighted"] == pytest.approx(0.5, abs=0.03)
    assert not finding.claims["pure"].holds
    expected = {"zeros": 0, "1_mod_2": 1, "length_mod_2": 1, "accepting": 0.5}
    for name, value in expected.items():
        assert finding.scalars[f"factor_{name}"] == pytest.approx(value, abs=0.03), name
    assert finding.scalars["conflict"] == 0  # what it knows, it knows as an automaton
    assert finding.scalars["longest"] == 0  # of words of one length, one parity tells the other
    factors = Artifacts(tmp_path).table("factors").set_index("factor")
    assert "0_mod_2" not in factors.index  # which was given by another name
    assert factors["closed"].to_dict() == {"zeros": True, "1_mod_2": True, "length_mod_2": True, "accepting": False}
    assert factors["source"].to_dict() | {"zeros": "given", "accepting": "given"} == factors["source"].to_dict()


def test_knowing_states_but_not_their_consequences_shows_in_the_successors(tmp_path: Path) -> None:
    """A network that is Tomita 4, asked about an automaton of its outputs alone: pure clusters, cut across."""
    said = Automaton(("0", "1"), ("reject", "accept"), ("no", "yes"), 0, [[0, 1], [0, 1]], [0, 1])
    truth = tomita(4)
    task = Words(said)
    run = FakeRun(task, Planted(task.spec, truth).eval(), Scrambled(task.spec).eval())
    scalars = Ambiguity(words=300, n_init=5, multiple=1.0, curve=()).run(run, Artifacts(tmp_path), RNG()).scalars
    assert scalars["clusters"] == 2 and scalars["conflict"] > 0.05


def test_a_wrong_factor_is_refused_before_anything_is_computed() -> None:
    for by, task in (("state", Words(PARITIES)), ("top", Words(grammar("L1")))):
        with pytest.raises(ConfigError, match="a block for each of") as caught:
            Ambiguity(by=by, factors={"wrong": [0, 1]}).check("ambiguity", "words", task, "analysis.ambiguity")
        assert caught.value.key == "analysis.ambiguity.factors"
    Ambiguity(factors={"right": [0, 1, 1, 1]}).check("ambiguity", "words", Words(PARITIES), "analysis.ambiguity")


def test_given_factors_of_a_pushdown_automaton(tmp_path: Path) -> None:
    """Whether anything is open, of L7's labels by the top of the stack."""
    task = Words(grammar("L7"))
    names = label_names(task.truth, "top")
    given = {"open": [int(not name.endswith("$")) for name in names]}
    run = FakeRun(task, Scrambled(task.spec).eval(), Scrambled(task.spec).eval())
    analysis = Ambiguity(words=100, n_init=1, curve=(), by="top", factors=given)
    finding = analysis.run(run, Artifacts(tmp_path), RNG())
    assert finding.scalars["factor_open"] > 0.1
    assert Artifacts(tmp_path).table("factors")["states"][0].count("$") == 3
    assert sorted(analysis.figures(Artifacts(tmp_path))) == ["causal", "curve", "factors", "states"]


def test_a_single_state_and_a_single_cluster_are_no_fault(tmp_path: Path) -> None:
    """Only the letter 1 occurs, after which Tomita 1 is where it was."""
    task = Words(tomita(1), letters=(1,))
    torch.manual_seed(0)
    model = GRU(task.spec, hidden=4).eval()
    for name, options in (("many", {}), ("one", {"multiple": 0.1, "curve": (1.0,)})):
        folder = tmp_path / name
        folder.mkdir()
        analysis = Ambiguity(words=50, n_init=1, lengths=3, **options)
        finding = analysis.run(FakeRun(task, model, model), Artifacts(folder), RNG())
        assert finding.scalars["weighted"] == finding.scalars["max"] == 0 and finding.scalars["homogeneity"] == 1
        assert all(math.isfinite(value) for value in finding.scalars.values())
        assert ("causal_control" in finding.scalars) == (name == "many")
        assert not finding.claims and "12 distinct prefixes" in finding.notes["too_few_words"]
        for figure in analysis.figures(Artifacts(folder)).values():
            figure.draw_without_rendering()


def test_intervals_hold_the_ambiguity_and_shrink_with_more_words(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = GRU(Words(PARITIES).spec, hidden=8)
    widths = []
    for words in (100, 1600):
        scalars = analyse(model, tmp_path, words=words, nulls=False, curve=(), multiple=1.0, causal=0).scalars
        assert scalars["weighted_low"] < scalars["weighted"] < scalars["weighted_high"]
        between = (scalars["weighted"] + scalars["weighted_high"]) / 2
        for threshold, holds in ((scalars["weighted_high"] + 1e-6, True), (between, False)):
            claim = Ambiguity(nulls=False, threshold=threshold)._claims(scalars)["pure"]
            assert claim.holds == holds and claim.interval == (scalars["weighted_low"], scalars["weighted_high"])
        widths.append(scalars["weighted_high"] - scalars["weighted_low"])
    assert widths[1] < widths[0] / 2


def test_options_do_not_disturb_one_another(tmp_path: Path) -> None:
    """What is left out changes no number of what is left."""
    torch.manual_seed(0)
    model = GRU(Words(PARITIES).spec, hidden=6)
    everything = analyse(model, tmp_path, lengths=2, curve=(1.0, 2.0)).scalars
    for options in ({"nulls": False}, {"bootstrap": 0}, {"causal": 0}, {"lengths": 0}, {"curve": ()}):
        some = analyse(model, tmp_path, **{"lengths": 2, "curve": (1.0, 2.0), **options}).scalars
        assert some == {name: everything[name] for name in some}
    assert set(some) == set(everything)


@pytest.mark.ci
@pytest.mark.parametrize("labels", [12, 30, 90])
def test_many_states_leave_the_legend_readable(labels: int) -> None:
    """At most thirty names are written, beside the points and not over them, inside the figure."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(labels, size=2000)
    kinds[kinds == 3] = 4
    names = [f"q{i}, (" for i in range(labels)]
    figure = states_figure(rng.random((2000, 2)), np.array([0.6, 0.2]), kinds, kinds % 7, names)
    figure.draw_without_rendering()
    legend = figure.axes[1].get_legend()
    texts = [text.get_text() for text in legend.get_texts()]
    assert len(texts) <= 31 and "q3, (" not in texts
    assert (texts[-1] == f"and {labels - 31} more") == (labels == 90)
    picture, box = figure.bbox, legend.get_window_extent()
    assert box.x0 >= figure.axes[1].bbox.x1 and box.x1 <= picture.x1 and box.y0 >= picture.y0


def test_untrained_network_is_not_pure(tmp_path: Path) -> None:
    torch.manual_seed(0)
    finding = analyse(GRU(Words(PARITIES).spec, hidden=8), tmp_path)
    assert not any(claim.holds for claim in finding.claims.values())


def test_without_nulls_and_curve(tmp_path: Path) -> None:
    options = {"nulls": False, "curve": (), "multiple": 1.0, "causal": 0, "bootstrap": 0}
    finding = analyse(Planted(Words(PARITIES).spec, PARITIES), tmp_path, **options)
    assert list(finding.claims) == ["pure"]
    assert finding.claims["pure"].null is None
    assert len(Artifacts(tmp_path).table("curve")) == 1
    assert sorted(Ambiguity().figures(Artifacts(tmp_path))) == ["curve", "factors", "states"]


def test_same_generator_gives_the_same_finding(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = LSTM(Words(PARITIES).spec, hidden=6)
    assert analyse(model, tmp_path).as_dict() == analyse(model, tmp_path).as_dict()


def test_weighted_points_cluster_as_their_copies() -> None:
    """A weight is the same as that many copies: both find the planted clusters, and agree on what they cost."""
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


@pytest.mark.parametrize("rows", [([0, 1], [0]), ([0, 1, 2], [0, 1]), ([], []), ([0, 1], [0, 1], [1])])
def test_rows_without_partners_are_refused(rows):
    with pytest.raises(ValueError, match="one for each row"):
        ambiguity(*rows)
