"""Escaping of CSV text that a spreadsheet would evaluate as a formula."""

from __future__ import annotations

MARK = "'"  # makes a spreadsheet read a cell as text
STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def as_text(cell: str) -> str:
    r"""Return a cell's text, marked as text if a spreadsheet would evaluate it as a formula; numbers are unchanged.

    >>> as_text("=1+1"), as_text("-0.5"), as_text("+"), as_text("a=b")
    ("'=1+1", '-0.5', '+', 'a=b')
    """
    return MARK + cell if _is_formula(cell.lstrip(MARK)) else cell


def from_text(cell: str) -> str:
    """Return the text from which `as_text` made a cell."""
    return cell.removeprefix(MARK) if _is_formula(cell.lstrip(MARK)) else cell


def _is_formula(text: str) -> bool:
    if len(text) < 2 or not text.startswith(STARTS):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False
