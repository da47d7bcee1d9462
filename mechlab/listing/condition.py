"""Conditions on runs, such as `task=tomita`, `seed=0,1` and `test/accuracy>0.9`, and the order of a list of runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from mechlab.core.errors import ConfigError, closest
from mechlab.listing.row import Row, shown

COMPARISON = re.compile(r"\s*([^=<>!\s]+)\s*(>=|<=|!=|==?|>|<)\s*(.*?)\s*")
UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
SIZE = re.compile(r"([\d.]+)\s*([kmgt]?)b?", re.IGNORECASE)
TIMES = ("date", "started")  # compared as text: ISO 8601 sorts by time


@dataclass(frozen=True)
class Condition:
    """A comparison that a run's value must satisfy.

    Args:
        key: a column, a metric, a scalar of an analysis or a config key.
        operator: one of = != < <= > >=.
        value: what it is compared with; several values, separated by commas, mean any of them.
    """

    key: str
    operator: str
    value: str

    def holds(self, row: Row) -> bool:
        """True if a run has a value that satisfies the condition; a run without a value differs from every other."""
        own = row.values.get(self.key)
        if self.operator in ("=", "!="):
            choices = [self.value] if self.value.startswith("[") else self.value.split(",")
            return any(self._equals(own, choice.strip()) for choice in choices) == (self.operator == "=")
        if own is None:
            return False
        other: Any = self.value if self.key in TIMES else self._number()
        if isinstance(own, str) != isinstance(other, str) or isinstance(own, list):
            return False
        return {"<": own < other, "<=": own <= other, ">": own > other, ">=": own >= other}[self.operator]

    def _equals(self, own: Any, choice: str) -> bool:
        if isinstance(own, bool) or own is None:
            return choice.lower() == {True: "true", False: "false", None: "null"}[own]
        if isinstance(own, int | float) and _float(choice, self.key) == own:
            return True
        return fnmatchcase(shown(own).lower(), choice.lower())

    def _number(self) -> float:
        if (value := _float(self.value, self.key)) is not None:
            return value
        must = f"{self.operator} compares with a number" + (" or a date" if self.key in TIMES else "")
        fix = f"--where '{self.key}{self.operator}0.9'"
        raise ConfigError(must, got=f"{self.key}{self.operator}{self.value}", key="--where", fix=fix)


def parse_condition(text: str) -> Condition | None:
    """Return the condition that a text expresses; None if it is no comparison.

    >>> parse_condition("test/accuracy>0.9")
    Condition(key='test/accuracy', operator='>', value='0.9')
    """
    match = COMPARISON.fullmatch(text)
    return None if match is None else Condition(match[1], match[2].replace("==", "="), match[3])


def check_keys(rows: Sequence[Row], keys: Iterable[str], option: str) -> None:
    """Raise ConfigError if no run has a value of one of the names."""
    known = {name for row in rows for name in row.values}
    for key in keys:
        if rows and key not in known:
            must = f"{option} must name a column, a metric, a scalar of an analysis or a config key of the listed runs"
            near = closest(key, known)
            fix = f"did you mean {' or '.join(map(repr, near))}?" if near else "runs ls --json prints all of them"
            raise ConfigError(must, got=key, key=option, fix=fix)


def in_order(rows: Sequence[Row], key: str, reverse: bool = False) -> list[Row]:
    """Return runs ordered by a value: numbers before text, ascending or descending, and runs without a value last."""
    has: Callable[[Row], bool] = lambda row: row.values.get(key) is not None  # noqa: E731
    ordered = sorted(filter(has, rows), key=lambda row: _order(row.values[key]), reverse=reverse)
    return [*ordered, *(row for row in rows if not has(row))]


def _order(value: Any) -> tuple[bool, float, str]:
    is_number = isinstance(value, int | float)
    return not is_number, value if is_number else 0, shown(value)


def _float(text: str, key: str) -> float | None:
    if key == "size" and (match := SIZE.fullmatch(text)):
        return float(match[1]) * UNITS[match[2].lower()]
    try:
        return float(text)
    except ValueError:
        return None
