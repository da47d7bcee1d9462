"""The source files of modules, located and parsed without importing them."""

from __future__ import annotations

import ast
import functools
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard


@dataclass(frozen=True)
class Module:
    """The top level of a source file.

    Args:
        name: dotted name.
        file: the source file.
        statements: the statements that define or may change each name, in order. A statement such as
            `TABLE.update(...)`, or an `if`, belongs to all names that it mentions.
        imports: dotted path of each imported name.
        stars: modules of which everything is imported.
    """

    name: str
    file: Path
    statements: dict[str, list[ast.stmt]]
    imports: dict[str, str]
    stars: list[str]

    def with_imports_of(self, statements: Iterable[ast.stmt]) -> Module:
        """Return the module with these statements' own imports added to those of its top level."""
        imports, stars = dict(self.imports), list(self.stars)
        for node in (node for statement in statements for node in ast.walk(statement)):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    whole = alias.name if alias.asname else package_of(alias.name)
                    imports[alias.asname or whole] = whole
            elif isinstance(node, ast.ImportFrom):
                source = self._source(node)
                for alias in node.names:
                    if alias.name == "*":
                        stars.append(source)
                    else:
                        imports[alias.asname or alias.name] = f"{source}.{alias.name}"
        return Module(self.name, self.file, self.statements, imports, stars)

    def _source(self, node: ast.ImportFrom) -> str:
        """Return the module from which names are imported, whose name may be relative to this one's."""
        words = self.name.split(".")
        above = words[: len(words) - node.level + (self.file.name == "__init__.py")] if node.level else []
        return ".".join([*above, *([node.module] if node.module else [])])


@functools.cache
def read_module(name: str) -> Module | None:
    """Parse the source file of a module; None where there is none that can be read.

    It is read once in a process, so that later edits are not mistaken for the code that runs here.
    """
    file = source_file(name)
    try:
        body = [] if file is None else ast.parse(file.read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return None
    if file is None:
        return None
    bound = set().union(*(_names(statement, ast.Store) for statement in body))
    statements: dict[str, list[ast.stmt]] = {}
    for statement in body:
        for word in _defined(statement) & bound:
            statements.setdefault(word, []).append(statement)
    outside = [statement for statement in body if not _is_definition(statement)]
    return Module(name, file, statements, {}, []).with_imports_of(outside)


def _is_definition(node: ast.AST) -> TypeGuard[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)


def _defined(statement: ast.stmt) -> set[str]:
    """Return the names that a statement at the top level defines or may change."""
    if isinstance(statement, ast.Assign):
        return set().union(*(_names(target) for target in statement.targets))
    if isinstance(statement, ast.AnnAssign | ast.AugAssign):
        return _names(statement.target)
    return {statement.name} if _is_definition(statement) else _names(statement)


def _names(tree: ast.AST, context: type = ast.expr_context) -> set[str]:
    """Return the names that a tree mentions in this context, and those of the classes and functions that it defines."""
    if _is_definition(tree):
        return {tree.name}
    nodes = list(ast.walk(tree))
    mentioned = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, context)}
    return mentioned | {node.name for node in nodes if _is_definition(node)}


def source_file(name: str) -> Path | None:
    """Return the source file of a module, or None."""
    loaded = getattr(sys.modules.get(name), "__file__", None)
    if loaded is not None:
        return Path(loaded) if loaded.endswith(".py") else None
    package, *parts = name.split(".")
    spec = _spec(package)
    if spec is None:
        return None
    if not parts:
        return Path(spec.origin) if spec.has_location and spec.origin.endswith(".py") else None
    for place in spec.submodule_search_locations or ():
        folder = Path(place, *parts[:-1])
        for file in (folder / f"{parts[-1]}.py", folder / parts[-1] / "__init__.py"):
            if file.is_file():
                return file
    return None


@functools.cache
def is_installed(package: str) -> bool:
    """True if a package is in the standard library, is installed, or does not exist."""
    spec = _spec(package)
    if spec is None or package in sys.stdlib_module_names:
        return True
    places: Iterator[str] = filter(None, [*(spec.submodule_search_locations or ()), spec.origin])
    return any({"site-packages", "dist-packages"} & set(Path(place).parts) for place in places)


def package_of(name: str) -> str:
    """Return the first word of a dotted name."""
    return name.split(".")[0]


@functools.cache
def _spec(package: str) -> Any:
    try:
        return importlib.util.find_spec(package)
    except (ImportError, ValueError, AttributeError):
        return None
