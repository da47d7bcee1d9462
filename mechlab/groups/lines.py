"""Sets of lines in the space of an irreducible representation: distinct ones, orbits, closure under the group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mechlab.groups.irrep import Irrep


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines through the origin of an irrep's space, over the real numbers, the complex numbers or the quaternions by
    the irrep's kind: subspaces of real dimension 1, 2 or 4 that the commuting matrices map to themselves. A vector that
    a network uses is determined up to such a scalar: <a, rho(x) b> is a real part, and the scalar passes from a to b.

    Args:
        irrep: of dimension d.
        bases: (k, d, D), orthonormal bases of k lines, D the number of real dimensions.
    """

    irrep: Irrep
    bases: np.ndarray

    def __len__(self) -> int:
        return len(self.bases)

    def cosines(self, other: Lines) -> np.ndarray:
        """Return the cosines (k, m) of the angles with other lines, from 0 to 1."""
        overlaps = np.einsum("kid,mie->kmde", self.bases, other.bases)
        return np.sqrt((overlaps**2).sum((2, 3)) / self.bases.shape[2])

    def cosines_along(self, other: Lines) -> np.ndarray:
        """Return the cosines (k,) of the angles of pairs of lines."""
        overlaps = np.einsum("kid,kie->kde", self.bases, other.bases)
        return np.sqrt((overlaps**2).sum((1, 2)) / self.bases.shape[2])

    def __getitem__(self, which: np.ndarray) -> Lines:
        return Lines(self.irrep, self.bases[which])

    def distinct(self, same: float) -> Lines:
        """Return the means of groups of nearly equal lines, the largest group first.

        Args:
            same: the cosine from which a line belongs to the group of another one. Groups form around the lines that
                have most such neighbours.
        """
        near = self.cosines(self) >= same
        free, means = np.ones(len(self), bool), []
        while free.any():
            members = near[(near & free).sum(1).argmax()] & free
            projector = np.einsum("kid,kjd->ij", self.bases[members], self.bases[members])
            means.append(np.linalg.eigh(projector)[1][:, -self.bases.shape[2] :])
            free &= ~members
        return Lines(self.irrep, np.array(means).reshape(-1, *self.bases.shape[1:]))

    def stabilisers(self, same: float) -> np.ndarray:
        """Return which elements (k, n) of the group map each line to itself, up to the cosine `same`."""
        moved = np.einsum("kid,xij,kje->kxde", self.bases, self.irrep.matrices, self.bases, optimize=True)
        return np.sqrt((moved**2).sum((2, 3)) / self.bases.shape[2]) >= same

    def orbit_sizes(self, table: np.ndarray, same: float) -> np.ndarray:
        """Return the number of lines (k,) in the orbit of each line under the group; NaN where the elements that leave
        it where it is up to the cosine `same` are no subgroup, because the lines of the orbit are closer than that.

        Args:
            table: (n, n) of the group.
            same: the cosine from which two lines count as one.
        """
        sizes = []
        for fixing in self.stabilisers(same):
            members = np.flatnonzero(fixing)
            closed = fixing[table[np.ix_(members, members)]].all()
            sizes.append(len(table) / len(members) if closed else np.nan)
        return np.array(sizes)

    def closure(self) -> np.ndarray:
        """Return, for each line and each element of the group (k, n), the largest cosine of the line's image with a
        line of the set: all are 1 where the group maps the set to itself."""
        nearest = np.empty((len(self), len(self.irrep.matrices)))
        for number, rho in enumerate(self.irrep.matrices):
            nearest[:, number] = Lines(self.irrep, rho @ self.bases).cosines(self).max(1)
        return nearest
