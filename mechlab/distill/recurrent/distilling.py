"""From a trained recurrent network to a verified program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from mechlab.distill.certificate import DistillError
from mechlab.distill.recurrent.assembling import mismatches
from mechlab.distill.recurrent.machines import machine_programs
from mechlab.distill.recurrent.observed import Observed, check_task, observe
from mechlab.distill.recurrent.program import RecurrentProgram
from mechlab.distill.recurrent.registers import register_programs
from mechlab.distill.recurrent.shortening import length, shortened
from mechlab.distill.recurrent.verification import all_words, certificate, check_samples, compare, word_text, words

Route = Callable[[Observed], Iterator[RecurrentProgram]]
ROUTES: tuple[Route, ...] = (register_programs, machine_programs)
OBSERVED = 2000  # sequences
FEW_WORDS = 4096  # so few sequences are all observed
MOST_VERIFIED = 10  # candidates
MARGIN = 3.0  # standard errors


def distill_rnn(
    model: Any,
    task: Any,
    *,
    rng: int | np.random.Generator = 0,
    samples: int = 10_000,
    tolerance: float = 1e-3,
    require_learned: bool = True,
) -> RecurrentProgram:
    """Return a verified program that computes what a recurrent network computes, rounded to integers.

    Programs are made from integer registers (`registers.py`) and from state machines (`machines.py`), from 2,000
    sequences, or from all if there are at most 4,096. The program with the fewest mismatches is returned, the shortest
    of several: the shortest of those without any, so that a shorter program that is wrong on rare sequences is only
    returned where none is exact. Mismatches are first counted on the observed sequences, then by `verification.verify`.

    A program need not follow from the hidden states: a rule can often be regressed on inputs and outputs alone. The
    certificate's `origin` is "states" only if hidden states after held-out words determine all of its registers.

    Args:
        model: a sequence model that reads integers as real numbers, trained on the task.
        task: a task of integer sequences such as `mips`; see `observed.check_task`.
        rng: seed or generator of the sequences.
        samples: number of sequences in the verification, 100 or more.
        tolerance: largest share of sequences on which program and network may differ; they are counted in the
            certificate, whose status is then "tested". A network of real numbers rounds wrongly on rare sequences.
        require_learned: refuse networks that do no better than constant outputs; see `check_learned`. With False, an
            untrained network gives a program if it has one, such as 0.

    Raises:
        ConfigError: the task's inputs are no integers, or `samples` is below 100.
        DistillError: the network does no better on the task than constant outputs, or no program agrees with it;
            then with a counterexample to the first candidate, or to the network itself.

    Source: the stages of MIPS, Michaud et al., "Opening the AI black box: program synthesis via mechanistic
    interpretability", arXiv 2402.05110; no code of it is used.
    """
    check_task(task)
    check_samples(samples)
    seeds = np.random.default_rng(rng)
    observed = observe(model, task, inputs=_sequences(task, seeds))
    if require_learned:
        check_learned(observed, task)
    made: dict[RecurrentProgram, int] = {}  # mismatches with the observations
    for route in ROUTES:
        for program in map(shortened, route(observed)):
            made[program] = mismatches(program, observed)
    ordered = sorted(made, key=lambda program: (made[program], length(program)))[:MOST_VERIFIED]
    if not ordered:
        raise _no_program(observed, task)
    settings: dict[str, Any] = {"samples": samples, "seed": int(seeds.integers(2**31)), "tolerance": tolerance}
    compared = compare(ordered[:1], model, task, **settings)
    if compared[0].mismatches:
        compared += compare(ordered[1:], model, task, **settings)
    refusal = compared[0].refusal
    best = min(range(len(compared)), key=lambda k: (compared[k].mismatches, length(ordered[k])))
    if compared[best].mismatches > tolerance * compared[best].inputs and refusal is not None:
        raise refusal
    return ordered[best].certified(certificate(ordered[best], compared[best], model, task, **settings))


def check_learned(observed: Observed, task: Any) -> None:
    """Raise DistillError unless the network's rounded outputs are right more often than the best constant outputs.

    A network at chance level is thus refused by definition, whatever its states hold: that untrained networks give no
    program follows from this rule, and is no evidence for the method. Without the rule the program of an untrained
    network whose outputs all round to 0 would be 0; `distill_rnn(..., require_learned=False)` returns it.
    """
    targets = task.rule.targets(observed.inputs)
    flat = np.asarray(targets).reshape(-1, targets.shape[2])
    if (flat == flat[0]).all():
        must = "the targets must differ between sequences or positions, or constant outputs are as good as the network"
        got = f"the targets are constant at this length, {observed.length}: {flat[0].tolist()}"
        raise DistillError(must, got=got, key="task.length", fix="a longer task.length")
    _, counts = np.unique(flat.astype(str), axis=0, return_counts=True)
    constant = counts.max() / len(flat)
    right = np.asarray(observed.outputs == targets).all(2)
    error = float(right.mean(1).std() / np.sqrt(len(right)))  # sequences are independent, positions are not
    if right.mean() <= constant + MARGIN * error:
        must = "the network must be right more often than the best constant outputs are"
        raise DistillError(must, got=f"{right.mean():.3f} against {constant:.3f}", key="model", fix="train it longer")


def _sequences(task: Any, rng: np.random.Generator) -> np.ndarray:
    """Return the sequences to observe (B, T, c), in random order: each word at least once if there are few, and 2,000
    or more in all."""
    count = words(task)
    if count is None or count > FEW_WORDS:
        return task.integers(OBSERVED, task.length, rng)
    every = np.concatenate(list(all_words(task)))
    more = task.integers(max(0, OBSERVED - count), task.length, rng)
    return rng.permutation(np.concatenate([every, more]))


def _no_program(observed: Observed, task: Any) -> DistillError:
    """Return the error for a network without a candidate, with the first sequence on which it breaks the rule."""
    got = f"none on {len(observed.inputs):,} sequences of {observed.length} letters"
    wrong = np.asarray(observed.outputs != task.rule.targets(observed.inputs)).any(2)  # (B, T)
    if wrong.any():
        row = int(wrong.any(1).argmax())
        step = int(wrong[row].argmax())
        got += f"; the network is wrong on {wrong.any(1).mean():.1%} of them, first after "
        got += f"{word_text(observed.inputs[row, : step + 1])}, where it returns {observed.outputs[row, step].tolist()}"
    must = "a short program must agree with the network on the observed sequences"
    return DistillError(must, got=got, key="model")
