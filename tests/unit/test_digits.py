import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from mechlab.core.constraints import check, hints_of
from mechlab.core.errors import ConfigError
from mechlab.core.task import SPLITS
from mechlab.tasks.digits import Digits


def images(task, split):
    return list(map(tuple, (task.examples(split).inputs.flatten(1) * 16).int().tolist()))


@pytest.mark.parametrize("classes", [None, (3, 8), [8, 3, 0]])
def test_the_splits_are_the_images_of_the_digits_once_with_their_labels(classes):
    data = load_digits()
    chosen = list(range(10)) if classes is None else list(classes)
    expected = [
        (*row, chosen.index(label))
        for row, label in zip(data.data.astype(int).tolist(), data.target, strict=True)
        if label in chosen
    ]
    task = Digits(classes)
    found = [
        (*image, label)
        for split in SPLITS
        for image, label in zip(images(task, split), task.examples(split).targets.tolist(), strict=True)
    ]
    assert sorted(found) == sorted(expected)
    assert task.spec.classes == tuple(map(str, chosen)) and task.spec.outputs == len(chosen)


def test_each_split_has_the_same_share_of_every_digit():
    task = Digits(held_out=0.2)
    totals = sum(np.bincount(task.examples(split).targets) for split in SPLITS)
    for split, share in zip(SPLITS, (0.6, 0.2, 0.2), strict=True):
        counts = np.bincount(task.examples(split).targets)
        assert (abs(counts - share * totals) <= 1).all()


def test_examples_have_the_shape_and_range_of_the_spec():
    task = Digits((3, 8))
    for split in SPLITS:
        batch = task.examples(split)
        assert batch.inputs.dtype == torch.float32 and batch.inputs.shape[1:] == task.spec.shape == (1, 8, 8)
        assert batch.inputs.min() == 0 and batch.inputs.max() == 1
        assert batch.mask is None and batch.index.tolist() == list(range(len(batch)))
    counts = task.examples("train").targets.bincount()
    assert task.chance() == pytest.approx(float(counts.max() / counts.sum()))


def test_the_split_is_a_function_of_the_seed_and_of_no_other_digit():
    one, two, other = (Digits((3, 8), seed=seed) for seed in (0, 0, 1))
    assert images(one, "val") == images(two, "val") != images(other, "val")
    assert set(images(one, "val")) <= set(images(Digits(), "val"))


@pytest.mark.parametrize("classes", [(), (3,), (3, 3), (3, 10), (-1, 2)])
def test_what_are_no_distinct_digits_is_refused(classes):
    with pytest.raises(ConfigError, match=r"two distinct digits(.|\n)*task\.classes"):
        Digits(classes)


def test_the_declared_constraint_accepts_lists_and_null():
    hint = hints_of(Digits.__init__)["classes"]
    assert check([3, 8], hint) == (3, 8) and check(None, hint) is None
