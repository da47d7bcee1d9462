"""Every family of groups against its textbook facts and against other constructions of the same group."""

import itertools
from collections import Counter

import numpy as np
import pytest

from mechlab.core.errors import ConfigError
from mechlab.groups import Group, group
from mechlab.groups.families import semidirect_product
from mechlab.groups.isomorphisms import isomorphism

FACTS = {  # order, number of conjugacy classes, {order of elements: their number}
    "C1": (1, 1, {1: 1}),
    "C12": (12, 12, {1: 1, 2: 1, 3: 2, 4: 2, 6: 2, 12: 4}),
    "D1": (2, 2, {1: 1, 2: 1}),
    "D2": (4, 4, {1: 1, 2: 3}),
    "D4": (8, 5, {1: 1, 2: 5, 4: 2}),
    "D7": (14, 5, {1: 1, 2: 7, 7: 6}),
    "S4": (24, 5, {1: 1, 2: 9, 3: 8, 4: 6}),
    "S5": (120, 7, {1: 1, 2: 25, 3: 20, 4: 30, 5: 24, 6: 20}),
    "A4": (12, 4, {1: 1, 2: 3, 3: 8}),
    "A5": (60, 5, {1: 1, 2: 15, 3: 20, 5: 24}),
    "A6": (360, 7, {1: 1, 2: 45, 3: 80, 4: 90, 5: 144}),
    "Q8": (8, 5, {1: 1, 2: 1, 4: 6}),
    "Q16": (16, 7, {1: 1, 2: 1, 4: 10, 8: 4}),
    "Dic3": (12, 6, {1: 1, 2: 1, 3: 2, 4: 6, 6: 2}),
    "Dic5": (20, 8, {1: 1, 2: 1, 4: 10, 5: 4, 10: 4}),
    "C3xS3": (18, 9, {1: 1, 2: 3, 3: 8, 6: 6}),
    "C2xC2xC2": (8, 8, {1: 1, 2: 7}),
    "C7:C3": (21, 5, {1: 1, 3: 14, 7: 6}),
    "C5:C4": (20, 5, {1: 1, 2: 5, 4: 10, 5: 4}),
    "C8:C2@3": (16, 7, {1: 1, 2: 5, 4: 6, 8: 4}),  # semidihedral
    "C3xC3:C2@2.6": (18, 6, {1: 1, 2: 9, 3: 8}),
    "(C7:C3)xC2": (42, 10, {1: 1, 2: 1, 3: 14, 6: 14, 7: 6, 14: 6}),
    "SL2_3": (24, 7, {1: 1, 2: 1, 3: 8, 4: 6, 6: 8}),
    "SL2_5": (120, 9, {1: 1, 2: 1, 3: 20, 4: 30, 5: 24, 6: 20, 10: 24}),
    "PSL2_7": (168, 6, {1: 1, 2: 21, 3: 56, 4: 42, 7: 48}),
    "PGL2_5": (120, 7, {1: 1, 2: 25, 3: 20, 4: 30, 5: 24, 6: 20}),
}
ABELIAN = {"C1", "C12", "D1", "D2", "C2xC2xC2"}


@pytest.mark.parametrize("name", FACTS)
def test_families_have_the_textbook_orders_and_classes(name):
    of = group(name)
    order, classes, elements = FACTS[name]
    assert (of.order, len(of.conjugacy_classes)) == (order, classes)
    assert Counter(of.element_orders.tolist()) == elements
    assert of.abelian == (name in ABELIAN)
    assert len(of.subgroup(of.generators)) == order
    assert len(set(of.labels)) == len(set(of.elements)) == order
    assert group(of.name).digest == of.digest


@pytest.mark.parametrize("name", FACTS)
def test_tables_are_associative_and_have_inverses(name):
    of = group(name)
    t, rng = of.table, np.random.default_rng(0)
    x, y, z = rng.integers(0, of.order, (3, 20_000))
    assert np.array_equal(t[t[x, y], z], t[x, t[y, z]])
    assert (t[of.inverses, np.arange(of.order)] == of.identity).all()
    for row in (*t, *t.T):
        assert len(set(row.tolist())) == of.order


SAME = [
    ("D3", "S3"),
    ("D2", "C2xC2"),
    ("C6", "C2xC3"),
    ("C7:C2", "D7"),
    ("C3:C4", "Dic3"),
    ("Q8", "perm:0-1-2-3/4-5-6-7+0-4-2-6/1-7-3-5"),
    ("C5:C4", "perm:0-1-2-3-4+1-2-4-3"),
    ("C2xC2:C3@2.3", "A4"),
    ("SL2_2", "S3"),
    ("PSL2_2", "S3"),
    ("PSL2_3", "A4"),
    ("PGL2_3", "S4"),
    ("PSL2_5", "A5"),
    ("PGL2_5", "S5"),
    ("PSL2_7", "perm:0-1-2-3-4-5-6+1-2/3-5"),  # on the points of the Fano plane
]
DIFFERENT = [
    ("D4", "Q8"),
    ("D10", "Dic5"),
    ("D8", "Q16"),
    ("C5:C4", "Dic5"),
    ("SL2_3", "S4"),
    ("SL2_3", "C2xA4"),
    ("SL2_5", "S5"),
    ("C8:C2@3", "C8:C2@5"),
]


@pytest.mark.parametrize("names", SAME, ids=" ".join)
def test_two_constructions_of_one_group_are_isomorphic(names):
    one, two = map(group, names)
    f = isomorphism(one, two)
    assert sorted(f.tolist()) == list(range(one.order))
    assert np.array_equal(f[one.table], two.table[f[:, None], f])


@pytest.mark.parametrize("names", DIFFERENT, ids=" ".join)
def test_groups_of_equal_order_are_distinguished(names):
    one, two = map(group, names)
    assert one.order == two.order and isomorphism(one, two) is None


def test_quaternions_multiply_as_quaternions():
    units = {(0, 0): "1", (1, 0): "i", (2, 0): "-1", (3, 0): "-i", (0, 1): "j", (1, 1): "k", (2, 1): "-j", (3, 1): "-k"}
    of = group("Q8")
    product = {
        (units[a], units[b]): units[of.elements[of.table[of.index(a), of.index(b)]]]
        for a, b in itertools.product(units, units)
    }
    assert [product[pair] for pair in [("i", "j"), ("j", "k"), ("k", "i"), ("j", "i")]] == ["k", "i", "j", "-k"]
    assert {product[unit, unit] for unit in ("i", "j", "k")} == {"-1"}


def test_matrices_multiply_as_matrices():
    of = group("SL2_3")
    for x, y in itertools.product(range(24), range(24)):
        left, right = (np.array(of.elements[each]).reshape(2, 2) for each in (x, y))
        assert of.elements[of.table[x, y]] == tuple((left @ right % 3).ravel().tolist())


@pytest.mark.parametrize("name", ["PSL2_5", "PGL2_5"])
def test_projective_matrices_multiply_up_to_a_factor(name):
    of, p = group(name), 5
    for x, y in np.random.default_rng(0).integers(0, of.order, (200, 2)):
        left, right = (np.array(of.elements[each]).reshape(2, 2) for each in (x, y))
        multiples = [tuple((c * (left @ right) % p).ravel().tolist()) for c in range(1, p)]
        assert of.elements[of.table[x, y]] in multiples


def test_semidirect_products_act_by_the_documented_multiplier():
    """C7:C3 takes k = 2, of order 3 modulo 7 and smaller than 4; C8:C2 takes 3 of 3, 5, 7."""
    for name, k in [("C7:C3", 2), ("C8:C2", 3), ("C5:C4", 2), ("C3:C4", 2), ("C9:C3", 4), ("C7:C6", 3)]:
        of = group(name)
        y, h = of.index((1, 0)), of.index((0, 1))
        assert of.elements[of.table[of.table[h, y], of.inverses[h]]] == (k, 0)


def test_a_semidirect_product_by_any_group_has_a_given_action():
    """S3 acts on C2 x C2 by permuting the three involutions: the product is S4."""
    plane, s3 = group("C2xC2"), group("S3")
    action = np.array([[0, *(1 + s3.elements[s3.inverses[h]][i] for i in range(3))] for h in range(6)])
    assert isomorphism(semidirect_product("C2xC2:S3", plane, s3, action), group("S4")) is not None
    with pytest.raises(ConfigError, match="h k as h after k"):
        semidirect_product("C2xC2:S3", plane, s3, action[s3.inverses])
    with pytest.raises(ConfigError, match="shape"):
        semidirect_product("C2xC2:S3", plane, s3, action.T)


@pytest.mark.parametrize(
    "spelling",
    ["perm:0-1-2-3-4+0-1/2-3", "perm:(0 1 2 3 4),(0 1)(2 3)", "perm: (0,1,2,3,4), (0, 1) (2, 3)"],
)
def test_permutations_are_given_by_cycles(spelling):
    of = group(spelling)
    assert of.name == "perm:0-1-2-3-4+0-1/2-3" and of.order == 60
    assert {of.elements[g] for g in of.generators} == {(1, 2, 3, 4, 0), (1, 0, 3, 2, 4)}


@pytest.mark.parametrize(
    ("alias", "name"),
    [("cyclic5", "C5"), ("dihedral_5", "D5"), ("dicyclic5", "Dic5"), ("quaternion8", "Q8"), ("C3 x S3", "C3xS3")],
)
def test_full_names_are_aliases(alias, name):
    assert group(alias).name == name


WRONG = {
    "s5": "did you mean 'S5'",
    "sl2_3": "did you mean 'SL2_3'",
    "dicyclik5": "did you mean 'dicyclic5'",
    "E8": "such as S5",
    "M11": "such as S5",
    "S2_5": "did you mean 'SL2_5'",
    "Foo": "such as S5",
    "": "such as S5",
    "C3x": "ends too early",
    "(C3": "ends too early",
    "C3)": "read from '\\)'",
    "(" * 2000 + "C3" + ")" * 2000: "at most 100 parts",
    "C0": "at least 1",
    "C99999999": "at most six digits",
    "C99999": "fit into memory",
    "S9999": "fit into memory",
    "SL2_99991": "fit into memory",
    "SL2_4": "modulo a prime",
    "PSL2_1": "modulo a prime",
    "Q12": "Dic3",
    "Q6": "power of two",
    "Dic1": "at least 2",
    "C7:C5": "other than the identity",
    "C1:C2": "other than the identity",
    "C7:S3": "must be cyclic",
    "C7:C1": "must be cyclic",
    "S3:C2": "elements 1.4 of S3",
    "C7:C3@3": "h k as h after k",
    "C3xC3:C2@1.1": "act by automorphisms",
    "C3xC3:C2@1": "images of the elements 1.3",
    "C7:C3@9": "images of the elements 1",
    "S3:C2@1.1": "images of the elements 1.4",
    "perm:0-0": "disjoint",
    "perm:0-1/1-2": "disjoint",
    "perm:0 1 (": "cycles of the points",
    "perm:": "cycles of the points",
}


@pytest.mark.parametrize("name", WRONG, ids=lambda name: name[:20])
def test_wrong_names_are_refused_with_a_remedy(name):
    with pytest.raises(ConfigError, match=WRONG[name]):
        group(name)


def latin_square_without_associativity():
    """A loop of order 5: a Latin square with an identity that is not a group."""
    return np.array([[0, 1, 2, 3, 4], [1, 0, 3, 4, 2], [2, 4, 0, 1, 3], [3, 2, 4, 0, 1], [4, 3, 1, 2, 0]])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (np.zeros((2, 3), int), "square"),
        (np.zeros(3, int), "square"),
        (np.zeros((0, 0), int), "square"),
        (np.array(3), "square"),
        (np.array([[0.0, 1], [1, 0]]), "integers"),
        (np.array([[0, 1], [1, 2]]), "from 0 to 1"),
        (np.array([[0, 1], [1, -1]]), "from 0 to 1"),
        (np.array([[0, 2**40], [1, 0]]), "from 0 to 1"),
        (np.array([[1, 0], [1, 0]]), "one row"),
        (np.array([[0, 1], [0, 1]]), "one row"),
        (np.array([[0, 1], [0, 0]]), "two-sided"),
        (np.array([[0, 1], [1, 1]]), "inverse"),
        (latin_square_without_associativity(), "associative"),
    ],
)
def test_a_table_that_is_no_group_is_refused(table, message):
    with pytest.raises(ConfigError, match=message):
        Group("G", table, tuple(range(len(table) if table.ndim else 1)))


def test_generators_must_generate():
    table = group("C6").table
    with pytest.raises(ConfigError, match="3 of 6"):
        Group("G", table, tuple(range(6)), (2,))
    with pytest.raises(ConfigError, match="among its elements"):
        Group("G", table, tuple(range(6)), (6,))


def test_arrays_are_read_only_and_a_given_table_is_copied():
    mine = np.array(group("S3").table, dtype=np.int32)
    of = Group("G", mine, tuple(range(6)))
    mine[0, 0] = 5
    assert of.table[0, 0] == group("S3").table[0, 0]
    for array in (of.table, of.inverses, of.class_of, of.element_orders, *of.conjugacy_classes):
        assert not array.flags.writeable
