"""Multiply a sequence of elements of a finite group."""

from __future__ import annotations

from typing import Annotated, Literal

from mechlab.core.constraints import Seed, at_least, between
from mechlab.core.errors import ConfigError
from mechlab.groups import names
from mechlab.groups.cayley_graph import cayley_graph
from mechlab.tasks.regular import Regular


class GroupWords(Regular):
    """Words over elements of a group, labelled with the product of the letters read so far; splits and sampling are
    those of the Tomita task.

    Inputs are one-hot letters (N, T, m), zero after the end of a word; targets (N, T) are the numbers of the products
    x_1 x_2 ... x_t, 0 after the end. The ground truth is the Cayley graph of the group as an automaton: its states are
    the elements, the identity is the initial one, and the letter g leads from x to x g.

    Args:
        group: the name of a group; see `mechlab.groups.group`.
        letters: "generators" for the group's generators, "all" for all its elements.
        words, val_words, test_words, max_length, sampler, supervise, seed: as for the Tomita task.
        test_lengths: shortest and longest test word, longer than all others; null takes held-out words of up to
            max_length letters.

    Raises:
        ConfigError: there is no such group, it has one element, or settings do not go together.
    """

    def __init__(
        self,
        group: str = "S3",
        letters: Literal["generators", "all"] = "generators",
        words: Annotated[int, at_least(1)] = 20_000,
        val_words: Annotated[int, at_least(1)] = 2_000,
        test_words: Annotated[int, at_least(1)] = 2_000,
        max_length: Annotated[int, between(8, 60)] = 14,
        test_lengths: tuple[Annotated[int, between(9, 1000)], Annotated[int, between(9, 1000)]] | None = None,
        sampler: Literal["uniform", "balanced"] = "uniform",
        supervise: Literal["last", "all"] = "all",
        seed: Seed = 0,
    ):
        self.group, self.letters = group, letters
        self.of = names.group(group)
        if self.of.order < 2:
            must, fix = "words need a group of two elements or more", "task.group=S3"
            raise ConfigError(must, got=f"{group}, of one element", key="task.group", fix=fix)
        graph = cayley_graph(self.of, self.of.generators if letters == "generators" else range(self.of.order))
        lengths = max_length, sampler, supervise, "none", seed, test_lengths
        super().__init__(graph, words, val_words, test_words, *lengths)
