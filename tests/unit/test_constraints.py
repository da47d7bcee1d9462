"""What hints accept, refuse and say, as a table and as properties."""

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechlab.core.constraints import (
    ConstraintError,
    Interval,
    Seed,
    Size,
    above,
    at_least,
    between,
    check,
    describe,
    hints_of,
    invalid_values,
)

Positive = Annotated[int, at_least(1)]
Share = Annotated[float, Interval(0, 1, open_low=True, open_high=True)]

Named = Literal["sum", "mean"] | Callable[[list], float]

# hint, value, what comes out
ACCEPTED = [
    (int, 3, 3),
    (int, 1e3, 1000),
    (int, -2.0, -2),
    (float, 3, 3.0),
    (float, 0.5, 0.5),
    (float, math.inf, math.inf),
    (str, "x", "x"),
    (bool, True, True),
    (type(None), None, None),
    (Positive, 1, 1),
    (Positive, 64.0, 64),
    (Seed, 2**63 - 1, 2**63 - 1),
    (Seed, 0.0, 0),
    (int, 2**200, 2**200),
    (Share, 0.5, 0.5),
    (Positive | None, None, None),
    (Positive | None, 2.0, 2),
    (int | float, 1, 1),
    (int | float, 1.0, 1.0),
    (Literal["a", "b"], "b", "b"),
    (Literal[32, 64], 32.0, 32),
    (Literal["epoch"] | Positive, "epoch", "epoch"),
    (Literal["epoch"] | Positive, 5.0, 5),
    (list[int], [1, 2.0], [1, 2]),
    (Sequence[int], (1, 2), [1, 2]),
    (tuple[float, float], [0, 1], (0.0, 1.0)),
    (tuple[int, ...], [], ()),
    (tuple[int, ...] | None, [3, 4], (3, 4)),
    (dict[str, int], {"a": 1.0}, {"a": 1}),
    (Any, object, object),
    (object, "anything", "anything"),
    (Named, "sum", "sum"),
    (Named, len, len),
]

# hint, value, what the message says must hold
REFUSED = [
    (int, 1.5, "a whole number"),
    (Named, "median", "one of sum, mean or package.module.function"),
    (Callable[[list], float], 7, "package.module.function"),
    (int, "3", "a whole number"),
    (int, True, "a whole number"),
    (int, math.nan, "a whole number"),
    (int, math.inf, "a whole number"),
    (int, None, "a whole number"),
    (float, "x", "a number"),
    (float, False, "a number"),
    (float, math.nan, "a number"),
    (str, 7, "a text"),
    (bool, 1, "true or false"),
    (bool, "true", "true or false"),
    (Positive, 0, "a whole number of at least 1"),
    (Annotated[float, above(0)], 0, "a number above 0"),
    (Annotated[int, between(1, 7)], 8, "a whole number of at least 1 and at most 7"),
    (Share, 1.0, "a number above 0 and below 1"),
    (Annotated[float, Interval(high=2)], 2.5, "a number at most 2"),
    (Positive | None, 0, "a whole number of at least 1 or null"),
    (Seed, 2**63, "a whole number of at least 0 and below 2**63"),
    (Seed, -1, "a whole number of at least 0 and below 2**63"),
    (Size, 1_000_001, "a whole number of at least 1 and at most 1000000"),
    (Literal["a", "b"], "c", "one of a, b"),
    (Literal[1, 2], True, "one of 1, 2"),
    (Literal["a"], ["a"], "one of a"),
    (Literal["epoch"] | Positive, "step", "one of epoch or a whole number of at least 1"),
    (list[int], 3, "a list of items, each a whole number"),
    (list[int], "12", "a list of items, each a whole number"),
    (list[Positive], [1, 0], "a whole number of at least 1"),
    (tuple[int, int], [1], "a list of 2: a whole number, a whole number"),
    (dict[str, int], [1], "a mapping"),
    (dict[str, int], {"a": "b"}, "a whole number"),
]


@pytest.mark.parametrize(("hint", "value", "expected"), ACCEPTED)
def test_what_is_accepted_comes_out_as_the_hint_wants_it(hint, value, expected):
    found = check(value, hint)
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(("hint", "value", "must"), REFUSED)
def test_what_is_refused_is_told_in_words(hint, value, must):
    with pytest.raises(ConstraintError) as caught:
        check(value, hint)
    assert caught.value.must == must
    assert str(caught.value).startswith(f"must be {must}. Got ") and str(caught.value).endswith(" instead.")


@pytest.mark.parametrize("hint", [row[0] for row in REFUSED])
def test_there_are_invalid_values_for_the_tests_and_all_are_refused(hint):
    values = invalid_values(hint)
    assert values or hint == dict[str, int]
    for value in values:
        with pytest.raises(ConstraintError):
            check(value, hint)


@pytest.mark.parametrize(("hint", "value", "expected"), ACCEPTED)
def test_checking_twice_is_checking_once(hint, value, expected):
    assert check(check(value, hint), hint) == expected


NUMBERS = st.floats(-50, 50) | st.integers(-50, 50)


@given(ends=st.tuples(NUMBERS, NUMBERS).map(sorted), open_low=st.booleans(), open_high=st.booleans(), value=NUMBERS)
def test_an_interval_holds_what_lies_between_its_ends(ends, open_low, open_high, value):
    low, high = ends
    interval = Interval(low, high, open_low, open_high)
    for number in (value, low, high, (low + high) / 2):
        low_enough = number < high or (number == high and not open_high)
        assert (number in interval) == (low_enough and (number > low or (number == low and not open_low)))
    for outside in interval.outside():
        assert outside not in interval and low - 1 <= outside <= high + 1


@given(value=st.integers(-(10**6), 10**6), low=st.integers(-100, 100))
def test_bounds_hold_whatever_the_form_of_the_number(value, low):
    for form in (value, float(value)):
        if value >= low:
            assert check(form, Annotated[int, at_least(low)]) == value
        else:
            with pytest.raises(ConstraintError):
                check(form, Annotated[int, at_least(low)])


@given(st.floats(allow_nan=True, allow_infinity=True) | st.integers() | st.text() | st.none() | st.booleans())
def test_a_value_is_accepted_by_a_union_if_and_only_if_by_a_member(value):
    def accepts(hint):
        try:
            check(value, hint)
        except ConstraintError:
            return False
        return True

    members = [Positive, Literal["epoch", "never"], type(None)]
    assert accepts(Positive | Literal["epoch", "never"] | None) == any(map(accepts, members))


@pytest.mark.parametrize(
    ("interval", "text"),
    [(at_least(1), "of at least 1"), (above(0.5), "above 0.5"), (between(0, 1), "of at least 0 and at most 1")],
)
def test_intervals_in_words(interval, text):
    assert str(interval) == text
    assert str(Interval()) == "of any size"
    assert describe(Annotated[float, interval]) == f"a number {text}"


def test_hints_keep_their_constraints_and_leave_out_what_is_returned():
    def function(a: Positive, b: "str" = "x") -> int:
        return a

    assert hints_of(function) == {"a": Positive, "b": str}


def test_hints_that_name_what_is_not_imported_constrain_nothing():
    def function(a: "NotImportedAnywhere"):  # noqa: F821
        return a

    assert hints_of(function) == {}
