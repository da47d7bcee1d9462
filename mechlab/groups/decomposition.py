"""Irreducible representations of any finite group, from its regular representation."""

from __future__ import annotations

import numpy as np

from mechlab.core.memory import check_memory
from mechlab.groups.characters import character_table
from mechlab.groups.finite_group import Group
from mechlab.groups.generation import extend, spanning_tree
from mechlab.groups.irrep import DIVISOR, Irrep, Kind
from mechlab.groups.structure import lettered


def general_irreps(group: Group) -> list[Irrep]:
    """Return the irreps of a group given by its table: trivial, those of dimension 1 as sign (or sign_a, sign_b, ...),
    and those of a larger dimension d as d followed by d (such as 3d, or 3d_a, 3d_b, ...), by dimension and character.

    An eigenspace of a random symmetric operator that commutes with all left translations carries one irrep. On the
    space of functions that belongs to one irrep, the operator has as many eigenvalues as the space has copies of the
    irrep. As many steps of the Lanczos iteration lead to an eigenvector, whose translates span its eigenspace.
    """
    check_memory(16 * group.order**2, f"the translations of {group.name}", "task.group", "choose a smaller group")
    rng = np.random.default_rng(0)
    characters = real_characters(group)
    starts = _projections(group, characters, rng.normal(size=group.order))
    draw = rng.normal(size=group.order)
    kernels = _projections(group, characters, draw + draw[group.inverses])
    steps = spanning_tree(group, group.generators)
    result = []
    names = ["trivial", *lettered([_name(character, group) for character, _ in characters[1:]])]
    for name, (character, kind), start, kernel in zip(names, characters, starts, kernels, strict=True):
        d = _dimension(character, group)
        if d == 1:
            matrices = np.rint(character)[:, None, None]
        else:
            vector = _eigenvector(group, kernel, start, d // DIVISOR[kind])
            basis = _translates(group, vector, d, rng)
            images = np.array([basis.T @ basis[group.table[group.inverses[g]]] for g in group.generators])
            matrices = extend(group, steps, images)
        result.append(Irrep(name, matrices, kind))
    return result


def real_characters(group: Group) -> list[tuple[np.ndarray, Kind]]:
    """Return the characters (n,) and kinds of the irreps over the real numbers, the trivial one first, the others by
    dimension and values: complex characters of real type, sums of conjugate ones, and twice those of quaternionic type.
    """
    table = character_table(group)
    kinds: dict[int, Kind] = {1: "real", 0: "complex", -1: "quaternionic"}
    result: dict[bytes, tuple[np.ndarray, Kind]] = {}
    for values, indicator in zip(table.values, table.indicators, strict=True):
        character = values.real * (1 if indicator == 1 else 2)
        rounded = np.round(character, 6) + 0.0  # the same for two conjugate characters
        result.setdefault(rounded.tobytes(), (character[group.class_of], kinds[int(indicator)]))
    trivial, *others = result.values()
    return [trivial, *sorted(others, key=lambda pair: _dimension(pair[0], group))]


def _projections(group: Group, characters: list[tuple[np.ndarray, Kind]], values: np.ndarray) -> np.ndarray:
    """The parts (irreps, n) of a function in the spaces of all irreps, up to positive factors."""
    by_class = np.array(
        [values[group.table[group.inverses[members]]].sum(0) for members in group.conjugacy_classes]
    )  # (classes, n): sums of the translates by the members of a class
    representatives = [members[0] for members in group.conjugacy_classes]
    return np.array([character[representatives] for character, _ in characters]) @ by_class


def _eigenvector(group: Group, kernel: np.ndarray, start: np.ndarray, count: int) -> np.ndarray:
    """A normalised eigenvector (n,) of the convolution from the right with a symmetric kernel (n,), which has `count`
    eigenvalues on the space of both start (n,) and kernel, and is 0 outside it. Of these, that with the eigenvalue that
    lies farthest from the others."""
    basis = [start / np.linalg.norm(start)]
    if count == 1:
        return basis[0]
    operator = kernel[group.table[group.inverses]]  # (x, y): the kernel at x^-1 y
    while len(basis) < count:
        following = operator @ basis[-1]
        for _ in range(2):  # twice is enough to be orthogonal to the last bit
            following = following - np.array(basis).T @ (np.array(basis) @ following)
        basis.append(following / np.linalg.norm(following))
    vectors = np.array(basis)
    eigenvalues, coordinates = np.linalg.eigh(vectors @ operator @ vectors.T)
    gaps = np.abs(eigenvalues[:, None] - eigenvalues) + np.diag(np.full(count, np.inf))
    return vectors.T @ coordinates[:, np.argmax(gaps.min(1))]


def _translates(group: Group, vector: np.ndarray, d: int, rng: np.random.Generator) -> np.ndarray:
    """An orthonormal basis (n, d) of the span of the left translates of a vector (n,)."""
    combinations = rng.normal(size=(d, group.order)) @ vector[group.table[group.inverses]]
    return np.linalg.qr(combinations.T)[0]


def _dimension(character: np.ndarray, group: Group) -> int:
    return round(float(character[group.identity]))


def _name(character: np.ndarray, group: Group) -> str:
    d = _dimension(character, group)
    return "sign" if d == 1 else f"{d}d"
