"""Equivalence of automata (equal outputs after every word), and the minimal equivalent automaton."""

from __future__ import annotations

from collections import deque

import numpy as np

from mechlab.automata.automaton import Automaton


def equivalent(a: Automaton, b: Automaton) -> tuple[int, ...] | None:
    """Return a shortest word after which two automata differ, as letter indices, or None if there is none.

    The pairs of states that a word can lead to are searched breadth first, letters in index order, so that the word is
    also the first of its length in lexicographic order. Classes are compared by name. The empty word counts, except for
    two Mealy machines, which have no output on it; it is returned as (), which is not None.

    Args:
        a, b: automata over the same letters, of any numbers of states and classes.

    Raises:
        ValueError: the alphabets are not the same letters in the same order.

    Source: Hopcroft and Karp (1971), "A linear algorithm for testing equivalence of finite automata".

    >>> from mechlab.automata.tomita import tomita
    >>> equivalent(tomita(4), tomita(7)), equivalent(tomita(4), tomita(4))
    ((0, 0, 0), None)
    """
    if a.alphabet != b.alphabet:
        raise ValueError(f"both automata must have the same alphabet. Got {a.alphabet!r} and {b.alphabet!r} instead.")
    outputs = [[one.classes[output] for output in one.outputs] for one in (a, b)]
    successors = a.transitions.tolist(), b.transitions.tolist()
    start = a.initial, b.initial
    came_from: dict[tuple[int, int], tuple[tuple[int, int], int] | None] = {start: None}
    queue = deque([start])
    if not (a.mealy and b.mealy) and outputs[0][a.initial] != outputs[1][b.initial]:
        return ()
    while queue:
        pair = queue.popleft()
        for letter, targets in enumerate(zip(successors[0][pair[0]], successors[1][pair[1]], strict=True)):
            if outputs[0][targets[0]] != outputs[1][targets[1]]:
                return (*_word_to(pair, came_from), letter)
            if targets not in came_from:
                came_from[targets] = pair, letter
                queue.append(targets)
    return None


def minimise(automaton: Automaton) -> Automaton:
    """Return the minimal automaton with the same output after every word.

    States are in the order of a breadth-first search from the initial state, letters in index order: the results for
    equivalent automata differ in the names of states only. A state has the name of the first, in that order, of the
    states merged into it. All classes remain, also those that no state has.

    Source: Moore (1956), "Gedanken-experiments on sequential machines".

    >>> from mechlab.automata.tomita import tomita
    >>> minimise(tomita(4)) == tomita(4)
    True
    """
    states = reachable(automaton.transitions, automaton.initial)
    block = _blocks(automaton)
    _, first = np.unique(block[states], return_index=True)
    firsts = states[np.sort(first)]  # the first state of each block
    new = np.empty(block.max() + 1, np.int64)
    new[block[firsts]] = np.arange(len(firsts))
    return Automaton(
        alphabet=automaton.alphabet,
        classes=automaton.classes,
        states=tuple(automaton.states[state] for state in firsts),
        initial=0,
        transitions=new[block[automaton.transitions[firsts]]],
        outputs=automaton.outputs[firsts],
    )


def reachable(transitions: np.ndarray, initial: int) -> np.ndarray:
    """Return the states (R,) int64 reachable from a state, in the order of a breadth-first search.

    Args:
        transitions: (n, m), the target of each state and letter.
    """
    visited = {initial: None}  # a dict has the order of insertion
    queue = deque(visited)
    while queue:
        for state in transitions[queue.popleft()].tolist():
            if state not in visited:
                visited[state] = None
                queue.append(state)
    return np.array(list(visited))


def _blocks(automaton: Automaton) -> np.ndarray:
    """Return the block (n,) of each state; two states share a block if every word has the same output from both."""
    block = np.unique(automaton.outputs, return_inverse=True)[1]
    while True:
        signature = np.column_stack([block, block[automaton.transitions]])  # (n, 1 + m)
        finer = np.unique(signature, axis=0, return_inverse=True)[1].reshape(-1)
        if finer.max() == block.max():
            return block
        block = finer


def _word_to(pair: tuple[int, int], came_from: dict) -> tuple[int, ...]:
    letters = []
    while came_from[pair] is not None:
        pair, letter = came_from[pair]
        letters.append(letter)
    return tuple(reversed(letters))
