"""Whether hidden states encode an integer register, by a read-out that is fitted on one half of the sequences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

MOST_STATES = 6000  # that a read-out is fitted to
SHARE = 0.995  # of held-out states whose rounded read-out must equal the register


@dataclass(frozen=True)
class Encoding:
    """How well held-out hidden states determine a register.

    Args:
        name: of the register.
        r2: coefficient of determination of the best affine read-out; 1 for a register that is constant.
        exact: share of states at which the rounded read-out equals the register.
        nearest: the same share for the register's value at the nearest state of the other half; None if not computed.
    """

    name: str
    r2: float
    exact: float
    nearest: float | None = None

    @property
    def affine(self) -> bool:
        """True if the affine read-out rounds to the register."""
        return self.exact >= SHARE


def encoding(states: np.ndarray, register: np.ndarray, name: str = "", *, nearest: bool = False) -> Encoding:
    """Return how well states determine a register, on the second half of the sequences.

    Args:
        states: (B, T, H) float64.
        register: (B, T) integers.
        name: of the register.
        nearest: also compute the share for the nearest state.
    """
    half = len(states) // 2
    steps = states.shape[1]
    rows = max(1, MOST_STATES // max(steps, 1))
    fitted = [part[:half][:rows].reshape(-1, *part.shape[2:]) for part in (states, register.astype(float))]
    held = [part[half:][:rows].reshape(-1, *part.shape[2:]) for part in (states, register.astype(float))]
    centre, scale = fitted[0].mean(0), fitted[0].std(0)
    scale = np.where(scale > 0, scale, 1.0)
    design = [np.column_stack([(part - centre) / scale, np.ones(len(part))]) for part in (fitted[0], held[0])]
    weights = np.linalg.lstsq(design[0], fitted[1], rcond=None)[0]
    read = design[1] @ weights
    total = float(((held[1] - held[1].mean()) ** 2).sum())
    r2 = 1 - float(((held[1] - read) ** 2).sum()) / total if total else 1.0
    share = None
    if nearest:
        places = cKDTree(fitted[0]).query(held[0])[1]
        share = float((fitted[1][places] == held[1]).mean())
    return Encoding(name, r2, float((np.rint(read) == held[1]).mean()), share)
