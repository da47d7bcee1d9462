"""Programs that read sequences as plain data for JSON, and back. Nothing that is read is executed."""

from __future__ import annotations

import dataclasses
from typing import Any

from mechlab.core.errors import ConfigError
from mechlab.distill.program_data import certificate_of
from mechlab.distill.recurrent.expressions import Expression, Name, Number, Operation, Table
from mechlab.distill.recurrent.program import RecurrentProgram, Register

FORMAT = "mechlab recurrent program 1"
DEEPEST = 100  # nesting of an expression
LONGEST = 10_000  # values of a table, registers and outputs


def program_to_data(program: RecurrentProgram) -> dict[str, Any]:
    """Return a program as dictionaries, lists, names and integers."""
    data: dict[str, Any] = {"format": FORMAT, "inputs": list(program.inputs)}
    data["registers"] = [
        {"name": register.name, "initial": register.initial, "update": to_data(register.update)}
        for register in program.registers
    ]
    data["outputs"] = list(map(to_data, program.outputs))
    if program.certificate is not None:
        data["certificate"] = dataclasses.asdict(program.certificate)
    return data


def program_from_data(data: Any, key: str = "program") -> RecurrentProgram:
    """Return the program of plain data.

    Args:
        data: as `program_to_data` returns it.
        key: what errors name, such as a file.

    Raises:
        ConfigError: the data are no program.
    """
    try:
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']!r}")
        registers = tuple(
            Register(_name(item["name"]), _integer(item["initial"]), from_data(item["update"]))
            for item in _list(data["registers"])
        )
        certificate = data.get("certificate")
        return RecurrentProgram(
            tuple(map(_name, _list(data["inputs"]))),
            registers,
            tuple(map(from_data, _list(data["outputs"]))),
            None if certificate is None else certificate_of(certificate),
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        got = f"{type(error).__name__}: {error}"
        must = f"{key} must hold a program that reads sequences as mechlab writes it"
        raise ConfigError(must, got=got[:200], key=key) from error


def to_data(expression: Expression) -> Any:
    """Return plain data for JSON: an integer, a name, [operator, operand, ...] or ["table", values, index]."""
    match expression:
        case Number(value):
            return value
        case Name(name):
            return name
        case Table(entries, index):
            return ["table", list(entries), to_data(index)]
        case Operation(operator, operands):
            return [operator, *map(to_data, operands)]
    raise TypeError(f"no expression: {expression!r}")


def from_data(data: Any, depth: int = DEEPEST) -> Expression:
    """Return the expression of plain data.

    Raises:
        ValueError: the data are no expression.
    """
    if isinstance(data, int) and not isinstance(data, bool):
        return Number(data)
    if isinstance(data, str):
        return Name(data)
    if not isinstance(data, list) or not data or not isinstance(data[0], str) or depth < 1:
        raise ValueError(f"no expression: {str(data)[:80]}")
    if data[0] != "table":
        return Operation(data[0], tuple(from_data(part, depth - 1) for part in data[1:]))
    _, entries, index = data
    return Table(tuple(map(_integer, _list(entries))), from_data(index, depth - 1))


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > LONGEST:
        raise ValueError(f"not a list of at most {LONGEST:,}")
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"the name {value!r}")
    return value


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r} is not an integer")
    return value
