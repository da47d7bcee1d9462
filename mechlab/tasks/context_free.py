"""Decide whether a word belongs to one of fifteen context-free languages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
from torch import Tensor

from mechlab.automata.library import CONTEXT_FREE
from mechlab.automata.pushdown.accepted_words import AcceptedWords
from mechlab.automata.pushdown.grammars import grammar as pushdown_of
from mechlab.automata.pushdown.pushdown import Pushdown
from mechlab.automata.pushdown.words import LISTABLE, balanced_words, walk_words
from mechlab.automata.words.sampling import Keep, Sample, split_of, word_hash
from mechlab.core.constraints import Seed, at_least, between
from mechlab.core.errors import ConfigError
from mechlab.core.evaluation import ClassShares
from mechlab.core.seeding import Streams
from mechlab.core.task import SPLITS, Batch, Split
from mechlab.tasks.defined import FILE, defined, unknown_name, without_files
from mechlab.tasks.words import Words, balanced_accuracy, check_countable, check_longer, check_words

SHORTEST = 5  # words with fewer letters are all training words
USUAL, LONGEST = 14, 60  # letters of the longest words
ENOUGH = 6  # accepted words of SHORTEST letters or more, so that each split has some


class ContextFree(Words):
    """Words of 1 to max_length letters, labelled by a pushdown automaton.

    A tenth of the words of 5 letters or more, chosen by a seeded hash of the word, make up validation, another tenth
    test; neither is ever trained on. Where the sampler is to balance and few words are accepted, the tenths of these
    are exact, at least one word each; validation and test then have rejected words of all lengths, and accepted words
    of some. Single words are neither the shortest nor the longest that are accepted.

    Inputs are one-hot letters (N, T, m), zero after the end of a word; targets (N, T) are the class of the
    prefix that ends with each letter (0 reject, 1 accept; 0 after the end).

    Args:
        grammar: L1 to L15, see `mechlab.automata.pushdown.grammars.grammar`; a .json file of a pushdown automaton; or
            "file". A run's record holds the definition instead of a file's path.
        path: the file ("file" only).
        definition: the automaton as plain data, see `mechlab.automata.definition` ("file" only, in place of a
            path).
        target: "class" for whether the word is accepted, "state" for the control state; also of the ground truth.
        words, val_words, test_words: requested words; about as many are drawn, fewer where a language has few.
        max_length: letters of the longest words; null takes 14 or, where fewer than 6 words of 5 to 14 letters are
            accepted (L1, L4, L5, L10), the least length up to which there are 6.
        test_lengths: shortest and longest test word, longer than all others; null takes held-out words of up to
            max_length letters.
        sampler: "near_miss" and "balanced" make half of the words of each length accepted, repeating words where a
            language has few; rejected words are accepted ones with a letter replaced or two neighbours swapped, or else
            walks. "walk" takes walks only, of which next to none are accepted: three in four letters are possible ones.
        stack_limit: a walk ends when the stack, bottom included, is higher ("walk" only).
        break_on_impossible: a walk ends before a letter that leads nowhere ("walk" only).
        supervise: "last" counts the label after the last letter only, "all" the label after every letter.
        compat: "published" draws all splits from all words, and has the published L9 with its wrong bracket ("walk"
            only).
        seed: of the words and of the split; the seed of the run is another one.

    Raises:
        ConfigError: settings do not go together, too few words are accepted to be split, or the words do not fit into
            memory.

    Source: Muškardin et al., "On the Relationship Between RNN Hidden State Vectors and Semantic Ground Truth",
    arXiv 2306.16854, and its published code.
    """

    def __init__(
        self,
        grammar: str = "L7",
        path: str | None = None,
        definition: dict[str, Any] | None = None,
        target: Literal["class", "state"] = "class",
        words: Annotated[int, at_least(1)] = 50_000,
        val_words: Annotated[int, at_least(1)] = 2_000,
        test_words: Annotated[int, at_least(1)] = 2_000,
        max_length: Annotated[int, between(8, LONGEST)] | None = None,
        test_lengths: tuple[Annotated[int, between(9, 120)], Annotated[int, between(9, 120)]] | None = None,
        sampler: Literal["near_miss", "balanced", "walk"] = "near_miss",
        stack_limit: Annotated[int, at_least(1)] | None = None,
        break_on_impossible: bool = False,
        supervise: Literal["last", "all"] = "last",
        compat: Literal["none", "published"] = "none",
        seed: Seed = 0,
    ):
        self.grammar, self.path, self.definition, self.target = grammar, path, definition, target
        self.words, self.val_words, self.test_words = words, val_words, test_words
        self.test_lengths, self.sampler = test_lengths, sampler
        self.stack_limit, self.break_on_impossible, self.compat = stack_limit, break_on_impossible, compat
        machine = defined(Pushdown, "grammar", grammar, path, definition)
        if machine is None and grammar not in CONTEXT_FREE:
            raise unknown_name(Pushdown, "grammar", grammar, (*CONTEXT_FREE, FILE))
        self._machine = pushdown_of(grammar, compat) if machine is None else machine
        self._truth = replace(self._machine, says=target)
        self._accepted = AcceptedWords(self._machine)
        self.max_length = max_length = max_length or self._usual_length()
        longest = max_length if test_lengths is None else test_lengths[1]
        super().__init__(self._truth.alphabet, self._truth.classes, longest, supervise, seed)
        check_longer(test_lengths, max_length)
        check_words(self.spec.inputs, (words, max_length), (val_words, max_length), (test_words, longest))
        self._check_walks()
        if sampler == "walk":
            check_countable(len(self._machine.alphabet), max_length)
        else:
            self._check_enough()

    @classmethod
    def without_files(cls, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments with the automaton's definition, in its regular form, in place of a path."""
        return without_files(arguments, "grammar")

    def ground_truth(self) -> Pushdown:
        """Return the pushdown automaton of the language."""
        return self._truth

    def score(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor | ClassShares]:
        """Return the accuracy (B,) of each example, and the balanced accuracy as shares of the classes.

        The two accuracies are alike where half of the words are accepted and that is the target: with all samplers but
        walks.
        """
        return {**super().score(outputs, batch), "balanced_accuracy": balanced_accuracy(outputs, batch)}

    def sample(self, split: Split) -> Sample:
        """Draw the words of a split."""
        n = {"train": self.words, "val": self.val_words, "test": self.test_words}[split]
        rng = Streams(self.seed).numpy("words", split)
        longer = split == "test" and self.test_lengths is not None
        if self.sampler == "walk":
            words, lengths = self._walks(n, split, rng)
        else:
            first, last = self.test_lengths if longer else (1 if split == "train" else SHORTEST, self.max_length)
            keep = (_everything, _everything) if longer else (self._keep_accepted(split), self.keep(split))
            near = self.sampler == "near_miss"
            lengths = range(first, last + 1)
            held_out = split != "train" and not longer
            words, lengths = balanced_words(self._machine, self._accepted, lengths, n, rng, *keep, near, held_out)
        if self.compat == "published":
            return words, lengths  # OPTICS and mean shift depend on the order of the rows
        order = rng.permutation(len(words))  # the first words of a split are a fair sample of it
        return words[order], lengths[order]

    def _walks(self, n: int, split: Split, rng: np.random.Generator) -> Sample:
        def keep(words: np.ndarray, lengths: np.ndarray) -> np.ndarray:
            return split_of(words, lengths, self.seed, SHORTEST) == SPLITS.index(split)

        selected = keep if self.compat == "none" else None
        cuts = self.stack_limit, self.break_on_impossible
        return walk_words(self._machine, self.max_length, n, rng, selected, *cuts)

    def _keep_accepted(self, split: Split) -> Keep:
        """Return what selects accepted words of a split: by exact tenths of their hashes where they are few."""
        lengths = range(SHORTEST, self.max_length + 1)
        count = self._held(self.max_length)
        if count > LISTABLE:
            return self.keep(split)
        tenth = max(1, round(count / 10))
        held = [length for length in lengths if self._accepted.count(length)]
        if tenth == 1 and sum(map(self._accepted.count, held[1:-1])) >= 2:
            held = held[1:-1]  # with the shortest and the longest in training, held-out words lie between them
        hashes = np.sort(np.concatenate([word_hash(self._accepted.all(length), seed=self.seed) for length in held]))
        bounds = hashes[[tenth - 1, 2 * tenth - 1]]

        def keep(words: np.ndarray) -> np.ndarray:
            rank = np.searchsorted(bounds, word_hash(words, seed=self.seed))  # 0 validation, 1 test, 2 train
            number = np.array([1, 2, 0])[rank] if words.shape[1] in held else np.zeros(len(words), np.int64)
            return number == SPLITS.index(split)

        return keep

    def _held(self, longest: int) -> int:
        """Return how many words of SHORTEST to `longest` letters are accepted."""
        return sum(map(self._accepted.count, range(SHORTEST, longest + 1)))

    def _usual_length(self) -> int:
        """Return the least length, USUAL or more, up to which ENOUGH words are accepted, or all that there are."""
        if self.sampler == "walk":
            return USUAL
        enough = min(ENOUGH, self._held(LONGEST))
        return next(length for length in range(USUAL, LONGEST + 1) if self._held(length) >= enough)

    def _check_walks(self) -> None:
        only_walks = {
            "stack_limit": self.stack_limit is not None,
            "break_on_impossible": self.break_on_impossible,
            "compat": self.compat != "none",
        }
        for name, used in only_walks.items():
            if used and self.sampler != "walk":
                raise ConfigError(
                    f"{name} is for walks",
                    got=f"task.{name}={getattr(self, name)} with task.sampler={self.sampler}",
                    key=f"task.{name}",
                    fix=f"set task.sampler=walk, or leave task.{name} out",
                )
        if self.sampler == "walk" and self.test_lengths is not None:
            raise ConfigError(
                "longer test words are balanced",
                got=f"task.test_lengths={list(self.test_lengths)} with task.sampler=walk",
                key="task.test_lengths",
                fix="set task.sampler=near_miss, or task.test_lengths=null",
            )

    def _check_enough(self) -> None:
        """Refuse a language with too few words for each split to have an accepted one."""

        def enough(longest: int) -> bool:
            held = self._held(longest)
            short = sum(map(self._accepted.count, range(1, SHORTEST)))
            return held >= 2 and held + short >= 3

        if not enough(self.max_length):
            longest = next((length for length in range(self.max_length, LONGEST + 1) if enough(length)), None)
            raise ConfigError(
                "each split must have an accepted word",
                got=f"task.max_length={self.max_length} with task.grammar={self.grammar}",
                key="task.max_length",
                fix="set "
                + ("" if longest is None else f"task.max_length={longest} or more, or ")
                + "task.sampler=walk",
            )
        if self.test_lengths is not None:
            first, last = self.test_lengths
            if not any(map(self._accepted.count, range(first, last + 1))):
                raise ConfigError(
                    "some test word must be accepted",
                    got=f"task.test_lengths=[{first},{last}] with task.grammar={self.grammar}",
                    key="task.test_lengths",
                    fix=f"set task.test_lengths=[{first},{first + 20}]",
                )


def _everything(words: np.ndarray) -> np.ndarray:
    return np.ones(len(words), bool)
