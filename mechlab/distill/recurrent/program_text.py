"""Python text of programs that read sequences."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Mapping, Sequence

from mechlab.distill.certificate import Certificate
from mechlab.distill.recurrent.expression_text import statement_text
from mechlab.distill.recurrent.expressions import Expression, Name, bits, names
from mechlab.distill.recurrent.program import RecurrentProgram, Register
from mechlab.distill.recurrent.simplifying import affine, combined, simplify, total

WIDTH = 110  # letters of a line in a docstring


def program_text(program: RecurrentProgram, known: Sequence[str] = ()) -> str:
    """Return the text of a Python module that imports nothing, with one function `program`, which loops over letters.

    Its argument is a sequence of integers, or of tuples of c integers if letters have several channels; it returns a
    list of integers, or of tuples if there are several outputs.

    Args:
        program: the program.
        known: further paragraphs of the function's docstring, such as the network that it was made from.
    """
    letter = "integers" if len(program.inputs) == 1 else f"tuples of {len(program.inputs)} integers"
    result = "output" if len(program.outputs) == 1 else "outputs"
    first = f"Return the {result} after each letter of a sequence of {letter}."
    return "\n".join(["def program(xs):", *_docstring([first, *known]), *_body(program)]) + "\n"


def evidence(certificate: Certificate) -> str:
    """Return sentences on what is known of a program's agreement with its network, and with the rule of the task."""
    equal = certificate.inputs - certificate.mismatches
    with_network = f"equal to the network on {equal:,} of {certificate.inputs:,} sequences of the training length"
    return f"{certificate.status.capitalize()}: {with_network}. R{right_on(certificate)[1:]}."


def right_on(certificate: Certificate) -> str:
    """Return on how many sequences of each length a program equals the rule of the task, in words."""
    right = ", ".join(f"{count - wrong:,} of {count:,}" for _, count, wrong in certificate.lengths)
    lengths = ", ".join(f"{length:,}" for length, _, _ in certificate.lengths)
    return f"right on {right} sequences of {lengths} letters"


def _docstring(paragraphs: Sequence[str]) -> list[str]:
    """Return the lines of a docstring; no text in it can end it."""
    plain = (text.replace("\\", "/").replace('"', "'") for text in paragraphs)
    filled = [textwrap.fill(text, WIDTH, initial_indent="    ", subsequent_indent="    ") for text in plain]
    text = '    """' + "\n\n".join(filled).strip()
    return f'{text}"""'.split("\n") if len(filled) == 1 else [*text.split("\n"), '    """']


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
    updates, order = written_updates(registers)
    if order is None:
        return [f"{', '.join(updates)} = {', '.join(map(statement_text, updates.values()))}"]
    return [f"{name} = {statement_text(updates[name])}" for name in order]


def written_updates(registers: Sequence[Register]) -> tuple[dict[str, Expression], list[str] | None]:
    """Return the updates as they are written, and the order of their assignments; None if all must be at once.

    A sum that contains the new value of another register, as in y = y + v after v = v + x, is written with that.
    """
    updates = {register.name: register.update for register in registers}
    sums = {name: affine(update) for name, update in updates.items()}
    new: dict[str, str] = {}  # register whose new value an update reads, by the name of the register updated
    order = _order(updates, new)
    if order is None:
        return updates, None
    for name, other in itertools.permutations(updates, 2):
        rest = combined(sums[name], sums[other], -1)
        if name in new or other in new or len(rest[0]) + 1 >= len(sums[name][0]):
            continue
        shorter = simplify(total(*rest) + Name(other))
        if other in names(total(*rest)) or bits(shorter) >= bits(updates[name]):
            continue
        changed = _order(updates | {name: shorter}, new | {name: other})
        if changed is not None:
            updates[name], new[name], order = shorter, other, changed
    return updates, order


def _order(updates: Mapping[str, Expression], new: Mapping[str, str]) -> list[str] | None:
    """Return an order of assignments in which updates read old values, and the new one of the register in `new`."""
    waiting, ordered = list(updates), []
    while waiting:
        for name in waiting:
            others = [other for other in waiting if other != name]
            read = any(name in names(updates[other]) and new.get(other) != name for other in others)
            if not read and new.get(name) not in others:
                break
        else:
            return None
        ordered.append(name)
        waiting.remove(name)
    return ordered
