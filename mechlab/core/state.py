"""The state of training between two updates: what a model and its optimizer hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimizer's state tensors as `<state>/<parameter name>`, e.g. `exp_avg_sq/readout.weight`."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{key}/{names[parameter]}": value
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
        if isinstance(value, Tensor)
    }


def matching(names: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """Return the names that equal or match any of the patterns, where `*` stands for any text, in their order."""
    patterns = tuple(patterns)
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put copies of recorded parameters and buffers into a model, in place.

    The shapes of a model that is solved may depend on data; its tensors take the recorded shapes.

    Raises:
        RuntimeError: names or shapes differ.
    """
    if getattr(model, "solve", None) is not None:
        model.resize(weights)  # type: ignore[operator]
    model.load_state_dict(weights)


def put_state(
    model: nn.Module, optimizer: torch.optim.Optimizer, params: Mapping[str, Tensor], moments: Mapping[str, Tensor]
) -> None:
    """Put copies of parameters (and buffers), and of the optimizer's tensors as `optimizer_tensors` names them, into
    model and optimizer."""
    load_weights(model, params)
    numbers = {name: number for number, (name, _) in enumerate(model.named_parameters())}
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in moments.items():
        key, parameter = name.split("/", 1)
        state.setdefault(numbers[parameter], {})[key] = value.clone()
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})  # moves each tensor to its device


def digest(params: Mapping[str, Tensor]) -> int:
    """Return a hash of parameters (and buffers): 64 bits that depend on every name and every bit."""
    hashed = hashlib.sha256()
    for name, value in sorted(params.items()):
        hashed.update(f"{name} {value.dtype} {tuple(value.shape)};".encode())
        hashed.update(value.detach().cpu().resolve_conj().resolve_neg().contiguous().numpy().data)
    return int.from_bytes(hashed.digest()[:8], "big", signed=True)
