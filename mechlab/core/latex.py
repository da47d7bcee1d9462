"""Tables for papers that use LaTeX and its package booktabs."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SIGNS = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "·": r"$\cdot$"}
_SIGNS |= {letter: f"\\{letter}" for letter in "&%$#_{}"}


def escaped(text: str) -> str:
    """Return a text, in one line, as LaTeX shows it.

    >>> escaped("a_b & 5 %")
    'a\\\\_b \\\\& 5 \\\\%'
    """
    return "".join(_SIGNS.get(letter, letter) for letter in one_line(text))


def one_line(text: str) -> str:
    """Return a text with every white space as one space."""
    return re.sub(r"\s+", " ", text)


def booktabs(
    columns: Sequence[str], groups: Sequence[Sequence[Sequence[str]]], sides: str | None = None, remark: str = ""
) -> str:
    """Return a table.

    Args:
        columns: headings, plain text.
        groups: rows of cells, plain text, in groups that are divided by lines.
        sides: l, c or r for each column; by default l for all.
        remark: a comment above the table.
    """
    lines = [f"% {one_line(remark)}"] * bool(remark)
    lines += [f"\\begin{{tabular}}{{{sides or 'l' * len(columns)}}}", r"\toprule", _row(columns)]
    for rows in groups:
        lines += [r"\midrule", *map(_row, rows)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _row(cells: Sequence[str]) -> str:
    return " & ".join(map(escaped, cells)) + r" \\"
