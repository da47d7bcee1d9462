"""The 62 integer sequence rules of the MIPS benchmark, exact at any length.

Source: Michaud et al., "Opening the AI black box: program synthesis via mechanistic interpretability",
arXiv 2402.05110, and its published code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mechlab.core.errors import ConfigError, did_you_mean

Rule = Callable[[np.ndarray], np.ndarray]
Draw = Callable[[int, int, np.random.Generator], np.ndarray]

SHORT_WORDS = 64  # letters up to which 64-bit integers hold what newton_magnetic computes from letters below 2**24


@dataclass(frozen=True)
class SequenceRule:
    """A row of the benchmark: which integers are read, and the targets after each position.

    Args:
        name: short name, without the published `rnn_` and `_numerical`.
        channels: integers read per position, c.
        low, high: the smallest and the largest of them.
        length: positions of a published sequence, T.
        steps: optimiser steps of the published training.
        targets: function of inputs (B, T, c) int64 -> (B, T, k), exact for any T: int64, or Python integers (dtype
            object) where 64 bits may be too few. Inputs before the first position count as 0.
        share: part of the sequences that is trained on; the rest is held out.
        draw: function(n, T, rng) -> inputs (n, T, c) int64 where they are not uniform and independent.
        outputs: integers of a target, k.
        longest: positions up to which float32 holds every target exactly; None for no limit below a million.
    """

    name: str
    channels: int
    low: int
    high: int
    length: int
    steps: int
    targets: Rule
    share: float = 0.9
    draw: Draw | None = None
    outputs: int = 1
    longest: int | None = None

    def integers(self, n: int, length: int, rng: np.random.Generator) -> np.ndarray:
        """Draw n inputs (n, length, c) int64 as the benchmark does, for training and test alike."""
        if self.draw is not None:
            return self.draw(n, length, rng)
        return rng.integers(self.low, self.high + 1, (n, length, self.channels))


def delayed(x: np.ndarray, k: int) -> np.ndarray:
    """Return what was read k positions earlier, (B, T, c): 0 before the first position."""
    past = np.zeros_like(x)
    past[:, k:] = x[:, : max(x.shape[1] - k, 0)]
    return past


def running(x: np.ndarray) -> np.ndarray:
    """Return the sums (B, T, c) of all that has been read."""
    return np.cumsum(x, 1)


def window(x: np.ndarray, k: int) -> np.ndarray:
    """Return the sums (B, T, c) of the last k inputs."""
    return sum(delayed(x, i) for i in range(1, k)) + x


def addition(base: int) -> Rule:
    """Return the rule of addition in a base, the least significant digit first; the last carry is dropped."""

    def rule(x: np.ndarray) -> np.ndarray:
        carry, digits = np.zeros(len(x), dtype=np.int64), np.empty_like(x[..., :1])
        for t in range(x.shape[1]):
            carry, digits[:, t, 0] = np.divmod(x[:, t].sum(1) + carry, base)
        return digits

    return rule


def division(divisor: int) -> Rule:
    """Return the rule of long division of a binary number, the most significant bit first."""

    def rule(x: np.ndarray) -> np.ndarray:
        rest, digits = np.zeros(len(x), dtype=np.int64), np.empty_like(x)
        for t in range(x.shape[1]):
            digits[:, t, 0], rest = np.divmod(2 * rest + x[:, t, 0], divisor)
        return digits

    return rule


def alternating(k: int) -> Rule:
    """Return the rule [the last k bits alternate], with zeros before the first bit."""

    def rule(x: np.ndarray) -> np.ndarray:
        changes = [delayed(x, i) != delayed(x, i + 1) for i in range(k - 1)]
        return np.logical_and.reduce(changes).astype(np.int64)

    return rule


def majority(x: np.ndarray) -> np.ndarray:
    """Return the most frequent value so far (B, T, 1), the smallest of several."""
    values = np.arange(x.max(initial=0) + 1)
    return np.cumsum(x == values, 1).argmax(-1)[..., None]


def balanced(x: np.ndarray) -> np.ndarray:
    """Return [all parentheses so far are matched] (B, T, 1); 0 opens, 1 closes."""
    depth = running(1 - 2 * x)
    return ((depth == 0) & (np.minimum.accumulate(depth, 1) >= 0)).astype(np.int64)


def dithering(x: np.ndarray) -> np.ndarray:
    """Return how many multiples of 15 the running sum passes at each position (B, T, 1)."""
    passed = running(x) // 15
    return passed - delayed(passed, 1)


def palindromes(x: np.ndarray) -> np.ndarray:
    """Return [what was read so far is a palindrome] (B, T, 1)."""
    targets = np.zeros_like(x)
    for t in range(x.shape[1]):
        rows = np.arange(len(x))
        for i in range((t + 1) // 2):
            rows = rows[x[rows, i, 0] == x[rows, t - i, 0]]
            if not len(rows):
                break
        targets[rows, t] = 1
    return targets


def draw_palindromes(n: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """Draw n sequences of bits (n, length, 1) that begin with a random palindrome of 2 to `length` bits, of uniform
    length; all other bits are random."""
    bits = rng.integers(0, 2, (n, length))
    size = rng.integers(2, max(length, 2) + 1, (n, 1))
    mirror, position = size - 1 - np.arange(length), np.arange(length)
    source = np.where((mirror >= 0) & (mirror < position), mirror, position)  # second half of the palindrome: the first
    return np.take_along_axis(bits, source, 1)[..., None]


def freebody(x: np.ndarray) -> np.ndarray:
    """Return the positions (B, T, 1) of a body with accelerations x, at rest at 0 before."""
    return running(running(x))


def spring(x: np.ndarray) -> np.ndarray:
    """Return the positions (B, T, 1) of a body on a spring, with forces x."""
    v, y, places = np.zeros_like(x[:, 0]), np.zeros_like(x[:, 0]), np.empty_like(x)
    for t in range(x.shape[1]):
        v = v + x[:, t] - y
        y = y + v
        places[:, t] = y
    return places


def magnetic(x: np.ndarray) -> np.ndarray:
    """Return the positions (B, T, 2) of a charged body in a magnetic field, with forces x (B, T, 2); they grow as
    2^(T/2)."""
    exact = x.shape[1] <= SHORT_WORDS and np.abs(x).max(initial=0) < 2**24
    x = x.astype(np.int64 if exact else object)
    velocity, place, places = np.zeros_like(x[:, 0]), np.zeros_like(x[:, 0]), np.empty_like(x)
    for t in range(x.shape[1]):
        turned = np.stack([-velocity[:, 1], velocity[:, 0]], 1)
        velocity = velocity + x[:, t] + turned
        place = place + velocity
        places[:, t] = place
    return places


def _flag(condition: np.ndarray) -> np.ndarray:
    return condition.astype(np.int64)


def _rows() -> list[SequenceRule]:
    bit, digit, signed, hundred = (0, 1), (0, 9), (-100, 99), (0, 99)
    force = (-10, 10)
    a, b = slice(0, 1), slice(1, 2)  # the two channels

    def row(name: str, channels: int, span: tuple[int, int], targets: Rule, k: int = 10, **more: Any) -> SequenceRule:
        more = {"length": 10, "steps": 1000 * k} | more
        return SequenceRule(name, channels, *span, targets=targets, **more)

    return [
        row("bit_addition", 2, bit, addition(2)),
        *(row(f"base_{k}_addition", 2, (0, k - 1), addition(k), 20) for k in range(3, 8)),
        row("bitwise_and", 2, bit, lambda x: x[..., a] & x[..., b]),
        row("bitwise_or", 2, bit, lambda x: x[..., a] | x[..., b]),
        row("bitwise_xor", 2, bit, lambda x: x[..., a] ^ x[..., b]),
        row("bitwise_not", 1, bit, lambda x: 1 - x),
        row("bit_shift_right", 1, bit, lambda x: delayed(x, 1), 20),
        row("bit_dot_prod_mod2", 2, bit, lambda x: running(x[..., a] * x[..., b]) % 2, 20),
        row("bit_palindromes", 1, bit, palindromes, 20, draw=draw_palindromes),
        row("abs_value", 1, signed, np.abs),
        row("abs_value_of_diff", 1, signed, lambda x: np.abs(x - delayed(x, 1))),
        row("diff_of_abs_value", 1, signed, lambda x: np.abs(x) - delayed(np.abs(x), 1)),
        row("diff_last2", 1, signed, lambda x: x - delayed(x, 1)),
        *(row(f"add_mod_{k}", 1, (0, k - 1), lambda x, k=k: running(x) % k, share=0.8) for k in range(3, 9)),
        *(row(f"alternating_last{k}", 1, bit, alternating(k), 20) for k in (3, 4)),
        row("balanced_parenthesis", 1, bit, balanced, 20),
        row("dithering", 1, (0, 15), dithering, share=0.8),
        *(row(f"div_{k}", 1, bit, division(k), share=0.8) for k in (3, 5, 7)),
        row("evens_counter", 1, digit, lambda x: running(_flag(x % 2 == 0)), 20),
        row("evens_detector", 1, digit, lambda x: _flag(x % 2 == 0), 20),
        row("perfect_square_detector", 1, (0, 19), lambda x: _flag(np.isin(x, (0, 1, 4, 9, 16))), 20),
        row("identity", 1, hundred, lambda x: x.copy()),
        *(row(f"majority0_{k}", 1, (0, k), majority, 20) for k in (1, 2, 3)),
        row("max", 1, hundred, lambda x: np.maximum.accumulate(x, 1), 20),
        row("min", 1, digit, lambda x: np.minimum.accumulate(x, 1), 20),
        row("newton_freebody", 1, force, freebody, share=0.8, longest=1831),
        row("newton_gravity", 1, force, lambda x: freebody(x - 1), share=0.8, longest=1746),
        row("newton_spring", 1, force, spring, share=0.8),
        row("newton_magnetic", 2, force, magnetic, share=0.8, outputs=2, longest=37),
        row("parity", 1, bit, lambda x: running(x) % 2),
        *(row(f"parity_last{k}", 1, bit, lambda x, k=k: window(x, k) % 2) for k in (2, 3, 4)),
        row("parity_of_index", 1, bit, lambda x: running(np.ones_like(x)) % 2 ^ 1, 20),
        row("parity_of_zeros", 1, bit, lambda x: running(1 - x) % 2, 20),
        *(row(f"prev{k}", 1, hundred, lambda x, k=k: delayed(x, k)) for k in (1, 2, 3, 4)),
        row("prev5", 1, hundred, lambda x: delayed(x, 5), length=20),
        row("sum", 1, hundred, running, longest=169_466),
        *(row(f"sum_last{k}", 1, hundred, lambda x, k=k: window(x, k)) for k in (2, 3, 4)),
        *(row(f"sum_last{k}", 1, hundred, lambda x, k=k: window(x, k), length=20) for k in (5, 6, 7)),
        row("unique2", 1, (0, 7), lambda x: _flag(x == delayed(x, 1))),
    ]


RULES: dict[str, SequenceRule] = {rule.name: rule for rule in _rows()}  # in the order of the published table


def rule_named(name: str) -> SequenceRule:
    """Return the rule of a short name, or of a published one.

    >>> rule_named("rnn_parity_last2_numerical").name
    'parity_last2'

    Raises:
        ConfigError: there is no such rule.
    """
    short = str(name).removeprefix("rnn_").removesuffix("_numerical")
    if short not in RULES:
        must = "task.name must be one of the 62 sequence rules of the MIPS benchmark"
        raise ConfigError(must, got=repr(name), key="task.name", fix=did_you_mean(short, RULES))
    return RULES[short]
