"""Activations that are computed where somebody looks at them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from torch import Tensor


class Deferred(Sequence[Tensor]):
    """A sequence of tensors that is computed at first access."""

    def __init__(self, compute: Callable[[], tuple[Tensor, ...]]):
        self._compute = compute

    @cached_property
    def _tensors(self) -> tuple[Tensor, ...]:
        return self._compute()

    def __len__(self) -> int:
        return len(self._tensors)

    def __getitem__(self, index: Any) -> Any:
        return self._tensors[index]
