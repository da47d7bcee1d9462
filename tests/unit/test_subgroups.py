import itertools

import numpy as np
import pytest

from mechlab.core.errors import ConfigError
from mechlab.groups import group, subgroups
from mechlab.groups.subgroups import left_cosets, right_cosets, subgroup_classes

SMALL = ["C1", "C12", "D4", "D6", "S3", "S4", "A4", "C3xS3", "C2xC2xC2"]


def all_subgroups(of):
    """Every subgroup as a set of elements, by closing up all joins of subgroups with elements."""
    met, border = set(), {frozenset([of.identity])}
    while border:
        met |= border
        border = {frozenset(of.subgroup([*each, x]).tolist()) for each in border for x in range(of.order)} - met
    return met


def conjugates(of, elements):
    t, inverse = of.table, of.inverses
    return {frozenset(t[t[inverse[x], list(elements)], x].tolist()) for x in range(of.order)}


@pytest.mark.parametrize("name", SMALL)
def test_classes_are_all_subgroups_by_exhaustion(name):
    of = group(name)
    expected = all_subgroups(of)
    classes = subgroup_classes(of)
    met = [conjugates(of, each.elements) for each in classes]
    assert set().union(*met) == expected and sum(map(len, met)) == len(expected)
    for each, members in zip(classes, met, strict=True):
        assert each.conjugates == len(members) and each.normal == (len(members) == 1)
        assert each.order * each.index == of.order
        assert each.elements.tolist() == min(sorted(member) for member in members)
        assert of.subgroup(each.generators).tolist() == each.elements.tolist()
    assert len({each.name for each in classes}) == len(classes)
    assert [each.order for each in classes] == sorted(each.order for each in classes)


COUNTS = {"C113": (2, 2), "D59": (4, 62), "D4": (8, 10), "S4": (11, 30), "A5": (9, 59), "S5": (19, 156)}


@pytest.mark.parametrize("name", COUNTS)
def test_numbers_of_classes_and_subgroups_are_the_textbook_ones(name):
    """OEIS A000638 and A005432 for the symmetric groups."""
    classes = subgroup_classes(group(name))
    assert (len(classes), sum(each.conjugates for each in classes)) == COUNTS[name]


@pytest.mark.ci
def test_s6_has_56_classes():
    classes = subgroup_classes(group("S6"))
    assert (len(classes), sum(each.conjugates for each in classes)) == (56, 1455)


@pytest.mark.parametrize("name", ["S4", "D6", "A5"])
def test_cosets_are_translates_of_the_subgroup(name):
    of = group(name)
    for each in subgroup_classes(of):
        elements = each.elements.tolist()
        for labels, product in [
            (left_cosets(of, each.elements), lambda x, h: of.table[x, h]),
            (right_cosets(of, each.elements), lambda x, h: of.table[h, x]),
        ]:
            assert labels.shape == (of.order,) and np.array_equal(np.bincount(labels), [each.order] * each.index)
            for x, h in itertools.product(range(of.order), elements):
                assert labels[product(x, h)] == labels[x]
        first = np.unique(left_cosets(of, each.elements), return_index=True)[1]
        assert first.tolist() == sorted(first)


def test_left_and_right_cosets_agree_for_normal_subgroups_only():
    of = group("S4")
    for each in subgroup_classes(of):
        same = np.array_equal(left_cosets(of, each.elements), right_cosets(of, each.elements))
        assert same == each.normal


def test_results_are_shared_and_read_only():
    first = subgroup_classes(group("S4"))
    assert subgroup_classes(group("S4")) is first
    with pytest.raises(ValueError, match="read-only"):
        first[1].elements[0] = 3


def test_a_group_of_too_many_classes_is_refused(monkeypatch):
    monkeypatch.setattr(subgroups, "MOST_CLASSES", 10)
    with pytest.raises(ConfigError, match="at most 10 classes"):
        subgroup_classes(group("C2xC2xC2xC2"))
