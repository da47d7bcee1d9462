"""Irreducible representations of the cyclic, dihedral and dicyclic groups, in closed form."""

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


def dicyclic_irreps(group: Group) -> list[Irrep]:
    """Return the irreps of Dic_n, of elements a^i x^j: those of dimension 1 as in `dihedral_irreps`, where parity is
    (-1)^i, and freq_k, where a rotates by pi k / n. They are of real type for even k < n and of quaternionic type, with
    dimension 4, for odd k < n; for odd n there is freq_n of complex type, where x rotates by pi / 2."""
    n = group.order // 4
    i, j = np.arange(4 * n) % (2 * n), np.arange(4 * n) // (2 * n)
    sign, parity = (-1.0) ** j, (-1.0) ** i
    result = [_one_dimensional("trivial", np.ones(4 * n)), _one_dimensional("sign", sign)]
    if n % 2 == 0:
        result += [_one_dimensional("parity", parity), _one_dimensional("parity_sign", parity * sign)]
    for k in range(1, n):
        angle = np.pi * (k * i % (2 * n)) / n
        if k % 2 == 0:
            matrices = rotation(angle)
            matrices[:, :, 1] *= sign[:, None]
            result.append(Irrep(f"freq_{k}", matrices))
        else:  # over the complex numbers a is diagonal, and x exchanges the coordinates up to sign
            flip = np.where((j == 1)[:, None, None], [[0, -1], [1, 0]], np.eye(2))
            matrices = np.exp(1j * np.stack([angle, -angle], 1))[:, :, None] * flip
            result.append(Irrep(f"freq_{k}", real_form(matrices), "quaternionic"))
    if n % 2 == 1:
        result.append(Irrep(f"freq_{n}", rotation(np.pi * (i % 2) + np.pi / 2 * j), "complex"))
    return result


def real_form(matrices: np.ndarray) -> np.ndarray:
    """Return the action (n, 2 d, 2 d) of complex matrices (n, d, d) on real and imaginary parts."""
    re, im = matrices.real, matrices.imag
    return np.block([[re, -im], [im, re]])


def rotation(angle: np.ndarray) -> np.ndarray:
    """Return the matrices (n, 2, 2) of rotations by angles (n,) in radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)


def _one_dimensional(name: str, values: np.ndarray) -> Irrep:
    return Irrep(name, values[:, None, None].copy())
