"""A pretended device: its tensors compute on the CPU, but mix with those of the CPU as little as those of a GPU do.

With it, code that makes tensors on the wrong device is noticed on a machine without a GPU.
"""

from __future__ import annotations

import contextlib
import linecache
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakValueDictionary

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("meta")  # the name that tensors of the pretended device have
CPU = torch.device("cpu")
_BETWEEN = ("aten::copy_", "aten::_to_copy")  # take tensors of different devices
_INDEXED = ("aten::index", "aten::index_put", "aten::index_put_")  # by tensors of the CPU on any device


class WrongDevice(Exception):
    """A tensor is on another device than what it is used with; the message is the end of a sentence."""


class Elsewhere(Tensor):
    """A tensor on the pretended device; `value` has its numbers, on the CPU."""

    value: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, value: Tensor) -> Elsewhere:
        strides, offset = value.stride(), value.storage_offset()
        tensor = Tensor._make_wrapper_subclass(
            cls,
            value.shape,
            strides=strides,
            storage_offset=offset,
            dtype=value.dtype,
            device=DEVICE,
            dispatch_sizes_strides_policy="sizes",
        )
        tensor.value = value
        return tensor

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(function, args, kwargs or {})

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"Elsewhere({self.value})"

    def tolist(self) -> Any:
        """Return plain numbers, as from any device."""
        return self.value.tolist()

    def numpy(self, *, force: bool = False) -> Any:
        """Refuse, as a tensor on a GPU does."""
        raise WrongDevice(
            f"a tensor on another device than the CPU has no array{place(calling_line())}: use .cpu() first"
        )

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.numpy()


class Generator(torch.Generator):
    """A random generator of the pretended device, seeded."""

    known: ClassVar[WeakValueDictionary[int, Generator]] = WeakValueDictionary()  # by their address in torch

    def __new__(cls, seed: int) -> Generator:
        return super().__new__(cls)

    def __init__(self, seed: int):
        super().__init__()
        self.manual_seed(seed)
        self.known[self._cdata] = self  # type: ignore[attr-defined]

    @property
    def device(self) -> torch.device:
        """The pretended device."""
        return DEVICE


class _Literals(TorchFunctionMode):
    """Tensors from plain numbers, which torch makes on their device without an operation."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if function not in (torch.tensor, torch.as_tensor, torch.asarray, Tensor.new_tensor):
            return function(*args, **kwargs)
        device = kwargs.pop("device", None)
        if function is Tensor.new_tensor:
            like, *args = args
            device, kwargs = device or like.device, {"dtype": like.dtype, **kwargs}
            function = torch.tensor
        made = function(*args, **kwargs)
        return made if device is None else made.to(device)


class PretendedDevice(TorchDispatchMode):
    """Inside this block there is a device named "meta", to which tensors and models can be moved."""

    def __enter__(self) -> PretendedDevice:
        self._literals = _Literals()
        self._literals.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._literals.__exit__(*error)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and importing torch's compiler takes seconds

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(function, args, kwargs or {})


@contextlib.contextmanager
def on_another_device(promise: str) -> Iterator[Callable[[Any], None]]:
    """Fail with one sentence, the promise and what breaks it, if the block mixes tensors of two devices.

    Inside it, `.to(DEVICE)` moves tensors, batches and models to the pretended device.

    Yields:
        A function that fails so unless all tensors in a structure are on that device.
    """

    def check(values: Any) -> None:
        for leaf in tree_leaves(values):
            if isinstance(leaf, Tensor) and not isinstance(leaf, Elsewhere):
                raise WrongDevice(_on_cpu(leaf))

    broken = None
    try:
        with PretendedDevice():
            yield check
    except (WrongDevice, RuntimeError) as error:  # torch has checks of its own
        if isinstance(error, RuntimeError) and "device" not in str(error):
            raise
        broken = f"{promise}; {error}"
    if broken is not None:
        pytest.fail(broken, pytrace=False)


def _run(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Run an operation on the CPU, and put its results where those of a GPU would be."""
    name = function._schema.name
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    there = [tensor for tensor in tensors if isinstance(tensor, Elsewhere)]
    here = [tensor for tensor in tensors if not isinstance(tensor, Elsewhere) and tensor.ndim]
    device = kwargs.get("device") or (DEVICE if there else CPU)
    if name in _INDEXED and isinstance(args[0], Elsewhere):
        here = [tensor for tensor in here if not any(tensor is index for index in args[1])]
    if there and here and name not in _BETWEEN:
        raise WrongDevice(_on_cpu(here[0]))
    generator = kwargs.get("generator")
    if generator is not None and (generator._cdata in Generator.known) != (device == DEVICE):
        where = place(calling_line())
        raise WrongDevice(f"random numbers are on another device than their generator{where}: use device=rng.device")
    if "device" in kwargs:
        kwargs = {**kwargs, "device": CPU}
    owners = {id(tensor.value): tensor for tensor in there}
    args, kwargs = tree_map(_value, (tuple(args), kwargs))
    result = function(*args, **kwargs)
    if device == DEVICE:
        return tree_map(lambda leaf: owners.get(id(leaf), _elsewhere(leaf)), result)
    for leaf in tree_leaves(result):
        if isinstance(leaf, Tensor) and leaf.ndim and not hasattr(leaf, "made_in"):
            made = not here or name == "aten::lift_fresh"  # the latter is called by torch.tensor
            vars(leaf)["made_in"] = calling_line() if made else getattr(here[0], "made_in", None)
    return result


def _value(leaf: Any) -> Any:
    return leaf.value if isinstance(leaf, Elsewhere) else leaf


def _elsewhere(leaf: Any) -> Any:
    if not isinstance(leaf, Tensor):
        return leaf
    return Elsewhere(leaf.resolve_conj().resolve_neg())  # a wrapper has no flag for numbers that wait to be conjugated


def calling_line() -> tuple[str, int] | None:
    """Return file and line of the innermost caller outside torch and this package."""
    frame, ours = sys._getframe(1), (str(Path(torch.__file__).parent), str(Path(__file__).parent), "<")
    while frame is not None:
        if not frame.f_code.co_filename.startswith(ours):
            return frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
    return None


def place(line: tuple[str, int] | None) -> str:
    """Return words that name a line of code, with its text."""
    return "" if line is None else f" in `{linecache.getline(*line).strip()}` ({Path(line[0]).name}, line {line[1]})"


def _on_cpu(tensor: Tensor) -> str:
    """Return the words about a tensor that is on the CPU and must not be."""
    line = getattr(tensor, "made_in", None)
    where = f"used{place(calling_line())}" if line is None else f"made{place(line)}"
    return f"a tensor {where} is on the CPU: use new_zeros, zeros_like, register_buffer, or device=x.device"
