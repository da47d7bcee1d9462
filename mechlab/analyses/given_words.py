"""Words of the user's own in place of drawn ones, for analyses of networks that read words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from mechlab.analyses.longest_sequence import check_longest
from mechlab.automata.words.word_lists import letter_indices, read_words
from mechlab.core.analysis import Analysis
from mechlab.core.constraints import Filled, at_least
from mechlab.core.errors import ConfigError
from mechlab.core.recipe import Recipe
from mechlab.core.task import Task

# A number of words to draw, the path of a file of words (see `read_words`), or the words themselves.
WordSource = Annotated[int, at_least(1)] | str | Annotated[tuple[str, ...], Filled()]


class WordAnalysis(Analysis):
    """An analysis of a network on words: a number of drawn ones, or given ones.

    Attributes:
        word_sources: names of the parameters that are a WordSource.
        random_source: which of them, as a number, is that of random words of the analysis's `lengths`; None where words
            of these lengths are drawn in any case, or there are no `lengths`.
    """

    word_sources: ClassVar[tuple[str, ...]] = ("words",)
    random_source: ClassVar[str | None] = None

    @classmethod
    def without_files(cls, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a configuration with the words of files in place of their paths.

        The answer's identity and record thus hold the words. What cannot be read is left for `check` to refuse.
        """
        words = {}
        for name in cls.word_sources:
            if isinstance(arguments.get(name), str):
                try:
                    words[name] = list(read_words(arguments[name]))
                except (OSError, ValueError):
                    continue
        return {**arguments, **words}

    def check(self, name: str, task_name: str, task: Task, key: str, model: Any = None) -> None:
        """Raise ConfigError, naming the config key, if the task is not what is needed, or given words are invalid."""
        super().check(name, task_name, task, key, model)
        for source in self.word_sources:
            words = getattr(self, source)
            if not isinstance(words, int):
                given_words(words, task.ground_truth().alphabet, f"{key}.{source}")

    def check_recipe(self, name: str, recipe: Recipe, key: str) -> None:
        """Raise ConfigError if the model cannot read the longest given word, or random ones of the analysis's
        `lengths`."""
        longest = []
        for source in self.word_sources:
            words = getattr(self, source)
            if not isinstance(words, int):
                given = given_words(words, recipe.task.ground_truth().alphabet, f"{key}.{source}")
                longest.append(max(map(len, given)))
        lengths = getattr(self, "lengths", None)
        if lengths and (self.random_source is None or isinstance(getattr(self, self.random_source), int)):
            longest.append(lengths if isinstance(lengths, int) else max(lengths))
        if longest:
            check_longest(name, recipe, max(longest), key)


def given_words(words: str | Sequence[str], alphabet: Sequence[str], key: str = "words") -> list[list[int]]:
    """Return the letter indices of the words of a file or list, without the empty word: a network reads no letter of
    it.

    Args:
        key: the config key of the words, for messages.

    Raises:
        ConfigError: the file cannot be read, no word is left, or words are invalid; see `letter_indices`.
    """
    try:
        texts = read_words(words) if isinstance(words, str) else words
        indices = [word for word in letter_indices(texts, alphabet) if word]
        if not indices:
            raise ValueError("there must be a word of one letter or more. Got none.")
    except (OSError, ValueError) as error:
        must, _, got = str(error).rpartition(". Got ")
        raise ConfigError(
            must if must else "words must be a number, a file of words, or a list of them",
            got=got.removesuffix(".") or error,
            key=key,
            fix=f"the letters are {', '.join(alphabet)}, in a row or separated by spaces; a file has one word per line",
        ) from None
    return indices
