"""Tables for people: their entries, and their LaTeX; the page's templates write them as HTML."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from mechlab.core.latex import escaped, one_line
from mechlab.reporting.entries import Code, Entry, Heading, Numeric, Verdict


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        name: of its file, without an ending.
        caption: what it shows, in one sentence or two.
        columns: their headings.
        groups: (heading or None, rows), each row as long as `columns`.
    """

    name: str
    caption: str
    columns: list[str]
    groups: list[tuple[str | Heading | None, list[list[Entry]]]]

    @property
    def heads(self) -> list[tuple[str, bool]]:
        """The headings of the columns, and whether numbers stand below."""
        rows = [row for _, group in self.groups for row in group]
        first = rows[0] if rows else [""] * len(self.columns)
        return [(name, isinstance(entry, Numeric)) for name, entry in zip(self.columns, first, strict=True)]

    @property
    def rows(self) -> int:
        """The number of rows."""
        return sum(len(rows) for _, rows in self.groups)

    def first(self, rows: int) -> Table:
        """Return the table cut after so many rows."""
        groups = []
        for heading, group in self.groups:
            groups += [(heading, group[:rows])] if rows > 0 else []
            rows -= len(group)
        return replace(self, groups=groups)

    def latex(self) -> str:
        """Return the table for a paper that uses the package booktabs."""
        sides = "".join("r" if numeric else "l" for _, numeric in self.heads)
        lines = [f"% {one_line(self.caption)}", f"\\begin{{tabular}}{{{sides}}}", "\\toprule"]
        lines += [" & ".join(map(escaped, self.columns)) + r" \\", r"\midrule"]
        for number, (heading, rows) in enumerate(self.groups):
            if heading is not None:
                lines += [r"\addlinespace"] if number else []
                text = heading if isinstance(heading, str) else heading.text
                lines.append(rf"\multicolumn{{{len(self.columns)}}}{{l}}{{\emph{{{escaped(text)}}}}} \\")
            lines += [" & ".join(map(_entry_tex, row)) + r" \\" for row in rows]
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _entry_tex(entry: Entry) -> str:
    match entry:
        case Numeric():
            return _numeric_tex(entry)
        case Verdict(held, n):
            return f"{held} of {n}"
        case Code(text):
            return rf"\texttt{{{escaped(text)}}}"
    return escaped(entry)


def _numeric_tex(entry: Numeric) -> str:
    words = ["--".join(f"${digits.text}$" for digits in entry.main)] if entry.main else []
    words += [f"[{', '.join(f'${digits.text}$' for digits in entry.interval)}]"] if entry.interval else []
    return " ".join(words).replace("−", "-") or "--"


def join(parts: Iterable[str]) -> str:
    """Return words as a sentence lists them.

    >>> join(["a", "b", "c"])
    'a, b and c'
    """
    *most, last = list(parts)
    return f"{', '.join(most)} and {last}" if most else last


def count(number: int, noun: str) -> str:
    """Return a number and its noun.

    >>> count(1, "run"), count(2, "run")
    ('1 run', '2 runs')
    """
    return f"{number} {noun}" + ("" if number == 1 else "s")
