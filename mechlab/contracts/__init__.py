"""Tests of what every task, model, analysis and yaml promises, for mechlab's own and for those of another package."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> None:
    """The program `python -m mechlab.contracts`; its arguments are those of pytest, and --contracts-dir.

    pytest is needed here alone. Its settings are its own defaults, whatever project the working directory belongs to.
    """
    try:
        import pytest
    except ModuleNotFoundError:
        sys.exit("error: the contracts are run by pytest, which is not installed\n  fix:   pip install pytest")
    settings = ["-q", "-c", os.devnull, f"--rootdir={Path.cwd()}", "-p", "no:cacheprovider"]
    given = sys.argv[1:] if arguments is None else arguments
    sys.exit(pytest.main([str(Path(__file__).parent), *settings, *given]))
