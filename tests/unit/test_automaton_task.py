import itertools
import json

import numpy as np
import pytest
import torch

from mechlab.automata.definition import read_automaton, to_definition
from mechlab.automata.dot import to_dot
from mechlab.automata.equivalence import equivalent, minimise
from mechlab.automata.library import angluin, coffee, parentheses
from mechlab.automata.pushdown.grammars import grammar
from mechlab.automata.tomita import tomita
from mechlab.core.errors import ConfigError
from mechlab.tasks.automaton import AutomatonWords
from mechlab.tasks.tomita import Tomita

FEW = {"words": 1000, "val_words": 300, "test_words": 300}


def renamed(letters):
    """The automaton of even numbers of a and b as plain data, with other letters."""
    definition = to_definition(angluin())
    return definition | {"alphabet": [letters.get(letter, letter) for letter in definition["alphabet"]]}


def padded(batch):
    return batch.inputs.argmax(-1).numpy(), batch.inputs.sum((1, 2)).long().numpy()


@pytest.mark.parametrize(
    ("language", "automaton"),
    [("angluin", angluin()), ("coffee", coffee()), ("parentheses", parentheses(3)), ("tomita7", tomita(7))],
)
def test_a_language_of_the_library_is_the_ground_truth(language, automaton):
    task = AutomatonWords(language, **FEW)
    assert task.ground_truth() == automaton
    assert (task.spec.vocabulary, task.spec.classes) == (automaton.alphabet, automaton.classes)
    assert (task.spec.inputs, task.spec.outputs) == (len(automaton.alphabet), len(automaton.classes))


@pytest.mark.parametrize("options", [{}, {"sampler": "balanced", "supervise": "all"}, {"compat": "published"}])
def test_words_are_those_of_the_tomita_task(options):
    one, other = AutomatonWords("tomita3", **FEW, **options), Tomita(3, **FEW, **options)
    for split in ("train", "val", "test"):
        for a, b in zip(vars(one.examples(split)).values(), vars(other.examples(split)).values(), strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize(("states", "letters", "outputs"), [(5, 2, 2), (10, 4, 2), (8, 2, 3), (12, 4, 5)])
def test_a_random_automaton_has_the_numbers_asked_for(states, letters, outputs):
    options = {"states": states, "letters": letters, "outputs": outputs, **FEW}
    one, two, other = (AutomatonWords("random", automaton_seed=seed, **options).ground_truth() for seed in (0, 0, 1))
    assert one == two and equivalent(one, other) is not None
    assert one.transitions.shape == (states, letters) and len(one.classes) == outputs
    assert minimise(one) == one


def test_targets_are_what_a_loop_over_the_letters_says():
    task = AutomatonWords("random", states=6, letters=3, outputs=4, supervise="all", **FEW)
    automaton, batch = task.ground_truth(), task.examples("val")
    for word, length, targets, mask in zip(*padded(batch), batch.targets.tolist(), batch.mask.tolist(), strict=True):
        state, expected = automaton.initial, []
        for letter in word[:length]:
            state = automaton.transitions[state][letter]
            expected.append(automaton.outputs[state])
        assert targets == expected + [0] * (14 - length) and mask == [True] * length + [False] * (14 - length)


@pytest.mark.parametrize("sampler", ["uniform", "balanced"])
def test_the_state_may_be_the_target(sampler):
    task = AutomatonWords("tomita3", target="state", sampler=sampler, **FEW)
    batch = task.examples("train")
    words, lengths = padded(batch)
    rows = np.arange(len(batch))
    assert task.spec.classes == tomita(3).states and task.spec.outputs == 5
    np.testing.assert_array_equal(batch.targets[rows, lengths - 1], tomita(3).run(words)[rows, lengths])
    assert task.ground_truth().outputs.tolist() == [0, 1, 2, 3, 4]
    if sampler == "balanced":
        assert np.ptp(np.bincount(batch.targets[rows, lengths - 1][lengths > 8])) <= 6


def test_a_file_gives_its_automaton_whatever_the_order_of_its_lines(tmp_path):
    path = tmp_path / "automaton.dot"
    path.write_text(to_dot(coffee()))
    task = AutomatonWords("file", path=str(path), **FEW)
    assert equivalent(task.ground_truth(), coffee()) is None
    head, *lines, end = to_dot(coffee()).strip().split("\n")
    path.write_text("\n".join([head, *reversed(lines), end]))
    again = AutomatonWords("file", path=str(path), **FEW)
    assert (again.spec.vocabulary, again.spec.classes) == (task.spec.vocabulary, task.spec.classes)
    for split in ("train", "val", "test"):
        assert torch.equal(again.examples(split).inputs, task.examples(split).inputs)
        assert torch.equal(again.examples(split).targets, task.examples(split).targets)


@pytest.mark.parametrize("automaton", [angluin(), coffee(), tomita(7)])
def test_files_and_definitions_give_the_same_words(tmp_path, automaton):
    definition = to_definition(automaton)
    (tmp_path / "automaton.json").write_text(json.dumps(definition))
    one = AutomatonWords("file", path=str(tmp_path / "automaton.json"), **FEW)
    other = AutomatonWords("file", definition=definition, **FEW)
    assert one.ground_truth() == other.ground_truth() == automaton and one.definition is None
    assert torch.equal(one.examples("val").inputs, other.examples("val").inputs)
    by_state = AutomatonWords("file", definition=definition, target="state", **FEW)
    assert by_state.spec.classes == tuple(dict.fromkeys(automaton.parts))


def test_arguments_without_files_are_alike_where_the_automata_are(tmp_path):
    (tmp_path / "a.dot").write_text(to_dot(angluin()))
    (tmp_path / "b.json").write_text(json.dumps(to_definition(read_automaton(tmp_path / "a.dot"))))
    spelled = to_definition(angluin()) | {"initial": 0, "accepting": [0]}
    given = [{"path": str(tmp_path / name)} for name in ("a.dot", "b.json")] + [{"definition": spelled}]
    found = [AutomatonWords.without_files({"language": "file", "depth": 4, **one}) for one in given]
    assert [one["definition"] for one in found] == [to_definition(angluin())] * 3
    assert found[0] == found[1] == {"language": "file", "depth": 4, "path": None, "definition": found[0]["definition"]}
    short = [
        AutomatonWords.without_files({"language": str(tmp_path / name), "depth": 4}) for name in ("a.dot", "b.json")
    ]
    assert short == [found[0]] * 2
    for left in (
        {"language": "file", "path": "/no/such.dot"},
        {"language": "/no/such.dot"},
        {"language": "a.dot", "path": "a.dot"},
        {"language": "angluin", "path": "a.dot"},
        {},
    ):
        assert AutomatonWords.without_files(left) == left


@pytest.mark.parametrize("sampler", ["uniform", "balanced"])
def test_test_words_may_be_longer_than_all_others(sampler):
    task = AutomatonWords("tomita1", test_lengths=(16, 64), sampler=sampler, **FEW)
    batch = task.examples("test")
    words, lengths = padded(batch)
    assert task.spec.length == 64 and batch.inputs.shape == (300, 64, 2) and set(lengths) <= set(range(16, 65))
    accepted = batch.targets[torch.arange(300), torch.from_numpy(lengths) - 1]
    np.testing.assert_array_equal(accepted, (words + (np.arange(64) >= lengths[:, None])).all(1))
    assert accepted.sum() == 0 if sampler == "uniform" else 100 < accepted.sum() <= 175
    assert task.examples("train").inputs.shape[1] == task.examples("val").inputs.shape[1] == 14


def test_held_out_words_are_never_trained_on():
    task = AutomatonWords("random", letters=3, **FEW)
    words = {split: set(map(bytes, task.examples(split).inputs.numpy())) for split in ("train", "val", "test")}
    assert not any(words[a] & words[b] for a, b in itertools.combinations(words, 2))


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"language": "file"}, "task.path"),
        ({"path": "some.dot"}, "task.path"),
        ({"language": "some.dot", "path": "some.dot"}, "task.path"),
        ({"language": "/no/such/file.dot"}, "task.language"),
        ({"language": "machine.txt"}, "task.language"),
        ({"language": "folder/machine"}, "task.language"),
        ({"language": "L7"}, "task.language"),
        ({"language": "file", "path": "/no/such/file.dot"}, "task.path"),
        ({"language": "file", "path": "some.dot", "definition": {"kind": "dfa"}}, "task.path"),
        ({"language": "file", "definition": {"kind": "dfa"}}, "task.definition"),
        ({"language": "file", "definition": {"kind": []}}, "task.definition"),
        ({"language": "file", "definition": to_definition(grammar("L7"))}, "task.definition"),
        ({"language": "file", "definition": renamed({"a": "${b}"})}, "task.definition"),
        ({"definition": to_definition(angluin())}, "task.definition"),
        ({"language": "random", "outputs": 7}, "task.outputs"),
        ({"language": "random", "letters": 26}, "task.max_length"),
        ({"test_lengths": (14, 64)}, "task.test_lengths"),
        ({"test_lengths": (20, 19)}, "task.test_lengths"),
        ({"compat": "published", "sampler": "balanced"}, "task.sampler"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(options, key):
    with pytest.raises(ConfigError) as caught:
        AutomatonWords(**options)
    assert caught.value.key == key and caught.value.fix


def test_a_file_that_is_no_automaton_is_refused(tmp_path):
    (tmp_path / "bad.dot").write_text("digraph g { a -> b }")
    with pytest.raises(ConfigError, match=r"bad\.dot: every transition must have a letter(.|\n)*task\.path"):
        AutomatonWords("file", path=str(tmp_path / "bad.dot"))


def test_a_file_may_be_the_language(tmp_path):
    path = tmp_path / "automaton.dot"
    path.write_text(to_dot(coffee()))
    short, long = AutomatonWords(str(path), **FEW), AutomatonWords("file", path=str(path), **FEW)
    assert short.ground_truth() == long.ground_truth() == read_automaton(path)
    assert torch.equal(short.examples("val").inputs, long.examples("val").inputs)
    (tmp_path / "l7.json").write_text(json.dumps(to_definition(grammar("L7"))))
    with pytest.raises(ConfigError, match=r"(?s)pushdown automaton.*task=context_free task\.grammar=FILE\.json"):
        AutomatonWords(str(tmp_path / "l7.json"))


@pytest.mark.parametrize(("name", "hint"), [("cofee", "did you mean 'coffee'"), ("xyz", "The names are angluin")])
def test_an_unknown_language_is_answered_with_all_names_and_how_to_give_a_file(name, hint):
    with pytest.raises(ConfigError) as caught:
        AutomatonWords(name)
    assert caught.value.key == "task.language" and caught.value.got == name and hint in caught.value.fix
    for known in ("angluin", "coffee", "parentheses", "tomita1", "tomita7", "random", "task.language=FILE.dot"):
        assert known in caught.value.fix
