"""Linear rules z_t = F' vec(z_{t-s}, ..., z_{t-1}) by number, list and cycle structure, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

from mechlab.binding.companion import CompanionMatrix

PRESETS = {  # d = s = 8 (Karuvally et al., arXiv 2310.02430)
    "T1": (255, 0, 0),
    "T2": (9241421688590303745, 0, 0),
    "T3": (9241421688590303745, 262676, 189),
    "T4": (9241421688590303745, 38637, 145),
}


@dataclass(frozen=True)
class SignedChoice:
    """A rule by which each component of the next state is one of the s*d past cells, with a sign.

    Args:
        cells: (d,) the cell that each component copies: block * d + component, block 0 the oldest.
        signs: (d,) of +1 and -1.
        s: number of past states.

    Raises:
        ValueError: a cell is not one of the s*d, or a sign neither +1 nor -1.
    """

    cells: tuple[int, ...]
    signs: tuple[int, ...]
    s: int

    def __post_init__(self) -> None:
        if not self.cells or not all(0 <= cell < self.s * self.d for cell in self.cells):
            raise ValueError(
                f"cells must be from 0 to s*d - 1 = {self.s * self.d - 1}. Got {list(self.cells)} instead."
            )
        if len(self.signs) != self.d or not all(sign in (1, -1) for sign in self.signs):
            raise ValueError(f"signs must be +1 or -1, one for each of {self.d} cells. Got {list(self.signs)} instead.")

    def __call__(self, window: Tensor, step: int = 0) -> Tensor:
        """Return the next state (B, d) after a window (B, s, d) of states, the oldest first."""
        return window.flatten(1)[:, list(self.cells)] * window.new_tensor(self.signs)

    @property
    def d(self) -> int:
        """The number of components of a state."""
        return len(self.cells)

    @cached_property
    def F(self) -> np.ndarray:
        """The weights (s*d, d) float64 of past cells in each component."""
        F = np.zeros((self.s * self.d, self.d))
        F[list(self.cells), np.arange(self.d)] = self.signs
        return F

    def cycles(self) -> list[tuple[int, int]]:
        """Return (length, sign) of each cycle of the companion matrix, shortest first.

        Component i copies component j of the state `lag` steps before, so a cycle of components has the sum of its
        lags as length, and the product of its signs as sign.
        """
        following = [cell % self.d for cell in self.cells]
        cycles, visited = [], [False] * self.d
        for start in range(self.d):
            path: dict[int, None] = {}
            i = start
            while not visited[i] and i not in path:
                path[i] = None
                i = following[i]
            if i in path:
                cycle = list(path)[list(path).index(i) :]
                lags = [self.s - self.cells[j] // self.d for j in cycle]
                cycles.append((sum(lags), int(np.prod([self.signs[j] for j in cycle]))))
            for j in path:
                visited[j] = True
        return sorted(cycles)

    def sources(self, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Return where the state of each step comes from: cells (steps, d) int64 of the first s states, and signs."""
        cells, signs = np.array([self.cells]), np.array([self.signs])  # (known steps, d)
        given = np.arange(self.s * self.d).reshape(self.s, self.d)
        while len(cells) < steps:  # the steps known so far, applied to the window that they end in, give as many more
            window = np.concatenate([given, cells])[-self.s :].ravel()
            turned = np.concatenate([np.ones_like(given), signs])[-self.s :].ravel()
            signs = np.concatenate([signs, signs * turned[cells]])
            cells = np.concatenate([cells, window[cells]])
        return cells[:steps], signs[:steps]


def rule_of_id(a: int, b: int, c: int, s: int, d: int) -> np.ndarray:
    """Return the weights F (s*d, d) of the signed choice with a published number; see `choice_of_id`.

    >>> rule_of_id(3, 0, 0, s=2, d=2).argmax(0).tolist()
    [0, 1]
    """
    return choice_of_id(a, b, c, s, d).F


def choice_of_id(a: int, b: int, c: int, s: int, d: int) -> SignedChoice:
    """Return the signed choice with the published number (a, b, c), integers of any size.

    The 1-bits of a are the chosen cells, the lowest first. The digits g of b in base d, the lowest first, swap cells i
    and i + g for i = 0, 1, .... Component i has a minus sign where bit i of c is 1.

    Raises:
        ValueError: a has not exactly d ones, or ones beyond the s*d cells; a digit of b points beyond the last cell; c
            has bits beyond d.
    """
    cells = [cell for cell in range(a.bit_length()) if a >> cell & 1] if a > 0 else []
    if len(cells) != d or cells[-1] >= s * d:
        raise ValueError(f"a must have exactly d = {d} ones among its s*d = {s * d} lowest bits. Got {a} instead.")
    if b < 0 or not 0 <= c < 2**d:
        raise ValueError(f"b must not be negative, and c must be from 0 to 2^d - 1. Got b = {b}, c = {c} instead.")
    i, rest = 0, b
    while rest:
        rest, g = divmod(rest, d) if d > 1 else (0, rest)
        if g >= d - i:
            raise ValueError(f"digit {i} of b in base d must be below {max(d - i, 1)}. Got {g} in b = {b} instead.")
        cells[i], cells[i + g] = cells[i + g], cells[i]
        i += 1
    return SignedChoice(tuple(cells), tuple(-1 if c >> i & 1 else 1 for i in range(d)), s)


def choice_of_cycles(cycles: Sequence[int], s: int, d: int, rng: np.random.Generator) -> SignedChoice:
    """Return a random signed choice whose companion matrix has the given cycles.

    The d components are divided among the cycles; those that are left copy cells of others and are on no cycle.

    Args:
        cycles: the length of each cycle, negative for the sign -1.
        s: number of past states.
        d: number of components.
        rng: source of randomness.

    Raises:
        ValueError: no choice has these cycles: a cycle of length L takes from L/s to L components.
    """
    lengths = [abs(cycle) for cycle in cycles]
    least = [-(-length // s) for length in lengths]
    if not cycles or 0 in lengths or sum(least) > d:
        needed = (
            f"at least {sum(least)} components, since a component bridges at most s = {s} steps" if cycles else "one"
        )
        raise ValueError(f"cycles must fit into d = {d} components. Got {list(cycles)} instead, which need {needed}.")
    sizes = list(least)
    while sum(sizes) < d and (open_ := [k for k, length in enumerate(lengths) if sizes[k] < length]):
        sizes[rng.choice(open_)] += 1
    order = rng.permutation(d)
    cells, signs = np.empty(d, int), rng.choice([-1, 1], d)
    first = 0
    for cycle, length, size in zip(cycles, lengths, sizes, strict=True):
        members = order[first : first + size]
        first += size
        lags = np.ones(size, int)
        for _ in range(length - size):
            lags[rng.choice(np.flatnonzero(lags < s))] += 1
        cells[members] = (s - lags) * d + np.roll(members, -1)
        if signs[members].prod() != np.sign(cycle):
            signs[members[0]] *= -1
    for i in order[first:]:
        free = np.setdiff1d(np.arange(s * d).reshape(s, d)[:, order[:first]], cells[order[:first]])
        cells[i] = rng.choice(free) if len(free) else rng.choice(cells[order[:first]])
    return SignedChoice(tuple(map(int, cells)), tuple(map(int, signs)), s)


def companion_matrix(rule: np.ndarray) -> np.ndarray:
    """Return Phi (s*d, s*d) float64 of a rule F (s*d, d): the shift of the window by a state, and the rule in its last
    d rows.

    Raises:
        ValueError: see `CompanionMatrix`.
    """
    return CompanionMatrix(np.asarray(rule, float)).matrix


def theoretical_spectrum(rule: np.ndarray) -> np.ndarray:
    """Return the non-zero eigenvalues (rank,) complex of the companion matrix of a rule F (s*d, d).

    Cycles of cells have the roots of unity of their length and sign in closed form; see
    `CompanionMatrix.eigenvalues`.
    """
    return CompanionMatrix(np.asarray(rule, float)).spectrum
