"""Whether hidden states encode an integer register, by read-outs that are fitted on half of the words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.spatial import cKDTree

MOST_STATES = 6000  # that a read-out is fitted to, and that it is compared on
LEAST_HELD = 20  # held-out words; no register counts as encoded on fewer
SHARE = 0.995  # of held-out states at which a read-out must equal the register
MARGIN = 0.9  # share of the states without the most frequent value that a read-out must gain over that value

ReadOut = Literal["affine", "nearest"]
Origin = Literal["states", "outputs"]


@dataclass(frozen=True)
class Encoding:
    """How well the hidden states after held-out words determine a register.

    Args:
        name: of the register.
        r2: coefficient of determination of the best affine read-out; 0 for a register that is constant.
        exact: share of states at which the rounded read-out equals the register.
        floor: share of the register's most frequent value, which a constant read-out reaches.
        nearest: share of states at which the register equals its value at the nearest state of the other half; None if
            not computed.
        held: number of held-out words, one state each.
    """

    name: str
    r2: float
    exact: float
    floor: float
    nearest: float | None
    held: int

    @property
    def affine(self) -> bool:
        """True if the affine read-out rounds to the register: at 99.5 % of the states, at nine tenths of those without
        the most frequent value more than a constant does, and with a positive coefficient of determination."""
        return self.r2 > 0 and self._above_floor(self.exact)

    @property
    def read_out(self) -> ReadOut | None:
        """The simplest read-out that determines the register; "nearest" by the same limits as "affine"."""
        if self.affine:
            return "affine"
        return "nearest" if self.nearest is not None and self._above_floor(self.nearest) else None

    def _above_floor(self, share: float) -> bool:
        gain = MARGIN * (1 - self.floor)
        return self.held >= LEAST_HELD and self.floor < 1 and share >= max(SHARE, self.floor + gain)


def encoding(
    states: np.ndarray,
    register: np.ndarray,
    name: str = "",
    *,
    words: np.ndarray | None = None,
    nearest: bool = False,
) -> Encoding:
    """Return how well states determine a register.

    Each distinct word counts once, and is used either to fit the read-outs or to compare them: a network's state is a
    function of the word, so that a repeated word has the same state and the same register whatever the state encodes.

    Args:
        states: (B, T, H) float64.
        register: (B, T) integers.
        name: of the register.
        words: (B, T) the number of the word read so far, see `word_numbers`; by default all are different.
        nearest: also compute the share for the nearest state.
    """
    flat, values = states.reshape(-1, states.shape[2]), register.reshape(-1).astype(float)
    first = np.arange(len(flat)) if words is None else np.unique(words, return_index=True)[1]
    order = np.random.default_rng(0).permutation(first)
    half = min(len(order) // 2, MOST_STATES)
    fitted, held = order[:half], order[half : half + MOST_STATES]
    if not half:
        return Encoding(name, 0.0, 0.0, 1.0, None, 0)
    centre, scale = flat[fitted].mean(0), flat[fitted].std(0)
    scale = np.where(scale > 0, scale, 1.0)
    design = [np.column_stack([(flat[part] - centre) / scale, np.ones(len(part))]) for part in (fitted, held)]
    read = design[1] @ np.linalg.lstsq(design[0], values[fitted], rcond=None)[0]
    target = values[held]
    total = float(((target - target.mean()) ** 2).sum())
    r2 = 1 - float(((target - read) ** 2).sum()) / total if total else 0.0
    share = None
    if nearest:
        places = cKDTree(flat[fitted]).query(flat[held])[1]
        share = float((values[fitted][places] == target).mean())
    floor = float(np.unique(target, return_counts=True)[1].max() / len(target))
    return Encoding(name, r2, float((np.rint(read) == target).mean()), floor, share, len(held))


def word_numbers(inputs: np.ndarray) -> np.ndarray:
    """Return a number (B, T) for the word read after each letter of inputs (B, T, c), equal for equal words."""
    count, length, channels = inputs.shape
    _, letters = np.unique(inputs.reshape(-1, channels), axis=0, return_inverse=True)
    letters = letters.reshape(count, length)
    numbers, last = np.zeros((count, length), np.int64), np.zeros(count, np.int64)
    used = 0
    for t in range(length):
        _, last = np.unique(np.stack([last, letters[:, t]], 1), axis=0, return_inverse=True)
        last = last.reshape(-1)
        numbers[:, t] = last + used
        used += int(last.max(initial=-1)) + 1
    return numbers


def origin_of(
    registers: Mapping[str, np.ndarray], states: np.ndarray, words: np.ndarray
) -> tuple[Origin, ReadOut | None]:
    """Return where a program's registers (B, T) can be read.

    Returns:
        "states" if hidden states (B, T, H) determine every register on held-out words, with "affine" if an affine
        read-out does for all of them, else "nearest". "outputs" and None if they do not, or if there are no registers:
        the program then describes the network's inputs and outputs, and nothing of its states.
    """
    if not registers or not np.isfinite(states).all():
        return "outputs", None
    read_outs: list[ReadOut] = []
    for values in registers.values():
        result = encoding(states, values, words=words, nearest=True).read_out
        if result is None:
            return "outputs", None
        read_outs.append(result)
    return "states", "affine" if set(read_outs) == {"affine"} else "nearest"
