"""Checked reading of named tensors from files of other programs, without running code from them."""

from __future__ import annotations

import zipfile
from collections import OrderedDict
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mechlab.core.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

SUFFIXES = (".pt", ".pth", ".ckpt", ".npz", ".safetensors")
WRAPPERS = ("state_dict", "model_state_dict")  # keys of the parameters in checkpoints
BESIDE = ("init_state",)  # tensors that may stand beside these, and have no prefix


def read_tensors(path: Path, without: Collection[str] = ()) -> dict[str, Tensor]:
    """Return the tensors of a .pt or .pth (a state dict), .ckpt (a Lightning checkpoint), .npz or .safetensors file, by
    name.

    All are float32, or all float64 if one is; half precision becomes float32. Either is exact.

    Args:
        path: the file.
        without: parts of dotted names; tensors that have one of them in their name, such as buffers, are left out.

    Raises:
        ConfigError: the file is missing, damaged, or has other content than finite floating-point tensors.
    """
    import torch

    if path.suffix not in SUFFIXES:
        fix = "add .pt to the name if torch.save wrote the file; else save model.state_dict() with torch.save"
        raise ConfigError(f"path must end in {', '.join(SUFFIXES)}", got=path, key="path", fix=fix)
    if not path.is_file():
        fix = "the path of the file, absolute or from the working folder"
        raise ConfigError("path must be a file with weights", got=f"{path}: no such file", key="path", fix=fix)
    try:
        tensors = {".npz": _npz, ".safetensors": _safetensors}.get(path.suffix, _torch)(path)
    except Exception as error:  # damaged files raise many types
        fix = "save plain tensors by name: torch.save(model.state_dict(), FILE), numpy.savez, or safetensors"
        got = f"{path}: {type(error).__name__}: {_reason(error)}"
        raise ConfigError(
            "path must be a whole file with named tensors and nothing else", got=got, key="path", fix=fix
        ) from None
    tensors = {name: value for name, value in tensors.items() if not set(without) & set(name.split("."))}
    wrong = [
        name for name, value in tensors.items() if not (isinstance(value, torch.Tensor) and value.is_floating_point())
    ]
    if wrong or not tensors:
        got = f"{path}: " + (", ".join(f"{name} is {_kind(tensors[name])}" for name in wrong[:4]) or "no tensors")
        fix = "save the parameters alone, model.state_dict()"
        raise ConfigError("the weights must be floating-point tensors by name", got=got, key="path", fix=fix)
    if bad := [name for name, value in tensors.items() if not torch.isfinite(value).all()]:
        got = f"{path}: numbers that are not finite in {', '.join(bad)}"
        raise ConfigError("the weights must be finite", got=got, key="path", fix="an earlier state of the training")
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
    """Read what torch.save wrote. Objects beside the tensors, such as a checkpoint's hyper-parameters, are
    replaced by empty ones: their classes are neither imported nor called."""
    import torch

    names = _other_classes(path)
    others = [(_OtherDict if name.lower().endswith("dict") else _Other, name) for name in names]
    with torch.serialization.safe_globals(others):
        content = torch.load(path, map_location="cpu", weights_only=True)
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            beside = {name: content[name] for name in BESIDE if name in content}
            content = {**content[wrapper], **beside}
    if not isinstance(content, Mapping):
        kind = ", ".join(names) if isinstance(content, _Other) else f"a {type(content).__name__}"
        raise TypeError(f"it has {kind} in place of a state dict")
    return {str(name): value for name, value in content.items()}


def _reason(error: Exception) -> str:
    """Return the line of an error that says what is wrong, which torch surrounds with advice."""
    lines = str(error).splitlines() or [""]
    blanks = [place for place, line in enumerate(lines[:-1]) if not line]
    return lines[blanks[-2 if len(blanks) > 1 else -1] + 1] if blanks and "weights_only" in lines[0] else lines[0]


class _Other:
    """Stands for the classes and functions that a file names, save those of plain tensors; its instances are empty."""

    def __new__(cls, *arguments: Any) -> Any:
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        """Ignore the attributes that the file has for an instance."""


class _OtherDict(_Other):
    """The same for subclasses of dict, which the file fills with items."""

    def __new__(cls, *arguments: Any) -> Any:
        return OrderedDict()


def _other_classes(path: Path) -> list[str]:
    """Return the classes and functions that a file names and plain tensors do not need."""
    import torch

    try:
        return torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except ValueError:  # not the present format, in which alone they can be listed without reading it
        return []


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
