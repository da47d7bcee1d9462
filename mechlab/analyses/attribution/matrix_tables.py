"""Large matrices as tables: neighbours in blocks, several matrices of one shape below one another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def matrix_table(matrices: Mapping[str, np.ndarray], digits: int | None = None) -> pd.DataFrame:
    """Return matrices (R, C) of one shape as a table: columns panel (the name), row, and 0, 1, ... for their columns.

    Args:
        digits: decimals that are saved; all of them by default.
    """
    import pandas as pd

    table = pd.DataFrame(np.concatenate(list(matrices.values())))
    table = table if digits is None else table.round(digits)
    panels = np.repeat(list(matrices), [len(matrix) for matrix in matrices.values()])
    rows = np.concatenate([np.arange(len(matrix)) for matrix in matrices.values()])
    return pd.concat([pd.DataFrame({"panel": panels, "row": rows}), table], axis=1).rename(columns=str)


def matrix_blocks(matrix: np.ndarray, most: int, sums: bool = False) -> np.ndarray:
    """Return a matrix (..., R, C) with neighbouring rows and columns averaged, or summed, so that neither axis has more
    than `most`.

    >>> matrix_blocks(np.array([[1.0, 3.0, 5.0, 7.0]]), 2).tolist()
    [[2.0, 6.0]]
    """
    for axis in (-2, -1):
        n = matrix.shape[axis]
        edges = np.linspace(0, n, min(n, most) + 1).astype(int)
        matrix, sizes = np.add.reduceat(matrix, edges[:-1], axis=axis), np.diff(edges)
        if not sums:
            matrix = matrix / (sizes[:, None] if axis == -2 else sizes)
    return matrix
