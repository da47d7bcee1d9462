"""Comparing a program that reads sequences with its network, and with the rule of the task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from mechlab.distill.certificate import Certificate, DistillError
from mechlab.distill.recurrent.observed import check_task, reader
from mechlab.distill.recurrent.program import RecurrentProgram

MOST_EXHAUSTIVE = 2**20  # sequences
LENGTHS = (10, 100, 1000)
CHUNK = 2**18  # letters compared at once
LONGEST_SHOWN = 20  # letters of a counterexample in an error


def verify(
    program: RecurrentProgram,
    model: Any,
    task: Any,
    *,
    samples: int = 10_000,
    rng: int | np.random.Generator = 0,
    tolerance: float = 0.0,
) -> Certificate:
    """Return the certificate of a program that agrees with its network.

    Program and rounded outputs of the network are compared on sequences of the training length: on all of them if there
    are at most 2^20 and the task draws letters independently (status "lossless"), on random ones otherwise ("tested").
    The program is also compared with the rule of the task at lengths 10, 100 and 1,000; a difference there is counted,
    not refused, since the program is the network's.

    Args:
        program: the program.
        model: a sequence model that reads integers as real numbers.
        task: a task of integer sequences; see `observed.check_task`.
        samples: number of random sequences at the training length and at length 10; a tenth of them at others.
        rng: seed or generator of the sequences.
        tolerance: largest share of sequences on which network and program may differ; they are counted, and the status
            is then "tested".

    Raises:
        ConfigError: the task's inputs are no integers.
        DistillError: the program and the network disagree, with the first counterexample.
    """
    check_task(task)
    generator = np.random.default_rng(rng)
    rule, read = task.rule, reader(model)
    sequences = (rule.high - rule.low + 1) ** (rule.channels * task.length)
    exhaustive = sequences <= MOST_EXHAUSTIVE and getattr(rule, "draw", None) is None
    words = all_words(task) if exhaustive else _drawn(task, samples, task.length, generator)
    count = mismatches = 0
    first: DistillError | None = None
    for inputs in words:
        rounded = read(inputs).outputs
        wrong, given = differences(program, inputs, rounded)
        if first is None and wrong.any():
            first = _refusal(inputs, given, rounded, wrong)
        count, mismatches = count + len(inputs), mismatches + int(wrong.any(1).sum())
        if first is not None and not tolerance:
            raise first
    if first is not None and mismatches > tolerance * count:
        raise first
    lengths, counterexample = _against_rule(program, task, samples, generator)
    return Certificate(
        status="lossless" if exhaustive and not mismatches else "tested",
        inputs=count,
        mismatches=mismatches,
        seed=rng if isinstance(rng, int) else 0,
        lengths=lengths,
        counterexample=counterexample,
    )


def differences(
    program: RecurrentProgram, inputs: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return where (B, T) a program's outputs differ from targets (B, T, k) after inputs (B, T, c), and the outputs;
    everywhere, and None, if an index is outside its table on one of the inputs."""
    try:
        given = program(inputs)
    except IndexError:
        return np.ones(inputs.shape[:2], bool), None
    return np.asarray(given != targets).any(-1), given


def all_words(task: Any) -> Iterator[np.ndarray]:
    """Yield all sequences (B, T, c) of a task's training length, in chunks."""
    rule, length = task.rule, task.length
    base, digits = rule.high - rule.low + 1, length * rule.channels
    powers = base ** np.arange(digits - 1, -1, -1, dtype=np.int64)
    size = max(1, CHUNK // digits)
    for start in range(0, base**digits, size):
        numbers = np.arange(start, min(start + size, base**digits), dtype=np.int64)
        yield (numbers[:, None] // powers % base + rule.low).reshape(-1, length, rule.channels)


def _drawn(task: Any, samples: int, length: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield random sequences (B, length, c), in chunks."""
    size = max(1, CHUNK // length)
    for start in range(0, samples, size):
        yield task.integers(min(size, samples - start), length, rng)


def _against_rule(
    program: RecurrentProgram, task: Any, samples: int, rng: np.random.Generator
) -> tuple[tuple[tuple[int, int, int], ...], tuple[tuple[int, ...], ...]]:
    """Return for each length how many sequences differ from the task's rule, and the first that does."""
    rows, counterexample = [], ()
    for length in LENGTHS:
        wanted = samples if length == LENGTHS[0] else max(1, samples // 10)
        count = 0
        for inputs in _drawn(task, wanted, length, rng):
            wrong, _ = differences(program, inputs, task.rule.targets(inputs))
            count += int(wrong.any(1).sum())
            if wrong.any() and not counterexample:
                row = int(wrong.any(1).argmax())
                counterexample = tuple(map(tuple, inputs[row, : wrong[row].argmax() + 1].tolist()))
        rows.append((length, wanted, count))
    return tuple(rows), counterexample


def word_text(word: np.ndarray) -> str:
    """Return a sequence (T, c) as text, the last letters of a long one."""
    letters = (word[:, 0] if word.shape[1] == 1 else word)[-LONGEST_SHOWN:].tolist()
    return f"{'... ' if len(word) > LONGEST_SHOWN else ''}{letters}"


def _refusal(inputs: np.ndarray, given: np.ndarray | None, rounded: np.ndarray, wrong: np.ndarray) -> DistillError:
    """Return the error for the first sequence with a difference."""
    row = int(wrong.any(1).argmax())
    step = int(wrong[row].argmax())
    result = "an index outside its table" if given is None else given[row, step].tolist()
    word = word_text(inputs[row, : step + 1])
    return DistillError(
        "the program must return what the network returns, rounded to integers",
        got=f"after {word} the program returns {result}, the network {rounded[row, step].tolist()}",
        key="model",
    )
