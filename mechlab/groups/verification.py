"""The checks that every list of irreducible representations must pass."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mechlab.core.errors import ConfigError
from mechlab.groups.finite_group import Group
from mechlab.groups.irrep import DIVISOR, Irrep

TOLERANCE = 1e-9
SQUARES = {"real": 1, "complex": 0, "quaternionic": -2}  # mean character of g^2 of a real irrep of each kind


def verify(group: Group, irreps: Sequence[Irrep]) -> None:
    """Check that these are all irreps of a group.

    The matrices must be orthogonal, with rho(g) rho(s) = rho(g s) for each element g and each generator s, which
    implies it for all pairs; the sizes must add up to n; the characters must be orthogonal, of squared norm 1, 2 or 4
    by kind, and their mean over squares must be the Frobenius-Schur indicator of the kind.

    Raises:
        ConfigError: a check fails.
    """
    for irrep in irreps:
        _small(group, f"the matrices of {irrep.name} must multiply as the group does", _product_error(group, irrep))
        _small(group, f"the matrices of {irrep.name} must be orthogonal", _orthogonality_error(irrep))
        squares = irrep.character[np.diagonal(group.table)].mean()
        _small(group, f"{irrep.name} must be of {irrep.kind} type", abs(squares - SQUARES[irrep.kind]))
    characters = np.array([irrep.character for irrep in irreps])
    norms = np.diag([DIVISOR[irrep.kind] for irrep in irreps])
    overlap = np.abs(characters @ characters.T / group.order - norms).max()
    _small(group, "the characters must be orthogonal, and irreducible", overlap)
    total = sum(irrep.size for irrep in irreps)
    _small(group, f"the sizes of all irreps must add up to {group.order}", abs(total - group.order))


def _product_error(group: Group, irrep: Irrep) -> float:
    d = irrep.dimension
    worst = float(np.abs(irrep.matrices[group.identity] - np.eye(d)).max())
    for s in group.generators:
        for rows in _blocks(group.order, d):
            product = (irrep.matrices[rows].reshape(-1, d) @ irrep.matrices[s]).reshape(-1, d, d)
            product -= irrep.matrices[group.table[rows, s]]
            worst = max(worst, float(np.abs(product, out=product).max()))
    return worst


def _orthogonality_error(irrep: Irrep) -> float:
    d, worst = irrep.dimension, 0.0
    for rows in _blocks(len(irrep.matrices), d):
        product = irrep.matrices[rows] @ irrep.matrices[rows].transpose(0, 2, 1)
        worst = max(worst, float(np.abs(product - np.eye(d)).max()))
    return worst


def _blocks(n: int, d: int) -> list[slice]:
    length = max(1, math.ceil(1_000_000 / d**2))
    return [slice(start, min(start + length, n)) for start in range(0, n, length)]


def _small(group: Group, must: str, error: float) -> None:
    if not error < TOLERANCE:
        got = f"an error of {error:.1e}"
        fix = "give the table of a group whose irreps float64 can resolve"
        raise ConfigError(f"{must}, in the irreps of {group.name}", got=got, key="task.group", fix=fix)
