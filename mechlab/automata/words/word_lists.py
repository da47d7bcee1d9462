"""Lists of words as texts, in files and as letter indices."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

LONGEST, MOST = 1000, 100_000  # letters of a word, words of a list
COLUMN = "word"


def read_words(path: str | Path) -> tuple[str, ...]:
    """Return the words of a text file, one on each line, or of a .csv file, one in each row.

    A csv file has one column without a header, or a column with the header "word" among others. White space around a
    word is left out; an empty line is the empty word.

    Raises:
        OSError: there is no such file.
        ValueError: it is not text in UTF-8, is empty, or has several columns without that header.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: a file of words must be text in UTF-8. Got {error.reason}.") from None
    words = tuple(line.strip() for line in (_column(text, path) if path.suffix == ".csv" else text.splitlines()))
    if not any(words):
        raise ValueError(f"{path}: a file of words must have a word of one letter or more. Got none.")
    return words


def letter_indices(words: Sequence[str], alphabet: Sequence[str]) -> list[list[int]]:
    """Return the letter indices of words, in their order; the empty word has none.

    Letters are separated by spaces, or single characters in a word without spaces. A word without spaces that is
    itself a letter is that letter.

    Raises:
        ValueError: there are too many words, a word is too long, has an unknown letter, or occurs twice (the empty word
            may).

    >>> letter_indices(["011", "0 1", ""], ["0", "1"]), letter_indices(["pod water", "pod"], ["pod", "water"])
    ([[0, 1, 1], [0, 1], []], [[0, 1], [0]])
    """
    if len(words) > MOST:
        raise ValueError(f"there must be at most {MOST} words. Got {len(words)}.")
    number, first, indices = {letter: i for i, letter in enumerate(alphabet)}, {}, []
    for place, word in enumerate(words, start=1):
        letters = word.split() if word in number or any(c.isspace() for c in word) else list(word)
        if len(letters) > LONGEST:
            raise ValueError(
                f"a word must have at most {LONGEST} letters. Got {len(letters)} in {_short(word, place)}."
            )
        if unknown := [letter for letter in letters if letter not in number]:
            raise ValueError(f"words must be of the alphabet's letters. Got {unknown[0]!r} in {_short(word, place)}.")
        key = tuple(letters)
        if key and key in first:
            raise ValueError(f"words must occur once. Got word {first[key]} again in {_short(word, place)}.")
        first[key] = place
        indices.append([number[letter] for letter in letters])
    return indices


def _column(text: str, path: Path) -> list[str]:
    rows = list(csv.reader(text.splitlines()))
    header = [cell.strip() for cell in rows[0]] if rows else []
    if COLUMN in header:
        column = header.index(COLUMN)
        return [row[column] if column < len(row) else "" for row in rows[1:]]
    if wide := [row for row in rows if len(row) > 1]:
        must = f"{path}: a csv file of words must have one column, or one with the header {COLUMN}"
        raise ValueError(f"{must}. Got the row {','.join(wide[0])}.")
    return [cell for row in rows for cell in row or [""]]


def _short(word: str, place: int) -> str:
    return f"word {place}: {word if len(word) <= 40 else f'{word[:37]}...'}"
