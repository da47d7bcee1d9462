"""Pictures of states: planted networks are seen, noise is not, and the arrows follow the automaton."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fake_run import FakeRun
from planted_networks import Planted, Scrambled

from mechlab.analyses.pictures import Pictures
from mechlab.core.analysis import Finding
from mechlab.core.errors import ConfigError
from mechlab.core.model import SequenceModel
from mechlab.models.gru import GRU
from mechlab.record.artifacts import Artifacts
from mechlab.tasks.context_free import ContextFree
from mechlab.tasks.tomita import Tomita

TASK = Tomita(index=5, words=300, val_words=300, test_words=10, max_length=10)
PLANTED = Planted(TASK.spec, TASK.ground_truth())


def analyse(model: SequenceModel, folder: Path, **options) -> Finding:
    options = {"reduce": ("pca", "lda"), "words": 300, **options}
    run = FakeRun(TASK, model.eval(), model)
    return Pictures(**options).run(run, Artifacts(folder), np.random.default_rng(0))


def test_a_planted_automaton_is_seen(tmp_path: Path) -> None:
    found = analyse(PLANTED, tmp_path)
    assert found.scalars["weighted"] == 0
    assert found.scalars["pca_3d_explained"] == pytest.approx(1)  # four points span three dimensions
    assert found.scalars["lda_3d_nearest_mean"] == found.scalars["pca_3d_nearest_neighbour"] == 1
    assert found.claims["seen"].holds


def test_noise_tells_no_more_than_chance(tmp_path: Path) -> None:
    found = analyse(Scrambled(TASK.spec), tmp_path)
    told = [value for name, value in found.scalars.items() if name.endswith(("nearest_mean", "nearest_neighbour"))]
    assert len(told) == 8 and max(told) < found.scalars["most_common"] + 0.15
    assert not found.claims["seen"].holds


def test_an_untrained_network_is_not_seen(tmp_path: Path) -> None:
    torch.manual_seed(0)
    assert not analyse(GRU(TASK.spec, hidden=8), tmp_path).claims["seen"].holds


def test_the_way_of_a_word_goes_through_the_states_that_it_reaches(tmp_path: Path) -> None:
    """In a plane where each state is one point, the arrows lead from point to point as the automaton does."""
    analyse(PLANTED, tmp_path, dimensions=(2, 3), trajectories=("0110", "1"))
    out = Artifacts(tmp_path)
    saved, ways = out.arrays("states"), out.table("ways")
    assert ways.to_numpy().tolist() == [[0, -1], [0, 0], [0, 1], [0, 1], [0, 0], [1, -1], [1, 1]]
    truth = TASK.ground_truth()
    path = [*truth.run(np.array([[0, 1, 1, 0]]))[0], *truth.run(np.array([[1]]))[0]]
    means = np.array([saved["pca.3"][saved["labels"] == state].mean(0) for state in range(4)])
    np.testing.assert_allclose(saved["pca.3.ways"], means[path], atol=1e-5)


def test_a_number_of_ways_draws_that_many_words(tmp_path: Path) -> None:
    analyse(PLANTED, tmp_path, trajectories=2)
    ways = Artifacts(tmp_path).table("ways")
    assert (ways["letter"] == -1).sum() == 2 and ways.groupby("word").size().max() <= 7


@pytest.mark.ci
def test_figures_have_a_row_for_each_projection_and_stay_small(tmp_path: Path) -> None:
    out = Artifacts(tmp_path)
    analyse(Scrambled(TASK.spec), tmp_path, reduce=("tsne", "random"), points=60)
    figures = Pictures().figures(out)
    assert sorted(figures) == ["states_2d", "states_3d"]
    for name, figure in figures.items():
        assert [axis.name == "3d" for axis in figure.axes] == [name == "states_3d"] * 6
        figure.savefig(tmp_path / f"{name}.svg")
        assert (tmp_path / f"{name}.svg").stat().st_size < 600_000  # points are pixels
    texts = [text.get_text() for text in figures["states_2d"].axes[2].texts]
    assert set(texts) == {"0", "1", "", "n = 60 prefixes (grey)"}


def test_words_are_distinct_and_named_in_the_legend(tmp_path: Path) -> None:
    analyse(PLANTED, tmp_path, dimensions=(2,), trajectories=5)
    ways = Artifacts(tmp_path).table("ways")
    words = ["".join(map(str, word[1:])) for _, word in ways.groupby("word")["letter"]]
    assert len(set(words)) == len(words) == 5
    (figure,) = Pictures().figures(Artifacts(tmp_path)).values()
    assert [text.get_text() for text in figure.axes[-1].get_legend().get_texts()] == ["initial state", *words]


def test_axes_have_the_variance_along_them_which_adds_up_for_principal_components(tmp_path: Path) -> None:
    finding = analyse(Scrambled(TASK.spec), tmp_path, reduce=("pca", "lda"), dimensions=(2,))
    pca, lda = Artifacts(tmp_path).table("projections").itertuples()
    assert pca.explained_1 + pca.explained_2 == pytest.approx(finding.scalars["pca_2d_explained"])
    assert 0 < lda.explained_1 < 1 and not [name for name in finding.scalars if "explained_" in name]
    (figure,) = Pictures().figures(Artifacts(tmp_path)).values()
    assert figure.axes[0].get_xlabel() == f"PC 1 ({pca.explained_1:.{0 if pca.explained_1 >= 0.1 else 1}%} of variance)"


def test_no_ways_and_one_dimension(tmp_path: Path) -> None:
    found = analyse(PLANTED, tmp_path, reduce=("tsne",), dimensions=(2,), trajectories=0, points=40)
    assert found.claims == {} and "tsne_2d_nearest_neighbour" in found.scalars
    assert list(Pictures().figures(Artifacts(tmp_path))) == ["states_2d"]


def test_labels_of_a_pushdown_automaton(tmp_path: Path) -> None:
    task = ContextFree(grammar="L7", words=100, val_words=60, test_words=10)
    run = FakeRun(task, GRU(task.spec, hidden=6).eval(), None)
    Pictures(words=60, by="height", reduce=("lda",)).run(run, Artifacts(tmp_path), np.random.default_rng(0))
    assert len(Artifacts(tmp_path).table("names")) > 3


def test_words_are_of_the_tasks_letters() -> None:
    for word in ("012", ""):
        with pytest.raises(ConfigError, match="letters"):
            Pictures(trajectories=("0", word)).check("pictures", "tomita", TASK, "analysis.pictures")
