"""Torch's rules for forward-mode differentiation, loaded without their warning."""

from __future__ import annotations

import functools
import warnings


@functools.cache
def load_forward_mode() -> None:
    """Load torch's forward-mode rules, whose module compiles itself with a deprecated function, with a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import torch._decomp.decompositions_for_jvp  # noqa: F401
