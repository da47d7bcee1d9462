"""Parameters, or optimizer moments, of every optimiser step, under the keys step_0000/NAME of an archive."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mechlab.adopting.archive import Archive

if TYPE_CHECKING:
    from torch import Tensor

_KEY = re.compile(r"step_(\d+)/(.+)")


class StepArrays:
    """The arrays of every step from `first` on.

    Args:
        archive: an archive with keys step_0000/NAME, step_0001/NAME, ...
        first: the greatest step with which the keys may begin.

    Attributes:
        first, last: the first and the last step.

    Raises:
        ConfigError: a key has another form, or a step is missing.
    """

    def __init__(self, archive: Archive, first: int = 0):
        self.archive = archive
        self._keys: dict[int, dict[str, str]] = {}
        for key in archive.names:
            match = _KEY.fullmatch(key)
            if match is None:
                archive.refuse("keys must be step_0000/NAME, step_0001/NAME, ...", f"the key {key}")
            self._keys.setdefault(int(match[1]), {})[match[2]] = key
        self.first, self.last = min(self._keys, default=first), max(self._keys, default=first - 1)
        missing = sorted(set(range(self.last + 1)) - self._keys.keys())
        if self.last < first or [step for step in missing if step >= first]:
            got = f"no step_{max(missing, default=first):04d}" if self._keys else "no arrays"
            archive.refuse(f"every step from {first} on must be there", got)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the first step's arrays."""
        return {name: self.archive.read(key).shape for name, key in self._keys[self.first].items()}

    def at(self, step: int, shapes: Mapping[str, tuple[int, ...]], ignored: str = "") -> dict[str, Tensor]:
        """Return the arrays of a step by name, in the order of `shapes`.

        Args:
            shapes: the required names and shapes.
            ignored: a further allowed name.

        Raises:
            ConfigError: names, shapes or types are not the required ones, or a number is not finite.
        """
        import numpy as np
        import torch

        keys = self._keys[step]
        prefix = next(iter(keys.values())).partition("/")[0]
        if missing := [name for name in shapes if name not in keys]:
            self.archive.refuse("every step must hold every parameter", f"no {prefix}/{', '.join(missing)}")
        if extra := [name for name in keys if name not in shapes and name != ignored]:
            self.archive.refuse("each parameter must be one of the network", f"also {prefix}/{', '.join(extra)}")
        tensors = {}
        for name, shape in shapes.items():
            array = self.archive.read(keys[name])
            if array.shape != shape:
                self.archive.refuse(f"{keys[name]} must have the shape {shape}", f"shape {array.shape}")
            if array.dtype not in (np.float32, np.float64):
                self.archive.refuse(f"{keys[name]} must be float32 or float64", f"{array.dtype}")
            if not np.isfinite(array).all():
                self.archive.refuse(f"{keys[name]} must be finite", "values that are not")
            native = array.astype(array.dtype.newbyteorder("="), copy=False)
            tensors[name] = torch.from_numpy(np.ascontiguousarray(native))
        return tensors
