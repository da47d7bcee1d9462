"""The folder of mechlab's own configuration."""

from __future__ import annotations

from pathlib import Path


def config_dir() -> Path:
    """Return the folder of mechlab's own configuration: in the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"
