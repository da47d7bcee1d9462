"""Numbers for the states of a machine, chosen so that its transitions and outputs are short integer expressions."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mechlab.distill.recurrent.enumeration import Bank
from mechlab.distill.recurrent.expressions import Expression, Name, Number, Table, operation, substitute
from mechlab.distill.recurrent.one_variable import shifted
from mechlab.distill.recurrent.program import RecurrentProgram, Register, fresh_names

if TYPE_CHECKING:
    from mechlab.distill.recurrent.machines import Machine

MOST_CODES = 2  # functions of the letter that are tried
MOST_POINTS = 1200  # pairs of a state and a group of letters, in the enumeration
MOST_TABLE = 4096  # entries of a table
MOST_NUMBERINGS = 40
BANKS = (2000, 30_000)  # functions that are enumerated; more where fewer are not enough
STATE, CODE = "state", "code"


class LetterCode(NamedTuple):
    """A function of the letter that is all that matters of it.

    Args:
        expression: of the channels.
        values: (C,), its value for each group of letters.
    """

    expression: Expression
    values: np.ndarray


class Numbering(NamedTuple):
    """Numbers of a machine's states, and the update that they make short.

    Args:
        numbers: (n,) the number of each state.
        row: of the update in the bank.
    """

    numbers: np.ndarray
    row: int


def machine_program(machine: Machine, names: tuple[str, ...]) -> Iterator[RecurrentProgram]:
    """Yield programs that compute what a machine does, the shortest first.

    The letter is replaced by a short function of it with the same value for letters that have the same effect. States
    get numbers from which a short expression gives the next state's number; the outputs are expressions of the new
    number and the letter, or registers. Where no short expression exists, a table is used.

    Args:
        machine: a minimal Mealy machine.
        names: of the channels.
    """
    groups = machine.groups
    _, first = np.unique(groups, return_index=True)
    made: list[RecurrentProgram] = []
    constants = {0, 1, 2, len(machine.transitions), int(machine.letters.max()), int(machine.letters.max()) + 1}
    if len(machine.transitions) == 1:
        made += _memoryless(machine, names, constants)
    else:
        for code in _codes(machine, groups, names, constants):
            reduced = machine.restricted(first)
            made += _numbered(reduced, code, names, constants | {len(reduced.moore.transitions), len(first)})
            made += _tabulated(reduced, code, names)
    yield from sorted(made, key=lambda program: program.size)


def _memoryless(machine: Machine, names: tuple[str, ...], constants: set[int]) -> Iterator[RecurrentProgram]:
    bank = _letter_bank(machine, names, constants)
    outputs = []
    for targets in machine.outputs[0].T:
        row = bank.find(targets)
        outputs.append(_letter_table(machine, targets, names) if row is None else bank.expression(row))
    yield RecurrentProgram(names, (), tuple(outputs))


def _codes(machine: Machine, groups: np.ndarray, names: tuple[str, ...], constants: set[int]) -> list[LetterCode]:
    """Return short functions of the letter with a different value for each group of letters."""
    _, first = np.unique(groups, return_index=True)
    if len(first) == len(groups) and len(names) == 1:
        return [LetterCode(Name(names[0]), machine.letters[first, 0])]
    bank = _letter_bank(machine, names, constants)
    values = bank.values
    rows = np.flatnonzero((values == values[:, first[groups]]).all(1))
    ordered = np.sort(values[rows][:, first], 1)
    rows = rows[(ordered[:, 1:] != ordered[:, :-1]).all(1)][:MOST_CODES]
    codes = [LetterCode(bank.expression(row), values[row, first].astype(np.int64)) for row in rows.tolist()]
    return codes or [LetterCode(_letter_table(machine, groups, names), np.arange(len(first)))]


def _letter_bank(machine: Machine, names: tuple[str, ...], constants: set[int]) -> Bank:
    points = {name: machine.letters[:, channel] for channel, name in enumerate(names)}
    return Bank(points, sorted(constants | {3}), most=5000, work=100_000_000)


def _letter_table(machine: Machine, values: np.ndarray, names: tuple[str, ...]) -> Expression:
    """Return a table of a value (m,) for each letter."""
    low = int(machine.letters.min())
    base = int(machine.letters.max()) - low + 1
    index: Expression = Number(0)
    for channel, name in enumerate(names):
        digit = shifted(Name(name), -low)
        index = digit if channel == 0 else index * base + digit
    return Table(tuple(map(int, values)), index)


def _numbered(
    machine: Machine, code: LetterCode, names: tuple[str, ...], constants: set[int]
) -> Iterator[RecurrentProgram]:
    """Yield a program for each form of a machine whose update is a short expression."""
    forms = [form for form in (machine, machine.moore) if form.transitions.size <= MOST_POINTS]
    if not forms:
        return
    size, width = max(len(form.transitions) for form in forms), len(code.values)
    state, group = np.divmod(np.arange(size * width), width)
    if len(forms) == 2 and len(forms[1].transitions) == len(forms[0].transitions):
        forms = forms[:1]
    for most in BANKS:
        bank = Bank({STATE: state, CODE: code.values[group]}, sorted(constants), most)
        made = [program for form in forms if (program := _shortest(form, code, names, bank, size)) is not None]
        yield from made
        if made:
            return


def _shortest(
    machine: Machine, code: LetterCode, names: tuple[str, ...], bank: Bank, size: int
) -> RecurrentProgram | None:
    """Return the shortest program whose update and outputs are in the bank, None if there is none."""
    best: RecurrentProgram | None = None
    for numbering in _numberings(machine, bank, size):
        if best is not None and int(bank.costs[numbering.row]) >= best.size:
            break
        for program in _outputs(machine, code, names, bank, numbering):
            best = program if best is None or program.size < best.size else best
    return best


def _numberings(machine: Machine, bank: Bank, size: int) -> Iterator[Numbering]:
    """Yield numberings with numbers below `size`, those with the shortest updates first."""
    n, width = machine.transitions.shape
    values = bank.values.reshape(len(bank.values), size, width)
    tree = _tree(machine)
    numbered: list[tuple[int, int, np.ndarray]] = []
    for initial in range(size):
        rows = np.arange(len(values))
        numbers = np.full((len(rows), n), -1, np.int64)
        numbers[:, machine.initial] = initial
        edges = tree + [(state, group, False) for state in range(n) for group in range(width)]
        for state, group, new in edges:
            target = int(machine.transitions[state, group])
            after = values[rows, numbers[:, state], group]
            keep = (after >= 0) & (after < size) if new else after == numbers[:, target]
            rows, numbers = rows[keep], numbers[keep]
            if new:
                numbers[:, target] = after[keep]
        ordered = np.sort(numbers, 1)
        distinct = (ordered[:, 1:] != ordered[:, :-1]).all(1)
        numbered += [
            (row, initial, number) for row, number in zip(rows[distinct].tolist(), numbers[distinct], strict=True)
        ]
    seen: set[bytes] = set()
    for row, _, numbers in sorted(numbered, key=lambda entry: entry[:2]):
        if numbers.tobytes() not in seen and len(seen) < MOST_NUMBERINGS:
            seen.add(numbers.tobytes())
            yield Numbering(numbers, row)


def _tree(machine: Machine) -> list[tuple[int, int, bool]]:
    """Return the transitions of a breadth-first search: (state, letter, True)."""
    queue, reached, edges = deque([machine.initial]), {machine.initial}, []
    while queue:
        state = queue.popleft()
        for group, target in enumerate(machine.transitions[state].tolist()):
            if target not in reached:
                reached.add(target)
                queue.append(target)
                edges.append((state, group, True))
    return edges


def _outputs(
    machine: Machine, code: LetterCode, names: tuple[str, ...], bank: Bank, numbering: Numbering
) -> Iterator[RecurrentProgram]:
    """Yield programs with the outputs as expressions of the new number and the letter, and as registers."""
    n, width = machine.transitions.shape
    group = np.tile(np.arange(width), n)
    old, new = np.repeat(numbering.numbers, width), numbering.numbers[machine.transitions.ravel()]
    update = bank.expression(numbering.row)
    for places, held in ((new * width + group, False), (old * width + group, True)):
        rows = [bank.find(targets, places) for targets in machine.outputs.reshape(n * width, -1).T]
        if all(row is not None for row in rows):
            outputs = [bank.expression(row) for row in rows if row is not None]
            yield _program(code, names, int(numbering.numbers[machine.initial]), update, outputs, held)


def _program(
    code: LetterCode, names: tuple[str, ...], initial: int, update: Expression, outputs: list[Expression], held: bool
) -> RecurrentProgram:
    """Return the program with a register for the state's number; of `held` outputs each has a register of its own."""
    (state,) = fresh_names(names, 1)
    meaning = {STATE: Name(state), CODE: code.expression}
    results = [substitute(output, meaning) for output in outputs]
    register = Register(state, initial, substitute(update, meaning))
    if not held:
        return RecurrentProgram(names, (register,), tuple(results))
    labels = ["y"] if len(outputs) == 1 else [f"y{k}" for k in range(1, len(outputs) + 1)]
    registers = tuple(Register(label, 0, result) for label, result in zip(labels, results, strict=True))
    return RecurrentProgram(names, (*registers, register), tuple(map(Name, labels)))


def _tabulated(machine: Machine, code: LetterCode, names: tuple[str, ...]) -> Iterator[RecurrentProgram]:
    """Yield the program with tables, of states in the order of a breadth-first search."""
    n = len(machine.transitions)
    order = [machine.initial, *(int(machine.transitions[edge[:2]]) for edge in _tree(machine))]
    number = np.argsort(order)
    low, span = int(code.values.min()), int(np.ptp(code.values)) + 1
    if n * span > MOST_TABLE:
        return
    index = operation("+", Name(STATE) * span, shifted(Name(CODE), -low))
    columns = [number[machine.transitions[order]], *machine.outputs[order].transpose(2, 0, 1)]
    tables = []
    for column in columns:
        full = np.zeros((n, span), np.int64)
        full[:, code.values - low] = column
        tables.append(Table(tuple(full.ravel().tolist()), index))
    yield _program(code, names, 0, tables[0], tables[1:], True)
