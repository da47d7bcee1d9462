"""Automata learned from a network by membership queries, by the algorithms of AALpy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mechlab.automata.automaton import Automaton
from mechlab.automata.equivalence import minimise
from mechlab.automata.extraction.conformance import outputs_of
from mechlab.automata.extraction.disagreement import Difference, Disagreement, difference
from mechlab.automata.extraction.network import Network
from mechlab.automata.extraction.refinement import smallest_good
from mechlab.automata.words.sampling import Sample
from mechlab.automata.words.suites import short_words, state_walks, w_method

Method = Literal["lstar", "kv"]
Oracle = Literal["random", "w_method", "state_prefix", "all"]
Word = tuple[int, ...]
WALKS, WALK = 25, 12  # of the state-prefix oracle, from each state, and their letters
SHORT = 1024  # short words of which the system knows the answers from the start


@dataclass(frozen=True, eq=False)
class Learned:
    """What was learned.

    Args:
        automaton: the last hypothesis, minimal; if none passed, the smallest of all that is nearly as good as the best.
        agreed: whether the oracle found no counterexample to it.
        states: of each hypothesis, how many; of a Mealy machine its own, not those that it is split into.
        shares: of each, the share of the oracle's words on which it and the network disagree.
    """

    automaton: Any
    agreed: bool
    states: tuple[int, ...]
    shares: tuple[float, ...]


class Exhausted(Exception):
    """More membership queries were asked than allowed."""


def learn(
    network: Network,
    alphabet: Sequence[str],
    classes: Sequence[str],
    search: Callable[[Automaton], Difference],
    method: Method = "lstar",
    rounds: int = 50,
    queries: int = 5000,
    smallest: Callable[[Automaton], Automaton] = minimise,
) -> Learned:
    """Learn a Moore machine from a network by L* or KV.

    AALpy asks for membership, word by word, and answers are kept; each search for a counterexample asks about all of
    its words at once. Nothing is drawn from a global generator.

    Args:
        network: its `empty` is its answer to the empty word.
        search: tells how a hypothesis differs from the network; see `oracle` and `Disagreement.of`.
        rounds: at most so many hypotheses.
        queries: at most so many membership queries.
        smallest: `minimise`, or `minimal_mealy` where hypotheses are to be seen as Mealy machines.

    Source: Angluin (1987), "Learning regular sets from queries and counterexamples", with counterexamples handled as by
    Rivest and Schapire (1993); Kearns and Vazirani (1994), "An introduction to computational learning theory"; AALpy,
    https://github.com/DES-Lab/AALpy.
    """
    from aalpy import run_KV, run_Lstar

    letters = list(range(network.letters))
    system = system_of(network, queries)

    def compare(hypothesis: Any) -> tuple[Automaton, Difference]:
        found = smallest(from_aalpy(hypothesis, alphabet, classes))
        return found, search(found)

    teacher = teacher_of(letters, system, compare, rounds)
    run = run_Lstar if method == "lstar" else run_KV
    options = {"cache_and_non_det_check": False, "print_level": 0}
    try:
        run(letters, system, teacher, automaton_type="moore", **options)
    except Exhausted:
        teacher.agreed = False
    return learned(teacher)


def learned(teacher: Any) -> Learned:
    """Return the last hypothesis if it passed, else the smallest of the good ones."""
    chosen = teacher.hypotheses[-1] if teacher.agreed else smallest_good(teacher.hypotheses, teacher.shares)
    states = tuple(one.size for one in teacher.hypotheses)
    return Learned(chosen, teacher.agreed, states, tuple(teacher.shares))


def oracle(
    kind: Oracle,
    network: Network,
    words: Sample,
    rng: np.random.Generator,
    extra: int = 2,
    tolerance: float = 0.0,
) -> Callable[[Automaton], Difference]:
    """Return a search for counterexamples, all of whose words the network reads at once.

    Args:
        kind: the "random" words that are given; words of the "w_method"; "state_prefix", random walks from
            each state of the hypothesis; or "all" of these and short words, see `Disagreement`.
        words: words (N, T) and their lengths (N,).
        extra: see `w_method`.
        tolerance: the share of words on which disagreement is put up with; none on those of the W-method.
    """
    if kind == "all":
        return Disagreement(network, words, rng, extra, tolerance).of
    told = network.outputs(*words) if kind == "random" else None

    def search(automaton: Automaton) -> Difference:
        if kind == "random":
            found = difference(told, outputs_of(automaton, words[0]), words)
        else:
            sample = w_method(automaton, extra) if kind == "w_method" else state_walks(automaton, WALKS, WALK, rng)
            found = difference(network.outputs(*sample), outputs_of(automaton, sample[0]), sample)
        passed = found.share <= (0.0 if kind == "w_method" else tolerance)
        return Difference(found.share, None) if passed else found

    return search


def from_aalpy(machine: Any, alphabet: Sequence[str], classes: Sequence[str]) -> Automaton:
    """Return AALpy's DFA or Moore machine over the letters 0, 1, ... as an automaton.

    Args:
        machine: complete; a Moore machine says indices of classes, a DFA accepts the second class.
    """
    number = {id(state): i for i, state in enumerate(machine.states)}
    return Automaton(
        alphabet=alphabet,
        classes=classes,
        states=[f"q{i}" for i in range(len(number))],
        initial=number[id(machine.initial_state)],
        transitions=[
            [number[id(state.transitions[letter])] for letter in range(len(alphabet))] for state in machine.states
        ],
        outputs=[int(getattr(state, "output", getattr(state, "is_accepting", 0))) for state in machine.states],
    )


def system_of(network: Network, most: int, verdict: Callable[[Word, int], Any] = lambda word, told: told) -> Any:
    """Return the network as a system under learning in AALpy's sense.

    It has read all short words at once before the first query, and answers each prefix alike whenever it is asked,
    whatever the rounding of the network's arithmetic.

    Args:
        most: queries that it answers; then it raises Exhausted.
        verdict: turns what the network tells after a word into the answer.
    """
    from aalpy.base import SUL

    class System(SUL):
        def __init__(self) -> None:
            super().__init__()
            self.known: dict[Word, Any] = {(): verdict((), network.empty)}
            self._word: Word = ()
            words, _ = short_words(network.letters, SHORT)
            self._keep(words, network.outputs(words))

        def _keep(self, words: np.ndarray, told: np.ndarray) -> None:
            for word, classes in zip(map(tuple, words.tolist()), told.tolist(), strict=True):
                for i, one in enumerate(classes, start=1):
                    if word[:i] not in self.known:
                        self.known[word[:i]] = verdict(word[:i], one)

        def query(self, word: Sequence[int]) -> list[Any]:
            word = tuple(word)
            self.num_queries += 1
            self.num_steps += len(word)
            if self.num_queries > most:
                raise Exhausted
            if word not in self.known:
                words = np.array([word])
                self._keep(words, network.outputs(words))
            return [self.known[word[:i]] for i in range(1, len(word) + 1)] or [self.known[()]]

        def pre(self) -> None:
            self._word = ()

        def post(self) -> None:
            pass

        def step(self, letter: int | None) -> Any:
            self._word = self._word if letter is None else (*self._word, letter)
            return self.query(self._word)[-1]

    return System()


def teacher_of(letters: Any, system: Any, compare: Callable[[Any], tuple[Any, Difference]], rounds: int) -> Any:
    """Return an equivalence oracle in AALpy's sense that keeps the hypotheses, and gives up after so many.

    Args:
        compare: turns AALpy's hypothesis into one of ours, and tells how it differs from the network.
    """
    from aalpy.base import Oracle as Base

    class Teacher(Base):
        def __init__(self) -> None:
            super().__init__(letters, system)
            self.hypotheses: list[Any] = []
            self.shares: list[float] = []
            self.agreed = False

        def find_cex(self, hypothesis: Any) -> Word | None:
            found, (share, word) = compare(hypothesis)
            self.hypotheses.append(found)
            self.shares.append(share)
            self.agreed = word is None
            return None if len(self.hypotheses) > rounds else word

    return Teacher()
