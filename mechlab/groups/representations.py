"""Real orthogonal irreducible representations of finite groups."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mechlab.core.errors import ConfigError
from mechlab.groups.finite_group import Group

Kind = Literal["real", "complex", "quaternionic"]
DIVISOR: dict[Kind, int] = {"real": 1, "complex": 2, "quaternionic": 4}  # dimension over R of the commuting matrices


@dataclass(frozen=True, eq=False)
class Irrep:
    """An irreducible representation of a group of n elements by real orthogonal matrices.

    Args:
        name: such as standard, freq_3 or 3d_a.
        matrices: (n, d, d) float64; matrices[a] @ matrices[b] = matrices[a b].
        kind: the Frobenius-Schur type. Over the complex numbers a real one stays irreducible; a complex one splits into
            two conjugate ones of dimension d / 2; a quaternionic one into two equal ones of dimension d / 2.
    """

    name: str
    matrices: np.ndarray
    kind: Kind = "real"

    @property
    def dimension(self) -> int:
        """d, of the real space that the matrices act on."""
        return self.matrices.shape[1]

    @property
    def size(self) -> int:
        """The dimension of the space V of functions on the group that the matrix elements span: d^2, d^2 / 2 or
        d^2 / 4 by kind. Over all irreps of a group the sizes add up to n."""
        return self.dimension**2 // DIVISOR[self.kind]

    @functools.cached_property
    def character(self) -> np.ndarray:
        """The traces (n,) of the matrices."""
        return np.trace(self.matrices, axis1=1, axis2=2)

    @property
    def weight(self) -> float:
        """w = size / (d n), with which the energy of a function F on the group inside V is w times the squared
        Frobenius norm of its transform, sum_x F(x) matrices[x]; and its projection on V is w times the convolution with
        the character. This holds for all kinds (Peter-Weyl)."""
        return self.size / (self.dimension * len(self.matrices))


def irreps(group: Group) -> list[Irrep]:
    """Return the irreducible representations of a group over the real numbers, the trivial one first.

    Raises:
        ConfigError: there is no construction for the group.
    """
    return list(_cached(group.digest, group))


@functools.lru_cache(maxsize=1)
def _cached(digest: str, group: Group) -> tuple[Irrep, ...]:
    family, number = group.name[0], group.name[1:]
    if family == "C" and number.isdigit():
        return tuple(_cyclic(int(number)))
    raise ConfigError(
        "the group must have a construction", got=group.name, key="task.group", fix="choose a cyclic group"
    )


def _cyclic(n: int) -> list[Irrep]:
    i = np.arange(n)
    found = [Irrep("trivial", np.ones((n, 1, 1)))]
    if n % 2 == 0:
        found.append(Irrep("sign", (-1.0) ** i[:, None, None]))
    for k in range(1, (n + 1) // 2):
        angle = 2 * np.pi * (k * i % n) / n
        found.append(Irrep(f"freq_{k}", rotation(angle), "complex"))
    return found


def rotation(angle: np.ndarray) -> np.ndarray:
    """Return the matrices (n, 2, 2) of rotations by angles (n,) in radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
