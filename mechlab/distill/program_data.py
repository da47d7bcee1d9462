"""Programs as plain data for JSON, and back. Nothing that is read is executed."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import stat
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast, get_args

from mechlab.core.errors import ConfigError
from mechlab.distill.certificate import Certificate
from mechlab.distill.polynomial import Polynomial
from mechlab.distill.program import Along, Block, Input, Program, Returns, Term, Values

FORMAT = "mechlab program 1"
NAME = re.compile(r"[a-z][a-z_0-9]{0,39}")
RESERVED = {*"abcpqrijklmn", "np", "program", "shift", "sign", "sum", "range", "outputs", "scores", "shares"}
LARGEST = 50_000_000  # bytes of a file
LIMIT = 100_000  # of blocks, terms and listed positions in a file
SEQUENCES = ("lengths", "network_lengths", "counterexample")  # fields of certificates of programs that read sequences


def to_data(program: Program) -> dict[str, Any]:
    """Return a program as dictionaries, lists, texts and numbers; numbers of the program as texts such as "N - 3/2"."""
    data: dict[str, Any] = {"format": FORMAT}
    data["inputs"] = [
        {"name": tensor.name, "shape": [_text(length) for length in tensor.shape], "values": tensor.values}
        for tensor in program.inputs
    ]
    data["blocks"] = [_block_data(block) for block in program.blocks]
    data |= {"outputs": list(program.outputs), "returns": program.returns, "scale": program.scale}
    if program.order:
        data["order"] = list(program.order)
    if program.certificate is not None:
        data["certificate"] = dataclasses.asdict(program.certificate)
    return data


def from_data(data: Any, key: str = "program") -> Program:
    """Return the program of plain data.

    Args:
        data: as `to_data` returns it.
        key: what errors name, such as a file.

    Raises:
        ConfigError: the data are no program.
    """
    try:
        program = _program(data)
        _check(program)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        got = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{key} must hold a program as mechlab writes it", got=got[:200], key=key) from error
    return program


def read_program(path: str | Path) -> Program:
    """Return the program of a file program.json.

    Raises:
        ConfigError: there is no such file, or it holds no program.
    """
    try:
        about = os.stat(path)
        if not stat.S_ISREG(about.st_mode) or about.st_size > LARGEST:
            raise ValueError(f"it must be a regular file of at most {LARGEST:,} bytes")
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        must = "a program must be read from a file program.json, as analysis=distill writes it"
        raise ConfigError(must, got=f"{path}: {error}", key="model.file", fix="the path of such a file") from error
    return from_data(data, str(path))


def _block_data(block: Block) -> dict[str, Any]:
    data: dict[str, Any] = {"name": block.name, "sizes": [_text(size) for size in block.sizes]}
    data["terms"] = [
        {
            "coefficient": _text(term.coefficient),
            "source": term.source,
            "along": [_along_data(along) for along in term.along],
        }
        for term in block.terms
    ]
    data |= {"bias": _text(block.bias), "activation": block.activation}
    return data if block.where == "all" else data | {"where": block.where}


def _along_data(along: Along) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if along.first is not None and along.last is not None:
        data |= {"first": _text(along.first), "last": _text(along.last)}
    if along.axis is not None:
        data["axis"] = along.axis
    if along.sign == -1:
        data["sign"] = -1
    if along.places:
        data["places"] = list(along.places)
    return data | {"periodic": True} if along.periodic else data


def _text(value: Polynomial) -> list[str]:
    return [str(coefficient) for coefficient in value.coefficients]


def _program(data: Mapping[str, Any]) -> Program:
    if data.get("format") != FORMAT:
        raise ValueError(f"format {data.get('format')!r}")
    inputs = tuple(
        Input(_name(item["name"]), _numbers(item["shape"]), cast(Values, _one_of(item["values"], get_args(Values))))
        for item in _list(data["inputs"])
    )
    blocks = tuple(_block(item) for item in _list(data["blocks"]))
    certificate = data.get("certificate")
    return Program(
        inputs,
        blocks,
        tuple(map(_name, _list(data["outputs"]))),
        cast(Returns, _one_of(data["returns"], get_args(Returns))),
        tuple(map(_whole, _list(data.get("order", [])))),
        float(data["scale"]),
        None if certificate is None else certificate_of(certificate),
    )


def _block(item: Mapping[str, Any]) -> Block:
    terms = tuple(
        Term(_number(term["coefficient"]), _name(term["source"]), tuple(map(_along, _list(term["along"]))))
        for term in _list(item["terms"])
    )
    activation = _one_of(item["activation"], ("sign", "linear"))
    where = _one_of(item.get("where", "all"), ("all", "less", "different"))
    return Block(
        _name(item["name"]),
        _numbers(item["sizes"]),
        terms,
        _number(item["bias"]),
        activation,  # type: ignore[arg-type]
        where,  # type: ignore[arg-type]
    )


def _along(item: Mapping[str, Any]) -> Along:
    first = _number(item["first"]) if "first" in item else None
    last = _number(item["last"]) if "last" in item else None
    axis = _whole(item["axis"]) if "axis" in item else None
    sign = 1 if item.get("sign", 1) == 1 else -1
    places = tuple(map(_whole, _list(item.get("places", []))))
    if (first is None) != (last is None) or (places and axis is None):
        raise ValueError("positions along an axis are incomplete")
    return Along(first, last, axis, sign, places, bool(item.get("periodic", False)))  # type: ignore[arg-type]


def certificate_of(item: Mapping[str, Any]) -> Certificate:
    """Return the certificate of plain data.

    Raises:
        KeyError, TypeError, ValueError: the data are no certificate.
    """
    fields = {field.name for field in dataclasses.fields(Certificate)}
    lists: dict[str, Any] = {key: tuple(map(_whole, item[key])) for key in ("units", "sizes") if key in item}
    lists |= {key: tuple(tuple(map(_whole, row)) for row in item[key]) for key in SEQUENCES if key in item}
    if not set(item) <= fields:
        raise ValueError(f"certificate with {sorted(set(item) - fields)}")
    _one_of(item["status"], ("lossless", "proved", "tested"))
    for key, allowed in (("origin", ("states", "outputs")), ("read_out", ("affine", "nearest"))):
        if item.get(key) is not None:
            _one_of(item[key], allowed)
    return Certificate(**{**item, **lists})


def _check(program: Program) -> None:
    """Raise ValueError unless every term refers to what comes before it, by as many axes as that has."""
    names = {tensor.name: tensor.shape for tensor in program.inputs}
    if not names or len(names) < len(program.inputs) or not program.outputs:
        raise ValueError("inputs and outputs must have distinct names")
    for block in program.blocks:
        if block.name in names:
            raise ValueError(f"two blocks have the name {block.name}")
        if block.where != "all" and len(block.sizes) < 2:
            raise ValueError(f"block {block.name} has one index")
        for term in block.terms:
            if len(term.along) != len(names[term.source]):
                raise ValueError(f"a term of {block.name} has {len(term.along)} axes")
            if any(along.axis is not None and not 0 <= along.axis < len(block.sizes) for along in term.along):
                raise ValueError(f"a term of {block.name} follows an index that it does not have")
        names[block.name] = block.sizes
    for name in program.outputs:
        _ = names[name]


def _list(value: Any) -> Sequence[Any]:
    if not isinstance(value, list) or len(value) > LIMIT:
        raise ValueError(f"not a list of at most {LIMIT:,}")
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str) or not NAME.fullmatch(value) or value in RESERVED:
        raise ValueError(f"the name {value!r}")
    return value


def _number(value: Any) -> Polynomial:
    return Polynomial(tuple(Fraction(text) for text in _list(value)))


def _numbers(values: Any) -> tuple[Polynomial, ...]:
    return tuple(map(_number, _list(values)))


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{value!r} is not an integer")
    return value


def _one_of(value: Any, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise ValueError(f"{value!r} is none of {', '.join(allowed)}")
    return str(value)
