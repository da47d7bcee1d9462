"""Shorter programs that compute the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mechlab.distill.recurrent.expressions import Expression, Name, bits, names, number, substitute
from mechlab.distill.recurrent.program import RecurrentProgram, Register
from mechlab.distill.recurrent.simplifying import affine, simplify


def shortened(program: RecurrentProgram) -> RecurrentProgram:
    """Return a program that returns the same for all inputs and is no longer.

    Expressions are simplified; registers that nothing reads are left out, equal ones become one, a register without
    memory is written out in the outputs; a register may hold its old value plus a constant, the negative of it, or its
    sum or difference with another register.
    """
    best = min(_cleaned(program), program, key=length)
    while True:
        shorter = min(map(_cleaned, _moved(best)), key=length, default=best)
        if length(shorter) >= length(best):
            return best
        best = shorter


def length(program: RecurrentProgram) -> tuple[int, int]:
    """Return the description length, and the number of characters of the text, in which updates may use new values."""
    return program.size, sum(map(len, program.source.split()))


def _cleaned(program: RecurrentProgram) -> RecurrentProgram:
    """Return the program with simplified expressions and no superfluous register."""
    registers = tuple(replace(register, update=simplify(register.update)) for register in program.registers)
    program = replace(program, registers=registers, outputs=tuple(map(simplify, program.outputs)))
    smaller = _needed(_inlined(_merged(program)))
    return smaller if smaller == program else _cleaned(smaller)


def _needed(program: RecurrentProgram) -> RecurrentProgram:
    """Return the program without registers that have no effect; old values that nothing reads start at 0."""
    updates = {register.name: register.update for register in program.registers}
    needed, queue = set(), list(frozenset().union(*map(names, program.outputs)))
    while queue:
        name = queue.pop()
        if name in updates and name not in needed:
            needed.add(name)
            queue += names(updates[name])
    read = frozenset().union(*map(names, updates.values()))
    kept = (register for register in program.registers if register.name in needed)
    return replace(program, registers=tuple(each if each.name in read else replace(each, initial=0) for each in kept))


def _merged(program: RecurrentProgram) -> RecurrentProgram:
    """Return the program without registers that never change, or that start and change as an earlier one does."""
    for k, later in enumerate(program.registers):
        if later.update in (Name(later.name), number(later.initial)):
            others = program.registers[:k] + program.registers[k + 1 :]
            return _merged(_substituted(program, {later.name: number(later.initial)}, others))
        for earlier in program.registers[:k]:
            meaning = {later.name: Name(earlier.name)}
            if earlier.initial == later.initial and substitute(later.update, meaning) == substitute(
                earlier.update, meaning
            ):
                return _merged(_substituted(program, meaning, program.registers[:k] + program.registers[k + 1 :]))
    return program


def _inlined(program: RecurrentProgram) -> RecurrentProgram:
    """Return the program with the updates of registers that only outputs read, and that are functions of the letter, in
    place of these registers, where that is no longer."""
    own = {register.name for register in program.registers}
    for register in program.registers:
        if any(register.name in names(other.update) for other in program.registers) or names(register.update) & own:
            continue
        outputs = tuple(substitute(output, {register.name: register.update}) for output in program.outputs)
        kept = tuple(other for other in program.registers if other is not register)
        if sum(map(bits, outputs)) <= sum(map(bits, program.outputs)) + bits(register.update):
            return _inlined(replace(program, registers=kept, outputs=outputs))
    return program


def _substituted(
    program: RecurrentProgram, meaning: dict[str, Expression], registers: tuple[Register, ...]
) -> RecurrentProgram:
    registers = tuple(replace(register, update=substitute(register.update, meaning)) for register in registers)
    return replace(
        program, registers=registers, outputs=tuple(substitute(output, meaning) for output in program.outputs)
    )


def _moved(program: RecurrentProgram) -> Iterator[RecurrentProgram]:
    """Yield programs in which one register is replaced: by the old one minus a constant, by its negative, or by its sum
    or difference with another."""
    values = {register.name: register for register in program.registers}
    for register in program.registers:
        name = Name(register.name)
        constants = {affine(register.update)[1], register.initial} - {0}
        for constant in sorted(constants):
            yield _replaced(program, register, name + constant, register.update - constant, register.initial - constant)
        yield _replaced(program, register, number(0) - name, number(0) - register.update, -register.initial)
        for other in values.values():
            if other is not register:
                for sign in (1, -1):
                    old = name - sign * Name(other.name)
                    initial = register.initial + sign * other.initial
                    yield _replaced(program, register, old, register.update + sign * other.update, initial)


def _replaced(
    program: RecurrentProgram, register: Register, old: Expression, update: Expression, initial: int
) -> RecurrentProgram:
    """Return the program with another register in place of one.

    Args:
        old: the replaced register's value, of the new one's.
        update: of the new register, of the old registers.
        initial: of the new register.
    """
    changed = Register(register.name, initial, update)
    registers = tuple(changed if other is register else other for other in program.registers)
    return _substituted(program, {register.name: old}, registers)
