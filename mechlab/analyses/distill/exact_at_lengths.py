"""How many sequences of 10, 100 and 1,000 letters a recurrent network, or its program, gets right at all positions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mechlab.distill.recurrent.observed import reader
from mechlab.distill.recurrent.program import RecurrentProgram
from mechlab.distill.recurrent.verification import LENGTHS, differences
from mechlab.statistics.wilson import wilson

if TYPE_CHECKING:
    import pandas as pd

LETTERS = 2**18  # that are drawn at once
SHOWN = 20  # letters of a counterexample


@dataclass(frozen=True)
class AtLength:
    """Sequences of one length, against the rule of the task.

    Args:
        subject: "network", "program", "constant" (the best constant outputs) or "untrained" (the program of the
            untrained network).
        length: of the sequences, in letters.
        sequences: their number.
        right: number of those after each of whose letters the outputs are the rule's.
        counterexample: what differs first, as a sentence; empty if nothing does.
        every: True if the sequences are all that exist, False if they are random.
    """

    subject: str
    length: int
    sequences: int
    right: int
    counterexample: str = ""
    every: bool = False

    @property
    def share(self) -> float:
        """The share of right sequences."""
        return self.right / self.sequences

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval of that share; the share itself if it is of all sequences."""
        return (self.share, self.share) if self.every else wilson(self.right, self.sequences)


@dataclass(frozen=True, eq=False)
class Words:
    """The words of 10 letters with which a network is compared.

    Args:
        inputs: (B, 10, c) int64.
        every: True if they are all that exist, each once.
        unseen: share of them that no sequence of the training split has, as a whole or at its beginning.
    """

    inputs: np.ndarray
    every: bool
    unseen: float

    @property
    def distinct(self) -> int:
        """The number of distinct words."""
        return distinct(self.inputs)


def words_of(task: Any, samples: int, rng: np.random.Generator) -> Words:
    """Return all words of 10 letters if there are at most `samples` and letters are drawn independently, else that many
    random ones.

    Args:
        task: the task `mips`, or one with its `rule`, `integers` and `trained_on`.
        samples: number of words.
        rng: source of the words.
    """
    rule, length = task.rule, LENGTHS[0]
    base, digits = rule.high - rule.low + 1, length * rule.channels
    every = base**digits <= samples and getattr(rule, "draw", None) is None
    if every:
        powers = base ** np.arange(digits - 1, -1, -1, dtype=np.int64)
        inputs = (np.arange(base**digits)[:, None] // powers % base + rule.low).reshape(-1, length, rule.channels)
    else:
        inputs = task.integers(samples, length, rng)
    return Words(inputs, every, float((~task.trained_on(inputs)).mean()))


def distinct(inputs: np.ndarray) -> int:
    """Return the number of distinct sequences among (B, T, c)."""
    return len(np.unique(inputs.reshape(len(inputs), -1), axis=0))


def of_network(model: Any, task: Any, words: Words, samples: int, rng: np.random.Generator) -> list[AtLength]:
    """Return how often a network's rounded outputs are the rule's, and how often the best constant outputs are on the
    same sequences.

    Args:
        model: a sequence model that reads integers as real numbers.
        task: a task of integer sequences; see `observed.check_task`.
        words: of 10 letters.
        samples: a tenth of them are drawn at 100 and at 1,000 letters.
        rng: source of the sequences.
    """
    read = reader(model)
    rows: list[AtLength] = []
    constants: list[AtLength] = []
    for length in LENGTHS:
        every = words.every and length == LENGTHS[0]
        count, right, counterexample = 0, 0, ""
        same: Counter[tuple[int, ...]] = Counter()  # sequences on which these constant outputs are right
        for inputs in _parts(task, words, length, samples, rng):
            targets, outputs = task.rule.targets(inputs), read(inputs).outputs
            wrong = np.asarray(outputs != targets).any(-1)  # (B, T)
            count, right = count + len(inputs), right + int((~wrong.any(1)).sum())
            steady = np.asarray(targets == targets[:, :1]).all((1, 2))
            same.update(tuple(row) for row in targets[steady, 0].tolist())
            if wrong.any() and not counterexample:
                row = int(wrong.any(1).argmax())
                step = int(wrong[row].argmax())
                given = (outputs[row, step], targets[row, step])
                counterexample = _sentence("network", inputs[row, : step + 1], *given)
        rows.append(AtLength("network", length, count, right, counterexample, every))
        constants.append(AtLength("constant", length, count, max(same.values(), default=0), every=every))
    return rows + constants


def of_program(program: RecurrentProgram, task: Any, words: Words, subject: str = "program") -> list[AtLength]:
    """Return what a program's certificate tells of each length; at 10 letters, if `words` are all that exist, on them.

    The counterexample is at the first length that has one.
    """
    assert program.certificate is not None
    rows, word = [], program.certificate.counterexample
    for length, sequences, wrong in program.certificate.lengths:
        every = words.every and length == LENGTHS[0]
        if every:
            sequences, wrong, word = _on_all(program, task, words.inputs, word)
        counterexample = ""
        if wrong and word:
            letters = np.array(word)
            targets = task.rule.targets(letters[None])[0, -1]
            try:
                given = program(letters)[-1]
            except IndexError:
                given = None
            counterexample, word = _sentence("program", letters, given, targets), ()
        rows.append(AtLength(subject, length, sequences, sequences - wrong, counterexample, every))
    return rows


def lengths_table(rows: Sequence[AtLength]) -> pd.DataFrame:
    """Return a table with a row for each subject and length, with 95 % intervals of the shares."""
    import pandas as pd

    columns = ("subject", "length", "sequences", "every", "right", "share", "low", "high", "counterexample")
    lines = [
        (row.subject, row.length, row.sequences, row.every, row.right, row.share, *row.interval, row.counterexample)
        for row in rows
    ]
    return pd.DataFrame(lines, columns=list(columns))


def _parts(task: Any, words: Words, length: int, samples: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield the words, or a tenth of `samples` random sequences of another length, in chunks (B, T, c)."""
    size = max(1, LETTERS // length)
    if length == LENGTHS[0]:
        yield from (words.inputs[start : start + size] for start in range(0, len(words.inputs), size))
        return
    total = max(1, samples // 10)
    for start in range(0, total, size):
        yield task.integers(min(size, total - start), length, rng)


def _on_all(
    program: RecurrentProgram, task: Any, inputs: np.ndarray, word: tuple[tuple[int, ...], ...]
) -> tuple[int, int, tuple[tuple[int, ...], ...]]:
    """Return the number of inputs (B, T, c), on how many of them a program differs from the rule, and the first of
    these up to its first difference, or `word` if there is none."""
    wrong, _ = differences(program, inputs, task.rule.targets(inputs))
    if wrong.any():
        row = int(wrong.any(1).argmax())
        word = tuple(map(tuple, inputs[row, : wrong[row].argmax() + 1].tolist()))
    return len(inputs), int(wrong.any(1).sum()), word


def _sentence(subject: str, letters: np.ndarray, given: np.ndarray | None, targets: np.ndarray) -> str:
    """Return what a subject and the rule return after letters (T, c)."""
    word = (letters[:, 0] if letters.shape[1] == 1 else letters)[-SHOWN:].tolist()
    start = f"{len(letters) - SHOWN} letters and " if len(letters) > SHOWN else ""
    returned = "nothing, an index being outside its table" if given is None else _number(given)
    return f"After {start}{word} the {subject} returns {returned}, the rule {_number(targets)}."


def _number(values: np.ndarray) -> str:
    return str(values[0]) if len(values) == 1 else str(values.tolist())
