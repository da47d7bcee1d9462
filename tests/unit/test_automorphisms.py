import itertools
import math

import numpy as np
import pytest

from mechlab.core.errors import ConfigError
from mechlab.groups import group, irreps, isomorphisms
from mechlab.groups.automorphisms import automorphisms, inner_automorphisms, irrep_orbits, outer_automorphisms
from mechlab.groups.isomorphisms import isomorphism


def by_exhaustion(of):
    """All bijections that preserve products, among all bijections."""
    n = of.order
    maps = [np.array(f) for f in itertools.permutations(range(n)) if f[of.identity] == of.identity]
    return {tuple(f) for f in maps if np.array_equal(f[of.table], of.table[f[:, None], f])}


@pytest.mark.parametrize("name", ["C1", "C2", "C7", "C8", "C2xC2", "C2xC4", "S3", "D4", "C2xC2xC2"])
def test_automorphisms_are_all_bijections_that_preserve_products(name):
    of = group(name)
    maps = automorphisms(of)
    assert maps[0].tolist() == list(range(of.order))
    assert len(maps) == len(set(map(tuple, maps))) and set(map(tuple, maps)) == by_exhaustion(of)


KNOWN = {  # numbers of automorphisms and of outer ones
    "C113": (112, 112),
    "D4": (8, 2),
    "D7": (42, 3),
    "D59": (59 * 58, 29),
    "A4": (24, 2),
    "S4": (24, 1),
    "A5": (120, 2),
    "S5": (120, 1),
    "S6": (1440, 2),
    "C3xC3": (48, 48),
}


@pytest.mark.parametrize("name", KNOWN)
def test_numbers_of_automorphisms_are_the_textbook_ones(name):
    of = group(name)
    maps, outer, inner = automorphisms(of), outer_automorphisms(of), inner_automorphisms(of)
    assert (len(maps), len(outer)) == KNOWN[name] and len(maps) == len(outer) * len(inner)
    assert np.array_equal(np.unique(maps, axis=0), maps[np.lexsort(maps.T[::-1])])  # all different
    for f in maps[:: max(1, len(maps) // 20)]:
        assert np.array_equal(f[of.table], of.table[f[:, None], f])
    assert not maps.flags.writeable and automorphisms(of) is maps


def test_the_outer_automorphism_of_s6_takes_transpositions_to_triple_ones():
    of = group("S6")
    _, outer = outer_automorphisms(of)
    transposition = of.index((1, 0, 2, 3, 4, 5))
    image = of.elements[outer[transposition]]
    assert all(image[i] != i and image[image[i]] == i for i in range(6))


@pytest.mark.parametrize("name", ["C12", "C113", "D7", "D12"])
def test_frequencies_are_exchanged_where_they_have_the_same_divisor(name):
    n = int(name[1:])
    expected = {}
    for irrep in irreps(group(name)):
        if irrep.name.startswith("freq_"):
            expected.setdefault(math.gcd(int(irrep.name[5:]), n), set()).add(irrep.name)
    orbits = irrep_orbits(group(name))
    assert [orbit for orbit in orbits if "freq" in min(orbit)] == list(expected.values())
    assert ({"trivial"} in orbits and {"sign"} in orbits) or n % 2


def test_irreps_of_symmetric_groups_are_fixed_but_for_s6():
    assert all(len(orbit) == 1 for orbit in irrep_orbits(group("S5")))
    orbits = irrep_orbits(group("S6"))
    assert {"standard", "5d_b"} in orbits and {"standard_sign", "5d_a"} in orbits and {"sign"} in orbits
    assert sum(map(len, orbits)) == 11 and len(orbits) == 8


def test_irreps_of_other_groups_are_exchanged_as_in_the_literature():
    """In Q8 the automorphisms permute i, j and k; in A6 they exchange both pairs of equal dimension (ATLAS)."""
    assert {"3d_a", "3d_b"} in irrep_orbits(group("A5")) and len(irrep_orbits(group("A5"))) == 4
    assert sorted(map(len, irrep_orbits(group("Q8")))) == [1, 1, 3]
    assert sorted(map(len, irrep_orbits(group("A6")))) == [1, 1, 1, 2, 2]
    assert [len(orbit) for orbit in irrep_orbits(group("C2xC2xC2"))] == [1, 7]


def test_isomorphic_groups_have_an_isomorphism():
    for left, right in [("D3", "S3"), ("C6", "C2xC3"), ("C1", "S1"), ("D6", "C2xS3")]:
        one, two = group(left), group(right)
        f = isomorphism(one, two)
        assert sorted(f) == list(range(one.order))
        assert np.array_equal(f[one.table], two.table[f[:, None], f])


def test_other_groups_have_none():
    for left, right in [("C4", "C2xC2"), ("D6", "A4"), ("C4", "C5"), ("C2xD4", "C2xC2xC4")]:
        assert isomorphism(group(left), group(right)) is None


def test_too_many_maps_are_refused(monkeypatch):
    monkeypatch.setattr(isomorphisms, "MOST_NUMBERS", 100)
    with pytest.raises(ConfigError, match="few enough maps"):
        automorphisms(group("C3xC3xC3"))
