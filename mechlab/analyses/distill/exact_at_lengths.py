"""How many sequences of 10, 100 and 1,000 letters a recurrent network, or its program, gets right at all positions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mechlab.distill.recurrent.observed import reader
from mechlab.distill.recurrent.program import RecurrentProgram
from mechlab.distill.recurrent.verification import LENGTHS
from mechlab.statistics.wilson import wilson

if TYPE_CHECKING:
    import pandas as pd

LETTERS = 2**18  # that are drawn at once
SHOWN = 20  # letters of a counterexample


@dataclass(frozen=True)
class AtLength:
    """Random sequences of one length, against the rule of the task.

    Args:
        subject: "network" or "program".
        length: of the sequences, in letters.
        sequences: their number.
        right: number of those after each of whose letters the outputs are the rule's.
        counterexample: what differs first, as a sentence; empty if nothing does.
    """

    subject: str
    length: int
    sequences: int
    right: int
    counterexample: str = ""

    @property
    def share(self) -> float:
        """The share of right sequences."""
        return self.right / self.sequences

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval of that share."""
        return wilson(self.right, self.sequences)


def of_network(model: Any, task: Any, samples: int, rng: np.random.Generator) -> list[AtLength]:
    """Return how often a network's rounded outputs are the rule's.

    Args:
        model: a sequence model that reads integers as real numbers.
        task: a task of integer sequences; see `observed.check_task`.
        samples: number of sequences of 10 letters; a tenth of them at 100 and 1,000.
        rng: source of the sequences.
    """
    read, rows = reader(model), []
    for length in LENGTHS:
        sequences = sequences_at(length, samples)
        right, counterexample = 0, ""
        for inputs in _drawn(task, sequences, length, rng):
            targets, outputs = task.rule.targets(inputs), read(inputs).outputs
            wrong = np.asarray(outputs != targets).any(-1)  # (B, T)
            right += int((~wrong.any(1)).sum())
            if wrong.any() and not counterexample:
                row = int(wrong.any(1).argmax())
                step = int(wrong[row].argmax())
                given = (outputs[row, step], targets[row, step])
                counterexample = _sentence("network", inputs[row, : step + 1], *given)
        rows.append(AtLength("network", length, sequences, right, counterexample))
    return rows


def of_program(program: RecurrentProgram, task: Any) -> list[AtLength]:
    """Return what a program's certificate tells of each length; the counterexample is at the first length that has
    one."""
    assert program.certificate is not None
    rows, word = [], program.certificate.counterexample
    for length, sequences, wrong in program.certificate.lengths:
        counterexample = ""
        if wrong and word:
            letters = np.array(word)
            targets = task.rule.targets(letters[None])[0, -1]
            try:
                given = program(letters)[-1]
            except IndexError:
                given = None
            counterexample, word = _sentence("program", letters, given, targets), ()
        rows.append(AtLength("program", length, sequences, sequences - wrong, counterexample))
    return rows


def lengths_table(rows: Sequence[AtLength]) -> pd.DataFrame:
    """Return a table with a row for each subject and length, with 95 % intervals of the shares."""
    import pandas as pd

    columns = ("subject", "length", "sequences", "right", "share", "low", "high", "counterexample")
    lines = [
        (row.subject, row.length, row.sequences, row.right, row.share, *row.interval, row.counterexample)
        for row in rows
    ]
    return pd.DataFrame(lines, columns=list(columns))


def sequences_at(length: int, samples: int) -> int:
    """Return the number of sequences of a length: all samples at 10 letters, a tenth at others, as in certificates."""
    return samples if length == LENGTHS[0] else max(1, samples // 10)


def _drawn(task: Any, sequences: int, length: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    size = max(1, LETTERS // length)
    for start in range(0, sequences, size):
        yield task.integers(min(size, sequences - start), length, rng)


def _sentence(subject: str, letters: np.ndarray, given: np.ndarray | None, targets: np.ndarray) -> str:
    """Return what a subject and the rule return after letters (T, c)."""
    word = (letters[:, 0] if letters.shape[1] == 1 else letters)[-SHOWN:].tolist()
    start = f"{len(letters) - SHOWN} letters and " if len(letters) > SHOWN else ""
    returned = "nothing, an index being outside its table" if given is None else _number(given)
    return f"After {start}{word} the {subject} returns {returned}, the rule {_number(targets)}."


def _number(values: np.ndarray) -> str:
    return str(values[0]) if len(values) == 1 else str(values.tolist())
