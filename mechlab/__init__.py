"""mechlab: a laboratory for the mechanistic interpretability of small trained networks."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mechlab import adopt
    from mechlab.config.recipe import load_run

__all__ = ["adopt", "load_run"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the public functions at their first use: the package itself imports nothing heavy."""
    if name == "load_run":
        from mechlab.config.recipe import load_run

        return load_run
    if name == "adopt":
        return importlib.import_module("mechlab.adopt")
    raise AttributeError(f"module 'mechlab' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, those among them that are not imported yet."""
    return sorted([*__all__, "__version__"])
