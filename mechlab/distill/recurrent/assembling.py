"""Programs from the values of their registers: updates and outputs are regressed on registers and letters."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mechlab.distill.recurrent.expressions import Expression, Name, evaluate, names
from mechlab.distill.recurrent.observed import Observed
from mechlab.distill.recurrent.program import RecurrentProgram, Register
from mechlab.distill.recurrent.regression import explain

FITTED = 0.6  # share of the sequences that expressions are fitted to; all are compared
MOST_STARTS = 700  # combinations of initial values that are tried


@dataclass(frozen=True)
class Stream:
    """The values of a register after each letter of observed sequences.

    Args:
        name: of the register.
        values: (B, T) int64.
        starts: initial values to try first.
    """

    name: str
    values: np.ndarray
    starts: tuple[int, ...] = (0,)


def assemble(observed: Observed, streams: Sequence[Stream]) -> RecurrentProgram | None:
    """Return the program whose registers have these values and whose outputs are the network's, if short expressions
    for all updates and outputs exist, and the program agrees with every observed sequence."""
    count = max(1, int(FITTED * len(observed.inputs)))
    letters = [observed.inputs[:count, :, k] for k in range(observed.inputs.shape[2])]
    after = [stream.values[:count] for stream in streams]
    labels = [*(stream.name for stream in streams), *observed.names]
    bounded = [*(steady(part) for part in after), *(True for _ in letters)]
    outputs = []
    for k in range(observed.outputs.shape[2]):
        now = [part.reshape(-1) for part in (*after, *letters)]
        output = explain(observed.outputs[:count, :, k].reshape(-1), now, labels, bounded)
        if output is None:
            return None
        outputs.append(output)
    needed = _names(outputs)
    updates: dict[str, Expression] = {}
    by_name = {stream.name: stream for stream in streams}
    while waiting := [name for name in by_name if name in needed and name not in updates]:
        name = waiting[0]
        before = [part[:, :-1].reshape(-1) for part in after]
        read = [part[:, 1:].reshape(-1) for part in letters]
        target = by_name[name].values[:count, 1:].reshape(-1)
        update = explain(target, [*before, *read], labels, bounded)
        if update is None:
            return None
        updates[name] = update
        needed |= names(update)
    kept = [stream for stream in streams if stream.name in updates]
    initial = _initial(observed, kept, updates)
    if initial is None:
        return None
    registers = tuple(Register(stream.name, initial[stream.name], updates[stream.name]) for stream in kept)
    program = RecurrentProgram(observed.names, registers, tuple(outputs))
    return program if agrees(program, observed) else None


def steady(values: np.ndarray) -> bool:
    """Return whether a register (B, T) has its smallest and largest value already in the first 6 of 10 steps."""
    early = values[:, : max(1, round(0.6 * values.shape[1]))]
    return bool(early.min() == values.min() and early.max() == values.max())


def agrees(program: RecurrentProgram, observed: Observed, tolerance: float = 0.0) -> bool:
    """Return whether a program returns the network's outputs on every observed sequence but for a share of them."""
    return mismatches(program, observed) <= tolerance * len(observed.inputs)


def mismatches(program: RecurrentProgram, observed: Observed) -> int:
    """Return on how many observed sequences a program does not return the network's outputs; on all of them if an index
    is outside its table."""
    try:
        return int((program(observed.inputs) != observed.outputs).any((1, 2)).sum())
    except IndexError:
        return len(observed.inputs)


def register_values(program: RecurrentProgram, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Return the values (B, T) of each register of a program after each letter of inputs (B, T, c)."""
    if not program.registers:
        return {}
    full = RecurrentProgram(
        program.inputs, program.registers, tuple(Name(register.name) for register in program.registers)
    )
    values = full(inputs)
    return {register.name: values[..., k] for k, register in enumerate(program.registers)}


def _initial(observed: Observed, streams: Sequence[Stream], updates: dict[str, Expression]) -> dict[str, int] | None:
    """Return initial values from which the first letter leads to the registers' first values, or None."""
    first = {name: observed.inputs[:, 0, k] for k, name in enumerate(observed.names)}
    own = {stream.name for stream in streams}
    options = [_starts(stream) for stream in streams]
    total = 1
    for k, option in enumerate(options):
        options[k] = option[: max(1, MOST_STARTS // total)]
        total *= len(options[k])
    for values in sorted(itertools.product(*options), key=lambda point: sum(map(abs, point))):
        state = dict(zip((stream.name for stream in streams), values, strict=True))
        columns = first | {name: np.full(len(observed.inputs), value) for name, value in state.items() if name in own}
        try:
            if all((evaluate(updates[s.name], columns) == s.values[:, 0]).all() for s in streams):
                return state
        except IndexError:
            continue
    return None


def _starts(stream: Stream) -> list[int]:
    values, counts = np.unique(stream.values, return_counts=True)
    frequent = values[np.argsort(-counts, kind="stable")][:8].tolist()
    return list(dict.fromkeys([*stream.starts, 0, 1, -1, *frequent]))


def _names(expressions: Iterable[Expression]) -> frozenset[str]:
    return frozenset().union(*map(names, expressions))
