"""From a trained recurrent network to a verified program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from mechlab.distill.certificate import DistillError
from mechlab.distill.recurrent.assembling import agrees
from mechlab.distill.recurrent.machines import machine_programs
from mechlab.distill.recurrent.observed import Observed, observe
from mechlab.distill.recurrent.program import RecurrentProgram
from mechlab.distill.recurrent.registers import register_programs
from mechlab.distill.recurrent.shortening import length, shortened
from mechlab.distill.recurrent.verification import verify, word_text

Route = Callable[[Observed], Iterator[RecurrentProgram]]
ROUTES: tuple[Route, ...] = (register_programs, machine_programs)
OBSERVED = 2000  # sequences
MOST_VERIFIED = 10  # candidates
MARGIN = 3.0  # standard errors


def distill_rnn(
    model: Any, task: Any, *, rng: int | np.random.Generator = 0, samples: int = 10_000, tolerance: float = 1e-3
) -> RecurrentProgram:
    """Return a verified program that computes what a recurrent network computes, rounded to integers.

    Programs are made from state machines (`machines.py`) and from integer registers in the hidden states
    (`registers.py`). They are verified, the shortest of those that agree with the network on 2,000 sequences first.

    Args:
        model: a sequence model that reads integers as real numbers, trained on the task.
        task: a task of integer sequences such as `mips`; see `observed.check_task`.
        rng: seed or generator of the sequences.
        samples: number of sequences in the verification.
        tolerance: largest share of sequences on which program and network may differ; they are counted in the
            certificate, whose status is then "tested". A network of real numbers rounds wrongly on rare sequences.

    Raises:
        ConfigError: the task's inputs are no integers.
        DistillError: the network does no better on the task than constant outputs, or no program agrees with it;
            then with a counterexample to the first candidate, or to the network itself.

    Source: the stages of MIPS, Michaud et al., "Opening the AI black box: program synthesis via mechanistic
    interpretability", arXiv 2402.05110; no code of it is used.
    """
    seeds = np.random.default_rng(rng)
    observed = observe(model, task, OBSERVED, seeds)
    check_learned(observed, task)
    made: dict[RecurrentProgram, bool] = {}  # whether it agrees with the observations
    for route in ROUTES:
        for program in map(shortened, route(observed)):
            made[program] = agrees(program, observed, tolerance)
    problem = _no_program(observed, task)
    ordered = sorted(made, key=lambda program: (not made[program], length(program)))[:MOST_VERIFIED]
    seed = int(seeds.integers(2**31))
    for k, program in enumerate(ordered):
        try:
            return program.certified(verify(program, model, task, samples=samples, rng=seed, tolerance=tolerance))
        except DistillError as error:
            problem = error if k == 0 else problem
    raise problem


def check_learned(observed: Observed, task: Any) -> None:
    """Raise DistillError unless the network's rounded outputs are right more often than the best constant outputs.

    Without this rule the program of an untrained network whose outputs all round to 0 would be 0.
    """
    targets = task.rule.targets(observed.inputs)
    flat = np.asarray(targets).reshape(-1, targets.shape[2])
    _, counts = np.unique(flat.astype(str), axis=0, return_counts=True)
    constant = counts.max() / len(flat)
    right = np.asarray(observed.outputs == targets).all(2)
    error = float(right.mean(1).std() / np.sqrt(len(right)))  # sequences are independent, positions are not
    if right.mean() <= constant + MARGIN * error:
        must = "the network must be right more often than the best constant outputs are"
        raise DistillError(must, got=f"{right.mean():.3f} against {constant:.3f}", key="model", fix="train it longer")


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
