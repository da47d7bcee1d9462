import itertools

import numpy as np
import pytest

from mechlab.groups import Group, group
from mechlab.groups.isomorphisms import isomorphism
from mechlab.groups.structure import CATALOGUE, catalogued, lettered, structure
from mechlab.groups.subgroups import subgroup_classes

NAMES = {
    "C1": "C1",
    "C2xC3": "C6",
    "C4xC6": "C2xC12",
    "C2xC2xC9xC3": "C6xC18",
    "D2": "C2xC2",
    "D3": "S3",
    "C59:C2": "D59",
    "Q8": "Q8",
    "PSL2_5": "A5",
    "PGL2_3": "S4",
    "C2xC2:C3@2.3": "A4",
    "C3:C4": "Dic3",
}


@pytest.mark.parametrize("name", NAMES)
def test_types_have_their_usual_names(name):
    assert structure(group(name)) == NAMES[name]


def test_a_type_outside_of_the_catalogue_has_no_name():
    assert structure(group("C2xC2xC2xD4")) is None


@pytest.mark.ci
@pytest.mark.parametrize("order", CATALOGUE)
def test_types_of_the_catalogue_are_all_different(order):
    members = catalogued(order)
    assert all(member.order == order and not member.abelian for _, member in members)
    assert all(structure(member) == name for name, member in members)
    for (_, one), (_, two) in itertools.combinations(members, 2):
        assert isomorphism(one, two) is None


def test_subgroups_of_s5_have_their_textbook_types():
    names = [each.name for each in subgroup_classes(group("S5"))]
    small = ["C1", "C2_a", "C2_b", "C3", "C2xC2_a", "C2xC2_b", "C4", "C5", "S3_a", "S3_b", "C6", "D4", "D5", "A4", "D6"]
    assert names == [*small, "C5:C4", "S4", "A5", "S5"]


def test_a_shuffled_group_has_the_same_type():
    of, rng = group("S4"), np.random.default_rng(0)
    order = rng.permutation(24)
    shuffled = Group("G", order[of.table[np.ix_(np.argsort(order), np.argsort(order))]], tuple(range(24)))
    assert structure(shuffled) == "S4"


def test_letters_go_on_after_z():
    assert lettered(["C2"] * 28)[25:] == ["C2_z", "C2_aa", "C2_ab"]
