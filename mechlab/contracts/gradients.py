"""Operations that are recorded for a backward pass although none follows: a missing `no_grad`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from mechlab.contracts.devices import calling_line, place

BACKWARD = (Tensor.backward, torch.autograd.backward, torch.autograd.grad)
FIX = "put @torch.no_grad() above it"


class Graphs(TorchFunctionMode):
    """Notes the line that first records an operation for a backward pass, and whether one is run.

    Attributes:
        recorded: file and line, or None.
        used: True after a backward pass.
    """

    def __init__(self) -> None:
        super().__init__()
        self.recorded: tuple[str, int] | None = None
        self.used = False

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.used |= function in BACKWARD
        result = function(*args, **(kwargs or {}))
        if self.recorded is None and not self.used and torch.is_grad_enabled():
            leaves = tree_leaves(result) if isinstance(result, tuple | list) else [result]
            if any(isinstance(leaf, Tensor) and leaf.requires_grad and not leaf.is_leaf for leaf in leaves):
                self.recorded = calling_line()
        return result


@contextlib.contextmanager
def no_refusal(method: str) -> Iterator[None]:
    """Fail with one sentence if torch refuses what the block does to a tensor because it requires a gradient."""
    refused = None
    try:
        yield
    except RuntimeError as error:
        if "requires grad" not in str(error):
            raise
        refused = f"{method} must not record operations for a backward pass; {FIX} ({error})"
    if refused is not None:
        pytest.fail(refused, pytrace=False)


@contextlib.contextmanager
def no_graph_left(method: str) -> Iterator[None]:
    """Fail with one sentence if the block records operations for a backward pass, and runs none."""
    graphs = Graphs()
    with no_refusal(method), graphs:
        yield
    if graphs.recorded is not None and not graphs.used:
        words = f"must not record operations for a backward pass that it never runs, as{place(graphs.recorded)}"
        pytest.fail(f"{method} {words}; {FIX}", pytrace=False)
