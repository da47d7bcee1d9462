"""What a recurrent network does on sequences of integers: hidden states and rounded outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch

from mechlab.core.errors import ConfigError
from mechlab.distill.certificate import DistillError
from mechlab.distill.recurrent.encoding import word_numbers

CHUNK = 2**16  # letters that the network reads at once
LARGEST = 2.0**53  # float64 holds integers exactly up to here


class Reading(NamedTuple):
    """What a network computes while it reads B sequences of T letters.

    Args:
        states: (B, T, H) float64, the hidden states after each letter.
        values: (B, T, k) float64, the outputs.
    """

    states: np.ndarray
    values: np.ndarray

    @property
    def outputs(self) -> np.ndarray:
        """The outputs rounded to integers (B, T, k) int64; those that are not finite, or too large for float64 to hold
        as integers, are the smallest int64."""
        inside = np.isfinite(self.values) & (np.abs(self.values) <= LARGEST)
        return np.where(inside, np.rint(np.where(inside, self.values, 0)).astype(np.int64), np.iinfo(np.int64).min)


@dataclass(frozen=True, eq=False)
class Observed:
    """A network's states and outputs on sequences of a task, and the network itself as a function.

    Args:
        inputs: (B, T, c) int64, sequences of the training length T.
        states: (B, T, H) float64, the hidden states after each letter.
        outputs: (B, T, k) int64, the rounded outputs.
        values: (B, T, k) float64, the outputs before rounding.
        initial: (H,) float64, the hidden state before the first letter.
        low, high: smallest and largest integer of each channel.
        query: maps sequences (B, T, c) int of any length to a Reading.
    """

    inputs: np.ndarray
    states: np.ndarray
    outputs: np.ndarray
    values: np.ndarray
    initial: np.ndarray
    low: int
    high: int
    query: Callable[[np.ndarray], Reading]

    @property
    def length(self) -> int:
        """T, the length of the sequences that the network was trained on."""
        return self.inputs.shape[1]

    @cached_property
    def words(self) -> np.ndarray:
        """The number (B, T) of the word read after each letter, equal for equal words."""
        return word_numbers(self.inputs)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the channels: x for one, a and b for two, x1, x2, ... for more."""
        c = self.inputs.shape[2]
        return {1: ("x",), 2: ("a", "b")}.get(c, tuple(f"x{k}" for k in range(1, c + 1)))

    @property
    def letters(self) -> int:
        """The number of letters, (high - low + 1) to the power c."""
        return (self.high - self.low + 1) ** self.inputs.shape[2]


def observe(model: Any, task: Any, samples: int = 2000, rng: Any = 0, *, inputs: np.ndarray | None = None) -> Observed:
    """Return what a network does on sequences of its task, of the training length, random ones by default.

    Args:
        model: a sequence model that reads integers as real numbers.
        task: a task of integers; see `check_task`.
        samples: number of sequences, B.
        rng: seed or generator of the sequences.
        inputs: (B, T, c) int64, the sequences in place of random ones.

    Raises:
        ConfigError: the task's inputs are no integers.
        DistillError: a hidden state is not finite.
    """
    check_task(task)
    if inputs is None:
        inputs = task.integers(samples, task.length, np.random.default_rng(rng))
    query = reader(model)
    reading = query(inputs)
    if not np.isfinite(reading.states).all():
        raise DistillError("hidden states must be finite numbers", got="infinity or NaN", key="model")
    with torch.no_grad():
        initial = model.initial_state(1)[0].cpu().numpy().astype(np.float64)
    rule = task.rule
    return Observed(inputs, reading.states, reading.outputs, reading.values, initial, rule.low, rule.high, query)


def reader(model: Any) -> Callable[[np.ndarray], Reading]:
    """Return the function from sequences (B, T, c) of integers to a network's Reading, in batches of limited size."""

    @torch.no_grad()
    def read(inputs: np.ndarray) -> Reading:
        inputs = np.asarray(inputs)
        initial = model.initial_state(1)
        size = max(1, CHUNK // max(inputs.shape[1], 1))
        states, values = [], []
        for first in range(0, max(len(inputs), 1), size):
            letters = torch.as_tensor(inputs[first : first + size].astype(np.float64))
            trace = model(letters.to(initial.device, initial.dtype))
            states.append(trace.states[:, 1:].cpu().numpy().astype(np.float64))
            values.append(trace.outputs.cpu().numpy().astype(np.float64))
        return Reading(np.concatenate(states), np.concatenate(values))

    return read


def check_task(task: Any) -> None:
    """Raise ConfigError unless a task has sequences of integers and a rule for them.

    It must have `length` (T); `integers(n, length, rng)`, which draws sequences (n, length, c); and `rule` with `low`,
    `high`, `channels` (c) and `targets(inputs)`, which maps sequences (B, T, c) to integers (B, T, k) at any T.
    """
    rule = getattr(task, "rule", None)
    present = all(hasattr(rule, name) for name in ("low", "high", "channels", "targets"))
    if not present or not hasattr(task, "integers") or not hasattr(task, "length"):
        must = "a recurrent network is distilled for a task of integer sequences with a rule"
        raise ConfigError(must, got=type(task).__name__, key="task", fix="task=mips")
