import itertools
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mechlab.automata.tomita import tomita
from mechlab.automata.words.sampling import split_of
from mechlab.core.errors import ConfigError
from mechlab.core.plan import BatchPlan
from mechlab.tasks.tomita import Tomita


def _third(word):
    """No odd block of 0s comes anywhere after an odd block of 1s."""
    blocks = [(letter, len(list(run))) for letter, run in itertools.groupby(word)]
    odd_ones = [i for i, (letter, length) in enumerate(blocks) if letter == "1" and length % 2]
    return not any(letter == "0" and length % 2 for letter, length in blocks[odd_ones[0] :]) if odd_ones else True


LANGUAGES = {  # in words, and by no automaton
    1: lambda word: re.fullmatch("1*", word) is not None,
    2: lambda word: re.fullmatch("(10)+", word) is not None,
    3: _third,
    4: lambda word: "000" not in word,
    5: lambda word: word.count("0") % 2 == 0 and word.count("1") % 2 == 0,
    6: lambda word: (word.count("0") - word.count("1")) % 3 == 0,
    7: lambda word: re.fullmatch("0*1*0*1*", word) is not None,
}
STATES = {1: 2, 2: 4, 3: 5, 4: 4, 5: 4, 6: 3, 7: 5}


def words_of(batch):
    """Read the words of a batch back from its one-hot letters."""
    return ["".join(str(row.argmax().item()) for row in word if row.any()) for word in batch.inputs]


def padded(batch):
    """Return words (N, T) and lengths (N,) as arrays."""
    return batch.inputs.argmax(-1).numpy(), batch.inputs.sum((1, 2)).long().numpy()


@pytest.mark.parametrize("index", LANGUAGES)
def test_the_automaton_accepts_the_language(index):
    automaton = tomita(index)
    assert len(automaton.states) == STATES[index]
    for length in range(11):
        words = list(itertools.product((0, 1), repeat=length))
        verdicts = automaton.outputs[automaton.run(np.array(words, int).reshape(2**length, length))[:, -1]]
        expected = [LANGUAGES[index]("".join(map(str, word))) for word in words]
        np.testing.assert_array_equal(verdicts, expected)


@pytest.mark.parametrize("index", LANGUAGES)
def test_no_two_states_of_the_automaton_do_the_same(index):
    automaton = tomita(index)
    words = np.array(list(itertools.product((0, 1), repeat=5)))
    behaviours = set()
    for state in range(len(automaton.states)):
        reached = np.full(len(words), state)
        outputs = [automaton.outputs[reached]]
        for letter in words.T:
            reached = automaton.transitions[reached, letter]
            outputs.append(automaton.outputs[reached])
        behaviours.add(np.array(outputs).tobytes())
    assert len(behaviours) == len(automaton.states)


def test_the_third_language_has_the_published_transitions():
    automaton = tomita(3)
    assert automaton.transitions.tolist() == [[0, 1], [2, 0], [3, 4], [2, 3], [4, 4]]
    assert automaton.outputs.tolist() == [1, 1, 0, 1, 0]
    assert automaton.states == ("s0", "s1", "s2", "s3", "sink")


@pytest.mark.parametrize("index", [0, 8, "3"])
def test_there_is_no_other_language(index):
    with pytest.raises(ValueError, match="from 1 to 7"):
        tomita(index)


@pytest.mark.parametrize("supervise", ["last", "all"])
def test_targets_are_what_the_language_says(supervise):
    task = Tomita(3, words=600, supervise=supervise)
    batch = task.examples("train")
    assert batch.inputs.dtype == torch.float32 and batch.inputs.shape[1:] == (14, 2)
    assert batch.targets.dtype == torch.int64 and batch.mask.dtype == torch.bool
    assert batch.index.tolist() == list(range(len(batch)))
    for i, word in enumerate(words_of(batch)):
        verdicts = [int(LANGUAGES[3](word[: t + 1])) for t in range(len(word))]
        assert batch.targets[i].tolist() == verdicts + [0] * (14 - len(word))
        counted = [supervise == "all" or t == len(word) - 1 for t in range(len(word))]
        assert batch.mask[i].tolist() == counted + [False] * (14 - len(word))


@pytest.mark.parametrize("sampler", ["uniform", "balanced"])
def test_held_out_words_are_never_trained_on(sampler):
    task = Tomita(4, sampler=sampler)
    words = {split: set(words_of(task.examples(split)[:2500])) for split in ("val", "test")}
    train = task.examples("train")
    assert not split_of(*padded(train)).any()
    assert (split_of(*padded(task.examples("val"))) == 1).all()
    assert (split_of(*padded(task.examples("test"))) == 2).all()
    assert not words["val"] & words["test"]
    assert min(map(len, words["val"] | words["test"])) >= 5


def test_words_too_short_to_hold_out_are_all_trained_on():
    _, lengths = padded(Tomita(3).examples("train"))
    assert np.bincount(lengths)[1:5].tolist() == [2, 4, 8, 16]


def test_published_data_follows_the_published_rule():
    task = Tomita(3, compat="published")
    assert np.bincount(task.groups())[1:].tolist() == [2**length for length in range(1, 13)] + [20_670, 21_146]
    val, test = task.examples("val"), task.examples("test")
    # Lengths 1 to 7 ask for 20 + 39 + 58 + 77 + 96 + 115 + 134 = 539 words and have 254; seven lengths share the rest.
    assert np.bincount(padded(val)[1])[1:].tolist() == [2**length for length in range(1, 8)] + [
        2000 * length // 105 + 1 + 40 for length in range(8, 15)
    ]
    assert (val.inputs != test.inputs).any() and set(words_of(val)) & set(words_of(test))


@pytest.mark.parametrize("index", [1, 2, 6])
def test_half_of_the_balanced_words_of_each_length_are_accepted(index):
    task = Tomita(index, sampler="balanced", words=5000)
    batch = task.examples("train")
    _, lengths = padded(batch)
    accepted = batch.targets[torch.arange(len(batch)), torch.from_numpy(lengths) - 1].numpy()
    assert np.bincount(lengths)[1:].tolist() == [5000 * length // 105 + 1 for length in range(1, 15)]
    for length in range(1, 11):
        everything = np.array(list(itertools.product((0, 1), repeat=length)))
        language = np.array([LANGUAGES[index]("".join(map(str, word))) for word in everything])
        trainable = (language & (split_of(everything) == 0)).any()
        here = accepted[lengths == length]
        assert here.sum() == (len(here) // 2 if trainable else 0)


def test_the_same_seed_gives_the_same_words_and_another_seed_others():
    one, two, other = (Tomita(5, words=2000, seed=seed) for seed in (0, 0, 1))
    for split in ("train", "val", "test"):
        assert torch.equal(one.examples(split).inputs, two.examples(split).inputs)
        assert set(words_of(one.examples(split))) != set(words_of(other.examples(split)))
    assert one.examples("train") is one.examples("train")


def test_batches_are_never_padded():
    task = Tomita(7, words=3000)
    batch, groups = task.examples("train"), task.groups()
    plan = BatchPlan(len(batch), 128, seed=0, groups=groups)
    for step in range(plan.steps_per_epoch):
        rows = plan.indices(step)
        steps = batch[rows].cropped().inputs
        assert (steps.sum(-1) == 1).all()


@settings(max_examples=8)
@given(st.integers(1, 7), st.sampled_from(["uniform", "balanced"]), st.sampled_from(["last", "all"]))
def test_chance_is_the_score_of_the_best_constant(index, sampler, supervise):
    task = Tomita(index, words=800, sampler=sampler, supervise=supervise)
    batch = task.examples("train")
    constants = torch.eye(2)[:, None, None].expand(2, *batch.targets.shape, 2)
    scores = [float(task.score(constant, batch)["accuracy"].mean()) for constant in constants]
    assert task.chance() == pytest.approx(max(scores), abs=1e-6)


def test_the_spec_names_letters_and_classes_and_the_truth_is_the_automaton():
    task = Tomita(6, max_length=9)
    assert (task.spec.inputs, task.spec.outputs, task.spec.length) == (2, 2, 9)
    assert task.spec.vocabulary == ("0", "1") and task.spec.classes == ("reject", "accept")
    assert task.ground_truth() == tomita(6) and task.ground_truth().kind == "automaton"


def test_published_data_is_not_balanced():
    with pytest.raises(ConfigError, match=r"uniform sample(.|\n)*task\.sampler"):
        Tomita(compat="published", sampler="balanced")
