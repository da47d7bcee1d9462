"""Automata learned from a network by membership queries, by the algorithms of AALpy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mechlab.automata.automaton import Automaton
from mechlab.automata.equivalence import minimise
from mechlab.automata.extraction.conformance import outputs_of
from mechlab.automata.extraction.counterexamples import CounterexampleSearch, Difference, difference
from mechlab.automata.extraction.refinement import smallest_near_best
from mechlab.automata.extraction.word_classifier import WordClassifier
from mechlab.automata.words.sampling import Sample
from mechlab.automata.words.suites import short_words, state_walks, w_method

Method = Literal["lstar", "kv"]
Oracle = Literal["random", "w_method", "state_prefix", "all"]
Word = tuple[int, ...]
WALKS, WALK = 25, 12  # of the state-prefix oracle: walks from each state, and their length in letters
SHORT = 1024  # short words that the network reads in one batch before the first query


@dataclass(frozen=True, eq=False)
class LearningResult:
    """Outcome of active learning.

    Args:
        automaton: the last hypothesis, minimal; if none passed, the smallest that is nearly as good as the best.
        agreed: True if the equivalence oracle has no counterexample to it.
        states: number of states of each hypothesis; for a Mealy machine those before splitting by outputs.
        shares: for each hypothesis, the share of the oracle's words on which it and the network disagree.
    """

    automaton: Any
    agreed: bool
    states: tuple[int, ...]
    shares: tuple[float, ...]


class QueryBudgetExceeded(Exception):
    """The learner made more membership queries than the limit."""


def learn(
    network: WordClassifier,
    alphabet: Sequence[str],
    classes: Sequence[str],
    search: Callable[[Automaton], Difference],
    method: Method = "lstar",
    rounds: int = 50,
    queries: int = 5000,
    smallest: Callable[[Automaton], Automaton] = minimise,
) -> LearningResult:
    """Return a Moore machine learned from a network by L* or KV.

    AALpy makes membership queries word by word, with a cache of answers; each search for a counterexample reads all of
    its words in one batch. Nothing is drawn from a global generator.

    Args:
        network: its `empty` is the class of the empty word.
        search: returns the difference of a hypothesis from the network; see `oracle` and `CounterexampleSearch`.
        rounds: maximal number of hypotheses.
        queries: maximal number of membership queries.
        smallest: `minimise`, or `minimal_mealy` to treat hypotheses as Mealy machines.

    Source: Angluin (1987), "Learning regular sets from queries and counterexamples", with counterexamples handled as by
    Rivest and Schapire (1993); Kearns and Vazirani (1994), "An introduction to computational learning theory"; AALpy,
    https://github.com/DES-Lab/AALpy.
    """
    from aalpy import run_KV, run_Lstar

    letters = list(range(network.letters))
    system = membership_oracle(network, queries)

    def compare(hypothesis: Any) -> tuple[Automaton, Difference]:
        automaton = smallest(from_aalpy(hypothesis, alphabet, classes))
        return automaton, search(automaton)

    teacher = equivalence_oracle(letters, system, compare, rounds)
    run = run_Lstar if method == "lstar" else run_KV
    options = {"cache_and_non_det_check": False, "print_level": 0}
    try:
        run(letters, system, teacher, automaton_type="moore", **options)
    except QueryBudgetExceeded:
        teacher.agreed = False
    return learning_result(teacher)


def learning_result(teacher: Any) -> LearningResult:
    """Return the last hypothesis if it passed, else the smallest near-best one; see `smallest_near_best`."""
    chosen = teacher.hypotheses[-1] if teacher.agreed else smallest_near_best(teacher.hypotheses, teacher.shares)
    states = tuple(hypothesis.size for hypothesis in teacher.hypotheses)
    return LearningResult(chosen, teacher.agreed, states, tuple(teacher.shares))


def oracle(
    kind: Oracle,
    network: WordClassifier,
    words: Sample,
    rng: np.random.Generator,
    extra: int = 2,
    tolerance: float = 0.0,
) -> Callable[[Automaton], Difference]:
    """Return a search for counterexamples to a hypothesis; the network reads all its words in one batch.

    Args:
        kind: source of the words: "random", those in `words`; "w_method"; "state_prefix", random walks from each state
            of the hypothesis; or "all" of these and short words, see `CounterexampleSearch`.
        words: words (N, T) and their lengths (N,).
        extra: see `w_method`.
        tolerance: tolerated share of words with disagreement; for the words of the W-method it is 0.
    """
    if kind == "all":
        return CounterexampleSearch(network, words, rng, extra, tolerance)
    predicted = network.outputs(*words) if kind == "random" else None

    def search(automaton: Automaton) -> Difference:
        if kind == "random":
            result = difference(predicted, outputs_of(automaton, words[0]), words)
        else:
            sample = w_method(automaton, extra) if kind == "w_method" else state_walks(automaton, WALKS, WALK, rng)
            result = difference(network.outputs(*sample), outputs_of(automaton, sample[0]), sample)
        passed = result.share <= (0.0 if kind == "w_method" else tolerance)
        return Difference(result.share, None) if passed else result

    return search


def from_aalpy(machine: Any, alphabet: Sequence[str], classes: Sequence[str]) -> Automaton:
    """Return AALpy's DFA or Moore machine over the letters 0, 1, ... as an automaton.

    Args:
        machine: complete; the outputs of a Moore machine are class indices, accepting states of a DFA have class 1.
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


def membership_oracle(
    network: WordClassifier, limit: int, answer: Callable[[Word, int], Any] = lambda word, predicted: predicted
) -> Any:
    """Return the network as AALpy's system under learning.

    All short words are read in one batch before the first query. The answer for each prefix is cached, so that rounding
    of the network's arithmetic cannot make answers inconsistent.

    Args:
        limit: number of queries after which it raises QueryBudgetExceeded.
        answer: maps a word and its predicted class to the answer of a membership query.
    """
    from aalpy.base import SUL

    class System(SUL):
        def __init__(self) -> None:
            super().__init__()
            self.known: dict[Word, Any] = {(): answer((), network.empty)}
            self._word: Word = ()
            words, _ = short_words(network.letters, SHORT)
            self._store(words, network.outputs(words))

        def _store(self, words: np.ndarray, predicted: np.ndarray) -> None:
            for word, classes in zip(map(tuple, words.tolist()), predicted.tolist(), strict=True):
                for i, output in enumerate(classes, start=1):
                    if word[:i] not in self.known:
                        self.known[word[:i]] = answer(word[:i], output)

        def query(self, word: Sequence[int]) -> list[Any]:
            word = tuple(word)
            self.num_queries += 1
            self.num_steps += len(word)
            if self.num_queries > limit:
                raise QueryBudgetExceeded
            if word not in self.known:
                words = np.array([word])
                self._store(words, network.outputs(words))
            return [self.known[word[:i]] for i in range(1, len(word) + 1)] or [self.known[()]]

        def pre(self) -> None:
            self._word = ()

        def post(self) -> None:
            pass

        def step(self, letter: int | None) -> Any:
            self._word = self._word if letter is None else (*self._word, letter)
            return self.query(self._word)[-1]

    return System()


def equivalence_oracle(letters: Any, system: Any, compare: Callable[[Any], tuple[Any, Difference]], rounds: int) -> Any:
    """Return AALpy's equivalence oracle, which stores the hypotheses and stops after `rounds` of them.

    Args:
        compare: converts AALpy's hypothesis to our automaton, and returns its difference from the network too.
    """
    from aalpy.base import Oracle as Base

    class Teacher(Base):
        def __init__(self) -> None:
            super().__init__(letters, system)
            self.hypotheses: list[Any] = []
            self.shares: list[float] = []
            self.agreed = False

        def find_cex(self, hypothesis: Any) -> Word | None:
            automaton, (share, word) = compare(hypothesis)
            self.hypotheses.append(automaton)
            self.shares.append(share)
            self.agreed = word is None
            return None if len(self.hypotheses) > rounds else word

    return Teacher()
