"""Constraints declared beside a parameter, checked by one function and readable by the tests.

A constructor declares what it accepts in its type hints, with an `Interval` where a range matters, `Size` for
an axis of a tensor and `Seed` for a seed:

    def __init__(self, hidden: Size = 128, gain: Annotated[float, above(0)] = 1.0, seed: Seed = 0)
"""

from __future__ import annotations

import collections.abc
import math
import types
import typing
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin


class ConstraintError(ValueError):
    """A value does not satisfy the hint of its parameter.

    Args:
        must: description of the accepted values.
        got: the given value.
    """

    def __init__(self, must: str, got: object):
        self.must, self.got = must, got
        super().__init__(f"must be {must}. Got {got!r} instead.")


@dataclass(frozen=True)
class Interval:
    """A range of numbers; `low` and `high` belong to it unless they are open."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below

    def __str__(self) -> str:
        low = "" if self.low == -math.inf else f"{'above' if self.open_low else 'of at least'} {_shown(self.low)}"
        high = "" if self.high == math.inf else f"{'below' if self.open_high else 'at most'} {_shown(self.high)}"
        return " and ".join(part for part in (low, high) if part) or "of any size"

    def outside(self) -> list[float]:
        """Return the nearest integers that the interval does not hold, one beyond each finite end."""
        values: list[float] = []
        if self.low > -math.inf:
            values.append(math.floor(self.low) if self.open_low else math.ceil(self.low) - 1)
        if self.high < math.inf:
            values.append(math.ceil(self.high) if self.open_high else math.floor(self.high) + 1)
        return values


def _shown(bound: float) -> str:
    if isinstance(bound, int) and bound >= 2**31 and bound.bit_count() == 1:
        return f"2**{bound.bit_length() - 1}"
    return str(bound) if isinstance(bound, int) else f"{bound:g}"


@dataclass(frozen=True)
class Filled:
    """Marks a list that must not be empty."""


@dataclass(frozen=True)
class OnlyWhereSet:
    """Marks a parameter that takes part in a run's identity only where it is not at its default; the ids of runs that
    are older than the parameter then stay what they are."""


@dataclass(frozen=True)
class Location:
    """Marks a parameter that says where files are: it takes no part in a run's identity, in which another parameter
    stands for their content."""


def at_least(low: float) -> Interval:
    """Return the interval [low, inf)."""
    return Interval(low=low)


def above(low: float) -> Interval:
    """Return the interval (low, inf)."""
    return Interval(low=low, open_low=True)


def between(low: float, high: float) -> Interval:
    """Return the interval [low, high]."""
    return Interval(low=low, high=high)


Seed = Annotated[int, Interval(0, 2**63, open_high=True)]  # accepted by the generators of both torch and numpy
LARGEST = 1_000_000
Size = Annotated[int, between(1, LARGEST)]  # of one axis; `core.memory` checks products of sizes

_NAMES = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", type(None): "null"}


def describe(hint: Any) -> str:
    """Return a description of the values that satisfy a hint.

    >>> describe(Annotated[int, at_least(1)])
    'a whole number of at least 1'
    """
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        described = describe(args[0])
        if any(isinstance(extra, Filled) for extra in args[1:]):
            described = described.replace("a list of items", "a list of one or more items", 1)
        return " ".join([described, *(str(extra) for extra in args[1:] if isinstance(extra, Interval))])
    if origin is Literal:
        return "one of " + ", ".join(map(str, args))
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(describe(arg) for arg in args if arg in _NAMES or get_origin(arg)))
    if origin in (list, collections.abc.Sequence) or (origin is tuple and args[-1] is Ellipsis):
        return f"a list of items, each {describe(args[0])}"
    if origin is tuple:
        return f"a list of {len(args)}: " + ", ".join(map(describe, args))
    if origin is dict:
        return "a mapping"
    if origin is collections.abc.Callable:
        return "package.module.function"
    return _NAMES.get(hint, getattr(hint, "__name__", str(hint)))


def check(value: Any, hint: Any) -> Any:
    """Return `value` converted to its hint, or raise ConstraintError.

    Whole floats become integers where an integer is wanted (1e3 is 1000) and the choice that they equal, integers
    become floats where a float is wanted, lists become tuples where a tuple is wanted. Unknown hints accept
    anything.
    """
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        value = check(value, args[0])
        for extra in args[1:]:
            if isinstance(extra, Interval) and value is not None and value not in extra:
                raise ConstraintError(describe(hint), value)
            if isinstance(extra, Filled) and not value:
                raise ConstraintError(describe(hint), value)
        return value
    if origin is Literal:
        for arg in args:
            if arg == value and isinstance(arg, bool) == isinstance(value, bool):
                return arg
        raise ConstraintError(describe(hint), value)
    if origin in (Union, types.UnionType):
        for arg in sorted(
            args, key=lambda arg: type(value) is not arg
        ):  # an exact type first: 1 stays an int in int | float
            try:
                return check(value, arg)
            except ConstraintError:
                continue
        raise ConstraintError(describe(hint), value)
    if origin in (list, tuple, collections.abc.Sequence):
        return _check_items(value, hint, origin, args)
    if origin is dict:
        if not isinstance(value, dict):
            raise ConstraintError(describe(hint), value)
        return {check(key, args[0]): check(item, args[1]) for key, item in value.items()}
    if origin is collections.abc.Callable and not callable(value):
        raise ConstraintError(describe(hint), value)
    return _check_plain(value, hint)


def _check_items(value: Any, hint: Any, origin: Any, args: tuple) -> Any:
    if not isinstance(value, list | tuple):
        raise ConstraintError(describe(hint), value)
    if origin is tuple and args[-1] is not Ellipsis:
        if len(value) != len(args):
            raise ConstraintError(describe(hint), value)
        return tuple(check(item, arg) for item, arg in zip(value, args, strict=True))
    items = [check(item, args[0]) for item in value]
    return tuple(items) if origin is tuple else items


def _check_plain(value: Any, hint: Any) -> Any:
    if hint is int:
        if isinstance(value, float) and value.is_integer():
            return int(value)
        good = isinstance(value, int) and not isinstance(value, bool)
    elif hint is float:
        if isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        good = isinstance(value, float) and not math.isnan(value)
    elif hint in (str, bool, type(None)) or (isinstance(hint, type) and hint not in (object, Any)):
        good = isinstance(value, hint)
    else:
        good = True
    if not good:
        raise ConstraintError(describe(hint), value)
    return value


def invalid_values(hint: Any) -> list[Any]:
    """Return a few values that the hint must refuse; tests generate their bad input from these."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        outside = [value for extra in args[1:] if isinstance(extra, Interval) for value in extra.outside()]
        return outside + [[] for extra in args[1:] if isinstance(extra, Filled)] + invalid_values(args[0])
    if origin is Literal:
        return ["no such choice"]
    if origin in (Union, types.UnionType):
        candidates = [value for arg in args for value in invalid_values(arg)]
        return [value for value in candidates if not _accepts(value, hint)]
    if hint in (int, float, bool):
        return ["not a number", [1]]
    if hint is str or origin is collections.abc.Callable:
        return [7]
    if origin is dict:
        return ["not a mapping", *({"name": value} for value in invalid_values(args[1]))]
    if origin in (list, tuple, collections.abc.Sequence):
        length = len([arg for arg in args if arg is not Ellipsis])
        return ["not a list", *([value] * length for value in invalid_values(args[0]))]
    if isinstance(hint, type) and hint not in (object, type(None)):
        return [7, "not an object"]  # in place of an object of a class
    return []


def takes_function(hint: Any) -> bool:
    """True if a function satisfies a hint: Callable[...], or a union with it."""
    origin = get_origin(hint)
    if origin in (Annotated, Union, types.UnionType):
        return any(takes_function(arg) for arg in get_args(hint))
    return origin is collections.abc.Callable


def _accepts(value: Any, hint: Any) -> bool:
    try:
        check(value, hint)
    except ConstraintError:
        return False
    return True


def hints_of(function: typing.Callable) -> dict[str, Any]:
    """Return the resolved type hints of a function's parameters, with their constraints."""
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError):  # hints that name what only a type checker imports constrain nothing
        return {}
    hints.pop("return", None)
    return hints
