"""The MIPS tasks against the published table, written again as loops over the positions of one sequence."""

from __future__ import annotations

import math
import re
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from mechlab.automata.mips_rules import RULES, rule_named
from mechlab.core.errors import ConfigError
from mechlab.core.task import SPLITS
from mechlab.tasks.mips import FEWEST, Mips


def read(xs, i):
    """The input at position i, 0 before the first."""
    return xs[i] if i >= 0 else 0


def each(value):
    return lambda xs: [value(x) for x in xs]


def at(value):
    """A rule of the sequence and the position."""
    return lambda xs: [value(xs, t) for t in range(len(xs))]


def so_far(value):
    """A rule of all that has been read."""
    return lambda xs: [value(xs[: t + 1]) for t in range(len(xs))]


def add(base):
    def rule(xs):
        carry, ys = 0, []
        for a, b in xs:
            v = a + b + carry
            ys.append(v % base)
            carry = v // base
        return ys

    return rule


def divide(divisor):
    def rule(xs):
        r, ys = 0, []
        for x in xs:
            v = 2 * r + x
            ys.append(v // divisor)
            r = v % divisor
        return ys

    return rule


def alternates(*patterns):
    k = len(patterns[0])
    return at(lambda xs, t: int(tuple(read(xs, t - k + 1 + i) for i in range(k)) in patterns))


def never_negative_and_zero(xs):
    failed, depth, ys = False, 0, []
    for x in xs:
        depth += 1 if x == 0 else -1
        failed = failed or depth < 0
        ys.append(int(depth == 0 and not failed))
    return ys


def dither(xs):
    total, ys = 0, []
    for x in xs:
        ys.append(math.floor(Fraction(total + x, 15)) - math.floor(Fraction(total, 15)))
        total += x
    return ys


def commonest(values):
    def rule(xs):
        best = None
        for value in range(values):
            if best is None or xs.count(value) > xs.count(best):
                best = value
        return best

    return so_far(rule)


def move(force):
    def rule(xs):
        v, y, ys = 0, 0, []
        for x in xs:
            v = v + force(x, y)
            y = y + v
            ys.append(y)
        return ys

    return rule


def circle(xs):
    u = w = p = q = 0
    ys = []
    for a, b in xs:
        u, w = u + a - w, w + b + u
        p, q = p + u, q + w
        ys.append((p, q))
    return ys


def last(k, combine=lambda total: total):
    return at(lambda xs, t: combine(sum(read(xs, t - i) for i in range(k))))


BIT, TWO = (1, 0, 1), (2, 0, 1)
HUNDRED, SIGNED, FORCE = (1, 0, 99), (1, -100, 99), (1, -10, 10)
TABLE = {  # published name: channels, smallest and largest input; T; thousands of steps; percent to train on; rule
    "bit_addition": (*TWO, 10, 10, 90, add(2)),
    **{f"rnn_base_{k}_addition": (2, 0, k - 1, 10, 20, 90, add(k)) for k in (3, 4, 5, 6, 7)},
    "rnn_bitwise_and": (*TWO, 10, 10, 90, each(lambda x: x[0] * x[1])),
    "rnn_bitwise_or": (*TWO, 10, 10, 90, each(lambda x: int(x[0] + x[1] > 0))),
    "rnn_bitwise_xor": (*TWO, 10, 10, 90, each(lambda x: int(x[0] + x[1] == 1))),
    "rnn_bitwise_not": (*BIT, 10, 10, 90, each(lambda x: 1 - x)),
    "rnn_bit_shift_right_numerical": (*BIT, 10, 20, 90, at(lambda xs, t: read(xs, t - 1))),
    "rnn_bit_dot_prod_mod2_numerical": (*TWO, 10, 20, 90, so_far(lambda xs: sum(a * b for a, b in xs) % 2)),
    "rnn_bit_palindromes_numerical": (*BIT, 10, 20, 90, so_far(lambda xs: int(xs == xs[::-1]))),
    "rnn_abs_value_numerical": (*SIGNED, 10, 10, 90, each(lambda x: x if x > 0 else -x)),
    "rnn_abs_value_of_diff_numerical": (*SIGNED, 10, 10, 90, at(lambda xs, t: abs(xs[t] - read(xs, t - 1)))),
    "rnn_diff_of_abs_value_numerical": (*SIGNED, 10, 10, 90, at(lambda xs, t: abs(xs[t]) - abs(read(xs, t - 1)))),
    "rnn_diff_last2_numerical": (*SIGNED, 10, 10, 90, at(lambda xs, t: xs[t] - read(xs, t - 1))),
    **{
        f"rnn_add_mod_{k}_numerical": (1, 0, k - 1, 10, 10, 80, so_far(lambda xs, k=k: sum(xs) % k))
        for k in (3, 4, 5, 6, 7, 8)
    },
    "rnn_alternating_last3_numerical": (*BIT, 10, 20, 90, alternates((0, 1, 0), (1, 0, 1))),
    "rnn_alternating_last4_numerical": (*BIT, 10, 20, 90, alternates((0, 1, 0, 1), (1, 0, 1, 0))),
    "rnn_balanced_parenthesis_numerical": (*BIT, 10, 20, 90, never_negative_and_zero),
    "rnn_dithering_numerical": (1, 0, 15, 10, 10, 80, dither),
    **{f"rnn_div_{k}_numerical": (*BIT, 10, 10, 80, divide(k)) for k in (3, 5, 7)},
    "rnn_evens_counter_numerical": (1, 0, 9, 10, 20, 90, so_far(lambda xs: sum(x in (0, 2, 4, 6, 8) for x in xs))),
    "rnn_evens_detector_numerical": (1, 0, 9, 10, 20, 90, each(lambda x: int(x in (0, 2, 4, 6, 8)))),
    "rnn_perfect_square_detector_numerical": (1, 0, 19, 10, 20, 90, each(lambda x: int(math.isqrt(x) ** 2 == x))),
    "rnn_identity_numerical": (*HUNDRED, 10, 10, 90, each(lambda x: x)),
    **{f"rnn_majority0_{k}_numerical": (1, 0, k, 10, 20, 90, commonest(k + 1)) for k in (1, 2, 3)},
    "rnn_max_numerical": (*HUNDRED, 10, 20, 90, so_far(max)),
    "rnn_min_numerical": (1, 0, 9, 10, 20, 90, so_far(min)),
    "rnn_newton_freebody_numerical": (*FORCE, 10, 10, 80, move(lambda x, y: x)),
    "rnn_newton_gravity_numerical": (*FORCE, 10, 10, 80, move(lambda x, y: x - 1)),
    "rnn_newton_spring_numerical": (*FORCE, 10, 10, 80, move(lambda x, y: x - y)),
    "rnn_newton_magnetic_numerical": (2, -10, 10, 10, 10, 80, circle),
    "rnn_parity_numerical": (*BIT, 10, 10, 90, so_far(lambda xs: sum(xs) % 2)),
    **{f"rnn_parity_last{k}_numerical": (*BIT, 10, 10, 90, last(k, lambda total: total % 2)) for k in (2, 3, 4)},
    "rnn_parity_of_index_numerical": (*BIT, 10, 20, 90, at(lambda xs, t: t % 2)),
    "rnn_parity_of_zeros_numerical": (*BIT, 10, 20, 90, so_far(lambda xs: xs.count(0) % 2)),
    **{
        f"rnn_prev{k}_numerical": (*HUNDRED, 20 if k == 5 else 10, 10, 90, at(lambda xs, t, k=k: read(xs, t - k)))
        for k in (1, 2, 3, 4, 5)
    },
    "rnn_sum_numerical": (*HUNDRED, 10, 10, 90, so_far(sum)),
    **{f"rnn_sum_last{k}_numerical": (*HUNDRED, 20 if k > 4 else 10, 10, 90, last(k)) for k in (2, 3, 4, 5, 6, 7)},
    "rnn_unique2_numerical": (1, 0, 7, 10, 10, 90, at(lambda xs, t: int(xs[t] == read(xs, t - 1)))),
}
NAMES = list(RULES)
EXAMPLES = {  # by hand
    "bit_addition": ([(1, 1), (1, 0), (0, 0), (1, 1), (1, 1)], [0, 0, 1, 0, 1]),
    "base_7_addition": ([(6, 6), (0, 0), (3, 4)], [5, 1, 0]),
    "bit_dot_prod_mod2": ([(1, 1), (1, 0), (1, 1), (1, 1)], [1, 1, 0, 1]),
    "bit_palindromes": ([0, 1, 0, 0, 1, 0], [1, 0, 1, 0, 0, 1]),
    "abs_value_of_diff": ([-100, 99, 99], [100, 199, 0]),
    "diff_of_abs_value": ([-100, 99, -99], [100, -1, 0]),
    "alternating_last3": ([1, 0, 1, 1, 0, 1], [0, 1, 1, 0, 0, 1]),  # of the first 010 a 0 is before the sequence
    "alternating_last4": ([1, 0, 1, 0, 0], [0, 0, 1, 1, 0]),
    "balanced_parenthesis": ([0, 1, 0, 0, 1, 1, 1, 0], [0, 1, 0, 0, 0, 1, 0, 0]),
    "dithering": ([15, 14, 1, 7, 7, 7], [1, 0, 1, 0, 0, 1]),
    "div_3": ([1, 1, 0, 1], [0, 1, 0, 0]),  # 13 = 4 * 3 + 1
    "div_7": ([1, 1, 1, 1, 1], [0, 0, 1, 0, 0]),  # 31 = 4 * 7 + 3
    "evens_counter": ([0, 1, 2, 9, 8], [1, 1, 2, 2, 3]),
    "majority0_3": ([3, 3, 1, 1, 0, 0, 0], [3, 3, 3, 1, 1, 0, 0]),
    "newton_gravity": ([1, 0, 0], [0, -1, -3]),
    "newton_spring": ([1, 0, 0, 0, 0, 0, 0], [1, 1, 0, -1, -1, 0, 1]),
    "newton_magnetic": ([(1, 0), (0, 0), (0, 0)], [(1, 0), (2, 1), (2, 3)]),
    "parity_of_index": ([1, 1, 0], [0, 1, 0]),
    "unique2": ([0, 0, 7, 7, 0], [1, 1, 0, 1, 0]),
}


def short(published):
    return published.removeprefix("rnn_").removesuffix("_numerical")


def columns(values):
    """Numbers, or tuples of them, as an array (T, channels) of integers of any size."""
    return np.array([value if isinstance(value, tuple) else (value,) for value in values], dtype=object)


def plain(inputs):
    """One sequence (T, c) as the loops read it."""
    return [tuple(map(int, row)) if len(row) > 1 else int(row[0]) for row in inputs]


def test_there_are_the_62_published_tasks_in_their_order():
    assert [short(name) for name in TABLE] == NAMES and len(NAMES) == 62
    for name, (channels, low, high, T, steps, share, _) in TABLE.items():
        rule = RULES[short(name)]
        assert (rule.channels, rule.low, rule.high, rule.length) == (channels, low, high, T), name
        assert (rule.steps, rule.share, rule.name) == (1000 * steps, share / 100, short(name))
        assert rule.outputs == (2 if rule.name == "newton_magnetic" else 1)
    assert sum(rule.steps == 20_000 for rule in RULES.values()) == 21
    assert sum(rule.channels == 2 for rule in RULES.values()) == 11
    assert sorted(rule.name for rule in RULES.values() if rule.length == 20) == [
        *("prev5", "sum_last5", "sum_last6", "sum_last7"),
    ]


@pytest.mark.parametrize("published", TABLE)
def test_targets_are_those_of_the_published_table(published):
    rule, slow = RULES[short(published)], TABLE[published][-1]
    rng = np.random.default_rng(0)
    for B, T in ((40, rule.length), (30, 1), (30, 3), (3, 100)):
        inputs = rule.integers(B, T, rng)
        assert inputs.shape == (B, T, rule.channels) and inputs.dtype == np.int64
        assert inputs.min() >= rule.low and inputs.max() <= rule.high
        before, targets = inputs.copy(), rule.targets(inputs)
        assert targets.shape == (B, T, rule.outputs) and (inputs == before).all()
        for row, given in zip(targets, inputs, strict=True):
            assert (row == columns(slow(plain(given)))).all(), (plain(given), row.tolist())


@pytest.mark.parametrize("name", EXAMPLES)
def test_targets_of_examples_by_hand(name):
    xs, ys = EXAMPLES[name]
    assert RULES[name].targets(columns(xs).astype(np.int64)[None])[0].tolist() == columns(ys).tolist()


@pytest.mark.parametrize("name", NAMES)
def test_targets_are_exact_at_length_1000(name):
    rule = RULES[name]
    inputs = rule.integers(2, 1000, np.random.default_rng(1))
    if name == "bit_palindromes":
        inputs[0, :, 0] = inputs[0, ::-1, 0] = np.r_[inputs[0, :500, 0], inputs[0, 499::-1, 0]]
    slow = {short(published): row[-1] for published, row in TABLE.items()}[name]
    for given, targets in zip(inputs, rule.targets(inputs), strict=True):
        assert [tuple(map(int, row)) for row in targets] == [tuple(row) for row in columns(slow(plain(given)))]


def test_positions_in_a_magnetic_field_follow_the_closed_form_beyond_64_bits():
    """With z = u + i w and forces f, z_t = (1 + i) z_(t-1) + f_t; in exact arithmetic of Gaussian integers."""
    rule, T = RULES["newton_magnetic"], 300
    inputs = rule.integers(1, T, np.random.default_rng(2))
    powers = [(1, 0)]
    while len(powers) < T:
        real, imaginary = powers[-1]
        powers.append((real - imaginary, real + imaginary))
    velocity = [
        (
            sum(int(a) * powers[t - s][0] - int(b) * powers[t - s][1] for s, (a, b) in enumerate(inputs[0, : t + 1])),
            sum(int(a) * powers[t - s][1] + int(b) * powers[t - s][0] for s, (a, b) in enumerate(inputs[0, : t + 1])),
        )
        for t in range(T)
    ]
    places = np.cumsum(np.array(velocity, dtype=object), 0)
    assert abs(places[-1]).max() > 2**100
    assert (rule.targets(inputs)[0] == places).all()


def test_64_bits_are_enough_where_they_are_used():
    """At the largest inputs, with the signs that add up, and at the longest sequences of the fast path."""
    rule = RULES["newton_magnetic"]
    for T in (64, 65):
        largest = np.full((1, T, 2), 2**24 - 1)
        inputs = largest * np.sign(np.random.default_rng(0).integers(0, 2, (200, T, 2)) * 2 - 1)
        exact = rule.targets(inputs.astype(object))
        assert abs(exact).max() < 2**63 and (rule.targets(inputs) == exact).all()


def test_float32_holds_the_targets_up_to_the_longest_length_and_no_further():
    def largest(rule, T):
        """The largest target at T positions that any inputs can have: an affine rule's worst case, by its impulses."""
        zero = np.zeros((1, T, rule.channels), np.int64)
        offset, sizes = rule.targets(zero)[0], 0
        for channel in range(rule.channels):
            impulses = np.zeros((1, T, rule.channels), np.int64)
            impulses[0, 0, channel] = 1  # the response at position t to an input k earlier
            responses = rule.targets(impulses)[0] - offset
            sizes = sizes + np.cumsum(abs(responses), 0) * max(-rule.low, rule.high)
        return (abs(offset) + sizes).max()

    limited = {rule.name: rule.longest for rule in RULES.values() if rule.longest}
    assert set(limited) == {"newton_freebody", "newton_gravity", "newton_magnetic", "sum"}
    for name, T in limited.items():
        if name != "newton_gravity":  # which is no impulse response: inputs and offset have the same sign
            assert largest(RULES[name], T) <= 2**24 < largest(RULES[name], T + 1)
            continue
        worst = np.full((1, T + 1, 1), -10)
        assert abs(RULES[name].targets(worst)[0, -2, 0]) <= 2**24 < abs(RULES[name].targets(worst)[0, -1, 0])


def test_palindromes_are_drawn_as_published():
    """A random palindrome of uniform length 2 to T first, all other bits fair."""
    n, T = 40_000, 6
    inputs = RULES["bit_palindromes"].integers(n, T, np.random.default_rng(0))[..., 0]
    counts = np.zeros(2**T)
    np.add.at(counts, inputs @ 2 ** np.arange(T), 1)
    expected = np.zeros(2**T)
    for size in range(2, T + 1):
        for code in range(2**T):
            bits = [code >> i & 1 for i in range(T)]
            if bits[:size] == bits[:size][::-1]:
                expected[code] += n / (T - 1) / 2 ** (T - size // 2)
    assert expected.sum() == pytest.approx(n)
    possible = expected > 0
    assert not counts[~possible].any() and possible.sum() == 62  # not 011111 and 100000
    statistic = ((counts - expected)[possible] ** 2 / expected[possible]).sum()
    assert statistic < chi2.ppf(0.9999, possible.sum() - 1)
    assert RULES["bit_palindromes"].integers(3, 1, np.random.default_rng(0)).shape == (3, 1, 1)


@pytest.mark.parametrize("name", ["parity", "add_mod_3", "bit_palindromes", "bit_addition"])
def test_splits_are_disjoint_and_have_the_published_shares(name):
    task = Mips(name)
    seen = {}
    for number, split in enumerate(SPLITS):
        batch = task.generate(8000, split, torch.Generator().manual_seed(number))
        seen[split] = {row.tobytes() for row in batch.inputs.numpy()}
    assert not seen["train"] & seen["val"] and not seen["train"] & seen["test"] and not seen["val"] & seen["test"]
    if name == "parity":  # 1,024 sequences, nearly all of them seen
        share = task.rule.share
        sizes = [len(seen[split]) / 1024 for split in SPLITS]
        assert sizes == pytest.approx([share, (1 - share) / 2, (1 - share) / 2], abs=0.03)
        assert sum(map(len, seen.values())) >= 1000


def test_uniform_inputs_are_uniform_within_each_split():
    task = Mips("unique2")
    for split in SPLITS:
        inputs = task.generate(20_000, split, torch.Generator().manual_seed(0)).inputs
        shares = torch.bincount(inputs.long().flatten(), minlength=8) / inputs.numel()
        assert (shares - 1 / 8).abs().max() < 0.005


def test_short_sequences_of_few_letters_are_in_all_splits():
    task = Mips("parity", length=4)
    assert 2**4 < FEWEST <= 2**10
    seen = [len(task.generate(500, split, torch.Generator().manual_seed(0)).inputs.unique(dim=0)) for split in SPLITS]
    assert seen == [16, 16, 16]


def test_a_published_name_and_a_length_make_the_same_task():
    one, other = Mips("rnn_newton_magnetic_numerical"), Mips("newton_magnetic")
    assert one.name == other.name == "newton_magnetic" and one.spec == other.spec
    assert (one.spec.inputs, one.spec.outputs, one.spec.length) == (2, 2, 10)
    longer = one.at_length(30)
    assert longer.spec.length == 30 and longer.rule is one.rule
    assert longer.generate(4, "test", torch.Generator().manual_seed(0)).inputs.shape == (4, 30, 2)
    assert one.integers(5, 1000, np.random.default_rng(0)).shape == (5, 1000, 2)
    assert Mips("prev5").spec.length == 20


def test_accuracy_is_of_positions_and_exact_of_sequences():
    task = Mips("newton_magnetic")
    batch = task.generate(3, "val", torch.Generator().manual_seed(0))
    outputs = batch.targets + 0.4 * torch.rand(batch.targets.shape)
    outputs[1, 4, 1] += 1
    outputs[2] -= 1
    scores = task.score(outputs, batch)
    assert scores["exact"].tolist() == [1, 0, 0]
    assert scores["accuracy"].tolist() == pytest.approx([1, 0.95, 0])


@pytest.mark.parametrize("name", ["bitwise_and", "evens_counter", "newton_magnetic"])
def test_chance_is_the_share_of_the_commonest_target(name):
    task = Mips(name)
    targets = task.generate(20_000, "train", torch.Generator().manual_seed(5)).targets.flatten(0, 1)
    shares = [(targets[:, k] == targets[:, k].mode().values).float().mean() for k in range(task.spec.outputs)]
    assert task.chance() == pytest.approx(float(torch.stack(shares).mean()), abs=0.01)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("parity_last22", "did you mean 'parity_last2'?"),
        ("rnn_pariti_numerical", "did you mean 'parity'?"),
        ("", "choose one of"),
    ],
)
def test_an_unknown_name_is_refused_with_a_similar_one(name, hint):
    with pytest.raises(ConfigError, match=re.escape(hint)) as error:
        rule_named(name)
    assert error.value.key == "task.name"


def test_lengths_at_which_float32_has_no_exact_targets_are_refused():
    Mips("newton_magnetic", length=37)
    with pytest.raises(ConfigError, match=r"at most 37") as error:
        Mips("newton_magnetic", length=38)
    assert error.value.fix == "task.length=37"


@pytest.mark.parametrize("wrong", [0.5, -1.0, 2.0])
def test_inputs_outside_the_range_are_refused(wrong):
    inputs = torch.zeros(2, 10, 1)
    inputs[1, 3] = wrong
    with pytest.raises(ConfigError, match="whole numbers from 0 to 1"):
        Mips("parity").check_inputs(inputs)
