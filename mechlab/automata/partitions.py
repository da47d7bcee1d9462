"""Closed partitions of the states of an automaton: each letter maps the states of a block into one block."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np


def quotient(transitions: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Return the transitions (k, m) between the blocks of a closed partition.

    Args:
        transitions: (n, m), the target of each state and letter.
        blocks: (n,) int below k, the block of each state; none is empty.

    Raises:
        ValueError: the partition is not closed: states of a block go to different blocks by one letter.
    """
    transitions, blocks = np.asarray(transitions), np.asarray(blocks)
    targets = blocks[transitions]  # (n, m)
    first = np.unique(blocks, return_index=True)[1]
    if (targets[first][blocks] != targets).any():
        raise ValueError(f"states of a block must go to the same block by each letter. Got blocks {blocks.tolist()}.")
    return targets[first]


def closed_partition(transitions: np.ndarray, together: Iterable[tuple[int, int]]) -> np.ndarray:
    """Return the blocks (n,) int64 of the finest closed partition in which the pairs `together` share their blocks.

    A partition is closed (has the substitution property) if states of a block go to one block by each letter, with
    any outputs.

    Source: Hartmanis and Stearns (1966), "Algebraic structure theory of sequential machines", by union-find as in
    Hopcroft and Karp (1971).

    >>> closed_partition(np.array([[1, 2], [0, 3], [3, 0], [2, 1]]), [(0, 3)]).tolist()
    [0, 1, 1, 0]
    """
    moves = np.asarray(transitions).tolist()
    leader = list(range(len(moves)))

    def find(state: int) -> int:
        while leader[state] != state:
            leader[state] = state = leader[leader[state]]
        return state

    pairs = list(together)
    while pairs:
        one, other = map(find, pairs.pop())
        if one != other:
            leader[max(one, other)] = min(one, other)
            pairs.extend(zip(moves[one], moves[other], strict=True))
    return numbered([find(state) for state in range(len(moves))])


def minimal_partitions(transitions: np.ndarray) -> list[np.ndarray]:
    """Return the blocks of every non-trivial closed partition that no other one refines, those of fewest blocks first.

    Trivial are the partitions into single states and into one block.

    Args:
        transitions: (n, m).
    """
    least = []
    for blocks in reversed(_sorted(_pair_closures(transitions))):  # what refines it has more blocks
        if not any(_refines(finer, blocks) for finer in least):
            least.append(blocks)
    return _sorted(least)


def all_partitions(transitions: np.ndarray, most: int) -> list[np.ndarray] | None:
    """Return all non-trivial closed partitions, those of fewest blocks first; None if there are more than `most`.

    Every closed partition is a join of the finest ones in which two given states share a block.
    """
    pairs = _pair_closures(transitions)
    partitions = {blocks.tobytes(): blocks for blocks in pairs}
    queue = list(pairs)
    while queue and len(partitions) <= most:
        one = queue.pop()
        for other in pairs:
            both = closed_partition(transitions, [*_links(one), *_links(other)])
            if both.max() and both.tobytes() not in partitions:
                partitions[both.tobytes()] = both
                queue.append(both)
    return _sorted(partitions.values()) if len(partitions) <= most else None


def numbered(leaders: Sequence[int]) -> np.ndarray:
    """Return blocks (n,) int64 renumbered by their first states."""
    number = {}
    return np.array([number.setdefault(leader, len(number)) for leader in np.asarray(leaders).tolist()], np.int64)


def _pair_closures(transitions: np.ndarray) -> list[np.ndarray]:
    """Return the distinct closed partitions, of two blocks or more, that are the finest with some pair in one block."""
    closures = (closed_partition(transitions, [pair]) for pair in combinations(range(len(transitions)), 2))
    return list({blocks.tobytes(): blocks for blocks in closures if blocks.max()}.values())


def _sorted(partitions: Iterable[np.ndarray]) -> list[np.ndarray]:
    return sorted(partitions, key=lambda blocks: (blocks.max(), blocks.tolist()))


def _refines(fine: np.ndarray, coarse: np.ndarray) -> bool:
    first = np.unique(fine, return_index=True)[1]
    return bool((coarse[first][fine] == coarse).all())


def _links(blocks: np.ndarray) -> list[tuple[int, int]]:
    """Return pairs of states that generate the partition: each state and the first of its block."""
    first = np.unique(blocks, return_index=True)[1]
    return list(enumerate(first[blocks].tolist()))
