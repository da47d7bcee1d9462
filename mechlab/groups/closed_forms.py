"""Irreducible representations of the cyclic and dihedral groups, in closed form."""

from __future__ import annotations

import numpy as np

from mechlab.groups.finite_group import Group
from mechlab.groups.irrep import Irrep


def cyclic_irreps(group: Group) -> list[Irrep]:
    """Return the irreps of C_n: trivial, sign (-1)^i for even n, and the rotations freq_k by 2 pi k i / n."""
    n = group.order
    i = np.arange(n)
    result = [_one_dimensional("trivial", np.ones(n))]
    if n % 2 == 0:
        result.append(_one_dimensional("sign", (-1.0) ** i))
    for k in range(1, (n + 1) // 2):
        result.append(Irrep(f"freq_{k}", rotation(2 * np.pi * (k * i % n) / n), "complex"))
    return result


def dihedral_irreps(group: Group) -> list[Irrep]:
    """Return the irreps of D_n: trivial, sign (-1 on reflections), for even n parity (-1)^r of the rotation r and
    parity_sign (parity times sign), and freq_k, which rotates by 2 pi k / n."""
    n = group.order // 2
    r, s = np.arange(2 * n) % n, np.arange(2 * n) // n
    sign, parity = (-1.0) ** s, (-1.0) ** r
    result = [_one_dimensional("trivial", np.ones(2 * n)), _one_dimensional("sign", sign)]
    if n % 2 == 0:
        result += [_one_dimensional("parity", parity), _one_dimensional("parity_sign", parity * sign)]
    for k in range(1, (n + 1) // 2):
        matrices = rotation(2 * np.pi * (k * r % n) / n)
        matrices[:, :, 1] *= sign[:, None]  # a reflection first changes the sign of the second coordinate
        result.append(Irrep(f"freq_{k}", matrices))
    return result


def rotation(angle: np.ndarray) -> np.ndarray:
    """Return the matrices (n, 2, 2) of rotations by angles (n,) in radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)


def _one_dimensional(name: str, values: np.ndarray) -> Irrep:
    return Irrep(name, values[:, None, None].copy())
