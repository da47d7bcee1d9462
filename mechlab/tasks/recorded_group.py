"""Multiply two elements of a finite group, with the split of a network that was trained elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from torch import Tensor

from mechlab.core.constraints import Interval, OnlyWhereSet
from mechlab.core.errors import RunError
from mechlab.tasks.group import GroupProduct
from mechlab.tasks.recorded import DATA, recorded_tensors


class RecordedGroupProduct(GroupProduct):
    """All pairs of elements of a group, in the order of a permutation out of a file in the run directory.

    The file holds `permutation` (n^2,), numbers a n + b of the pairs (a, b). The first are the training pairs.

    Args:
        digest: hash of the tensor, as `core.state.digest` gives it.
        group, train_fraction, val_fraction, loss_dtype, definition: as of GroupProduct.
        folder: where the file is; a recorded configuration has None, for the run directory.

    Raises:
        RunError: the file is missing, is not the one with this hash, or holds no permutation of the pairs.
    """

    def __init__(
        self,
        digest: int,
        group: str = "S5",
        train_fraction: Annotated[float, Interval(0, 1, open_low=True, open_high=True)] = 0.4,
        val_fraction: Annotated[float, Interval(0, 1, open_low=True, open_high=True)] | None = None,
        loss_dtype: Literal["float64"] | None = "float64",
        definition: Annotated[dict[str, Any] | None, OnlyWhereSet()] = None,
        folder: str | None = None,
    ):
        super().__init__(group, train_fraction, val_fraction, loss_dtype=loss_dtype, definition=definition)
        self.digest, self.folder = digest, folder
        self._permutation = recorded_tensors(folder, digest)["permutation"].long()
        if not self._permutation.sort().values.equal(super()._order().sort().values):
            must = f"the file must hold each of the {self.of.order**2} pairs once"
            raise RunError(
                must, got="other numbers", key=str(Path(folder or ".") / DATA), fix="adopt the network again"
            )

    @classmethod
    def in_folder(cls, arguments: Mapping[str, Any], folder: str | Path) -> dict[str, Any]:
        """Return the arguments with the run directory as the place of the file."""
        return {**arguments, "folder": str(folder)}

    def _order(self) -> Tensor:
        return self._permutation
