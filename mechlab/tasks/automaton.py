"""Label words by an automaton: a named one, a random one, or one from a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np

from mechlab.automata.automaton import Automaton
from mechlab.automata.library import CONTEXT_FREE, REGULAR, named
from mechlab.automata.mealy import mealy_of
from mechlab.automata.random import random_automaton
from mechlab.core.constraints import Seed, at_least, between
from mechlab.core.errors import ConfigError
from mechlab.core.seeding import Streams
from mechlab.tasks.defined import FILE, defined, unknown_name, without_files
from mechlab.tasks.regular import Regular


class AutomatonWords(Regular):
    """Words labelled by an automaton; splits and sampling are those of the Tomita task.

    Inputs are one-hot letters (N, T, m), zero after the end of a word; targets (N, T) are the automaton's output after
    each letter, or its state, 0 after the end. Letters and classes are in the order of the spec.

    Args:
        language: which automaton: angluin, coffee, parentheses, tomita1 to tomita7, "random", a .dot or .json file of a
            DFA, Moore or Mealy machine, or "file". The ground truth of a Mealy machine is the Moore machine that
            outputs in a state the output of the transition into it; states are split by the outputs of the transitions
            into them; labels and numbers of states are those of the Mealy machine. A run's record holds the definition
            instead of a file's path.
        depth: of the parentheses ("parentheses" only).
        states, letters, outputs, automaton_seed: of the random automaton, which is minimal: a DFA with two in five
            states accepting for 2 outputs, a Moore machine for more ("random" only).
        path: the file ("file" only).
        definition: the machine as plain data, see `mechlab.automata.definition` ("file" only, in place of a path).
        target: "class" for the automaton's output, "state" for its state; the classes are then the states' names, and
            the ground truth outputs its state.
        words, val_words, test_words, max_length, supervise, compat, seed: as for the Tomita task.
        sampler: "uniform", or "balanced": each class has an equal share of the words of each length.
        test_lengths: shortest and longest test word, longer than all others; null takes held-out words of up to
            max_length letters.

    Raises:
        ConfigError: the file cannot be read as an automaton, or settings do not go together.

    Source: Muškardin et al., "On the Relationship Between RNN Hidden State Vectors and Semantic Ground Truth",
    arXiv 2306.16854.
    """

    def __init__(
        self,
        language: str = "angluin",
        depth: Annotated[int, between(1, 100)] = 3,
        states: Annotated[int, between(2, 1000)] = 5,
        letters: Annotated[int, between(2, 26)] = 2,
        outputs: Annotated[int, between(2, 1000)] = 2,
        automaton_seed: Seed = 0,
        path: str | None = None,
        definition: dict[str, Any] | None = None,
        target: Literal["class", "state"] = "class",
        words: Annotated[int, at_least(1)] = 50_000,
        val_words: Annotated[int, at_least(1)] = 2_000,
        test_words: Annotated[int, at_least(1)] = 2_000,
        max_length: Annotated[int, between(8, 60)] = 14,
        test_lengths: tuple[Annotated[int, between(9, 1000)], Annotated[int, between(9, 1000)]] | None = None,
        sampler: Literal["uniform", "balanced"] = "uniform",
        supervise: Literal["last", "all"] | None = None,
        compat: Literal["none", "published"] = "none",
        seed: Seed = 0,
    ):
        self.language, self.depth, self.path, self.definition = language, depth, path, definition
        self.states, self.letters, self.outputs, self.automaton_seed = states, letters, outputs, automaton_seed
        self.target = target
        automaton = defined(Automaton, "language", language, path, definition) or self._source()
        if target == "state":
            automaton = _with_state_outputs(automaton)
        super().__init__(
            automaton, words, val_words, test_words, max_length, sampler, supervise, compat, seed, test_lengths
        )

    @classmethod
    def without_files(cls, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments with the automaton's definition, in its regular form, in place of a path."""
        return without_files(arguments, "language")

    def _source(self) -> Automaton:
        if self.language == "random":
            return self._random()
        if self.language in REGULAR:
            return named(self.language, self.depth)
        if self.language in CONTEXT_FREE:
            raise ConfigError(
                "task.language must be a regular language",
                got=f"{self.language}, a context-free one",
                key="task.language",
                fix=f"set task=context_free task.grammar={self.language}",
            )
        raise unknown_name(Automaton, "language", self.language, (*REGULAR, "random", FILE))

    def _random(self) -> Automaton:
        if self.outputs > self.states:
            raise ConfigError(
                "every output must have a state of its own",
                got=f"task.outputs={self.outputs} with task.states={self.states}",
                key="task.outputs",
                fix=f"set task.outputs={self.states} or less",
            )
        rng = Streams(self.automaton_seed).numpy("automaton")
        return random_automaton(self.states, self.letters, rng, self.outputs)


def _with_state_outputs(automaton: Automaton) -> Automaton:
    """Return the Moore machine whose output is the automaton's state; for a Mealy machine, the unsplit one."""
    if automaton.mealy:
        machine, n = mealy_of(automaton), len(set(automaton.parts))
        names, moves = machine.states, machine.transitions
        return Automaton(automaton.alphabet, names, names, machine.initial, moves, np.arange(n))
    names = tuple(dict.fromkeys(automaton.parts))
    return replace(automaton, classes=names, outputs=[names.index(part) for part in automaton.parts])
