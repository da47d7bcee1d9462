"""The published table of variable binding: angle errors and accuracies by task, width and weight decay."""

from __future__ import annotations

from typing import NamedTuple


class PublishedCell(NamedTuple):
    """A cell of the published table: means over seeds, of the better of two curriculum thresholds for each.

    Args:
        error: mean angle error in radians of networks of the right rank and accuracy .99; None where there is none.
        accuracy: at horizon 200, of all networks.
    """

    error: float | None
    accuracy: float


_CELLS = {  # by width and weight decay: (64, 0), (64, .001), (64, .1), (128, 0), (128, .001), (128, .1)
    "T1": ((None, 0.97), (None, 0.88), (None, 0.50), (0.0005, 1.00), (None, 0.93), (None, 0.50)),
    "T2": ((0.0075, 1.00), (None, 0.85), (None, 0.50), (0.0055, 0.98), (0.0031, 0.98), (None, 0.50)),
    "T3": ((0.0026, 1.00), (0.0010, 0.97), (None, 0.50), (0.0031, 0.98), (0.0005, 1.00), (None, 0.50)),
    "T4": ((0.0112, 0.94), (0.0011, 1.00), (None, 0.50), (0.0022, 1.00), (0.0006, 1.00), (None, 0.50)),
}
_PLACES = [(hidden, decay) for hidden in (64, 128) for decay in (0.0, 0.001, 0.1)]

PUBLISHED = {  # Karuvally et al., arXiv 2310.02430, from the result files of its repository
    (task, *place): PublishedCell(*cell)
    for task, cells in _CELLS.items()
    for place, cell in zip(_PLACES, cells, strict=True)
}
