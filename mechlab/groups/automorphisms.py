"""Automorphisms of small groups, and irreps up to automorphism."""

from __future__ import annotations

import numpy as np

from mechlab.groups.caching import cached_by_digest
from mechlab.groups.finite_group import Group
from mechlab.groups.isomorphisms import check_size, isomorphisms, short_generating_set
from mechlab.groups.representations import irreps


@cached_by_digest
def automorphisms(group: Group) -> np.ndarray:
    """Return all automorphisms of a group of n elements as permutations (m, n) int32, the identity first.

    Row f holds the image f[x] of each element x, with f[x y] = f[x] f[y].

    Raises:
        ConfigError: there are too many to search for.
    """
    outer, inner = outer_automorphisms(group), inner_automorphisms(group)
    check_size(group, len(outer) * len(inner) * group.order)
    return _read_only(inner[:, outer].reshape(-1, group.order))


@cached_by_digest
def inner_automorphisms(group: Group) -> np.ndarray:
    """Return all conjugations y -> x^-1 y x of a group, each once (m, n), the identity first."""
    x, t = np.arange(group.order), group.table
    images = t[t[np.ix_(group.inverses, group.generators)], x[:, None]]
    by = np.sort(np.unique(images, axis=0, return_index=True)[1])
    by = np.concatenate([[group.identity], by[~(images[by] == list(group.generators)).all(1)]])
    return _read_only(t[t[group.inverses[by]], by[:, None]])


@cached_by_digest
def outer_automorphisms(group: Group) -> np.ndarray:
    """Return one automorphism from each coset of the inner ones (m, n), the identity first; see `automorphisms`."""
    generators = short_generating_set(group)
    maps = np.concatenate([np.arange(group.order, dtype=np.int32)[None], isomorphisms(group, group, generators)])
    inner = inner_automorphisms(group)
    weights = float(group.order) ** np.arange(len(generators))
    orbits = np.array([(inner[:, images] @ weights).min() for images in maps[:, generators]])
    return _read_only(maps[np.sort(np.unique(orbits, return_index=True)[1])])


def irrep_orbits(group: Group) -> list[set[str]]:
    """Return the names of the irreps in each orbit of the automorphism group, in the order of `irreps`.

    An automorphism f takes an irrep R to x -> R(f[x]). In C_n and D_n it exchanges all freq_k with the same gcd(k, n);
    in A5, 3d_a and 3d_b.

    Raises:
        ConfigError: see `automorphisms` and `mechlab.groups.irreps`.
    """
    images = irrep_images(group)
    orbits = [frozenset(images[:, i].tolist()) for i in range(images.shape[1])]
    names = [irrep.name for irrep in irreps(group)]
    return [{names[i] for i in orbit} for orbit in dict.fromkeys(orbits)]


def irrep_images(group: Group) -> np.ndarray:
    """Return how the outer automorphisms permute the irreps (m, K), the identity first.

    Row f holds the number in `irreps` of the irrep x -> R(f[x]) for each irrep R.

    Raises:
        ConfigError: see `automorphisms` and `mechlab.groups.irreps`.
    """
    characters = np.array([irrep.character / np.linalg.norm(irrep.character) for irrep in irreps(group)])
    return np.array([(characters[:, f] @ characters.T).argmax(1) for f in outer_automorphisms(group)])


def _read_only(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array
