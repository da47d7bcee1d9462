"""Learning-rate schedules against numbers worked out by hand and against torch's own."""

import warnings
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LinearLR

from mechlab.core.errors import ConfigError
from mechlab.core.schedule import Schedule

BY_HAND = {
    "constant": (Schedule(), 4, [1, 1, 1, 1]),
    "constant with warm-up": (Schedule("constant", warmup=4), 6, [0.25, 0.5, 0.75, 1, 1, 1]),
    "linear": (Schedule("linear"), 5, [1, 0.75, 0.5, 0.25, 0]),
    "linear to a tenth, with warm-up": (Schedule("linear", warmup=2, final=0.1), 5, [0.5, 1, 1, 0.55, 0.1]),
    "cosine": (Schedule("cosine"), 5, [1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2, 0]),
    "cosine to a fifth": (Schedule("cosine", final=0.2), 3, [1, 0.6, 0.2]),
    "triangular": (Schedule("triangular"), 3, [0.5, 1, 0.5]),
    "triangular with an early peak": (Schedule("triangular", peak=0.2), 4, [1, 0.75, 0.5, 0.25]),
    "triangular with a late peak": (Schedule("triangular", peak=0.8), 4, [0.25, 0.5, 0.75, 1]),
    "falling from the start": (Schedule("triangular", peak=0.0), 3, [0.75, 0.5, 0.25]),
    "table": (Schedule("table", factors=(0.5, 3, 0)), 5, [0.5, 3, 0, 0, 0]),
    "rising to the end": (Schedule("triangular", peak=1.0), 3, [0.25, 0.5, 0.75]),
    "a single step": (Schedule("cosine"), 1, [1]),
    "all warm-up": (Schedule("linear", warmup=3), 3, [1 / 3, 2 / 3, 1]),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_factors_worked_out_by_hand(name):
    schedule, steps, expected = BY_HAND[name]
    assert [schedule.factor(step, steps) for step in range(steps)] == pytest.approx(expected, abs=1e-12)


def torch_rates(make, steps):
    """The rate that torch has in force during each step, from a base rate of 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler, rates = make(optimizer), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scheduler.step()
    return rates


TORCH = {
    "cosine": (Schedule("cosine", final=0.1), lambda o: CosineAnnealingLR(o, T_max=29, eta_min=0.1)),
    "linear": (Schedule("linear", final=0.3), lambda o: LinearLR(o, 1.0, 0.3, total_iters=29)),
    "warm-up": (Schedule("constant", warmup=8), lambda o: LambdaLR(o, lambda step: min(1.0, (step + 1) / 8))),
}


@pytest.mark.parametrize("name", TORCH)
def test_torch_has_the_same_rates(name):
    schedule, make = TORCH[name]
    assert [schedule.factor(step, 30) for step in range(30)] == pytest.approx(torch_rates(make, 30), abs=1e-9)


@given(
    kind=st.sampled_from(["constant", "cosine", "linear", "triangular"]),
    warmup=st.integers(0, 20),
    final=st.floats(0, 1),
    peak=st.floats(0, 1),
    steps=st.integers(1, 60),
)
def test_factors_rise_then_fall_within_0_and_1(kind, warmup, final, peak, steps):
    schedule = Schedule(kind, warmup, final, peak)
    factors = [schedule.factor(step, steps) for step in range(steps)]
    assert all(-1e-12 <= factor <= 1 + 1e-9 for factor in factors)
    top = max(range(steps), key=factors.__getitem__)
    assert all(a <= b + 1e-12 for a, b in pairwise(factors[: top + 1]))
    assert all(a >= b - 1e-12 for a, b in pairwise(factors[top:]))
    if kind in ("cosine", "linear") and steps > warmup + 1:
        assert factors[-1] == pytest.approx(final, abs=1e-12)
    if kind == "triangular":
        assert all(factor > 0 for factor in factors)  # no update is wasted


@pytest.mark.parametrize("arguments", [{"kind": "table"}, {"kind": "cosine", "factors": (1.0,)}])
def test_factors_belong_to_a_table(arguments):
    with pytest.raises(ConfigError, match="a table, and nothing else"):
        Schedule(**arguments)
