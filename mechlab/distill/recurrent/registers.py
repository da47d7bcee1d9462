"""Programs with integer registers, from the hidden states, inputs and outputs of a recurrent network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from mechlab.distill.recurrent import streams as candidates
from mechlab.distill.recurrent.assembling import Stream, agrees, assemble, register_values
from mechlab.distill.recurrent.bases import lattice_bases
from mechlab.distill.recurrent.booleans import boolean_code
from mechlab.distill.recurrent.encoding import Encoding, encoding
from mechlab.distill.recurrent.lattices import Code, lattice_code
from mechlab.distill.recurrent.linear import Realization, markov_parameters, realization
from mechlab.distill.recurrent.observed import Observed
from mechlab.distill.recurrent.program import RecurrentProgram, Register, fresh_names
from mechlab.distill.recurrent.regression import weighted

CODE_STATES = 12_000  # hidden states in which codes are looked for
FEW, TRIALS = 300, 3  # sequences that may be free of rare errors, and how often others are tried
RARE = 1e-3  # share of the sequences with such errors


def register_programs(observed: Observed) -> Iterator[RecurrentProgram]:
    """Yield programs with integer registers that agree with a network on the observed sequences.

    Tried in this order are: a function of the letter, without registers; a list of streams (earlier letters, counters,
    extremes, carries), of which only those are used that the hidden states encode (`encoding`); integers and bits of
    the states alone (`lattice_code`, `boolean_code`); registers that need no states (a linear rule; the last output).
    Updates and outputs are regressed; see `regression.explain`. Only if all that gives no program are the streams used
    whatever the states encode. The order decides what is tried, not where a program comes from: whether the states
    encode the registers of the program that is chosen is examined afterwards (`encodings`, and a certificate's
    `origin`).

    After the first kind of streams or codes with a program, only the next two kinds are tried, and none after a program
    without registers. If no program agrees with every sequence, programs are made from a few sequences each, which may
    be free of the network's rare errors, and may disagree with one sequence in a thousand.
    """
    exact = False
    for program in _programs(observed):
        exact = True
        yield program
    for start in () if exact else range(0, FEW * TRIALS, FEW):
        for program in _programs(_part(observed, slice(start, start + FEW))):
            if agrees(program, observed, RARE):
                yield program
                return


def _programs(observed: Observed) -> Iterator[RecurrentProgram]:
    """Yield programs that agree with every observed sequence."""
    program = assemble(observed, [])
    if program is not None:
        yield program
        return
    streams = (_walks, _carries, _counters, _delays)
    of_states = (*streams, lattice_programs, boolean_programs)
    made: dict[RecurrentProgram, None] = {}
    left = len(of_states)
    for kind in (*of_states, linear_programs, _last_outputs):
        if kind in of_states and left == 0:
            continue
        new = [program for program in dict.fromkeys(kind(observed)) if program not in made]
        made |= dict.fromkeys(new)
        yield from sorted(new, key=lambda program: program.size)
        if any(not program.registers for program in new):
            return
        left = min(left, 3) - 1 if made else left - 1
    for kind in () if made else streams:
        yield from kind(observed, gated=False)


def _part(observed: Observed, rows: slice) -> Observed:
    """Return what was observed on some of the sequences."""
    parts = {name: getattr(observed, name)[rows] for name in ("inputs", "states", "outputs", "values")}
    return replace(observed, **parts)


def encodings(program: RecurrentProgram, observed: Observed) -> tuple[Encoding, ...]:
    """Return how well the hidden states encode each register of a program, with the share of nearest states too."""
    values = register_values(program, observed.inputs)
    return tuple(
        encoding(observed.states, stream, name, words=observed.words, nearest=True) for name, stream in values.items()
    )


def linear_programs(observed: Observed) -> Iterator[RecurrentProgram]:
    """Yield the program of a rule that is linear in the letters."""
    markov = markov_parameters(observed.inputs, observed.outputs)
    system = None if markov is None else realization(markov)
    if system is not None:
        program = linear_program(system, observed.names)
        if agrees(program, observed):
            yield program


def linear_program(system: Realization, inputs: Sequence[str]) -> RecurrentProgram:
    """Return the program of an integer state space."""
    labels = fresh_names(inputs, len(system.transition))
    names = [*labels, *inputs]
    updates = [
        weighted([*row, *entry[:-1]], names, int(entry[-1]))
        for row, entry in zip(system.transition, system.entry, strict=True)
    ]
    outputs = tuple(weighted(row, labels) for row in system.readout)
    registers = tuple(Register(label, 0, update) for label, update in zip(labels, updates, strict=True))
    return RecurrentProgram(tuple(inputs), registers, outputs)


def _last_outputs(observed: Observed) -> Iterator[RecurrentProgram]:
    """Yield the program whose registers are the last outputs."""
    program = assemble(observed, candidates.outputs(observed))
    if program is not None:
        yield program


def _delays(observed: Observed, gated: bool = True) -> Iterator[RecurrentProgram]:
    """Yield programs that keep the last output and a few earlier letters."""
    last = candidates.outputs(observed)
    for count in range(1, min(candidates.LONGEST_DELAY, observed.length // 2) + 1):
        chosen = candidates.delays(observed, count)
        if gated and not encoded(observed, chosen[-observed.inputs.shape[2] :]):
            return
        program = assemble(observed, [*chosen, *last])
        if program is not None:
            yield program
            return


def _carries(observed: Observed, gated: bool = True) -> Iterator[RecurrentProgram]:
    """Yield programs of a sum with a carry."""
    tried = 0
    for stream, base in candidates.carries(observed):
        parts = [stream.values, stream.values % base, stream.values // base]
        if gated and not any(encoded(observed, [replace(stream, values=part)]) for part in parts if np.ptp(part)):
            continue
        tried += 1
        program = assemble(observed, [stream])
        if program is not None:
            yield program
        if tried >= 6:
            return


def _counters(observed: Observed, gated: bool = True) -> Iterator[RecurrentProgram]:
    yield from _first(observed, candidates.counters(observed), gated)


def _walks(observed: Observed, gated: bool = True) -> Iterator[RecurrentProgram]:
    yield from _first(observed, candidates.walks(observed), gated)


def _first(observed: Observed, sets: Iterator[list[Stream]], gated: bool) -> Iterator[RecurrentProgram]:
    """Yield the program of the first set of registers that has one and, if `gated`, that the states encode."""
    for chosen in sets:
        if not gated or encoded(observed, chosen):
            program = assemble(observed, chosen) or assemble(observed, [*chosen, *candidates.outputs(observed)])
            if program is not None:
                yield program
                return


def encoded(observed: Observed, chosen: Sequence[Stream]) -> bool:
    """Return whether hidden states encode every register: affinely, or at least by the nearest state."""
    for stream in chosen:
        if encoding(observed.states, stream.values, words=observed.words).affine:
            continue
        if encoding(observed.states, stream.values, words=observed.words, nearest=True).read_out is None:
            return False
    return True


def lattice_programs(observed: Observed) -> Iterator[RecurrentProgram]:
    """Yield a program whose registers are the integers of the lattice that the hidden states lie on."""
    flat = observed.states.reshape(-1, observed.states.shape[2])
    yield from _coded(observed, lattice_code(flat[:CODE_STATES]))


def boolean_programs(observed: Observed) -> Iterator[RecurrentProgram]:
    """Yield a program whose registers are the bits of the hidden states."""
    flat = observed.states.reshape(-1, observed.states.shape[2])
    yield from _coded(observed, boolean_code(flat[:CODE_STATES]))


def _coded(observed: Observed, code: Code | None) -> Iterator[RecurrentProgram]:
    """Yield the program whose registers are the integers of a code."""
    if code is None:
        return
    values = code.read(observed.states)
    start = code.read(observed.initial)
    many = (values < 0).any() or (values > 1).any()
    for change in lattice_bases(values - start, observed.inputs) if many else [np.eye(values.shape[2], dtype=int)]:
        program = _of_integers(observed, values @ change.T, change @ start)
        if program is not None:
            yield program
            return


def _of_integers(observed: Observed, values: np.ndarray, start: np.ndarray) -> RecurrentProgram | None:
    """Return the program whose registers have values (B, T, m) after each letter and `start` (m,) before the first."""
    signs = np.where((values - start).mean((0, 1)) < 0, -1, 1)
    values, start = values * signs, start * signs
    labels = fresh_names(observed.names, values.shape[2])
    for origin in dict.fromkeys((tuple(start.tolist()), (0,) * len(start))):
        chosen = [
            Stream(label, values[..., k] - origin[k], (int(start[k] - origin[k]),)) for k, label in enumerate(labels)
        ]
        program = assemble(observed, chosen) or assemble(observed, [*chosen, *candidates.outputs(observed)])
        if program is not None:
            return program
    return None
