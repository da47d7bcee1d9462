"""Boolean formulas in text, read without executing anything."""

from __future__ import annotations

import ast
import operator
import re

import torch
from torch import Tensor

from mechlab.core.errors import ConfigError

_OPERATORS = {ast.BitAnd: operator.and_, ast.And: operator.and_, ast.BitOr: operator.or_, ast.Or: operator.or_}
_OPERATORS |= {ast.BitXor: operator.xor}
DEEPEST = 300  # operators inside one another


def parsed(text: str, n: int) -> ast.expr:
    """Return the syntax tree of a formula in x0, ..., x(n-1), with ~ & ^ | (or not, and, or), parentheses, 0 and 1.

    Raises:
        ConfigError: the text is no such formula.
    """
    fix = """for instance 'task.formula="x0 & ~x1 | x2"' """.strip()
    must = f"a formula must be made of x0 to x{n - 1}, ~ & ^ | (or not, and, or), parentheses, 0 and 1"
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        _check(tree, n)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ConfigError(must, got=text, key="task.formula", fix=fix) from None
    return tree


def evaluate(tree: ast.expr, inputs: Tensor) -> Tensor:
    """Return the values (B,) bool of a formula for inputs (B, n) bool."""
    match tree:
        case ast.Name(id=name):
            return inputs[:, int(name[1:])]
        case ast.Constant(value=value):
            return torch.full_like(inputs[:, 0], bool(value))
        case ast.UnaryOp(operand=operand):
            return ~evaluate(operand, inputs)
        case ast.BinOp(left=left, right=right):
            return _OPERATORS[type(tree.op)](evaluate(left, inputs), evaluate(right, inputs))
        case ast.BoolOp(values=[first, *others]):
            value = evaluate(first, inputs)
            for other in others:
                value = _OPERATORS[type(tree.op)](value, evaluate(other, inputs))
            return value
    raise AssertionError(f"a checked tree has no {type(tree).__name__}")


def _check(node: ast.AST, n: int, depth: int = 0) -> None:
    """Raise ValueError unless a node at a depth of a syntax tree, with all below it, is of a formula in n bits."""
    match node:
        case ast.Name(id=name):
            good = re.fullmatch(r"x(0|[1-9][0-9]{0,5})", name) is not None and int(name[1:]) < n
        case ast.Constant(value=value):
            good = type(value) is int and value in (0, 1)
        case ast.UnaryOp(op=ast.Invert() | ast.Not()):
            good = True
        case ast.BinOp(op=op) | ast.BoolOp(op=op):
            good = type(op) in _OPERATORS
        case _:
            good = isinstance(node, (ast.operator, ast.unaryop, ast.boolop, ast.expr_context))
    if not good or depth > DEEPEST:
        raise ValueError
    for child in ast.iter_child_nodes(node):
        _check(child, n, depth + 1)
