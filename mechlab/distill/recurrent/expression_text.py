"""Python text of integer expressions."""

from __future__ import annotations

from mechlab.distill.recurrent.expressions import OPERATORS, Expression, Name, Number, Operation, Table


def text(expression: Expression) -> str:
    """Return Python text with the same value.

    >>> from mechlab.distill.recurrent.expressions import Name
    >>> text((Name("s") + Name("x")) % 3)
    '(s + x) % 3'
    """
    return _text(expression)[0]


def statement_text(expression: Expression) -> str:
    """Return Python text of an integer, so with int(...) around a truth value."""
    return f"int({text(expression)})" if truth_valued(expression) else text(expression)


def truth_valued(expression: Expression) -> bool:
    """Return whether the value of the Python text can be True or False."""
    if not isinstance(expression, Operation):
        return False
    bits = OPERATORS[expression.operator].bits
    return any(map(truth_valued, expression.operands)) if bits is None else bits


def _text(expression: Expression) -> tuple[str, int]:
    """Return Python text and its precedence."""
    match expression:
        case Number(value):
            return str(value), 10 if value >= 0 else 8
        case Name(name):
            return name, 10
        case Table(entries, index):
            return f"{entries}[{text(index)}]", 10
        case Operation(operator, operands):
            rule = OPERATORS[operator]
            level = rule.precedence
            if operator == "-" and operands[0] == Number(0):
                return f"-{_inside(operands[1], 8)}", 8
            if level == 10 and rule.pattern:
                return rule.pattern.format(*map(text, operands)), 10
            bare = level not in (0, 4)  # comparisons would chain
            associative = operator in ("+", "and", "or", "xor")
            least = [level if bare and (k == 0 or associative) else level + 1 for k in range(len(operands))]
            parts = [_inside(operand, lowest) for operand, lowest in zip(operands, least, strict=True)]
            return (rule.pattern or f"{{}} {operator} {{}}").format(*parts), level
    raise TypeError(f"no expression: {expression!r}")


def _inside(expression: Expression, lowest: int) -> str:
    result, precedence = _text(expression)
    return result if precedence >= lowest else f"({result})"
