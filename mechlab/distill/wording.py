"""What the texts of a program share: numbers, weighted sums, and the head with the certificate."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from fractions import Fraction

from mechlab.distill.certificate import Certificate
from mechlab.distill.polynomial import Number, Polynomial
from mechlab.distill.program import Program

VALUES = {"bits": "0 or 1", "signs": "-1 or 1", "integers": "integers", "reals": "real numbers"}
RETURNS = {
    "class": "the index of the largest output, the first of equal ones",
    "scores": "the outputs",
    "probabilities": "the softmax of the outputs",
    "bits": "1 where an output is above 0, else 0",
}


def number(value: Number) -> str:
    """Return Python text of a number: integers as they are, fractions in parentheses, polynomials in N."""
    value = Polynomial.of(value)
    if value.degree:
        return str(value)
    constant = value.constant
    return str(constant) if constant.denominator == 1 else _fraction(constant)


def weighted_sum(summands: Sequence[tuple[Polynomial, str]], bias: Polynomial, times: str = " * ") -> str:
    """Return coefficient * expression + ... + bias, with the signs between the summands; positive ones first."""
    pieces = [(_negative(coefficient), _product(coefficient, text, times)) for coefficient, text in summands]
    if bias or not pieces:
        pieces.append((_negative(bias), number(-bias if _negative(bias) else bias)))
    pieces = [*(piece for piece in pieces if not piece[0]), *(piece for piece in pieces if piece[0])]
    text = "".join(f" {'-' if negative else '+'} {piece}" for negative, piece in pieces)
    return f"-{text[3:]}" if pieces[0][0] else text[3:]


def head(program: Program, imports: str) -> str:
    """Return the first lines of a module: its imports, and the function with a docstring that states what is known."""
    names = ", ".join(tensor.name for tensor in program.inputs)
    sentences = [f"Return {RETURNS[program.returns]}."]
    for tensor in program.inputs:
        shape = ", ".join(str(length) for length in tensor.shape)
        shape += "," if len(tensor.shape) == 1 else ""
        sentences.append(f"{tensor.name}: shape ({shape}), or a batch of them; {VALUES[tensor.values]}.")
    if program.certificate is not None:
        sentences.append(statement(program.certificate))
    paragraphs = [textwrap.fill(text, 110, initial_indent="    ", subsequent_indent="    ") for text in sentences]
    docstring = '    """' + "\n\n".join(paragraphs).strip() + '\n    """\n'
    return f"{imports}\n\n\ndef program({names}):\n{docstring}"


def statement(certificate: Certificate) -> str:
    """Return sentences on what is known of a program's agreement with its network."""
    count, units = f"{certificate.inputs:,}", f"{certificate.units[1]:,}"
    text = {
        "lossless": f"Lossless: equal to the network on all {count} inputs.",
        "proved": f"Proved: each of the network's {units} units has the sign that is computed here, for all values of "
        f"its sums; also equal on {count} inputs.",
        "tested": f"Tested: equal to the network on {certificate.inputs - certificate.mismatches:,} of {count} inputs, "
        f"{certificate.boundary:,} of which lie beside a threshold (seed {certificate.seed}).",
    }[certificate.status]
    if certificate.mismatches:
        text += f" Weights differ from the network's by noise of at most {certificate.snapped:.1g} of themselves; the "
        text += "other inputs are closer to a threshold than that."
    if len(certificate.sizes) > 1:
        text += f" Sizes N = {', '.join(map(str, certificate.sizes))}"
        text += f", of which {certificate.held_out} was used for validation alone." if certificate.held_out else "."
    return text


def _negative(value: Polynomial) -> bool:
    return str(value).startswith("-")


def _product(coefficient: Polynomial, text: str, times: str) -> str:
    positive = -coefficient if _negative(coefficient) else coefficient
    if positive == Polynomial.of(1):
        return text
    factor = number(positive)
    return f"({factor}){times}{text}" if " " in factor else f"{factor}{times}{text}"


def _fraction(value: Fraction) -> str:
    exact = float(value)
    return repr(exact) if Fraction(exact) == value else f"({value.numerator} / {value.denominator})"
