"""Accuracy on test families: planted classifiers, ties, draws of several examples, refusals."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mechlab.analyses.distill.families import Families, scores_of
from mechlab.core.errors import ConfigError
from mechlab.record.artifacts import Artifacts
from mechlab.statistics.wilson import wilson
from mechlab.tasks.digits import Digits
from mechlab.tasks.orientation import Orientation


def wider(images):
    """Scores of the ground truth."""
    return torch.nn.functional.one_hot(Orientation(6).targets(images)[0], 2).float()


def more_pixels_in_a_column(images):
    """Scores by the largest sum of a column against the largest sum of a row; equal for most dotted diagonals."""
    return torch.stack([images.sum(2).amax((1, 2)), images.sum(3).amax((1, 2))], 1)


def constant(images):
    return torch.tensor([1.0, 0.0]).expand(len(images), 2)


def undecided(images):
    return torch.zeros(len(images), 2)


def answer(model, folder, size=28, seed=0, **options):
    task = Orientation(size)
    run = SimpleNamespace(
        task=task, spec=task.spec, model=lambda: model, recipe=SimpleNamespace(dtype=torch.float32), seed=0
    )
    out = Artifacts(folder)
    return Families(**options).run(run, out, np.random.default_rng(seed)), out


def test_the_ground_truth_has_every_family_right_and_chance_has_half(tmp_path):
    finding, out = answer(wider, tmp_path, n=400)
    assert finding.scalars["accuracy"] == finding.scalars["least"] == 1 and finding.scalars["ties"] == 0
    claim = finding.claims["every_family"]
    assert claim.holds and claim.null == 0.5 and claim.interval[1] == 1
    table = out.table("families")
    assert list(table["family"]) == ["diagonal", "outline", "zigzag", "dotted", "dotted_diagonal"]
    assert (table["examples"] == 400).all() and (table["draws"] == 200).all()
    for model, ties in ((constant, 0), (undecided, 1)):
        finding, _ = answer(model, tmp_path, n=400)
        assert finding.scalars["accuracy"] == 0.5 and finding.scalars["ties"] == ties
        assert not finding.claims["every_family"].holds


def test_the_interval_is_over_independent_draws(tmp_path):
    """An image and its transpose are one draw: a constant is right about one of the two in each of 200 draws."""
    _, out = answer(constant, tmp_path, n=400)
    row = out.table("families").iloc[0]
    assert (row["low"], row["high"]) == pytest.approx(wilson(100, 200))


def test_ties_count_a_half(tmp_path):
    """Against a loop over the images of every family."""
    batches = Orientation().families(60, torch.Generator().manual_seed(3))
    tied = 0
    for batch in batches.values():
        right, ties = scores_of(more_pixels_in_a_column, Orientation(), batch)
        for image, target, share, tie in zip(batch.inputs[:, 0], batch.targets, right, ties, strict=True):
            column, row = float(image.sum(0).max()), float(image.sum(1).max())
            expected = 0.5 if column == row else float((row > column) == bool(target))
            assert share == expected and tie == (column == row)
            tied += tie
    assert 0 < tied < 300


def test_too_few_draws_make_no_claim(tmp_path):
    """There are only four outlines of 6 x 6 pixels."""
    finding, out = answer(wider, tmp_path, size=6)
    assert not finding.claims and "outline (4)" in finding.notes["fewest"]
    table = out.table("families").set_index("family")
    assert table.loc["outline", "examples"] == 8


def test_a_task_without_families_is_refused():
    with pytest.raises(ConfigError, match=r"analysis=families needs a task that has families\(\)(.|\n)*Digits"):
        Families().check("families", "digits", Digits(), "analysis.families")


def test_a_task_of_bits_is_scored_by_its_own_accuracy():
    from mechlab.tasks.cellular_automaton import CellularAutomaton

    task = CellularAutomaton(110, 7)
    right, ties = scores_of(lambda inputs: torch.ones(len(inputs), 7), task, task.examples("val"))
    assert right == pytest.approx(task.examples("val").targets.mean(1).numpy()) and not ties.any()


def test_the_figure_shows_every_family_with_images(tmp_path):
    analysis = Families(n=100)
    _, out = answer(wider, tmp_path, n=100)
    axis, images = analysis.figures(out)["families"].axes
    names = [label.get_text() for label in axis.get_yticklabels()]
    assert names == ["diagonal", "outline", "zigzag", "dotted", "dotted diagonal"] and len(images.images) == 10
