"""Checked reading of arrays from an .npz file, one at a time and without running code from it."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from mechlab.core.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

KINDS = {"i": "whole numbers", "f": "real numbers"}


class Archive:
    """An .npz file of plain arrays. Arrays are not cached, so that memory does not grow with the file.

    Raises:
        ConfigError: the file is missing or is not an .npz file; on reading, an array is missing, damaged, or of another
            shape or type than required. The message names file and array.
    """

    def __init__(self, path: Path):
        self.path = path
        if not path.is_file():
            raise ConfigError(f"the folder must hold {path.name}", got=f"none in {path.parent}", key="path")
        try:
            self._file = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            self.refuse("the file must be an .npz file of plain arrays", str(error))
        self._members = {item.filename.removesuffix(".npy"): item for item in self._file.infolist()}

    @property
    def names(self) -> list[str]:
        """The names of the arrays."""
        return list(self._members)

    def read(self, name: str) -> np.ndarray:
        """Return an array unchecked."""
        from numpy.lib.format import read_array

        if name not in self._members:
            self.refuse(f"{self.path.name} must hold {name}", f"it holds {', '.join(self.names[:12])}")
        try:
            with self._file.open(self._members[name]) as file:
                return read_array(file, allow_pickle=False)
        except Exception as error:  # damaged files raise many types
            self.refuse(f"{name} must be a whole array of numbers", f"{type(error).__name__}: {error}")

    def numbers(self, name: str, shape: tuple[int | None, ...], kind: str) -> np.ndarray:
        """Return an array after checks of its shape and kind.

        Args:
            shape: the required shape, None for any length but 0.
            kind: "i" for whole numbers, which become int64; "f" for finite real ones, which become float64.
        """
        import numpy as np

        array = self.read(name)
        wanted = tuple(n if m is None else m for n, m in zip(array.shape, shape, strict=False))
        if array.shape != wanted or len(wanted) != len(shape) or 0 in array.shape:
            sizes = ", ".join("any" if n is None else str(n) for n in shape)
            self.refuse(f"{name} must have the shape ({sizes}), and not be empty", f"shape {array.shape}")
        if array.dtype.kind not in ("iu" if kind == "i" else "iuf"):
            self.refuse(f"{name} must hold {KINDS[kind]}", f"{array.dtype}")
        if not np.isfinite(array).all():
            self.refuse(f"{name} must be finite", "values that are not")
        return array.astype(np.int64 if kind == "i" else np.float64)

    def within(self, name: str, array: np.ndarray, low: int, high: int) -> np.ndarray:
        """Return the array if all its numbers are in [low, high], else raise ConfigError."""
        if array.min() < low or array.max() > high:
            self.refuse(f"{name} must be from {low} to {high}", f"values from {array.min()} to {array.max()}")
        return array

    def refuse(self, must: str, got: str) -> NoReturn:
        """Raise ConfigError about this file."""
        raise ConfigError(must, got=f"{self.path}: {got}", key="path") from None
