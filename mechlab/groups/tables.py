"""Groups given by a multiplication table: in a file, and as plain data in a configuration."""

from __future__ import annotations

import csv
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mechlab.core.errors import ConfigError
from mechlab.groups.finite_group import Group, check_order

LARGEST = 500_000_000  # bytes of a file
SUFFIXES = (".csv", ".npy")


def is_table(name: str) -> bool:
    """Return True if the name of a group is the path of a file with its multiplication table."""
    return name.lower().endswith(SUFFIXES)


def read_group(path: str | Path) -> Group:
    """Return the group whose multiplication table is in a file; row a and column b hold the product a b.

    A .npy file holds integers (n, n), the numbers of elements from 0 to n - 1. A .csv file holds the same, or numbers
    from 1 to n, or words for the elements; with words, there is a header row and a header column, and elements are
    numbered as in the header row.

    Raises:
        ConfigError: there is no such file, or it does not hold the table of a group.
    """
    try:
        about = os.stat(path)
    except OSError as error:
        must = "a file with the multiplication table of a group must exist"
        got, fix = f"{path}: {error.strerror}", "the path of a .csv or .npy file, absolute or from the working folder"
        raise ConfigError(must, got=got, key="task.group", fix=fix) from error
    try:
        if not stat.S_ISREG(about.st_mode) or about.st_size > LARGEST:
            raise ValueError(f"it must be a regular file of at most {LARGEST:,} bytes")
        table, words = _read_numbers(path) if str(path).lower().endswith(".npy") else _read_text(path)
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(
            "a file must hold the multiplication table of a group, as integers in .npy or as text in .csv",
            got=f"{path}: {error}",
            key="task.group",
            fix="give n rows of n numbers from 0 to n - 1, or words with a header row and a header column",
        ) from error
    return _group(table, words)


def to_definition(group: Group) -> dict[str, Any]:
    """Return a group as plain data, from which `from_definition` returns the same table.

    The data has n numbers for each generator g, the numbers of the products x g of all elements x; the whole table
    follows from these. It has the identity, and the elements' words where they are no numbers.
    """
    words = [] if group.elements == tuple(range(group.order)) else list(group.labels)
    products = {int(g): group.table[:, g].tolist() for g in group.generators}
    return {"identity": group.identity, "products": list(products.values()), **({"elements": words} if words else {})}


def from_definition(definition: Mapping[str, Any]) -> Group:
    """Return the group that `to_definition` describes.

    Raises:
        ConfigError: it does not describe a group.
    """
    try:
        if unknown := set(definition) - {"identity", "products", "elements"}:
            raise ValueError(f"it has the unknown key {min(unknown)}")
        identity, products = definition["identity"], np.array(definition["products"])
        words = tuple(map(str, definition.get("elements", ())))
        if identity == 0 and products.size == 0:  # the trivial group has no generators
            return _group(np.zeros((1, 1), dtype=np.int32), words)
        table = _filled(identity, products)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            "a definition of a group must have its identity and, for each generator, the products with all elements",
            got=f"a missing {error}" if isinstance(error, KeyError) else str(error),
            key="task.definition",
            fix="give the multiplication table as a file, task.group=FILE.csv",
        ) from error
    return _group(table, words)


def _filled(identity: int, products: np.ndarray) -> np.ndarray:
    """Return the table (n, n) that follows from the products (k, n) of all elements x with each generator g: the
    column of y g, the products x (y g) = (x y) g, from that of y."""
    if products.ndim != 2 or products.dtype.kind not in "iu" or not isinstance(identity, int):
        raise ValueError("numbers of elements must be integers, and rows of products of one length")
    n = products.shape[1]
    if not (0 <= identity < n and products.min() >= 0 and products.max() < n):
        raise ValueError(f"numbers of elements must be from 0 to {n - 1}")
    check_order("the group", n)
    table = np.full((n, n), -1, dtype=np.int32)
    table[:, identity] = np.arange(n)
    reached = [identity]
    for y in reached:
        for product in products:
            if table[0, product[y]] < 0:
                table[:, product[y]] = product[table[:, y]]
                reached.append(product[y])
    if len(reached) < n:
        raise ValueError(f"the generators must generate all {n} elements; they generate {len(reached)}")
    return table


def _read_numbers(path: str | Path) -> tuple[np.ndarray, tuple[str, ...]]:
    with open(path, "rb") as file:
        if not file.read(6) == b"\x93NUMPY":
            raise ValueError("it was not written by numpy.save")
    mapped = np.load(path, mmap_mode="r", allow_pickle=False)  # a damaged shape allocates nothing
    if mapped.ndim != 2 or mapped.shape[0] != mapped.shape[1] or mapped.dtype.kind not in "iu":
        raise ValueError(f"it must hold integers of shape (n, n), and holds {mapped.dtype} of shape {mapped.shape}")
    check_order(Path(path).name, len(mapped))
    return np.array(mapped), ()


def _read_text(path: str | Path) -> tuple[np.ndarray, tuple[str, ...]]:
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"it must be text in UTF-8: {error.reason}") from None
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines) if row]
    if not rows or any(len(row) != len(rows) for row in rows):
        lengths = sorted({len(row) for row in rows})
        got = f"{len(rows)} rows of {' or '.join(map(str, lengths)) or 'no'} cells"
        raise ValueError(f"it must have n rows of n cells, separated by commas, and has {got}")
    check_order(Path(path).name, len(rows))
    if _is_number(rows[0][0]):
        table = _integers(rows)
        return (table - 1, ()) if table.min() == 1 and table.max() == len(table) else (table, ())
    words = rows[0][1:]
    numbers = {word: number for number, word in enumerate(words)}
    if len(numbers) < len(words) or sorted(numbers) != sorted(row[0] for row in rows[1:]):
        raise ValueError("its header row and its header column must hold the same words, each once")
    if unknown := {cell for row in rows[1:] for cell in row[1:]} - set(numbers):
        raise ValueError(f"it holds {min(unknown)!r}, which is not in the header row")
    table = np.empty((len(words), len(words)), dtype=np.int32)
    for row in rows[1:]:
        table[numbers[row[0]]] = [numbers[cell] for cell in row[1:]]
    return table, tuple(words)


def _integers(rows: list[list[str]]) -> np.ndarray:
    cells = [cell for row in rows for cell in row]
    wrong = [cell for cell in cells if not _is_integer(cell) or abs(int(cell)) >= 2**31]
    if wrong:
        raise ValueError(f"it holds {wrong[0]!r} among numbers of elements")
    return np.array([[int(cell) for cell in row] for row in rows], dtype=np.int32)


def _is_number(cell: str) -> bool:
    return cell.lstrip("+-").replace(".", "", 1).isdecimal()


def _is_integer(cell: str) -> bool:
    return cell.removeprefix("-").isdecimal() and len(cell) < 20


def _group(table: np.ndarray, words: tuple[str, ...]) -> Group:
    if words and (len(words) != len(table) or len(set(words)) < len(words)):
        must = "each element of a group must have one word, different from all others"
        raise ConfigError(must, got=f"{len(set(words))} words for {len(table)} elements", key="task.definition")
    if references := [word for word in words if "${" in word]:
        must = "the words for elements must not hold ${, which a configuration takes for a reference"
        raise ConfigError(must, got=references[0], key="task.group", fix="choose another word")
    return Group(f"table_{len(table)}", table, words or tuple(range(len(table))))
