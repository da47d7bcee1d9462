"""Character tables against textbook ones, up to the order of characters and of classes."""

import itertools

import numpy as np
import pytest
from small_groups import relabelled

from mechlab.core.errors import ConfigError
from mechlab.groups import character_table, characters, group

W = np.exp(2j * np.pi / 3)
GOLDEN = (1 + np.sqrt(5)) / 2
B7 = (-1 + 1j * np.sqrt(7)) / 2

# element order and size of each class, then rows of (Frobenius-Schur indicator, values)
TEXTBOOK = {
    "S3": ([(1, 1), (2, 3), (3, 2)], [(1, [1, 1, 1]), (1, [1, -1, 1]), (1, [2, 0, -1])]),
    "S4": (
        [(1, 1), (2, 6), (2, 3), (3, 8), (4, 6)],
        [
            (1, [1, 1, 1, 1, 1]),
            (1, [1, -1, 1, 1, -1]),
            (1, [2, 0, 2, -1, 0]),
            (1, [3, 1, -1, 0, -1]),
            (1, [3, -1, -1, 0, 1]),
        ],
    ),
    "S5": (
        [(1, 1), (2, 10), (2, 15), (3, 20), (6, 20), (4, 30), (5, 24)],
        [
            (1, [1, 1, 1, 1, 1, 1, 1]),
            (1, [1, -1, 1, 1, -1, -1, 1]),
            (1, [4, 2, 0, 1, -1, 0, -1]),
            (1, [4, -2, 0, 1, 1, 0, -1]),
            (1, [5, 1, 1, -1, 1, -1, 0]),
            (1, [5, -1, 1, -1, -1, 1, 0]),
            (1, [6, 0, -2, 0, 0, 0, 1]),
        ],
    ),
    "A4": (
        [(1, 1), (2, 3), (3, 4), (3, 4)],
        [(1, [1, 1, 1, 1]), (0, [1, 1, W, W**2]), (0, [1, 1, W**2, W]), (1, [3, -1, 0, 0])],
    ),
    "A5": (
        [(1, 1), (2, 15), (3, 20), (5, 12), (5, 12)],
        [
            (1, [1, 1, 1, 1, 1]),
            (1, [3, -1, 0, GOLDEN, 1 - GOLDEN]),
            (1, [3, -1, 0, 1 - GOLDEN, GOLDEN]),
            (1, [4, 0, 1, -1, -1]),
            (1, [5, 1, -1, 0, 0]),
        ],
    ),
    "D4": (
        [(1, 1), (2, 1), (4, 2), (2, 2), (2, 2)],
        [
            (1, [1, 1, 1, 1, 1]),
            (1, [1, 1, 1, -1, -1]),
            (1, [1, 1, -1, 1, -1]),
            (1, [1, 1, -1, -1, 1]),
            (1, [2, -2, 0, 0, 0]),
        ],
    ),
    "Q8": (
        [(1, 1), (2, 1), (4, 2), (4, 2), (4, 2)],
        [
            (1, [1, 1, 1, 1, 1]),
            (1, [1, 1, 1, -1, -1]),
            (1, [1, 1, -1, 1, -1]),
            (1, [1, 1, -1, -1, 1]),
            (-1, [2, -2, 0, 0, 0]),
        ],
    ),
    "SL2_3": (
        [(1, 1), (2, 1), (4, 6), (3, 4), (3, 4), (6, 4), (6, 4)],
        [
            (1, [1, 1, 1, 1, 1, 1, 1]),
            (0, [1, 1, 1, W, W**2, W, W**2]),
            (0, [1, 1, 1, W**2, W, W**2, W]),
            (1, [3, 3, -1, 0, 0, 0, 0]),
            (-1, [2, -2, 0, -1, -1, 1, 1]),
            (0, [2, -2, 0, -W, -(W**2), W, W**2]),
            (0, [2, -2, 0, -(W**2), -W, W**2, W]),
        ],
    ),
    "PSL2_7": (
        [(1, 1), (2, 21), (3, 56), (4, 42), (7, 24), (7, 24)],
        [
            (1, [1, 1, 1, 1, 1, 1]),
            (0, [3, -1, 0, 1, B7, B7.conjugate()]),
            (0, [3, -1, 0, 1, B7.conjugate(), B7]),
            (1, [6, 2, 0, 0, -1, -1]),
            (1, [7, -1, 1, -1, 0, 0]),
            (1, [8, 0, -1, 0, 1, 1]),
        ],
    ),
}


def rows(indicators, values) -> list[tuple]:
    """Rows in an order that does not depend on the one given."""
    rounded = np.round(np.asarray(values, dtype=complex), 9) + 0.0
    return sorted((int(i), *((z.real, z.imag) for z in row)) for i, row in zip(indicators, rounded, strict=True))


@pytest.mark.parametrize("name", TEXTBOOK)
def test_table_is_that_of_the_textbook(name):
    kinds, characters = TEXTBOOK[name]
    some_group = group(name)
    table = character_table(some_group)
    ours = [(int(some_group.element_orders[members[0]]), len(members)) for members in table.classes]
    assert sorted(ours) == sorted(kinds)
    expected = rows([indicator for indicator, _ in characters], [values for _, values in characters])
    same_kind = [[place for place, kind in enumerate(ours) if kind == wanted] for wanted in kinds]
    arrangements = [columns for columns in itertools.product(*same_kind) if len(set(columns)) == len(columns)]
    assert any(rows(table.indicators, table.values[:, list(columns)]) == expected for columns in arrangements)


@pytest.mark.parametrize("name", ["C12", "D7", "S5", "A5", "C3xS3"])
def test_characters_are_orthonormal_functions_of_the_class_with_integer_degrees(name):
    some_group = group(name)
    table = character_table(some_group)
    sizes = np.array([len(members) for members in table.classes])
    gram = table.values * sizes @ table.values.conj().T / some_group.order
    np.testing.assert_allclose(gram, np.eye(len(sizes)), atol=1e-12)
    columns = table.values.T @ table.values.conj()
    np.testing.assert_allclose(columns, np.diag(some_group.order / sizes), atol=1e-9)
    assert (table.degrees**2).sum() == some_group.order and list(table.degrees) == sorted(table.degrees)
    assert np.all(table.values[0] == 1)
    assert np.abs(table.values[:, some_group.class_of[some_group.identity]] - table.degrees).max() == 0


def test_products_of_characters_have_whole_multiplicities():
    """What no orthonormal set of class functions but the characters has: tensor products decompose."""
    some_group = group("SL2_3")
    table = character_table(some_group)
    sizes = np.array([len(members) for members in table.classes])
    products = table.values[:, None] * table.values
    multiplicities = (products * sizes) @ table.values.conj().T / some_group.order
    np.testing.assert_allclose(multiplicities, np.rint(multiplicities.real), atol=1e-9)
    assert multiplicities.real.min() > -1e-9


def test_order_of_characters_depends_on_the_table_only():
    some_group = group("S4")
    again = relabelled(some_group)
    np.testing.assert_array_equal(character_table(some_group).values, character_table(again).values)


@pytest.mark.parametrize(
    ("damage", "must"),
    [
        (lambda values: values + 0.01, "whole multiplicities"),
        (lambda values: values[[0, 0, 2]], "orthonormal"),
        (lambda values: -values, "whole multiplicities"),
    ],
)
def test_wrong_eigenvectors_are_refused(monkeypatch, damage, must):
    right = characters._eigenvectors
    monkeypatch.setattr(characters, "_eigenvectors", lambda group: damage(right(group)))
    with pytest.raises(ConfigError, match=must):
        character_table.__wrapped__(group("S3"))  # without the cache
