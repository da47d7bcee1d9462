import itertools
import json

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score

from mechlab.analyses.labelled_states import LEAST_PREFIXES, LEAST_WORDS, words_of
from mechlab.automata.definition import to_definition
from mechlab.automata.pushdown.grammars import grammar
from mechlab.automata.tomita import tomita
from mechlab.automata.words.prefixes import distinct_prefixes
from mechlab.core.errors import ConfigError
from mechlab.core.task import SPLITS
from mechlab.tasks.context_free import ContextFree

FEW = {"words": 1000, "val_words": 300, "test_words": 300}
NAMES = [f"L{i}" for i in range(1, 16)]
OFTEN = ("L1", "L4", "L7", "L13")  # the others are tested by continuous integration
GRAMMARS = [pytest.param(name, marks=[] if name in OFTEN else [pytest.mark.ci]) for name in NAMES]


def padded(batch):
    return batch.inputs.argmax(-1).numpy(), batch.inputs.sum((1, 2)).long().numpy()


def constant(label, batch):
    return torch.eye(2)[label].expand(*batch.targets.shape, 2)


@pytest.mark.parametrize("sampler", ["near_miss", "balanced"])
@pytest.mark.parametrize("name", GRAMMARS)
def test_a_constant_guess_scores_one_half(name, sampler):
    task = ContextFree(name, sampler=sampler, **FEW)
    assert task.chance() == 0.5
    for split, label in itertools.product(SPLITS, (0, 1)):
        batch = task.examples(split)
        scores = task.score(constant(label, batch), batch)
        assert scores["accuracy"].mean() == 0.5 and scores["balanced_accuracy"].mean() == pytest.approx(0.5)
    words = {split: set(map(bytes, task.examples(split).inputs.numpy())) for split in SPLITS}
    assert not any(words[a] & words[b] for a, b in itertools.combinations(words, 2))


@pytest.mark.ci
def test_of_walks_next_to_none_is_accepted_and_balanced_accuracy_tells():
    task = ContextFree("L7", sampler="walk")
    batch = task.examples("test")
    scores = task.score(constant(0, batch), batch)
    assert scores["accuracy"].mean() > 0.97 and scores["balanced_accuracy"].mean() == pytest.approx(0.5)


@pytest.mark.parametrize("supervise", ["last", "all"])
def test_balanced_accuracy_is_that_of_scikit_learn(supervise):
    task = ContextFree("L13", sampler="walk", supervise=supervise, **FEW)
    batch = task.examples("val")
    outputs = torch.randn(*batch.targets.shape, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = balanced_accuracy_score(batch.targets[batch.mask], outputs.argmax(-1)[batch.mask])
    assert task.score(outputs, batch)["balanced_accuracy"].mean() == pytest.approx(expected, abs=1e-12)


def test_targets_are_what_the_pushdown_automaton_says():
    task = ContextFree("L11", supervise="all", **FEW)
    batch, machine = task.examples("train"), task.ground_truth()
    words, lengths = padded(batch)
    inside = np.arange(14) < lengths[:, None]
    np.testing.assert_array_equal(batch.targets, machine.outputs(words) * inside)
    np.testing.assert_array_equal(batch.mask, inside)
    assert (task.spec.vocabulary, task.spec.classes) == (machine.alphabet, ("reject", "accept"))
    assert machine.kind == "pushdown"


def test_the_control_state_may_be_the_target():
    task, usual = (ContextFree("L6", target=target, supervise="all", **FEW) for target in ("state", "class"))
    batch, machine = task.examples("train"), usual.ground_truth()
    words, lengths = padded(batch)
    assert torch.equal(batch.inputs, usual.examples("train").inputs)
    assert task.spec.classes == task.ground_truth().classes == machine.states
    inside = np.arange(14) < lengths[:, None]
    np.testing.assert_array_equal(batch.targets, machine.run(words).states[:, 1:] * inside)
    np.testing.assert_array_equal(task.ground_truth().outputs(words), machine.run(words).states[:, 1:])


def test_few_accepted_words_are_split_in_exact_tenths():
    """Of a^k b^k there are five words of 5 to 14 letters: one is for validation, one for test, three to train on."""
    task = ContextFree("L1", max_length=14, **FEW)
    accepted = {}
    for split in SPLITS:
        batch = task.examples(split)
        words, lengths = padded(batch)
        right = batch.targets[torch.arange(len(batch)), torch.from_numpy(lengths) - 1].bool().numpy()
        accepted[split] = {length // 2 for length in lengths[right].tolist()}
        assert all((word[: k // 2] == 0).all() for word, k in zip(words[right], lengths[right], strict=True))
    assert [len(accepted[split]) for split in SPLITS] == [5, 1, 1] and accepted["train"] >= {1, 2}
    assert set.union(*accepted.values()) == set(range(1, 8))


@pytest.mark.parametrize("name", GRAMMARS)
def test_every_grammar_has_enough_words_to_validate_on(name):
    task = ContextFree(name, words=200, val_words=500, test_words=200)
    prefixes = distinct_prefixes(words_of(task.examples("val").inputs))
    assert len(prefixes) >= 2 * LEAST_PREFIXES and prefixes.distinct_words >= 2 * LEAST_WORDS


@pytest.mark.parametrize("name", ["L1", "L4", "L5", "L10"])
def test_held_out_words_lie_between_shorter_and_longer_training_words(name):
    task, lengths = ContextFree(name, **FEW), {}
    for split in SPLITS:
        batch = task.examples(split)
        _, ends = padded(batch)
        right = batch.targets[torch.arange(len(batch)), torch.from_numpy(ends) - 1].bool().numpy()
        lengths[split] = set(ends[right].tolist())
    for split in ("val", "test"):
        assert min(lengths["train"]) < min(lengths[split]) and max(lengths[split]) < max(lengths["train"])


def test_published_walks_are_in_the_published_order():
    """Short words first: OPTICS and mean shift depend on the order of the rows."""
    task = ContextFree("L7", sampler="walk", compat="published", **FEW)
    _, lengths = padded(task.examples("val"))
    assert (np.diff(lengths) >= 0).all() and lengths[0] == 1 and lengths[-1] == 14


def test_test_words_may_be_longer_than_all_others():
    task = ContextFree("L7", test_lengths=(16, 40), **FEW)
    batch = task.examples("test")
    _, lengths = padded(batch)
    assert task.spec.length == 40 and set(lengths.tolist()) == set(range(16, 41, 2))
    assert task.score(constant(1, batch), batch)["accuracy"].mean() == 0.5
    assert task.examples("train").inputs.shape[1] == 14


def test_published_words_are_kept_apart_by_nobody():
    task = ContextFree("L9", sampler="walk", compat="published", **FEW)
    train, val = (set(map(bytes, task.examples(split).inputs.numpy())) for split in ("train", "val"))
    assert train & val
    word = [[task.spec.vocabulary.index(letter) for letter in "{>"]]
    assert task.ground_truth().outputs(word)[0, -1] == 1 and grammar("L9").outputs(word)[0, -1] == 0


def test_files_and_definitions_give_the_words_of_the_grammar(tmp_path):
    (tmp_path / "l7.json").write_text(json.dumps(to_definition(grammar("L7"))))
    frozen = ContextFree.without_files({"grammar": "file", "path": str(tmp_path / "l7.json")})
    assert frozen == {"grammar": "file", "path": None, "definition": to_definition(grammar("L7"))}
    assert ContextFree.without_files({"grammar": str(tmp_path / "l7.json")}) == frozen
    tasks = (
        ContextFree("L7", **FEW),
        ContextFree(**frozen, **FEW),
        ContextFree("file", path=tmp_path / "l7.json", **FEW),
        ContextFree(str(tmp_path / "l7.json"), **FEW),
    )
    for split in SPLITS:
        first, *others = (task.examples(split) for task in tasks)
        for other in others:
            assert torch.equal(first.inputs, other.inputs) and torch.equal(first.targets, other.targets)


def test_a_language_without_words_is_refused_unless_words_are_walks():
    empty = to_definition(grammar("L1")) | {"accepting": []}
    with pytest.raises(ConfigError, match=r"(?s)must have an accepted word.*set task.sampler=walk$"):
        ContextFree("file", definition=empty, **FEW)
    assert ContextFree("file", definition=empty, sampler="walk", **FEW).chance() == 1
    with pytest.raises(ConfigError, match=r"(?s)pushdown automaton.*task=automaton"):
        ContextFree("file", definition=to_definition(tomita(3)), **FEW)
    with pytest.raises(ConfigError, match=r"(?s)one of task\.path, task\.definition.*set task\.grammar=file"):
        ContextFree("L7", definition=empty, **FEW)
    with pytest.raises(ConfigError, match=r"(?s)given: L16.*did you mean 'L.*L1, .*L15, file.*grammar=FILE\.json"):
        ContextFree("L16", **FEW)


def test_the_same_seed_gives_the_same_words_and_another_seed_others():
    one, two, other = (ContextFree("L14", seed=seed, **FEW) for seed in (0, 0, 1))
    for split in SPLITS:
        assert torch.equal(one.examples(split).inputs, two.examples(split).inputs)
        assert set(map(bytes, one.examples(split).inputs.numpy())) != set(
            map(bytes, other.examples(split).inputs.numpy())
        )


@pytest.mark.parametrize(
    ("options", "key", "fix"),
    [
        ({"grammar": "L5", "max_length": 14}, "task.max_length", "task.max_length=18"),
        ({"grammar": "L10", "max_length": 14}, "task.max_length", "task.max_length=20"),
        ({"stack_limit": 3}, "task.stack_limit", "task.sampler=walk"),
        ({"break_on_impossible": True}, "task.break_on_impossible", "task.sampler=walk"),
        ({"compat": "published"}, "task.compat", "task.sampler=walk"),
        ({"sampler": "walk", "test_lengths": (16, 64)}, "task.test_lengths", "task.sampler=near_miss"),
        ({"test_lengths": (10, 64)}, "task.test_lengths", "[15,64]"),
        ({"test_lengths": (17, 17)}, "task.test_lengths", "[17,37]"),
        ({"sampler": "walk", "max_length": 60}, "task.max_length", "task.max_length=31"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(options, key, fix):
    with pytest.raises(ConfigError) as caught:
        ContextFree(**options)
    assert caught.value.key == key and fix in caught.value.fix
