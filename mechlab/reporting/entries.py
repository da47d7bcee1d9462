"""The entries of tables: numbers to the digits that matter, verdicts and names."""

from __future__ import annotations

import math
from dataclasses import dataclass
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
