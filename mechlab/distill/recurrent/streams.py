"""Integer registers that a rule on sequences may need: earlier letters, counters, extremes and carries."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from mechlab.distill.recurrent.assembling import Stream
from mechlab.distill.recurrent.observed import Observed

FEW_LETTERS = 10
LARGEST_BASE = 17
LONGEST_DELAY = 6


def outputs(observed: Observed) -> list[Stream]:
    """Return a register for each output of the network, the last one."""
    count = observed.outputs.shape[2]
    labels = ["y"] if count == 1 else [f"y{k}" for k in range(1, count + 1)]
    starts = (0, observed.low, observed.high)
    return [Stream(label, observed.outputs[..., k], starts) for k, label in enumerate(labels)]


def delays(observed: Observed, count: int) -> list[Stream]:
    """Return registers for the last `count` letters: x1 is the letter before the one that is read."""
    streams = []
    for lag, (k, name) in itertools.product(range(count), enumerate(observed.names)):
        values = np.zeros_like(observed.inputs[..., k])
        values[:, lag:] = observed.inputs[:, : values.shape[1] - lag, k]
        streams.append(Stream(f"{name}{lag + 1}" if len(observed.names) < 3 else f"{name}_{lag + 1}", values))
    return streams


def letter_sums(observed: Observed) -> Iterator[np.ndarray]:
    """Yield what a carry may be added to: sums and products of the channels (B, T)."""
    channels = [observed.inputs[..., k] for k in range(observed.inputs.shape[2])]
    if len(channels) == 1:
        yield channels[0]
        yield 1 - channels[0]
        yield np.ones_like(channels[0])
        return
    yield np.sum(channels, 0)
    yield np.prod(channels, 0)
    for a, b in itertools.combinations(channels, 2):
        yield a - b
    yield from channels


def carries(observed: Observed) -> Iterator[tuple[Stream, int]]:
    """Yield registers v with v_t = e(x_t) + a (v_{t-1} // k) or e(x_t) + a (v_{t-1} % k), and k.

    Only those are yielded of which the outputs are a function: sums with carry, long division,
    running sums modulo k, error diffusion.
    """
    span = observed.high - observed.low + 1
    part = slice(0, 400)
    outputs = observed.outputs[part].reshape(-1, observed.outputs.shape[2])
    _, output = np.unique(outputs, axis=0, return_inverse=True)
    for entry in letter_sums(observed):
        for factor, base, quotient in itertools.product(
            (1, 2, 3, 4), range(2, max(LARGEST_BASE, 2 * span if span < 20 else 0)), (False, True)
        ):
            values = recurrence(entry[part], factor, base, quotient)
            flat = values.reshape(-1)
            if np.ptp(flat) > 200:
                continue
            both = np.unique(np.column_stack([flat, output.reshape(-1)]), axis=0)
            if len(both) > len(np.unique(flat)):
                continue
            yield Stream("v", recurrence(entry, factor, base, quotient)), base


def recurrence(entry: np.ndarray, factor: int, base: int, quotient: bool) -> np.ndarray:
    """Return v (B, T) with v_t = entry_t + factor * (v_{t-1} // base), or % base, and v_0 = 0."""
    values = np.zeros_like(entry)
    last = np.zeros(len(entry), entry.dtype)
    for t in range(entry.shape[1]):
        last = entry[:, t] + factor * (last // base if quotient else last % base)
        values[:, t] = last
    return values


def counters(observed: Observed) -> Iterator[list[Stream]]:
    """Yield counters of each letter of one channel of few letters: less the first letter's, and as they are."""
    if observed.inputs.shape[2] > 1 or observed.letters > FEW_LETTERS:
        return
    letters = np.arange(observed.low, observed.high + 1)
    counts = np.cumsum(observed.inputs == letters, axis=1)  # (B, T, V)
    yield [Stream(f"n{k}", counts[..., k] - counts[..., 0]) for k in range(1, len(letters))]
    yield [Stream(f"n{k}", counts[..., k]) for k in range(len(letters))]


def walks(observed: Observed) -> Iterator[list[Stream]]:
    """Yield sums of letters, of 1 - 2x for bits, their extremes so far, and such a sum that stays where it is once it
    is negative."""
    for k, name in enumerate(observed.names):
        letters = observed.inputs[..., k]
        steps = [letters] if observed.letters != 2 else [1 - 2 * letters]
        suffix = "" if len(observed.names) == 1 else name
        for step in steps:
            total = np.cumsum(step, axis=1)
            stopped = np.minimum.accumulate(total, 1) < 0
            held = np.where(stopped, -1, total) if np.abs(step).max() == 1 else total
            low, high = np.minimum.accumulate(total, 1), np.maximum.accumulate(total, 1)
            yield [Stream(f"s{suffix}", held)]
            yield [Stream(f"s{suffix}", total)]
            yield [Stream(f"s{suffix}", total), Stream(f"low{suffix}", np.minimum(low, 0))]
            yield [Stream(f"s{suffix}", total), Stream(f"high{suffix}", np.maximum(high, 0))]
        yield [
            Stream(f"low{suffix}", np.minimum.accumulate(letters, 1), (observed.high,)),
            Stream(f"high{suffix}", np.maximum.accumulate(letters, 1), (observed.low,)),
        ]
