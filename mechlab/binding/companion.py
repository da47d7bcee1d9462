"""The block companion matrix of a linear system whose next state is a linear function of its last s states."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from scipy.sparse.csgraph import connected_components
from torch import Tensor

ZERO_MODULUS = 1e-9


@dataclass(frozen=True, eq=False)
class CompanionMatrix:
    """The system z_t = F' vec(z_{t-s}, ..., z_{t-1}) with z_t in R^d, and the transition matrix Phi of its window.

    The window m_t = (z_{t-s+1}; ...; z_t) obeys m_t = Phi m_{t-1}: an up-shift by d, with F' as the last d rows
    (Karuvally et al., arXiv 2310.02430).

    Args:
        F: (s*d, d), the oldest block first. Column i has the weights of past cells in component i.

    Raises:
        ValueError: F is not a matrix whose number of rows is a positive multiple of its number of columns.

    >>> CompanionMatrix.repeat_copy(d=1, s=2).spectrum.round(12).real.tolist()
    [1.0, -1.0]
    """

    F: np.ndarray
    kind: ClassVar[str] = "companion matrix"

    def __post_init__(self) -> None:
        shape = np.shape(self.F)
        if len(shape) != 2 or shape[0] == 0 or shape[1] == 0 or shape[0] % shape[1]:
            raise ValueError(f"F must have shape (s*d, d) with s and d of at least 1. Got shape {shape} instead.")

    @classmethod
    def repeat_copy(cls, d: int, s: int) -> CompanionMatrix:
        """Return the system that repeats its last s vectors periodically: z_t = z_{t-s}."""
        return cls(np.eye(s * d, d))

    @property
    def d(self) -> int:
        """The number of components of a state z_t."""
        return self.F.shape[1]

    @property
    def s(self) -> int:
        """The number of past states on which the next one depends."""
        return self.F.shape[0] // self.d

    @cached_property
    def matrix(self) -> np.ndarray:
        """Phi, (s*d, s*d) float64."""
        matrix = np.eye(len(self.F), k=self.d)
        matrix[-self.d :] = np.transpose(self.F)
        return matrix

    def targets(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return z_t (B, T, d) for t >= s, 0 before, given the first s vectors of inputs (B, T, d) as z_0 .. z_{s-1};
        and where there is one, (B, T) bool."""
        phi, window = torch.from_numpy(self.matrix).to(inputs), inputs[:, : self.s].flatten(1)
        defined = torch.arange(inputs.shape[1], device=inputs.device) >= self.s
        targets = torch.zeros_like(inputs)
        for t in range(self.s, inputs.shape[1]):
            window = window @ phi.T
            targets[:, t] = window[:, -self.d :]
        return targets, defined.expand(inputs.shape[:2])

    def eigenvalues(self) -> np.ndarray:
        """Return all s*d eigenvalues of Phi, complex.

        They are those of its strongly connected blocks. A block that is a cycle of length L with product p has the L
        roots of lambda^L = p, in closed form; so has every block where F selects at most one (signed) cell per column,
        and a cell on no cycle contributes an exact 0. Other blocks are solved numerically.
        """
        return np.concatenate([_block_eigenvalues(block) for block in self._blocks()])

    @cached_property
    def period(self) -> int | None:
        """The least p for which Phi^p is the identity on the cells of cycles: the least common multiple of their
        lengths, where a cycle of sign -1 counts twice. None if a block is no cycle of sign +1 or -1."""
        periods = []
        for block in self._blocks():
            if not block.any():
                continue  # a cell on no cycle
            product = block.sum(1).prod()
            if (np.count_nonzero(block, axis=1) > 1).any() or abs(product) != 1:
                return None
            periods.append(len(block) if product == 1 else 2 * len(block))
        return math.lcm(*periods)

    def _blocks(self) -> list[np.ndarray]:
        """Return the strongly connected blocks of Phi."""
        count, block_of = connected_components(self.matrix != 0, directed=True, connection="strong")
        cells = [np.flatnonzero(block_of == block) for block in range(count)]
        return [self.matrix[np.ix_(block, block)] for block in cells]

    @cached_property
    def spectrum(self) -> np.ndarray:
        """The theoretical spectrum (rank,) complex: the eigenvalues of modulus above 1e-9."""
        values = self.eigenvalues()
        return values[np.abs(values) > ZERO_MODULUS]

    @property
    def rank(self) -> int:
        """The number of non-zero eigenvalues."""
        return len(self.spectrum)


def cycle_roots(length: int, product: float) -> np.ndarray:
    """Return the roots (length,) of lambda^length = product, for a real product.

    >>> cycle_roots(2, -1.0).imag.tolist()
    [1.0, -1.0]
    """
    turns = np.arange(length) + (0.5 if product < 0 else 0.0)
    return abs(product) ** (1 / length) * np.exp(2j * np.pi * turns / length)


def on_cycles(matrix: np.ndarray) -> np.ndarray:
    """Return which cells (n,) bool of a transition matrix (n, n) are on a cycle: the others outlive no transient.

    >>> on_cycles(np.array([[0, 1, 0], [1, 0, 0], [1, 0, 0]])).tolist()
    [True, True, False]
    """
    _, block_of = connected_components(matrix != 0, directed=True, connection="strong")
    return (np.bincount(block_of)[block_of] > 1) | (np.diagonal(matrix) != 0)


def _block_eigenvalues(block: np.ndarray) -> np.ndarray:
    if (np.count_nonzero(block, axis=1) <= 1).all():
        return cycle_roots(len(block), float(block.sum(1).prod()))
    return np.linalg.eigvals(block).astype(complex)
