"""The task of multiplying in a group: the published split, groups from files, and cosets that are held out."""

import hydra
import numpy as np
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString

from mechlab.config.choices import config_dir
from mechlab.config.identity import identity, masked
from mechlab.config.launch import register
from mechlab.core.errors import ConfigError
from mechlab.core.task import SPLITS
from mechlab.groups import group
from mechlab.groups.subgroups import subgroup_classes
from mechlab.tasks.group import GroupProduct


def pairs(task, split):
    return set(map(tuple, task.examples(split).inputs.tolist()))


def coset_of(of, name, x, side="left"):
    """The coset x H, or H x, of the subgroup of this name."""
    subgroup = next(each.elements for each in subgroup_classes(of) if each.name == name)
    return frozenset((of.table[x, subgroup] if side == "left" else of.table[subgroup, x]).tolist())


def test_the_published_pairs_are_the_first_of_a_seeded_permutation():
    task = GroupProduct("S5", 0.4, seed=2)
    torch.manual_seed(2)
    order = torch.randperm(120**2)
    expected = [divmod(pair, 120) for pair in order.tolist()]
    assert [tuple(pair) for pair in task.examples("train").inputs.tolist()] == expected[:5760]
    assert [tuple(pair) for pair in task.examples("test").inputs.tolist()] == expected[5760:]
    assert task.held_out is None


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("which", ["first", "second", "product", "both"])
def test_test_pairs_are_those_in_the_cosets(which, side):
    task = GroupProduct(
        "S4", 0.5, hold_out=which, hold_out_subgroup="S3", hold_out_side=side, hold_out_cosets=(0, 2), seed=1
    )
    of = task.of
    cosets = sorted({coset_of(of, "S3", x, side) for x in range(24)}, key=min)
    out = cosets[0] | cosets[2]
    expected = {
        (a, b)
        for a in range(24)
        for b in range(24)
        if {"first": a in out, "second": b in out, "product": of.table[a, b] in out, "both": a in out and b in out}[
            which
        ]
    }
    assert pairs(task, "test") == expected
    rest = pairs(task, "train") | pairs(task, "val")
    assert not rest & expected and len(rest) + len(expected) == 24**2 and not pairs(task, "train") & pairs(task, "val")
    assert len(task.examples("train")) == len(rest) // 2
    for split in SPLITS:
        batch = task.examples(split)
        assert np.array_equal(batch.targets, of.table[tuple(batch.inputs.T.numpy())])


def test_left_and_right_cosets_hold_out_other_pairs():
    left, right = (
        GroupProduct("S4", hold_out="first", hold_out_subgroup="S3", hold_out_side=side) for side in ("left", "right")
    )
    assert pairs(left, "test") != pairs(right, "test")


def test_held_out_pairs_are_combinations_of_elements_that_are_trained_on():
    task = GroupProduct("S4", 0.8, hold_out="both", hold_out_subgroup="A4", hold_out_cosets=(1,))
    firsts, seconds = zip(*pairs(task, "train"), strict=True)
    assert set(firsts) == set(seconds) == set(task.examples("train").targets.tolist()) == set(range(24))


WRONG = [
    ({"hold_out": "both"}, "name of a subgroup of S4"),
    ({"hold_out": "both", "hold_out_subgroup": "A4_a"}, "did you mean 'A4'"),
    ({"hold_out": "both", "hold_out_subgroup": "A4", "hold_out_cosets": (2,)}, "from 0 to 1"),
    ({"hold_out": "both", "hold_out_subgroup": "A4", "hold_out_cosets": (0, 1)}, "not all"),
    ({"hold_out": "both", "hold_out_subgroup": "S4", "hold_out_cosets": (0,)}, "smaller subgroup"),
    ({"hold_out": "both", "hold_out_subgroup": "A4", "val_fraction": 0.5}, "with held-out cosets"),
    ({"hold_out": "first", "hold_out_subgroup": "A4", "train_fraction": 1e-9}, "some for validation"),
    ({"hold_out_subgroup": "A4"}, "must come with task.hold_out"),
    ({"hold_out_side": "right"}, "must come with task.hold_out"),
    ({"hold_out_cosets": (0,)}, "must come with task.hold_out"),
    ({"group": "table"}, "a definition must be given"),
    ({"definition": {"identity": 0, "products": [[1, 0]]}}, "and for no other group"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=range(len(WRONG)))
def test_settings_that_do_not_go_together_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        GroupProduct(**{"group": "S4", **arguments})


@pytest.fixture
def q8_files(tmp_path):
    table = group("Q8").table
    np.save(tmp_path / "a.npy", table)
    np.savetxt(tmp_path / "b.csv", table + 1, fmt="%d", delimiter=",")
    words = np.array(["1", "i", "-1", "-i", "j", "k", "-j", "-k"])
    named = np.vstack([np.append("*", words), np.column_stack([words, words[table]])])
    np.savetxt(tmp_path / "c.csv", named, fmt="%s", delimiter=",")
    return [str(tmp_path / name) for name in ("a.npy", "b.csv", "c.csv")]


def test_a_record_holds_the_table_in_place_of_its_file(q8_files):
    array, text, words = (GroupProduct.without_files({"group": path, "seed": 1}) for path in q8_files)
    assert array == text != words and array["group"] == "table" and array["seed"] == 1
    assert GroupProduct.without_files(words) == words
    for arguments, path in [(array, q8_files[0]), (words, q8_files[2])]:
        task = GroupProduct(**arguments)
        assert np.array_equal(task.of.table, group("Q8").table)
        assert task.spec.classes == GroupProduct(path).spec.classes
    for left in ({"group": "S5"}, {}, {"group": "/no/such.csv"}, {"group": "table"}, {"group": "S5", "definition": {}}):
        assert GroupProduct.without_files(left) == left


@pytest.fixture(scope="module")
def run_id():
    register([config_dir()])
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
        yield lambda *overrides: identity(
            masked(hydra.compose("train", ["name=it", "task=group", *overrides])), "sparse"
        )


@pytest.mark.ci
def test_run_ids_follow_from_the_table_and_from_what_is_held_out(run_id, q8_files):
    array, text, words = (run_id(f"task.group={path}") for path in q8_files)
    assert array == text and len({array, words, run_id(), run_id("task.group=Q8")}) == 4
    held = ("task.hold_out=both", "task.hold_out_subgroup=A4")
    assert len({run_id(), run_id(*held), run_id(*held, "task.hold_out_cosets=[0]")}) == 3


def test_names_survive_the_grammar_of_the_command_line():
    parser = OverridesParser.create()
    for name in ("C3xC3:C2@2.6", "perm:0-1-2-3-4+0-1/2-3", "SL2_3", '"(C7:C3)xC2"', "'perm:(0 1 2),(0 1)(2 3)'"):
        value = parser.parse_override(f"task.group={name}").value()
        plain = value.text if isinstance(value, QuotedString) else value
        assert plain == name.strip("\"'") and group(plain).order > 1
