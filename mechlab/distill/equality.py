"""Whether two programs are the same, whatever their blocks are named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

from mechlab.distill.program import Program


def same_program(a: Program, b: Program) -> bool:
    """Return True if two programs differ at most in the names of inputs and blocks, the order of blocks that do not
    read each other, the order of terms, the scale of outputs that decide classes or bits, and the certificate.

    Indices of a block must be in the same order, and its units must have the same sign.
    """
    return _canonical(a, numbers := {}) == _canonical(b, numbers)


def _canonical(program: Program, numbers: dict[Hashable, int]) -> tuple:
    """Return what does not depend on names; `numbers` are given to blocks with equal sums of equal blocks."""
    number = {tensor.name: -1 - k for k, tensor in enumerate(program.inputs)}
    for block in program.blocks:
        terms = Counter((term.coefficient, number[term.source], term.along) for term in block.terms)
        key = block.sizes, block.activation, block.where, block.bias, frozenset(terms.items())
        number[block.name] = numbers.setdefault(key, len(numbers))
    inputs = [(tensor.shape, tensor.values) for tensor in program.inputs]
    blocks = Counter(number[block.name] for block in program.blocks)
    scale = program.scale if program.returns in ("scores", "probabilities") else None
    return inputs, blocks, [number[name] for name in program.outputs], program.returns, program.order, scale
