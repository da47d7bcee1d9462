"""Irreducible representations of groups that are given by a table alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_groups import relabelled
from test_irreps import assert_complete

from mechlab.groups import Group, group, irreps
from mechlab.groups.decomposition import general_irreps

KINDS = {  # dimension and kind of each irrep
    "Q8": "1r 1r 1r 1r 4q",
    "D4": "1r 1r 1r 1r 2r",
    "Dic3": "1r 1r 2c 2r 4q",
    "Dic5": "1r 1r 2c 2r 2r 4q 4q",
    "C3xS3": "1r 1r 2r 2c 2c 4c",
    "C7:C3": "1r 2c 6c",
    "SL2_3": "1r 2c 3r 4q 4c",
    "SL2_5": "1r 3r 3r 4q 4q 4r 5r 8q 12q",
    "PSL2_7": "1r 6c 6r 7r 8r",
}


@pytest.mark.parametrize("name", KINDS)
def test_dimensions_and_kinds_are_those_of_the_textbook(name):
    some_group = relabelled(group(name))
    assert_complete(some_group)
    assert sorted(f"{rho.dimension}{rho.kind[0]}" for rho in irreps(some_group)) == sorted(KINDS[name].split())


@pytest.mark.parametrize("name", ["C12", "D7", "D8", "Dic5", "Dic6", "S5", "A5"])
def test_general_construction_agrees_with_the_closed_forms(name):
    closed = sorted([*(np.round(rho.character, 9) + 0.0).tolist(), rho.kind] for rho in irreps(group(name)))
    general = sorted([*(np.round(rho.character, 9) + 0.0).tolist(), rho.kind] for rho in general_irreps(group(name)))
    for first, second in zip(closed, general, strict=True):
        assert first[-1] == second[-1]
        np.testing.assert_allclose(first[:-1], second[:-1], atol=1e-8)


@pytest.mark.parametrize("name", ["S6", pytest.param("A7", marks=pytest.mark.ci)])
def test_larger_tables(name):
    """Irreps of dimension 16 (S6) and 35 (A7), as often in the functions on the group; irreps checks its results."""
    some_group = group(name)
    other = relabelled(some_group, np.random.default_rng(0).permutation(some_group.order))
    assert sorted(rho.dimension for rho in irreps(other)) == sorted(rho.dimension for rho in irreps(some_group))


def test_names_of_groups_given_by_a_table():
    def names(some_group: Group) -> list[str]:
        return [rho.name for rho in irreps(some_group)]

    assert names(relabelled(group("Q8"))) == ["trivial", "sign_a", "sign_b", "sign_c", "4d"]
    assert names(group("SL2_3")) == ["trivial", "2d", "3d", "4d_a", "4d_b"]
    assert names(relabelled(group("S4"), np.random.default_rng(1).permutation(24))) == [
        *["trivial", "sign", "2d", "3d_a", "3d_b"]
    ]
    assert names(group("C3xS3")) == [
        *["trivial", "trivial_x_sign", "trivial_x_standard", "freq_1_x_trivial", "freq_1_x_sign", "freq_1_x_standard"]
    ]
    assert names(group("C3xC3"))[3:] == ["freq_1_x_freq_1_a", "freq_1_x_freq_1_b"]


def test_irreps_of_a_product_restrict_to_multiples_of_those_they_are_named_after():
    product, last = group("C3xS3"), irreps(group("S3"))[2]
    rho = {rho.name: rho for rho in irreps(product)}["freq_1_x_standard"]
    inside = [product.index((0, x)) for x in group("S3").elements]
    np.testing.assert_allclose(rho.character[inside], 2 * last.character, atol=1e-12)


def test_names_follow_the_table_and_not_what_a_group_calls_itself():
    d3 = group("D3")
    assert [rho.name for rho in irreps(Group("given", d3.table, tuple(range(6))))] == ["trivial", "sign", "2d"]
    assert [rho.name for rho in irreps(d3)] == ["trivial", "sign", "freq_1"]
    other = relabelled(d3, np.array([1, 0, 2, 3, 4, 5]))
    impostor = Group("D3", other.table, tuple(range(6)))
    assert [rho.name for rho in irreps(impostor)] == ["trivial", "sign", "2d"]
    assert_complete(impostor)
    unlabelled = Group("S4", group("S4").table, tuple(range(24)))  # the same table, with numbers as elements
    assert [rho.name for rho in irreps(unlabelled)] == [rho.name for rho in irreps(group("S4"))]


SMALL = ["C1", "C2", "C3", "C4", "C5", "C6", "D2", "D3", "D4", "D5", "A4", "S3"]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(SMALL), min_size=1, max_size=2), st.integers(0, 2**32 - 1))
def test_other_numbers_for_the_elements_change_nothing(names, seed):
    product = group("x".join(names))
    permutation = np.random.default_rng(seed).permutation(product.order)
    other = relabelled(product, permutation)
    assert_complete(other)
    known = {(np.round(rho.character, 6) + 0.0).tobytes(): rho for rho in irreps(product)}
    results = irreps(other)
    assert len(results) == len(known)
    for rho in results:
        twin = known.pop((np.round(rho.character[permutation], 6) + 0.0).tobytes())
        assert (rho.dimension, rho.kind, rho.size) == (twin.dimension, twin.kind, twin.size)
