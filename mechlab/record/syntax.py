"""Syntax trees as sequences of tokens and names, independent of the layout of the code."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Any

ANNOTATIONS = ("annotation", "returns")
LEFT_OUT = ("ctx", "kind", "type_comment")


def references(statements: Iterable[ast.stmt]) -> Iterator[list[str]]:
    """Yield the names that statements mention, each followed by the attributes that are taken of it.

    Those in annotations are left out, and those in `raise` statements: no result depends on them.
    """
    stack: list[Any] = list(statements)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Name):
            yield [node.id]
        elif isinstance(node, ast.Attribute):
            names = []
            while isinstance(node, ast.Attribute):
                names.append(node.attr)
                node = node.value
            if isinstance(node, ast.Name):
                yield [node.id, *reversed(names)]
            else:
                stack.append(node)
        elif not isinstance(node, ast.Raise):
            for name in node._fields:
                value = None if name in ANNOTATIONS else getattr(node, name, None)
                if isinstance(value, list):
                    stack += [item for item in value if isinstance(item, ast.AST)]
                elif isinstance(value, ast.AST):
                    stack.append(value)


def tokens(statements: list[ast.stmt]) -> Iterator[str]:
    """Yield the words of a syntax tree, which are alike in all versions of Python.

    Positions, empty fields and docstrings are left out, the quotes of annotations too, and the modules of `from`
    imports, so that what is imported may move.
    """
    stack: list[Any] = [statements]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, list):
            yield "["
            stack.append("]")
            stack += [_value(element) for element in reversed(item) if not _is_idle(element)]
        else:
            yield type(item).__name__
            yield "("
            stack.append(")")
            fields = ("names",) if isinstance(item, ast.ImportFrom) else item._fields
            for name in reversed(fields):
                value = getattr(item, name, None)
                if value is not None and value != [] and name not in LEFT_OUT:
                    stack += [_value(_unquoted(value) if name in ANNOTATIONS else value), f"{name}="]


def _value(value: Any) -> Any:
    """Return trees and lists of them as they are, anything else as text."""
    if isinstance(value, ast.AST | list):
        return value
    text = hex(value) if type(value) is int else repr(value)  # Python refuses to write very long numbers in decimals
    return f"{type(value).__name__}:{text}"


def _is_idle(node: Any) -> bool:
    """True if a statement is a docstring or `pass`."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return isinstance(node, ast.Pass)


def _unquoted(annotation: ast.AST) -> ast.AST:
    """Return an annotation that is written as a string as the expression in it."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            return ast.parse(annotation.value, mode="eval").body
        except SyntaxError:
            return annotation
    return annotation
