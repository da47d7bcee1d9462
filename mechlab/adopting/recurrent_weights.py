"""Checks of the weights of PyTorch's recurrent networks with a linear read-out, and their renaming."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mechlab.core.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

_RNN = re.compile(r"rnn\.(weight|bias)_(ih|hh)_l(\d+)")


class RecurrentCell(NamedTuple):
    """A kind of recurrent cell: mechlab's model name and class, weight rows per unit, and further arguments."""

    model: str
    target: str
    gates: int
    arguments: dict[str, Any]


CELLS = {
    "relu": RecurrentCell("rnn_relu", "mechlab.models.rnn.RNN", 1, {"activation": "relu"}),
    "tanh": RecurrentCell("rnn_tanh", "mechlab.models.rnn.RNN", 1, {"activation": "tanh"}),
    "gru": RecurrentCell("gru", "mechlab.models.gru.GRU", 3, {}),
    "lstm": RecurrentCell("lstm", "mechlab.models.lstm.LSTM", 4, {}),
}


def sizes_of(tensors: dict[str, Tensor], cell: str, path: Path) -> tuple[int, int, bool]:
    """Return the numbers of units and layers, and True if the recurrence has biases; all shapes are checked.

    Args:
        tensors: rnn.weight_ih_l0, rnn.weight_hh_l0, ..., fc.weight and fc.bias.
        cell: a key of CELLS.
        path: their file, for messages.

    Raises:
        ConfigError: a tensor is missing, superfluous, or of another shape.
    """
    gates = CELLS[cell].gates
    layers = 1 + max((int(match[3]) for name in tensors if (match := _RNN.fullmatch(name))), default=-1)
    biases = any(name.startswith("rnn.bias") for name in tensors)
    parts = [f"weight_{way}" for way in ("ih", "hh")] + [f"bias_{way}" for way in ("ih", "hh") if biases]
    wanted = [f"rnn.{part}_l{layer}" for layer in range(max(layers, 1)) for part in parts] + ["fc.weight"]
    if missing := [name for name in wanted if name not in tensors]:
        raise _refusal(
            "the weights must have these names", f"no {', '.join(missing)}; there are {', '.join(tensors)}", path
        )
    if extra := [name for name in tensors if name not in (*wanted, "fc.bias")]:
        fix = "networks read in both directions and projected states are not adopted" if "_l" in extra[0] else None
        raise _refusal("the weights must be those of rnn and fc only", f"also {', '.join(extra)}", path, fix)
    for name in wanted:
        if tensors[name].ndim != (1 if "bias" in name else 2):
            raise _refusal(
                f"{name} must have {1 if 'bias' in name else 2} axes", f"shape {_shape(tensors, name)}", path
            )
    hidden = tensors["rnn.weight_hh_l0"].shape[1]
    rows = len(tensors["rnn.weight_hh_l0"])
    if rows != gates * hidden:
        fits = [other for other, kind in CELLS.items() if kind.gates * hidden == rows]
        must = f"rnn.weight_hh_l0 of cell={cell} must have {gates} row(s) for each of its {hidden} columns"
        fix = f"cell={' or cell='.join(fits)}" if fits else None
        raise _refusal(must, f"shape {_shape(tensors, 'rnn.weight_hh_l0')}", path, fix, key="cell")
    for name in (name for name in (*wanted, "fc.bias") if name in tensors):
        shape = _expected(name, gates * hidden, hidden, tensors)
        if tuple(tensors[name].shape) != shape:
            raise _refusal(f"{name} must have the shape {shape}", f"shape {_shape(tensors, name)}", path)
    return hidden, layers, biases


def _expected(name: str, rows: int, hidden: int, tensors: dict[str, Tensor]) -> tuple[int, ...]:
    if name.startswith("fc."):
        outputs = len(tensors["fc.weight"])
        return (outputs,) if name == "fc.bias" else (outputs, hidden)
    if "bias" in name:
        return (rows,)
    return (rows, tensors[name].shape[1] if name == "rnn.weight_ih_l0" else hidden)


def renamed(tensors: dict[str, Tensor], layers: int, biases: bool) -> tuple[dict[str, Tensor], list[str]]:
    """Return the weights by mechlab's names, in its order, and notes on missing biases."""
    import torch

    weights, zeros = {}, []
    for layer in range(layers):
        for part in ("weight_ih", "weight_hh"):
            weights[f"layers.{layer}.{part}_l0"] = tensors[f"rnn.{part}_l{layer}"]
        for part in ("bias_ih", "bias_hh") if biases or "fc.bias" in tensors else ():
            rows = tensors[f"rnn.weight_hh_l{layer}"].shape[0]
            zero = torch.zeros(rows, dtype=tensors["fc.weight"].dtype)
            weights[f"layers.{layer}.{part}_l0"] = tensors.get(f"rnn.{part}_l{layer}", zero)
    weights["readout.weight"] = tensors["fc.weight"]
    if biases or "fc.bias" in tensors:
        zeros = [] if biases else ["the recurrence"]
        zeros += [] if "fc.bias" in tensors else ["the read-out"]
        zero = torch.zeros(len(tensors["fc.weight"]), dtype=tensors["fc.weight"].dtype)
        weights["readout.bias"] = tensors.get("fc.bias", zero)
    return weights, [f"the biases of {part} are missing, and taken as zeros" for part in zeros]


def _refusal(must: str, got: str, path: Path, fix: str | None = None, key: str = "path") -> ConfigError:
    names = "rnn.weight_ih_l0, rnn.weight_hh_l0, rnn.bias_ih_l0, rnn.bias_hh_l0 (_l1, ... for more layers)"
    fix = fix or f"save a state dict with {names}, fc.weight and fc.bias"
    return ConfigError(must, got=f"{path}: {got}", key=key, fix=fix)


def _shape(tensors: dict[str, Tensor], name: str) -> tuple[int, ...]:
    return tuple(tensors[name].shape)
