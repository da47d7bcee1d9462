"""Comparing a program that reads sequences with its network, and with the rule of the task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

from mechlab.core.errors import ConfigError
from mechlab.distill.certificate import Certificate, DistillError
from mechlab.distill.recurrent.assembling import register_values
from mechlab.distill.recurrent.encoding import origin_of, word_numbers
from mechlab.distill.recurrent.observed import check_task, reader
from mechlab.distill.recurrent.program import RecurrentProgram

MOST_EXHAUSTIVE = 2**20  # sequences
LEAST_SAMPLES = 100
READ = 2000  # sequences whose hidden states are searched for the registers
LENGTHS = (10, 100, 1000)
CHUNK = 2**18  # letters compared at once
LONGEST_SHOWN = 20  # letters of a counterexample in an error


class Comparison(NamedTuple):
    """A program against its network on sequences of the training length.

    Args:
        inputs: number of sequences.
        mismatches: on how many the outputs differ; counting stops once they are more than was tolerated.
        exhaustive: whether the sequences are all that exist.
        refusal: the error for the first mismatch; None if there is none.
    """

    inputs: int
    mismatches: int
    exhaustive: bool
    refusal: DistillError | None


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
    The program is also compared with the rule of the task, and with the network, at lengths 10, 100 and 1,000; a
    difference there is counted, not refused. `origin` is from hidden states on 2,000 sequences of the training length.

    Args:
        program: the program.
        model: a sequence model that reads integers as real numbers.
        task: a task of integer sequences; see `observed.check_task`.
        samples: number of random sequences at the training length and at length 10, 100 or more; a tenth at others.
        rng: seed of the sequences, or a generator from which a seed is drawn; the certificate has the seed.
        tolerance: largest share of sequences on which network and program may differ; they are counted, and the status
            is then "tested".

    Raises:
        ConfigError: the task's inputs are no integers, or `samples` is below 100.
        DistillError: the program and the network disagree, with the first counterexample.
    """
    seed = seed_of(rng)
    (comparison,) = compare([program], model, task, samples=samples, seed=seed, tolerance=tolerance)
    return certificate(program, comparison, model, task, samples=samples, seed=seed, tolerance=tolerance)


def compare(
    programs: Sequence[RecurrentProgram], model: Any, task: Any, *, samples: int, seed: int, tolerance: float
) -> list[Comparison]:
    """Return how each program compares with a network on the same sequences; see `verify`."""
    check_task(task)
    check_samples(samples)
    read, count = reader(model), words(task)
    exhaustive = count is not None and count <= MOST_EXHAUSTIVE
    total = count if count is not None and exhaustive else samples
    drawn = all_words(task) if exhaustive else _drawn(task, samples, task.length, np.random.default_rng(seed))
    mismatches = [0] * len(programs)
    first: list[DistillError | None] = [None] * len(programs)
    for inputs in drawn:
        left = [k for k, number in enumerate(mismatches) if number <= tolerance * total]
        if not left:
            break
        rounded = read(inputs).outputs
        for k in left:
            wrong, given = differences(programs[k], inputs, rounded)
            if wrong.any():
                mismatches[k] += int(wrong.any(1).sum())
                first[k] = first[k] or _refusal(inputs, given, rounded, wrong)
    return [Comparison(total, number, exhaustive, error) for number, error in zip(mismatches, first, strict=True)]


def certificate(
    program: RecurrentProgram,
    comparison: Comparison,
    model: Any,
    task: Any,
    *,
    samples: int,
    seed: int,
    tolerance: float,
) -> Certificate:
    """Return the certificate of a program after a comparison with its network; see `verify`.

    Raises:
        DistillError: the comparison has more mismatches than are tolerated.
    """
    if comparison.refusal is not None and comparison.mismatches > tolerance * comparison.inputs:
        raise comparison.refusal
    generator = np.random.default_rng([seed, 1])
    by_rule, by_network, counterexample = _at_lengths(program, model, task, samples, generator)
    inputs = task.integers(READ, task.length, generator)
    try:
        values = register_values(program, inputs)
    except IndexError:  # an index outside its table, on one of the tolerated sequences
        values = {}
    origin, read_out = origin_of(values, reader(model)(inputs).states, word_numbers(inputs))
    return Certificate(
        status="lossless" if comparison.exhaustive and not comparison.mismatches else "tested",
        inputs=comparison.inputs,
        mismatches=comparison.mismatches,
        seed=seed,
        lengths=by_rule,
        network_lengths=by_network,
        counterexample=counterexample,
        origin=origin,
        read_out=read_out,
    )


def check_samples(samples: int) -> None:
    """Raise ConfigError if there are too few samples for a certificate."""
    if samples < LEAST_SAMPLES:
        must = f"samples must be at least {LEAST_SAMPLES}, so that a certificate rests on a comparison"
        raise ConfigError(must, got=samples, key="samples", fix="samples=10000")


def seed_of(rng: Any) -> int:
    """Return the seed that an integer is, or one that is drawn from a generator."""
    return int(rng) if isinstance(rng, Integral) else int(np.random.default_rng(rng).integers(2**31))


def differences(
    program: RecurrentProgram, inputs: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return where (B, T) a program's outputs differ from targets (B, T, k) after inputs (B, T, c), and the outputs;
    everywhere, and None, if an index is outside its table on one of the inputs."""
    given = _outputs(program, inputs)
    return _unequal(given, targets), given


def words(task: Any) -> int | None:
    """Return the number of sequences of a task's training length; None if it does not draw letters independently."""
    rule = task.rule
    if getattr(rule, "draw", None) is not None:
        return None
    return int((rule.high - rule.low + 1) ** (rule.channels * task.length))


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


def _outputs(program: RecurrentProgram, inputs: np.ndarray) -> np.ndarray | None:
    """Return a program's outputs; None if an index is outside its table on one of the inputs."""
    try:
        return program(inputs)
    except IndexError:
        return None


def _unequal(given: np.ndarray | None, targets: np.ndarray) -> np.ndarray:
    """Return where (B, T) outputs differ from targets (B, T, k); everywhere for None."""
    return np.ones(targets.shape[:2], bool) if given is None else np.asarray(given != targets).any(-1)


Counts = tuple[tuple[int, int, int], ...]


def _at_lengths(
    program: RecurrentProgram, model: Any, task: Any, samples: int, rng: np.random.Generator
) -> tuple[Counts, Counts, tuple[tuple[int, ...], ...]]:
    """Return for each length on how many sequences the program differs from the task's rule, the same for the network,
    and the first sequence on which it differs from the rule."""
    read = reader(model)
    by_rule, by_network, counterexample = [], [], ()
    for length in LENGTHS:
        wanted = samples if length == LENGTHS[0] else samples // 10
        from_rule = from_network = 0
        for inputs in _drawn(task, wanted, length, rng):
            given = _outputs(program, inputs)
            wrong = _unequal(given, task.rule.targets(inputs))
            from_rule += int(wrong.any(1).sum())
            from_network += int(_unequal(given, read(inputs).outputs).any(1).sum())
            if wrong.any() and not counterexample:
                row = int(wrong.any(1).argmax())
                counterexample = tuple(map(tuple, inputs[row, : wrong[row].argmax() + 1].tolist()))
        by_rule.append((length, wanted, from_rule))
        by_network.append((length, wanted, from_network))
    return tuple(by_rule), tuple(by_network), counterexample


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
