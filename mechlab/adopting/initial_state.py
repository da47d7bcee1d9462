"""The initial hidden state of an adopted network: that of its file, or that of its construction."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mechlab.adopting.recurrent_weights import RecurrentCell
from mechlab.core.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

INITIAL = "init_state"  # its name in a file
CONSTRUCTED = {"rnn_layer": "rnn", "output_layer": "fc"}  # parts of published networks constructed from an automaton


def common_names(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], bool]:
    """Return tensors with the names rnn.* and fc.*, and True if they had those of published constructed networks."""
    parts = {name: name.partition(".") for name in tensors}
    renamed = {CONSTRUCTED.get(part, part) + dot + rest: tensors[name] for name, (part, dot, rest) in parts.items()}
    return renamed, {part for part, _, _ in parts.values()} >= CONSTRUCTED.keys()


def initial_state(
    given: Tensor | None, constructed: bool, machine: Any, kind: RecurrentCell, sizes: tuple[int, int], path: Path
) -> tuple[Any, list[str]]:
    """Return the initial state (H L,), or None where it is zero, and notes.

    Args:
        given: the file's init_state, of all layers, or of one that holds for each of them; None if it has none.
        constructed: True if the tensors' names are those of published constructed networks.
        machine: the automaton.
        kind: the cell.
        sizes: units per layer H, and layers L.
        path: the file, for messages.

    Raises:
        ConfigError: the file's state has another number of entries, or is not zero in a GRU or LSTM.
    """
    hidden, layers = sizes
    activation = kind.arguments.get("activation")
    if given is None:
        start = _of_construction(machine, activation, *sizes) if constructed else None
        text = f"the file has no {INITIAL}: the start is {'zeros' if start is None else 'as constructed'}"
        return start, [text] if constructed else []
    start = given.flatten()
    if len(start) not in (hidden, hidden * layers):
        must = f"{INITIAL} must have an entry for each of {hidden} units, or of {hidden * layers} in all layers"
        raise ConfigError(must, got=f"{path}: shape {tuple(given.shape)}", key="path")
    if not start.any():
        return None, []
    if activation is None:
        must, fix = f"{INITIAL} must be zeros for cell={kind.model}", "cell=tanh or cell=relu"
        raise ConfigError(must, got=f"{path}: other numbers", key="cell", fix=fix)
    return start if len(start) == hidden * layers else start.repeat(layers), []


def _of_construction(machine: Any, activation: str | None, hidden: int, layers: int) -> np.ndarray | None:
    """Return the initial state (H L,) of a network constructed from a DFA, with units in the published order; None if
    it has another number of units.

    Source: Muškardin et al., arXiv 2306.16854, and its published code.
    """
    n, m = len(machine.states), len(machine.alphabet)
    if (layers, activation, hidden) == (1, "tanh", m * (n + 1)):
        return np.where(np.arange(hidden) == 0, 1.0, -1.0)  # the first letter, read in a state before the initial one
    if (layers, hidden) == (2, m * n) and activation is not None and machine.kind == "automaton":
        code = np.where(np.arange(n) == machine.initial, 1.0, -1.0 if activation == "tanh" else 0.125)
        return np.tile(code, 2 * m)
    return None
