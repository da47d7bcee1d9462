import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mechlab.core.errors import ConfigError
from mechlab.core.loss import CrossEntropy
from mechlab.core.task import SPLITS
from mechlab.tasks.modular_addition import ModularAddition


def rows(task, split):
    return list(map(tuple, task.examples(split).inputs.tolist()))


def published_expressions(p, n_val, n_train, seed):
    """The steps of the published generator, one by one on NumPy's global state, which is put back."""
    pairs = [(b, a) for a in range(p) for b in range(a, p)]
    before = np.random.get_state()
    np.random.seed(seed)
    test = np.random.choice(len(pairs), 0, replace=False)
    rest = sorted(set(range(len(pairs))) - set(test))
    val = np.random.choice(rest, n_val, replace=False)
    train = np.random.choice(sorted(set(rest) - set(val)), n_train, replace=False)
    np.random.set_state(before)
    return [[(pairs[i][0], p, pairs[i][1], p + 1) for i in part] for part in (train, val)]


@settings(max_examples=20)
@given(st.integers(2, 20), st.floats(0.01, 0.99), st.integers(0, 5))
def test_the_splits_are_all_ordered_pairs_once(p, fraction, seed):
    task = ModularAddition(p, train_fraction=fraction, seed=seed)
    parts = [rows(task, split) for split in SPLITS]
    assert all(parts)
    assert sorted(itertools.chain(*parts)) == [(x, y) for x in range(p) for y in range(p)]
    for split in SPLITS:
        batch = task.examples(split)
        assert batch.inputs.dtype == batch.targets.dtype == torch.int64
        assert batch.targets.tolist() == [(x + y) % p for x, y in rows(task, split)]


@settings(max_examples=20)
@given(st.integers(2, 20), st.integers(0, 5))
def test_the_splits_are_all_expressions_once(p, seed):
    task = ModularAddition(p, "expression", seed=seed)
    parts = [rows(task, split) for split in SPLITS]
    assert all(parts)
    assert sorted(itertools.chain(*parts)) == [(x, p, y, p + 1) for x in range(p) for y in range(x + 1)]
    for split in SPLITS:
        assert task.examples(split).targets.tolist() == [(x + y) % p for x, _, y, _ in rows(task, split)]


def test_the_published_pairs_are_the_first_of_a_seeded_permutation():
    task = ModularAddition(113, seed=3)
    order = torch.randperm(113**2, generator=torch.Generator().manual_seed(3))[:3830].tolist()
    assert rows(task, "train") == [divmod(i, 113) for i in order]
    assert [len(task.examples(split)) for split in SPLITS] == [3830, 4469, 4470]


@pytest.mark.parametrize(
    ("p", "n_val", "n_train", "seed"), [(113, None, None, 0), (113, 500, 1000, 4), (17, 20, 90, 1)]
)
def test_the_published_expressions_are_drawn_pair_for_pair(p, n_val, n_train, seed):
    task = ModularAddition(p, "expression", n_val=n_val, n_train=n_train, seed=seed)
    train, val = published_expressions(p, n_val or 2000, n_train or 4000, seed)
    assert rows(task, "train") == train
    assert rows(task, "val") == val
    assert len(task.examples("test")) == p * (p + 1) // 2 - len(train) - len(val)


def test_the_same_seed_gives_the_same_split_and_another_seed_another():
    for tokens in ("pair", "expression"):
        one, two, other = (ModularAddition(11, tokens, seed=seed) for seed in (0, 0, 1))
        assert rows(one, "train") == rows(two, "train") != rows(other, "train")


@pytest.mark.parametrize("tokens", ["pair", "expression"])
def test_the_spec_describes_the_examples(tokens):
    task = ModularAddition(7, tokens)
    spec, batch = task.spec, task.examples("train")
    assert spec.tokens and spec.kind == "static" and spec.loss == CrossEntropy()
    assert batch.inputs.shape[1:] == spec.shape and batch.mask is None
    assert spec.inputs == spec.outputs == len(spec.vocabulary) == len(spec.classes) == (7 if tokens == "pair" else 9)
    assert batch.inputs.max() < spec.inputs and batch.targets.max() < 7
    assert task.ground_truth() is None


def test_chance_is_the_share_of_the_most_frequent_sum():
    task = ModularAddition(5, "expression")
    targets = task.examples("train").targets.tolist()
    assert task.chance() == pytest.approx(max(map(targets.count, range(5))) / len(targets))


@pytest.mark.parametrize("sizes", [{"n_val": 3}, {"n_train": 3}])
def test_pairs_take_no_sizes(sizes):
    with pytest.raises(ConfigError, match=r"is for expressions(.|\n)*task\.tokens=expression"):
        ModularAddition(5, "pair", **sizes)


def test_sizes_must_leave_a_pair_for_test():
    with pytest.raises(ConfigError, match=r"of the 15 pairs at least one(.|\n)*at most 14"):
        ModularAddition(5, "expression", n_val=5, n_train=10)
    assert len(ModularAddition(5, "expression", n_val=5, n_train=9).examples("test")) == 1
