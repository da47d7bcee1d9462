"""An irreducible representation of a finite group by real orthogonal matrices."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["real", "complex", "quaternionic"]
DIVISOR: dict[Kind, int] = {"real": 1, "complex": 2, "quaternionic": 4}  # dimension over R of the commuting matrices


@dataclass(frozen=True, eq=False)
class Irrep:
    """An irreducible representation of a group of n elements by real orthogonal matrices.

    Args:
        name: such as standard, freq_3 or 3d_a.
        matrices: (n, d, d) float64; matrices[a] @ matrices[b] = matrices[a b]; read-only.
        kind: the Frobenius-Schur type. Over the complex numbers a real one stays irreducible; a complex one splits into
            two conjugate ones of dimension d / 2; a quaternionic one into two equal ones of dimension d / 2.
        label: what the literature calls it, such as the partition (3, 1, 1) for S5; empty where there is nothing.
    """

    name: str
    matrices: np.ndarray
    kind: Kind = "real"
    label: str = ""

    def __post_init__(self) -> None:
        self.matrices.setflags(write=False)

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
        """The traces (n,) of the matrices; read-only."""
        traces = np.trace(self.matrices, axis1=1, axis2=2)
        traces.setflags(write=False)
        return traces

    @property
    def weight(self) -> float:
        """w = size / (d n), with which the energy of a function F on the group inside V is w times the squared
        Frobenius norm of its transform, sum_x F(x) matrices[x]; and its projection on V is w times the convolution with
        the character. This holds for all kinds (Peter-Weyl)."""
        return self.size / (self.dimension * len(self.matrices))
