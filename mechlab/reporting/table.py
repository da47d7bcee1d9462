"""Tables for people: their entries, and their LaTeX; the page's templates write them as HTML."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from mechlab.statistics.bootstrap import Summary

MOST_DECIMALS = 6
WHOLE = 1e7  # below which a whole number is written in full


class Digits(NamedTuple):
    """A number as it is seen, and with all its digits."""

    text: str
    value: float

    @property
    def exact(self) -> str:
        """All digits of the number."""
        return repr(self.value)


class Numeric:
    """An entry made of numbers: `prefix`, then `main`, then `interval` in brackets; all empty where there is none."""

    kind = "number"
    prefix = ""

    @property
    def main(self) -> list[Digits]:
        """One number, or the two ends of a range."""
        return []

    @property
    def interval(self) -> list[Digits]:
        """The two ends of an interval."""
        return []


@dataclass(frozen=True)
class Number(Numeric):
    """A number, or None where there is none."""

    value: float | None
    signed: bool = False

    @property
    def main(self) -> list[Digits]:
        return [] if self.value is None else [Digits(rounded(self.value, signed=self.signed), self.value)]


@dataclass(frozen=True)
class Mean(Numeric):
    """A mean with its interval."""

    summary: Summary | None

    @property
    def main(self) -> list[Digits]:
        if self.summary is None:
            return []
        return [Digits(rounded(self.summary.mean, self.half_width), self.summary.mean)]

    @property
    def interval(self) -> list[Digits]:
        if self.summary is None or self.summary.low is None or self.summary.high is None:
            return []
        return [Digits(rounded(end, self.half_width), end) for end in (self.summary.low, self.summary.high)]

    @property
    def half_width(self) -> float | None:
        """Half of the interval's width; None where there is no interval."""
        if self.summary is None or self.summary.low is None or self.summary.high is None:
            return None
        return (self.summary.high - self.summary.low) / 2


@dataclass(frozen=True)
class Span(Numeric):
    """The least and the greatest of some numbers, to so many digits; one number if they are equal."""

    values: tuple[float, ...]
    digits: int = 4

    @property
    def main(self) -> list[Digits]:
        extremes = (max(self.values), min(self.values)) if self.values else ()
        ends = {rounded(end, digits=self.digits): end for end in extremes}
        return [Digits(text, end) for text, end in reversed(ends.items())]


@dataclass(frozen=True)
class Bound(Span):
    """The thresholds of a claim after the sign of its direction: ≤, ≥, =, or nothing."""

    sign: str = ""

    @property
    def prefix(self) -> str:  # type: ignore[override]
        return f"{self.sign} " if self.sign and self.values else ""


@dataclass(frozen=True)
class Ends(Numeric):
    """An interval without its middle; None where there is none."""

    low: float | None
    high: float | None

    @property
    def interval(self) -> list[Digits]:
        if self.low is None or self.high is None:
            return []
        return [Digits(rounded(end), end) for end in (self.low, self.high)]


@dataclass(frozen=True)
class Verdict:
    """Of how many of n something holds."""

    count: int
    n: int
    kind = "verdict"

    @property
    def grade(self) -> str:
        """Whether it holds of all, of none, or of some: yes, no or some."""
        return "yes" if self.count == self.n else "no" if self.count == 0 else "some"

    @property
    def words(self) -> str:
        """The counts."""
        return f"{self.count} of {self.n}"


@dataclass(frozen=True)
class Truth(Verdict):
    """As a verdict; in words yes or no if it is of a single thing."""

    @property
    def words(self) -> str:
        return ("yes" if self.count else "no") if self.n == 1 else super().words


@dataclass(frozen=True)
class Code:
    """A name or path, in fixed-width letters."""

    text: str
    kind = "code"


class Heading(NamedTuple):
    """The heading of a group of rows, with a remark in small letters."""

    text: str
    small: str


Entry = str | Numeric | Verdict | Code


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
        lines = [f"% {_one_line(self.caption)}", f"\\begin{{tabular}}{{{sides}}}", "\\toprule"]
        lines += [" & ".join(map(_tex, self.columns)) + r" \\", r"\midrule"]
        for number, (heading, rows) in enumerate(self.groups):
            if heading is not None:
                lines += [r"\addlinespace"] if number else []
                text = heading if isinstance(heading, str) else heading.text
                lines.append(rf"\multicolumn{{{len(self.columns)}}}{{l}}{{\emph{{{_tex(text)}}}}} \\")
            lines += [" & ".join(map(_entry_tex, row)) + r" \\" for row in rows]
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def rounded(value: float, half_width: float | None = None, signed: bool = False, digits: int = 4) -> str:
    """Return a number for people: to one or two digits of its uncertainty if that is known, else to so many digits;
    whole numbers are written in full.

    >>> rounded(0.693869, 0.0041), rounded(0.693869, 0.0014)
    ('0.694', '0.6939')
    >>> rounded(0.693869)
    '0.6939'
    """
    sign = "+" if signed else ""
    if not half_width and abs(value) < WHOLE and value == int(value):
        text = f"{value:{sign}.0f}"
    elif value == 0 or not half_width or abs(value) >= 1e6 or half_width < 10**-MOST_DECIMALS:
        text = f"{value:{sign}.{digits}g}"
    else:
        places = -math.floor(math.log10(half_width / 3))  # two digits below 3, one above
        text = f"{value:{sign}.{max(0, places)}f}"
    return text.replace("-", "−")


def _entry_tex(entry: Entry) -> str:
    match entry:
        case Numeric():
            return _numeric_tex(entry)
        case Verdict(held, n):
            return f"{held} of {n}"
        case Code(text):
            return rf"\texttt{{{_tex(text)}}}"
    return _tex(entry)


def _numeric_tex(entry: Numeric) -> str:
    words = ["--".join(f"${digits.text}$" for digits in entry.main)] if entry.main else []
    words += [f"[{', '.join(f'${digits.text}$' for digits in entry.interval)}]"] if entry.interval else []
    return " ".join(words).replace("−", "-") or "--"


_TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "·": r"$\cdot$"}
_TEX |= {letter: f"\\{letter}" for letter in "&%$#_{}"}


def _tex(text: str) -> str:
    return "".join(_TEX.get(letter, letter) for letter in _one_line(text))


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)


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
