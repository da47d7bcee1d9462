"""Random minimal automata of a given size."""

from __future__ import annotations

import string

import numpy as np
from scipy.optimize import brentq

from mechlab.automata.automaton import Automaton
from mechlab.automata.equivalence import minimise, reachable


def random_automaton(
    states: int, letters: int, rng: np.random.Generator, classes: int = 2, accepting: int | None = None
) -> Automaton:
    """Return a random minimal automaton with a given number of states, all of them reachable.

    With two classes it is a DFA, the classes called reject and accept; with more it is a Moore machine of classes y0,
    y1, ..., each of at least one state. Letters are a, b, ...; states are q0, q1, ... in the order of a breadth-first
    search, the initial one first.

    The distribution is uniform on these automata, by rejection sampling.

    Args:
        states, letters, classes: numbers of them; at least 2, at most 26 letters, and no more classes than states.
        accepting: number of accepting states of a DFA, by default 40 percent, rounded: 2 of 5, 4 of 10, as published.

    Raises:
        ValueError: no automaton fits the numbers.

    Source: for the sizes Muškardin et al., arXiv 2306.16854; for the sampler of connected automata Carayol and Nicaud
    (2012), "Distribution of the number of accessible states in a random deterministic automaton".
    """
    _check(states, letters, classes, accepting)
    dfa = classes == 2
    if accepting is None:
        accepting = max(1, round(0.4 * states))
    while True:
        transitions = _connected(states, letters, rng)
        outputs = rng.permutation(states) < accepting if dfa else rng.integers(classes, size=states)
        automaton = Automaton(
            alphabet=tuple(string.ascii_lowercase[:letters]),
            classes=("reject", "accept") if dfa else tuple(f"y{i}" for i in range(classes)),
            states=tuple(f"q{i}" for i in range(states)),
            initial=0,
            transitions=transitions,
            outputs=outputs.astype(np.int64),
        )
        if len(np.unique(outputs)) == classes and len(minimise(automaton).states) == states:
            return automaton


def _connected(n: int, m: int, rng: np.random.Generator) -> np.ndarray:
    """Return random transitions (n, m), uniform among those with all n states reachable and numbered breadth first.

    The reachable part of a larger random automaton is uniform among the connected ones of its size. The larger one has
    as many states as give n reachable ones on average: a share r of them, where r = 1 - exp(-m r).
    """
    share = brentq(lambda r: 1 - np.exp(-m * r) - r, 0.5, 1)
    size = max(n, round(n / share))
    while True:
        transitions = rng.integers(size, size=(size, m))
        states = reachable(transitions, 0)
        if len(states) == n:
            number = np.empty(size, np.int64)
            number[states] = np.arange(n)
            return number[transitions[states]]


def _check(states: int, letters: int, classes: int, accepting: int | None) -> None:
    for name, value in (("states", states), ("letters", letters), ("classes", classes)):
        if value < 2:
            raise ValueError(f"{name} must be at least 2. Got {value} instead.")
    if letters > 26:
        raise ValueError(f"letters must be at most 26. Got {letters} instead.")
    if classes > states:
        raise ValueError(f"there must be no more classes than states. Got {classes} for {states} states instead.")
    if accepting is not None and (classes > 2 or not 0 < accepting < states):
        raise ValueError(
            f"accepting must be at least 1 and below the {states} states of a DFA. "
            f"Got {accepting} with {classes} classes instead."
        )
