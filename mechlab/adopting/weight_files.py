"""Checked reading of named tensors from files of other programs, without running code from them."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mechlab.core.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

SUFFIXES = (".pt", ".pth", ".npz", ".safetensors")
WRAPPERS = ("state_dict", "model_state_dict")  # keys of the parameters in checkpoints
BESIDE = ("init_state",)  # tensors that may stand beside these, and have no prefix


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a .pt or .pth (a state dict), .npz or .safetensors file, by name.

    All are float32, or all float64 if one is; half precision becomes float32. Either is exact.

    Raises:
        ConfigError: the file is missing, damaged, or has other content than finite floating-point tensors.
    """
    import torch

    if path.suffix not in SUFFIXES:
        fix = "add .pt to the name if torch.save wrote the file; else save model.state_dict() with torch.save"
        raise ConfigError(f"path must end in {', '.join(SUFFIXES)}", got=path, key="path", fix=fix)
    if not path.is_file():
        raise ConfigError("path must be a file with weights", got=f"{path}: no such file", key="path")
    try:
        tensors = {".npz": _npz, ".safetensors": _safetensors}.get(path.suffix, _torch)(path)
    except Exception as error:  # damaged files raise many types
        fix = "save plain tensors by name: torch.save(model.state_dict(), FILE), numpy.savez, or safetensors"
        got = f"{path}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        raise ConfigError(
            "path must be a whole file with named tensors and nothing else", got=got, key="path", fix=fix
        ) from None
    wrong = [
        name for name, value in tensors.items() if not (isinstance(value, torch.Tensor) and value.is_floating_point())
    ]
    if wrong or not tensors:
        got = f"{path}: " + (", ".join(f"{name} is {_kind(tensors[name])}" for name in wrong[:4]) or "no tensors")
        raise ConfigError("the weights must be floating-point tensors by name", got=got, key="path")
    if bad := [name for name, value in tensors.items() if not torch.isfinite(value).all()]:
        raise ConfigError("the weights must be finite", got=f"{path}: {', '.join(bad)} are not", key="path")
    dtype = torch.float64 if any(value.dtype == torch.float64 for value in tensors.values()) else torch.float32
    return {name: value.detach().to(dtype).contiguous() for name, value in tensors.items()}


def without_prefix(tensors: Mapping[str, Tensor], known: tuple[str, ...]) -> dict[str, Tensor]:
    """Return the tensors without a prefix such as `module.`, if all names have it: that of the one name that ends in
    one of `known`."""
    prefixes = [name.removesuffix(end) for name in tensors for end in known if name.endswith(end)]
    prefix = prefixes[0] if len(prefixes) == 1 else ""
    if not all(name.startswith(prefix) or name in BESIDE for name in tensors):
        return dict(tensors)
    return {name.removeprefix(prefix): value for name, value in tensors.items()}


def _torch(path: Path) -> dict[str, Any]:
    import torch

    content = torch.load(path, map_location="cpu", weights_only=True)
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            beside = {name: content[name] for name in BESIDE if name in content}
            content = {**content[wrapper], **beside}
    if not isinstance(content, Mapping):
        raise TypeError(f"it has a {type(content).__name__} in place of a state dict")
    return {str(name): value for name, value in content.items()}


def _npz(path: Path) -> dict[str, Any]:
    import numpy as np
    import torch

    if not zipfile.is_zipfile(path):
        raise ValueError("it is not an npz file")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(np.array(arrays[name])) for name in arrays.files}


def _safetensors(path: Path) -> dict[str, Any]:
    import safetensors.torch

    return safetensors.torch.load_file(str(path))


def _kind(value: Any) -> str:
    return str(getattr(value, "dtype", type(value).__name__))
