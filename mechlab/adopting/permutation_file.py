"""Checked reading of a permutation from files of other programs, without running code from them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mechlab.core.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

SUFFIXES = (".npy", ".npz", ".pt", ".pth", ".csv", ".txt")
FIX = "save the permutation with numpy.save or torch.save, or as text with a number in each line"


def read_permutation(path: Path, size: int) -> Tensor:
    """Return the permutation (size,) of 0, ..., size - 1, int64, in a file with one array (.npy, .npz, .pt or .pth) or
    of numbers as text (.csv or .txt).

    Raises:
        ConfigError: the file is missing or damaged, or holds something else.
    """
    import numpy as np
    import torch

    if path.suffix not in SUFFIXES:
        raise ConfigError(f"permutation must end in {', '.join(SUFFIXES)}", got=path, key="permutation", fix=FIX)
    if not path.is_file():
        raise ConfigError("permutation must be a file", got=f"{path}: no such file", key="permutation", fix=FIX)
    try:
        values = np.asarray(_read(path))
    except Exception as error:  # damaged files raise many types
        got = f"{path}: {type(error).__name__}: {error}".splitlines()[0]
        must = "permutation must be a whole file with one array of numbers"
        raise ConfigError(must, got=got, key="permutation", fix=FIX) from None
    if not _is_permutation(values, size):
        must = f"permutation must hold each of the numbers 0, ..., {size - 1} of the pairs (a, b), a n + b, once"
        got = f"{path}: {values.dtype} of shape {values.shape}"
        if values.size and values.dtype.kind in "iuf":
            got += f" from {values.min()} to {values.max()}"
        raise ConfigError(must, got=got, key="permutation", fix="choose the group that the network was trained on")
    return torch.from_numpy(values.reshape(-1).astype(np.int64))


def _is_permutation(values: np.ndarray, size: int) -> bool:
    import numpy as np

    return values.dtype.kind in "iuf" and values.size == size and np.array_equal(np.sort(values, None), np.arange(size))


def _read(path: Path) -> Any:
    """Return the one array or tensor of a file."""
    import numpy as np
    import torch

    if path.suffix in (".csv", ".txt"):
        return np.loadtxt(path, delimiter="," if "," in path.read_text() else None)
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False)
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            content = dict(arrays)
    else:
        content = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(content, dict):
        if len(content) != 1:
            raise ValueError(f"it has {', '.join(map(str, content)) or 'nothing'} in place of one array")
        (content,) = content.values()
    return content
