"""The words that a pushdown automaton accepts: their number, all of them, or uniform draws."""

from __future__ import annotations

import functools
import itertools
from bisect import bisect_right
from collections import Counter

import numpy as np

from mechlab.automata.pushdown.pushdown import ACTIONS, Pushdown

Goal = tuple  # a condition on the remaining letters; see AcceptedWords._options


class AcceptedWords:
    """The accepted words of each length of a pushdown automaton.

    Until a symbol on the stack is popped, nothing below it matters. So the words that lead from a state to another and
    pop one symbol are counted by dynamic programming, and words are composed of them, as in derivations of a grammar.
    Two pops by one letter are a pop into a pending state, which pops without a letter.
    """

    def __init__(self, machine: Pushdown):
        self._machine = machine
        self._n, self._m = len(machine.states), len(machine.alphabet)
        self._pop = functools.cache(self._count_pop)
        self._chain = functools.cache(self._count_chain)
        self._end = functools.cache(self._count_end)
        self._choices = functools.cache(self._list_choices)

    def count(self, length: int) -> int:
        """Return the number of accepted words of a length."""
        return [self._end(0, (), k) for k in range(length + 1)][-1]  # shorter ones first: no deep recursion

    def draw(self, length: int, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return n independent words (n, length) int64, uniform on the accepted words.

        Raises:
            ValueError: no word of that length is accepted.
        """
        if not self.count(length):
            raise ValueError(f"some word of the length must be accepted. Got length {length}, where none is.")
        words = np.empty((n, length), np.int64)
        for word in words:
            agenda, t = [("end", 0, (), length)], 0
            chance = iter(rng.random(8 * length + 8))
            while agenda:
                until, choices = self._choices(agenda.pop())
                if not choices:
                    continue
                i = bisect_right(until, next(chance) * until[-1]) if len(choices) > 1 else 0
                letter, goals = choices[min(i, len(choices) - 1)]
                if letter is not None:
                    word[t], t = letter, t + 1
                agenda += goals
        return words

    def all(self, length: int) -> np.ndarray:
        """Return all accepted words (count, length) int64 of a length, in lexicographic order."""
        done, open_ = [], [((), (("end", 0, (), length),))] if self.count(length) else []
        while open_:
            word, agenda = open_.pop()
            if not agenda:
                done.append(word)
                continue
            choices = self._choices(agenda[-1])[1] or [(None, [])]
            for letter, goals in choices:
                open_.append((word if letter is None else (*word, letter), (*agenda[:-1], *goals)))
        return np.array(sorted(done), np.int64).reshape(-1, length)

    def _moves(self, state: int, top: int) -> list[tuple[int, int, tuple[int, ...]]]:
        """Return (letter, next state, symbols in place of `top` on the stack, from the top down) of each transition."""
        if state >= self._n:
            return []
        machine, moves, bottom = self._machine, [], top == self._m
        below = () if bottom else (top,)
        for letter in range(self._m):
            target, action = int(machine.successors[state, letter, top]), ACTIONS[machine.actions[state, letter, top]]
            if target == self._n - 1 or (bottom and action.startswith("pop")):
                continue
            stacks = {"none": below, "push": (letter, *below), "push2": (letter, letter, *below)}
            pending = target + self._n if action == "pop2" else target
            moves.append((letter, pending, stacks.get(action, ())))
        return moves

    def _count_pop(self, state: int, top: int, k: int) -> Counter[int]:
        """Return for each target state the number of words of k letters that lead to it and pop `top` at their end."""
        if state >= self._n:
            return Counter({state - self._n: 1} if k == 0 else {})
        counts: Counter[int] = Counter()
        for _, target, stack in self._moves(state, top) if k else []:
            counts.update(self._chain(target, stack, k - 1))
        return counts

    def _count_chain(self, state: int, tops: tuple[int, ...], k: int) -> Counter[int]:
        """Return for each target state the number of words of k letters that lead to it and pop all of `tops`."""
        if not tops:
            return Counter({state: 1} if k == 0 else {})
        counts: Counter[int] = Counter()
        for j in range(k + 1):
            for middle, first in self._pop(state, tops[0], j).items():
                for end, rest in self._chain(middle, tops[1:], k - j).items():
                    counts[end] += first * rest
        return counts

    def _count_end(self, state: int, tops: tuple[int, ...], k: int) -> int:
        """Return the number of words of k letters accepted from a state with `tops` above the bottom of the stack."""
        if tops:
            ways = ((j, *way) for j in range(k + 1) for way in self._pop(state, tops[0], j).items())
            return sum(first * self._end(middle, tops[1:], k - j) for j, middle, first in ways)
        if state >= self._n:
            return 0
        if k == 0:
            return int(self._machine.accepting[state])
        return sum(self._end(target, stack, k - 1) for _, target, stack in self._moves(state, self._m))

    def _list_choices(self, goal: Goal) -> tuple[list[float], list[tuple[int | None, list[Goal]]]]:
        """Return the cumulated weights of the options of a goal, and the options (letter or None, goals in reverse)."""
        options = [(weight, letter, goals[::-1]) for weight, letter, goals in self._options(goal) if weight]
        until = list(itertools.accumulate(float(weight) for weight, _, _ in options))
        return until, [(letter, goals) for _, letter, goals in options]

    def _options(self, goal: Goal) -> list[tuple[int, int | None, list[Goal]]]:
        kind, state, tops, k, *end = goal
        if kind == "pop":
            moves = self._moves(state, tops) if k else []
            return [
                (self._chain(to, stack, k - 1)[end[0]], a, [("chain", to, stack, k - 1, *end)])
                for a, to, stack in moves
            ]
        if not tops:
            moves = self._moves(state, self._m) if kind == "end" and k else []
            return [(self._end(to, stack, k - 1), a, [("end", to, stack, k - 1)]) for a, to, stack in moves]
        options = []
        for j in range(k + 1):
            for middle, first in self._pop(state, tops[0], j).items():
                rest = self._chain(middle, tops[1:], k - j)[end[0]] if end else self._end(middle, tops[1:], k - j)
                goals = [("pop", state, tops[0], j, middle), (kind, middle, tops[1:], k - j, *end)]
                options.append((first * rest, None, goals))
        return options
