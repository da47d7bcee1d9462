"""Attention whose derivative can be differentiated."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from torch.nn.attention import SDPBackend, sdpa_kernel

_SWITCH = threading.RLock()


@contextlib.contextmanager
def twice_differentiable_attention() -> Iterator[None]:
    """Have torch compute attention by its formula inside the block: it cannot differentiate its fused attention twice.

    Torch switches this for the whole process. Threads that need it take turns, so that the last to leave puts back what
    was before the first. Attention that other threads compute meanwhile may differ by rounding.
    """
    with _SWITCH, sdpa_kernel(SDPBackend.MATH):
        yield
