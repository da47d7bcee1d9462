"""Closed partitions, against the definition and an enumeration of all partitions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mechlab.automata.partitions import all_partitions, closed_partition, minimal_partitions, quotient

machines = st.integers(2, 5).flatmap(
    lambda n: st.lists(st.lists(st.integers(0, n - 1), min_size=2, max_size=2), min_size=n, max_size=n)
)


def every_partition(n: int, done: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    """All partitions of n states, as restricted growth strings."""
    if len(done) == n:
        yield done
        return
    for block in range(max(done, default=-1) + 2):
        yield from every_partition(n, (*done, block))


def closed(moves: list[list[int]], blocks: tuple[int, ...]) -> bool:
    states = range(len(moves))
    return all(
        blocks[moves[s][a]] == blocks[moves[t][a]]
        for s in states
        for t in states
        for a in (0, 1)
        if blocks[s] == blocks[t]
    )


def refines(fine: tuple[int, ...], coarse: tuple[int, ...]) -> bool:
    states = range(len(fine))
    return all(coarse[s] == coarse[t] for s in states for t in states if fine[s] == fine[t])


@settings(max_examples=60)
@given(moves=machines)
def test_all_and_minimal_closed_partitions_are_those_of_the_definition(moves: list[list[int]]) -> None:
    n = len(moves)
    expected = {p for p in every_partition(n) if closed(moves, p) and 0 < max(p) < n - 1}
    found = all_partitions(np.array(moves), most=1000)
    assert {tuple(blocks.tolist()) for blocks in found} == expected and len(found) == len(expected)
    least = {p for p in expected if not any(refines(q, p) for q in expected if q != p)}
    assert {tuple(blocks.tolist()) for blocks in minimal_partitions(np.array(moves))} == least
    assert all_partitions(np.array(moves), most=len(expected) - 1) is None


@settings(max_examples=40)
@given(moves=machines, one=st.integers(0, 1), other=st.integers(0, 1))
def test_a_closure_is_the_finest_closed_partition_that_holds_the_pair(moves: list, one: int, other: int) -> None:
    blocks = tuple(closed_partition(np.array(moves), [(one, other)]).tolist())
    holding = [p for p in every_partition(len(moves)) if closed(moves, p) and p[one] == p[other]]
    assert blocks in holding and all(refines(blocks, p) for p in holding)


def test_a_quotient_is_an_automaton_that_follows() -> None:
    moves = np.array([[1, 2], [0, 3], [3, 0], [2, 1]])
    blocks = np.array([0, 1, 0, 1])
    np.testing.assert_array_equal(quotient(moves, blocks)[blocks], blocks[moves])
    with pytest.raises(ValueError, match="same block"):
        quotient(moves, np.array([0, 0, 0, 1]))
