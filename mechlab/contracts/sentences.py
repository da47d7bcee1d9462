"""Statements and notes for a reader."""

from __future__ import annotations

import pytest


def check_sentence(name: str, text: str) -> None:
    """Fail unless a text ends in a full stop."""
    if not text.endswith("."):
        pytest.fail(f"{name} must be a sentence that ends in a full stop. Got {text!r} instead.", pytrace=False)
