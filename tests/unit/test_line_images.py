"""Test families of orientation: against drawings by hand, and read by the rank test of columns against rows."""

import numpy as np
import pytest
import torch

from mechlab.tasks.line_images import FAMILIES, draw, lines
from mechlab.tasks.orientation import Orientation


def bounding_box(image):
    rows, columns = np.nonzero(image)
    return rows.max() - rows.min() + 1, columns.max() - columns.min() + 1


def cropped(image):
    rows, columns = np.nonzero(image)
    part = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return ["".join(".#"[int(pixel)] for pixel in row) for row in part]


def rank_scores(images):
    """Scores of "column" minus "row": columns against rows by the sums of their pixels, then a vote where that is
    undecided. The threshold units of an essence network that separates full columns from full rows compute this."""
    n = images.shape[-1]
    columns, rows = images.sum(1), images.sum(2)
    larger = np.sign(columns[:, :, None] - rows[:, None, :])
    total = (1 - n) * larger.sum((1, 2))[:, None]
    for_columns = np.sign(n * larger.sum(2) + total + n - n**2)
    for_rows = np.sign(-n * larger.sum(1) - total + n - n**2)
    return for_columns.sum(1) - for_rows.sum(1)


def test_the_training_examples_are_all_columns_and_rows_alternately():
    images = lines(6).numpy()
    assert images.shape == (12, 6, 6)
    for i in range(6):
        column, row = np.zeros((6, 6), bool), np.zeros((6, 6), bool)
        column[:, i] = row[i] = True
        assert (images[2 * i] == column).all() and (images[2 * i + 1] == row).all()
    assert Orientation(6).examples("train").targets.tolist() == [0, 1] * 6


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [6, 9, 14, 28, 57])
def test_figures_are_wider_than_high_and_distinct(family, size):
    images = draw(family, 300, size, torch.Generator().manual_seed(0)).numpy()
    assert images.shape[1:] == (size, size) and len({image.tobytes() for image in images}) == len(images)
    assert len(images) == 300 or size < 14
    for image in images:
        height, width = bounding_box(image)
        assert height < width


def test_lengths_cover_the_ranges_for_28_pixels():
    """Width and height of the figures, from the least to the greatest length that the ranges allow."""
    expected = {
        "diagonal": ((8, 28), (2, 14)),
        "outline": ((6, 28), (3, 14)),
        "zigzag": ((10, 28), (2, 8)),
        "dotted": ((7, 27), (1, 3)),
        "dotted_diagonal": ((7, 27), (1, 14)),
    }
    for family, (widths, heights) in expected.items():
        boxes = [bounding_box(image) for image in draw(family, 3000, 28, torch.Generator().manual_seed(0)).numpy()]
        found = [(min(side), max(side)) for side in zip(*boxes, strict=True)]
        assert found[1] == widths, family
        assert found[0] == heights or family == "dotted_diagonal", family


def test_figures_look_as_their_names_say():
    """Every figure of a family that has one of these bounding boxes is one of these drawings."""
    drawings = {
        "diagonal": {("####....", "....####"), ("....####", "####....")},
        "outline": {("######", "#....#", "######")},
        "dotted": {("#.#.#.#", "#.#.#.#")},
        "zigzag": {("#.#.#.#.#.", ".#.#.#.#.#"), (".#.#.#.#.#", "#.#.#.#.#.")},
        "dotted_diagonal": {("#.#....", "....#.#"), ("....#.#", "#.#....")},
    }
    for family, expected in drawings.items():
        shapes = {(len(drawing), len(drawing[0])) for drawing in expected}
        images = draw(family, 5000, 28, torch.Generator().manual_seed(1)).numpy()
        assert {tuple(cropped(image)) for image in images if bounding_box(image) in shapes} == expected, family


def test_a_zigzag_rises_or_falls_by_a_pixel_with_every_column():
    for image in draw("zigzag", 200, 28, torch.Generator().manual_seed(0)).numpy():
        columns = np.flatnonzero(image.any(0))
        rows = image[:, columns].argmax(0)
        assert (image[:, columns].sum(0) == 1).all() and (np.abs(np.diff(rows)) == 1).all()


def test_the_rank_test_of_columns_against_rows_reads_all_families():
    """It has no error, and ties at dotted diagonals of slope 1/2 only, where as many columns as rows have a pixel."""
    for family, batch in Orientation().families(1000, torch.Generator().manual_seed(0)).items():
        scores = rank_scores(batch.inputs[:, 0].double().numpy())
        right = np.where(batch.targets == 0, scores, -scores)
        assert (right >= 0).all()
        assert (right > 0).all() or family == "dotted_diagonal"
        assert (right > 0).mean() > 0.88


def test_an_image_is_followed_by_its_transpose():
    for batch in Orientation(12).families(101, torch.Generator().manual_seed(0)).values():
        images = batch.inputs[:, 0]
        assert len(batch) == 100 and torch.equal(images[1::2], images[::2].mT)
        assert batch.targets.tolist() == [1, 0] * 50


def test_each_split_has_equally_many_images_of_every_family():
    task = Orientation(10, held_out=20)
    for split in ("val", "test"):
        batch = task.examples(split)
        assert len(batch) == 100 and torch.equal(batch.inputs[1::2, 0], batch.inputs[::2, 0].mT)
    assert len(Orientation(6).examples("val")) >= 5  # though there are only 4 outlines of this size


def test_the_ground_truth_is_undefined_where_a_figure_is_as_high_as_wide():
    square = torch.zeros(3, 1, 9, 9)
    square[1, 0, 2:5, 3:6] = square[2, 0, 2:5, 3:8] = 1
    targets, defined = Orientation(6).ground_truth().targets(square)
    assert defined.tolist() == [False, False, True] and targets[2] == 1
