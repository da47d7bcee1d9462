"""A table for people: made once, written as HTML and as LaTeX."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from mechlab.statistics.bootstrap import Summary

MOST_DECIMALS = 6
LONG = 60  # letters beyond which text may break into lines


@dataclass(frozen=True)
class Number:
    """A number, or None where there is none."""

    value: float | None
    signed: bool = False


@dataclass(frozen=True)
class Mean:
    """A mean with its interval."""

    summary: Summary | None


@dataclass(frozen=True)
class Span:
    """The least and the greatest of some numbers; one number if they are equal."""

    values: tuple[float, ...]


@dataclass(frozen=True)
class Ends:
    """An interval without its middle; None where there is none."""

    low: float | None
    high: float | None


@dataclass(frozen=True)
class Verdict:
    """Of how many of n something holds."""

    count: int
    n: int


@dataclass(frozen=True)
class Code:
    """A name or path, in fixed-width letters."""

    text: str


Entry = str | Number | Mean | Span | Ends | Verdict | Code


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
    groups: list[tuple[str | None, list[list[Entry]]]]

    def html(self) -> str:
        """Return the table in a box of its own that scrolls sideways where the page is narrow."""
        head = "".join(f'<th scope="col"{_side(kind)}>{escape(name)}</th>' for name, kind in self._kinds())
        bodies = "".join(self._body(heading, rows) for heading, rows in self.groups)
        caption = escape(self.caption)
        table = f"<table><caption><span>{caption}</span></caption><thead><tr>{head}</tr></thead>{bodies}</table>"
        return f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}">{table}</div>\n'

    def latex(self) -> str:
        """Return the table for a paper that uses the package booktabs."""
        sides = "".join("r" if _is_number(kind) else "l" for _, kind in self._kinds())
        lines = [f"% {_one_line(self.caption)}", f"\\begin{{tabular}}{{{sides}}}", "\\toprule"]
        lines += [" & ".join(map(_tex, self.columns)) + r" \\", r"\midrule"]
        for number, (heading, rows) in enumerate(self.groups):
            if heading is not None:
                lines += [r"\addlinespace"] if number else []
                lines.append(rf"\multicolumn{{{len(self.columns)}}}{{l}}{{\emph{{{_tex(heading)}}}}} \\")
            lines += [" & ".join(map(_entry_tex, row)) + r" \\" for row in rows]
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])

    def _kinds(self) -> list[tuple[str, Entry]]:
        """Return (heading, an entry) of each column."""
        rows = [row for _, group in self.groups for row in group]
        return list(zip(self.columns, rows[0] if rows else [""] * len(self.columns), strict=True))

    def _body(self, heading: str | None, rows: list[list[Entry]]) -> str:
        top = ""
        if heading is not None:
            head = f'<th scope="rowgroup" colspan="{len(self.columns)}"><span>{escape(heading)}</span></th>'
            top = f'<tr class="group">{head}</tr>'
        return f"<tbody>{top}{''.join(self._row(row) for row in rows)}</tbody>"

    def _row(self, row: list[Entry]) -> str:
        first = f'<th scope="row">{_entry_html(row[0])}</th>'
        return f"<tr>{first}{''.join(f'<td{_side(entry)}>{_entry_html(entry)}</td>' for entry in row[1:])}</tr>"


def rounded(value: float, half_width: float | None = None, signed: bool = False) -> str:
    """Return a number for people: to one or two digits of its uncertainty if that is known, else to four digits.

    >>> rounded(0.693869, 0.0041), rounded(0.693869, 0.0014)
    ('0.694', '0.6939')
    >>> rounded(0.693869)
    '0.6939'
    """
    sign = "+" if signed else ""
    if value == 0 or not half_width or abs(value) >= 1e6 or half_width < 10**-MOST_DECIMALS:
        text = f"{value:{sign}.4g}"
    else:
        digits = -math.floor(math.log10(half_width / 3))  # two digits below 3, one above
        text = f"{value:{sign}.{max(0, digits)}f}"
    return text.replace("-", "−")


def data(value: float, text: str) -> str:
    """Return a number as HTML that keeps all its digits beside the text that is seen."""
    return f'<data value="{value!r}">{text}</data>'


def _entry_html(entry: Entry) -> str:
    match entry:
        case Number(None) | Mean(None) | Span(()) | Ends(None, _):
            return '<span class="none">–</span>'
        case Number(value, signed):
            return data(value, rounded(value, signed=signed))
        case Mean(summary):
            half = _half_width(summary)
            mean = data(summary.mean, rounded(summary.mean, half))
            if summary.low is None or summary.high is None:
                return mean
            low, high = (data(end, rounded(end, half)) for end in (summary.low, summary.high))
            return f'{mean} <span class="interval">[{low}, {high}]</span>'
        case Span(values):
            low, high = min(values), max(values)
            ends = [data(low, rounded(low))] if low == high else [data(end, rounded(end)) for end in (low, high)]
            return " … ".join(ends)
        case Ends(low, high):
            return f'<span class="interval">[{data(low, rounded(low))}, {data(high, rounded(high))}]</span>'
        case Verdict(held, n):
            kind = "yes" if held == n else "no" if held == 0 else "some"
            return f'<span class="verdict {kind}">{held} of {n}</span>'
        case Code(text):
            return f"<code>{escape(text)}</code>"
    return escape(entry)


def _entry_tex(entry: Entry) -> str:
    match entry:
        case Number(None) | Mean(None) | Span(()) | Ends(None, _):
            return "--"
        case Number(value, signed):
            return f"${rounded(value, signed=signed).replace('−', '-')}$"
        case Mean(summary):
            half = _half_width(summary)
            mean = f"${rounded(summary.mean, half)}$"
            ends = "" if summary.low is None else f" [${rounded(summary.low, half)}$, ${rounded(summary.high, half)}$]"
            return (mean + ends).replace("−", "-")
        case Span(values):
            ends = dict.fromkeys(f"${rounded(end)}$" for end in (min(values), max(values)))
            return "--".join(ends).replace("−", "-")
        case Ends(low, high):
            return f"[${rounded(low)}$, ${rounded(high)}$]".replace("−", "-")
        case Verdict(held, n):
            return f"{held} of {n}"
        case Code(text):
            return rf"\texttt{{{_tex(text)}}}"
    return _tex(entry)


_TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "·": r"$\cdot$"}
_TEX |= {letter: f"\\{letter}" for letter in "&%$#_{}"}


def _tex(text: str) -> str:
    return "".join(_TEX.get(letter, letter) for letter in _one_line(text))


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def _half_width(summary: Summary) -> float | None:
    return None if summary.low is None or summary.high is None else (summary.high - summary.low) / 2


def _is_number(entry: Entry) -> bool:
    return isinstance(entry, Number | Mean | Span | Ends)


def _side(entry: Entry) -> str:
    if _is_number(entry):
        return ' class="number"'
    return ' class="long"' if isinstance(entry, str) and len(entry) > LONG else ""


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
