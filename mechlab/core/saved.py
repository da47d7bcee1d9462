"""A place for the state of a long computation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor


class Saved(Protocol):
    """Keeps the state of a computation that may be interrupted, as named tensors, until it is removed."""

    def load(self) -> dict[str, Tensor]:
        """Return the state that was saved last; empty if there is none."""

    def save(self, state: Mapping[str, Tensor]) -> None:
        """Replace the saved state."""

    def remove(self) -> None:
        """Remove the saved state, if there is one."""
