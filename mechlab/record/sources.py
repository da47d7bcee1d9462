"""Hashes of the source code that defines a result, by class and function."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

from mechlab.record.modules import is_installed, package_of, read_module
from mechlab.record.syntax import references, tokens

if TYPE_CHECKING:
    from mechlab.core.recipe import Recipe

DIGITS = 12  # hexadecimal digits of a hash
LISTED = 5  # names in a sentence, before the others are counted
VERSIONED = frozenset(  # packages that are identified by their recorded version
    ("torch", "pytorch_lightning", "lightning_fabric", "hydra", "omegaconf", "numpy", "scipy", "sklearn", "safetensors")
)
Place = tuple[str, str]  # a module and a name that it defines


def defining(recipe: Recipe) -> list[Any]:
    """Return the classes that define what a recipe trains: its own, which makes updates and plans batches, the
    schedule's, those of task, loss and model, and those that its configuration names."""
    parts = [recipe, recipe.schedule, recipe.task, recipe.task.spec.loss, recipe.architecture()]
    return [*map(type, parts), *recipe.targets]


def hashes(objects: Iterable[Any]) -> dict[str, str]:
    """Return a hash of the source of each given class and function, and of every class, function and constant that
    they refer to, directly or indirectly.

    References are followed by name through the modules of mechlab, of the packages of `objects`, and of everything that
    is neither in the standard library nor installed. For nested definitions, the outermost is hashed.

    The syntax tree without docstrings is hashed, with the names that it uses of other packages. Comments, layout, the
    order of definitions, and the file of a definition have no influence.

    Args:
        objects: classes and functions, and names of further packages to follow. Members of torch, or of another
            package whose version is recorded, are left out.

    Returns:
        Hash by name, sorted. Definitions of the same name in several modules share one. An object without a source file
        (typed into an interpreter) has a hash of its compiled code, `compiled-...`, or `unknown`.
    """
    by_name: dict[str, list[str]] = {}
    definitions, sourceless = _closure(objects)
    for (_, name), definition in definitions.items():
        by_name.setdefault(name, []).append(definition.hash)
    for item in sourceless:
        by_name.setdefault(_outermost(item), []).append(_compiled(item))
    return {name: parts[0] if len(parts) == 1 else _hash(sorted(parts)) for name, parts in sorted(by_name.items())}


def files(objects: Iterable[Any]) -> dict[str, Path]:
    """Return the source files of the definitions in `hashes(objects)`, by module."""
    return {name: read_module(name).file for name in sorted({module for module, _ in _closure(objects)[0]})}


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the names whose hashes differ, or that are missing on one side, sorted."""
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def listed(names: list[str]) -> str:
    """Return the first few names and the number of the others.

    >>> listed(["a", "b", "c", "d", "e", "f", "g"])
    'a, b, c, d, e and 2 more'
    """
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


@dataclass(frozen=True)
class _Definition:
    hash: str
    refers: frozenset[Place]


def _closure(objects: Iterable[Any]) -> tuple[dict[Place, _Definition], list[Any]]:
    """Return all definitions that the objects refer to, and the objects without a source."""
    given = dict.fromkeys(objects)
    named = {package_of(item) for item in given if isinstance(item, str)} - VERSIONED
    own = [i for i in given if not isinstance(i, str) and package_of(i.__module__) not in VERSIONED]
    packages = frozenset({"mechlab", *named, *(package_of(item.__module__) for item in own)})
    todo, sourceless = [], []
    for item in own:
        module = read_module(item.__module__)
        if module is not None and _outermost(item) in module.statements:
            todo.append((item.__module__, _outermost(item)))
        else:
            sourceless.append(item)
    definitions: dict[Place, _Definition] = {}
    while todo:
        place = todo.pop()
        if place not in definitions:
            definitions[place] = _definition(*place, packages)
            todo += definitions[place].refers
    return definitions, sourceless


@functools.cache
def _definition(module_name: str, name: str, packages: frozenset[str]) -> _Definition:
    """Return the hash of a definition, and its references into the packages that are followed."""
    statements = read_module(module_name).statements[name]
    module = read_module(module_name).with_imports_of(statements)
    refers, foreign = set(), set()
    for first, *attributes in references(statements):
        if first in module.statements and first not in module.imports:
            refers.add((module_name, first))
        elif first in module.imports:
            path = [*module.imports[first].split("."), *attributes]
            if _is_followed(path[0], packages):
                refers |= _resolve(path, packages)
            else:
                foreign.add(f"{first}={module.imports[first]}")
        else:
            for star in module.stars:
                refers |= _resolve([*star.split("."), first, *attributes], packages)
    return _Definition(_hash([*tokens(statements), *sorted(foreign)]), frozenset(refers))


def _resolve(path: list[str], packages: frozenset[str], depth: int = 20) -> set[Place]:
    """Return the definitions that a dotted path names, also through modules that re-export them; all definitions of a
    module if the path names one."""
    if not depth or not _is_followed(path[0], packages):
        return set()
    for cut in range(len(path), 0, -1):
        module, names = read_module(".".join(path[:cut])), path[cut:]
        if module is None:
            continue
        if not names:
            return {(module.name, name) for name in module.statements}
        if names[0] in module.statements:
            return {(module.name, names[0])}
        imported = (
            [module.imports[names[0]]] if names[0] in module.imports else [f"{s}.{names[0]}" for s in module.stars]
        )
        return set().union(*(_resolve([*other.split("."), *names[1:]], packages, depth - 1) for other in imported))
    return set()


def _is_followed(package: str, packages: frozenset[str]) -> bool:
    return package in packages or not (package in VERSIONED or is_installed(package))


def _outermost(item: Any) -> str:
    """Return the name of the outermost definition around a class or function."""
    return item.__qualname__.split(".")[0]


def _compiled(item: Any) -> str:
    """Return a hash of the compiled code of a function, or of a class's methods."""
    members = vars(item).values() if isinstance(item, type) else [item]
    codes = [member.__code__ for member in members if hasattr(member, "__code__")]
    return f"compiled-{_hash(word for code in codes for word in _words(code))}" if codes else "unknown"


def _words(code: CodeType) -> Iterator[str]:
    yield from (code.co_code.hex(), *code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _words(constant)
        else:
            yield str(sorted(map(repr, constant))) if isinstance(constant, frozenset) else repr(constant)


def _hash(words: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(words).encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]
