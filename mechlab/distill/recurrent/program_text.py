"""Python text of programs that read sequences."""

from __future__ import annotations

from collections.abc import Sequence

from mechlab.distill.recurrent.expressions import names, statement_text
from mechlab.distill.recurrent.program import RecurrentProgram, Register


def program_text(program: RecurrentProgram) -> str:
    """Return the text of a Python module that imports nothing, with one function `program`, which loops over letters.

    Its argument is a sequence of integers, or of tuples of c integers if letters have several channels; it returns a
    list of integers, or of tuples if there are several outputs.
    """
    letter = "integers" if len(program.inputs) == 1 else f"tuples of {len(program.inputs)} integers"
    result = "output" if len(program.outputs) == 1 else "outputs"
    head = ["def program(xs):", f'    """Return the {result} after each letter of a sequence of {letter}."""']
    return "\n".join([*head, *_body(program)]) + "\n"


def body_lines(program: RecurrentProgram) -> int:
    """Return the number of lines of `program_text`, without the docstring and empty lines."""
    return 1 + len(_body(program))


def _body(program: RecurrentProgram) -> list[str]:
    lines = [f"    {register.name} = {register.initial}" for register in program.registers]
    lines += ["    ys = []", f"    for {', '.join(program.inputs)} in xs:"]
    lines += [f"        {line}" for line in _updates(program.registers)]
    outputs = ", ".join(map(statement_text, program.outputs))
    lines.append(f"        ys.append({outputs})" if len(program.outputs) == 1 else f"        ys.append(({outputs}))")
    return [*lines, "    return ys"]


def _updates(registers: Sequence[Register]) -> list[str]:
    """Return the assignments: one by one where an order leaves every old value as long as it is needed."""
    waiting, ordered = list(registers), []
    while waiting:
        free = [
            register
            for register in waiting
            if not any(register.name in names(other.update) for other in waiting if other is not register)
        ]
        if not free:
            break
        ordered.append(free[0])
        waiting.remove(free[0])
    lines = [f"{register.name} = {statement_text(register.update)}" for register in ordered]
    if waiting:
        left = ", ".join(register.name for register in waiting)
        lines.append(f"{left} = {', '.join(statement_text(register.update) for register in waiting)}")
    return lines
