"""Checked reading of a network's layers from files of other programs, without running code from them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from mechlab.core.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

FIX = "a folder with 1.csv, 2.csv, ... (or .npy), or one .npz"


def read_layers(path: Path, n_in: int) -> list[np.ndarray]:
    """Return the layers (n_in + 1, n_out) of a network in float64, in order.

    Args:
        path: a folder with 1.csv, 2.csv, ... or 1.npy, 2.npy, ..., or a file .npz with arrays whose names end in 1, 2,
            and so on.
        n_in: number of inputs of the network.

    Raises:
        ConfigError: the files are missing, damaged, or no layers that follow each other.
    """
    import numpy as np

    from mechlab.distill.layers import as_layers

    arrays = _of_folder(path) if path.is_dir() else _of_archive(path)
    layers = []
    for number, (name, array) in enumerate(sorted(arrays.items(), key=lambda item: _number(item[0])), 1):
        if _number(name) != number:
            must = "the layers must be numbered 1, 2, ... without a gap"
            raise ConfigError(must, got=", ".join(sorted(arrays, key=_number)), key="path", fix=FIX)
        if array.dtype.kind not in "iuf":
            raise ConfigError(f"layer {name} must hold numbers", got=f"{path}: {array.dtype}", key="path", fix=FIX)
        layers.append(np.atleast_2d(array.astype(float)) if array.ndim > 1 else array.astype(float)[:, None])
    try:
        as_layers(layers, n_in)
    except ConfigError as error:
        key = "input_shape" if error.must.startswith("layer 1 ") else "path"
        fix = "input_shape=[28,28] for an image" if key == "input_shape" else FIX
        raise ConfigError(error.must, got=error.got, key=key, fix=fix) from None
    return layers


def files_of(path: Path) -> dict[str, Path]:
    """Return the files of the layers by number; of an archive the archive.

    Raises:
        ConfigError: a folder has none.
    """
    if not path.is_dir():
        return {"layers": path}
    for ending in (".csv", ".npy"):
        if files := [file for file in path.glob(f"*{ending}") if re.fullmatch(r"\d+", file.stem)]:
            return {file.stem: file for file in files}
    raise ConfigError("path must be a folder with the layers", got=f"{path}: no 1.csv or 1.npy", key="path", fix=FIX)


def _of_folder(folder: Path) -> dict[str, np.ndarray]:
    import numpy as np

    arrays = {}
    for name, file in files_of(folder).items():
        try:
            csv = file.suffix == ".csv"
            arrays[name] = np.loadtxt(file, delimiter=",", ndmin=2) if csv else np.load(file, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            got = f"{file}: {error}".splitlines()[0]
            raise ConfigError("the files must hold arrays of numbers", got=got, key="path", fix=FIX) from None
    return arrays


def _of_archive(path: Path) -> dict[str, np.ndarray]:
    import zipfile

    import numpy as np

    if not path.is_file():
        must = "path must be a folder with the layers, or a file .npz"
        raise ConfigError(must, got=f"{path}: no such file", key="path", fix=FIX)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: np.array(arrays[name]) for name in arrays.files}
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        got = f"{path}: {error}".splitlines()[0]
        raise ConfigError("path must be an archive .npz of arrays of numbers", got=got, key="path", fix=FIX) from None


def _number(name: str) -> int:
    """Return the number at the end of a name; 0 if there is none."""
    match = re.search(r"(\d+)$", name)
    return int(match.group()) if match else 0
