"""Character tables of finite groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mechlab.core.errors import ConfigError
from mechlab.groups.caching import cached_by_digest
from mechlab.groups.finite_group import Group

TRIALS = 20


@dataclass(frozen=True, eq=False)
class CharacterTable:
    """The irreducible complex characters of a group with k conjugacy classes.

    Args:
        values: (k, k) complex, a row for each character and a column for each class, in the order of
            `Group.conjugacy_classes`. The trivial character comes first, the others by degree, then by their values.
        degrees: (k,) int, the dimensions of the complex representations.
        indicators: (k,) int, the Frobenius-Schur indicators: 1 for a real, 0 for a complex, -1 for a quaternionic type.
        classes: the elements of each class.
    """

    values: np.ndarray
    degrees: np.ndarray
    indicators: np.ndarray
    classes: tuple[np.ndarray, ...]


@cached_by_digest
def character_table(group: Group) -> CharacterTable:
    """Return the character table of a group.

    The characters are common eigenvectors of the multiplication by class sums (Burnside 1911), computed in floating
    point with one random combination of these, and then made exact as Dixon (1967) does: a character at g is the sum
    of the eigenvalues of a matrix for g, which are roots of unity with integer multiplicities.

    Raises:
        ConfigError: the multiplicities that follow from the eigenvectors are not integers, or the characters are not
            orthonormal.
    """
    values = _lifted(group, _eigenvectors(group))
    overlap = values * _class_sizes(group) @ values.conj().T / group.order
    _small(group, "the characters of a group must be orthonormal", overlap - np.eye(len(values)), 1e-9)
    degrees = np.rint(values[:, group.class_of[group.identity]].real)
    order = sorted(range(len(values)), key=lambda row: (degrees[row], *_descending(values[row])))
    values, degrees = values[order], degrees[order].astype(int)
    squares = np.diagonal(group.table)[_representatives(group)]
    indicators = np.rint((values[:, group.class_of[squares]].real @ _class_sizes(group)) / group.order).astype(int)
    for array in (values, degrees, indicators):
        array.setflags(write=False)
    return CharacterTable(values, degrees, indicators, group.conjugacy_classes)


def _descending(character: np.ndarray) -> tuple[float, ...]:
    """A key that sorts larger values first; rounded, so that the last bits do not decide."""
    return tuple(np.round(-np.stack([character.real, character.imag], 1), 6).ravel() + 0.0)


def _eigenvectors(group: Group) -> np.ndarray:
    """The characters (k, k) in floating point, in any order."""
    sizes, representatives = _class_sizes(group), _representatives(group)
    inverse_class = group.class_of[group.inverses[representatives]]
    k = len(sizes)
    for trial in range(TRIALS):
        rng = np.random.default_rng(trial)
        draw = rng.normal(size=k) + 1j * rng.normal(size=k)
        coefficients = draw + draw[inverse_class].conj()  # makes the combination Hermitian
        weights = coefficients[group.class_of]
        operator = np.empty((k, k), dtype=complex)
        for column, z in enumerate(representatives):  # of all x y = z, the class of y, weighted by that of x
            classes = group.class_of[group.table[group.inverses, z]]
            operator.real[:, column] = np.bincount(classes, weights.real, k)
            operator.imag[:, column] = np.bincount(classes, weights.imag, k)
        root = np.sqrt(sizes)
        eigenvalues, vectors = np.linalg.eigh(operator * root / root[:, None])
        if k == 1 or np.diff(eigenvalues).min() > 1e-7 * np.abs(eigenvalues).max():
            break
    ratios = (vectors / root[:, None]).T
    ratios = ratios / ratios[:, [group.class_of[group.identity]]]  # character over degree
    degrees = np.sqrt(group.order / (sizes * np.abs(ratios) ** 2).sum(1))
    return ratios * degrees[:, None]


def _lifted(group: Group, characters: np.ndarray) -> np.ndarray:
    exact = np.empty_like(characters)
    for column, g in enumerate(_representatives(group)):
        order = int(group.element_orders[g])
        powers = [group.identity]
        for _ in range(order - 1):
            powers.append(int(group.table[powers[-1], g]))
        multiplicities = np.fft.fft(characters[:, group.class_of[powers]]) / order
        whole = np.rint(multiplicities.real)
        must = "the eigenvalues of the matrices of a group must have whole multiplicities"
        _small(group, must, multiplicities - np.maximum(whole, 0), 1e-3)
        exact[:, column] = whole @ np.exp(2j * np.pi * np.arange(order) / order)
    return exact


def _small(group: Group, must: str, error: np.ndarray, tolerance: float) -> None:
    if not (worst := np.abs(error).max()) < tolerance:
        fix = "choose a group with fewer conjugacy classes"
        raise ConfigError(must, got=f"an error of {worst:.1e} for {group.name}", key="task.group", fix=fix)


def _representatives(group: Group) -> np.ndarray:
    return np.array([members[0] for members in group.conjugacy_classes])


def _class_sizes(group: Group) -> np.ndarray:
    return np.array([len(members) for members in group.conjugacy_classes])
