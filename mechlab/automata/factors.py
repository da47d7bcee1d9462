"""Factors of the state space of an automaton: partitions of its states that are automata themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mechlab.automata.automaton import Automaton
from mechlab.automata.equivalence import reachable
from mechlab.automata.partitions import all_partitions, minimal_partitions, numbered, quotient

LARGEST = 64  # states


@dataclass(frozen=True, eq=False)
class Factor:
    """A partition of states into blocks.

    Args:
        name: a word of letters, digits and underscores.
        blocks: (n,) int64, the block of each state, numbered by their first states.
    """

    name: str
    blocks: np.ndarray

    def groups(self, states: Sequence[str]) -> str:
        """Return the blocks as text: state names, with commas between the states and bars between the blocks."""
        names = np.array(states)
        return " | ".join(", ".join(names[self.blocks == block]) for block in range(self.blocks.max() + 1))


def part_numbers(automaton: Automaton) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the part number (n,) of each state and the names of the parts: the states of a Mealy machine."""
    names = tuple(dict.fromkeys(automaton.parts))
    return np.array([names.index(part) for part in automaton.parts]), names


@lru_cache(maxsize=32)
def closed_factors(automaton: Automaton, most: int = 16) -> tuple[Factor, ...]:
    """Return the factors of an automaton: all non-trivial ones if they are at most `most`, or else the minimal ones.

    A factor that counts letters is named after them: Tomita 5 has the factors `0_mod_2`, `1_mod_2` and `length_mod_2`.
    Other factors have numbers for names. Each unreachable state is a block of its own.

    Args:
        automaton: for a Mealy machine, its states before splitting by outputs are partitioned.
        most: maximal number of factors for which all are returned.

    Returns:
        () for an automaton of more than 64 states, where the search would take long.
    """
    number, names = part_numbers(automaton)
    if len(names) > LARGEST:
        return ()
    transitions = quotient(automaton.transitions, number)
    here = np.sort(reachable(transitions, int(number[automaton.initial])))
    compact = np.searchsorted(here, transitions[here])
    factors, taken = [], set()
    every = all_partitions(compact, most)
    for place, blocks in enumerate(minimal_partitions(compact) if every is None else every, start=1):
        name = _counter(quotient(compact, blocks), automaton.alphabet)
        name = name if name and name not in taken else str(place)
        taken.add(name)
        whole = np.arange(len(blocks), len(blocks) + len(names))
        whole[here] = blocks
        factors.append(Factor(name, numbered(whole)))
    return tuple(factors)


def named_factors(
    given: Mapping[str, Sequence[int] | Sequence[Sequence[str]]], states: Sequence[str]
) -> tuple[Factor, ...]:
    """Return the factors of a mapping from names to partitions.

    Args:
        given: for each name the block number of each state, or groups of state names that contain each state once.
        states: names of the states in index order.

    Raises:
        ValueError: a name has other characters than letters, digits and underscores, or a value is not a partition.
    """
    return tuple(Factor(name, _partition(name, blocks, states)) for name, blocks in given.items())


def _partition(name: str, given: Sequence, states: Sequence[str]) -> np.ndarray:
    if not re.fullmatch(r"\w+", name, re.ASCII):
        raise ValueError(f"names of factors must be words of letters, digits and underscores. Got {name!r}.")
    if all(isinstance(block, int) and not isinstance(block, bool) for block in given):
        if len(given) != len(states):
            raise ValueError(f"factor {name} must have a block for each of {len(states)} states. Got {len(given)}.")
        return numbered(given)
    if any(isinstance(group, str | int) for group in given):
        raise ValueError(f"factor {name} must be numbers of blocks, or groups of states. Got {list(given)}.")
    members = [state for group in given for state in group]
    if sorted(members) != sorted(states):
        raise ValueError(
            f"the groups of factor {name} must contain each of {', '.join(states)} once. Got {list(given)}."
        )
    return numbered([next(b for b, group in enumerate(given) if state in group) for state in states])


def _counter(moves: np.ndarray, alphabet: Sequence[str]) -> str | None:
    """Return the name of a quotient (k, m) that is a cycle: some letters advance by one block, others do nothing."""
    blocks = np.arange(len(moves))
    going = [a for a in range(moves.shape[1]) if (moves[:, a] != blocks).any()]
    if not going or (moves[:, going] != moves[:, going[:1]]).any():
        return None
    visited = [0]
    while (after := int(moves[visited[-1], going[0]])) not in visited:
        visited.append(after)
    if after != 0 or len(visited) < len(moves):
        return None
    letters = "length" if len(going) == len(alphabet) else "_".join(alphabet[a] for a in going)
    name = f"{letters}_mod_{len(moves)}"
    return name if re.fullmatch(r"\w+", name, re.ASCII) else None
