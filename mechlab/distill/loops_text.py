"""The text of a program as nested loops over one input."""

from __future__ import annotations

from collections.abc import Sequence

from mechlab.distill.indexing import INDICES, existing, positions
from mechlab.distill.numpy_text import size_of
from mechlab.distill.polynomial import Polynomial
from mechlab.distill.program import ONE, Block, Program, Term
from mechlab.distill.wording import head, number, weighted_sum

SIGN = '''

def sign(value):
    """Return -1, 0 or 1."""
    return (value > 0) - (value < 0)
'''


def loops_text(program: Program) -> str:
    """Return a module with one function `program` of one input, in loops over the units of each block."""
    imports = "import numpy as np" + SIGN.rstrip("\n")
    return head(program, imports) + "".join(f"    {line}\n" for line in _body(program))


def _body(program: Program) -> list[str]:
    lengths = {tensor.name: tensor.shape for tensor in program.inputs}
    lines = [f"{tensor.name} = np.asarray({tensor.name}, float)" for tensor in program.inputs]
    lines += [f"N = {size_of(program)}"] if program.parametric else []
    lines += [f"{tensor.name} = {tensor.name}.tolist()" for tensor in program.inputs]
    for block in program.blocks:
        lines += _loops(block, lengths)
        lengths[block.name] = block.sizes
    return [*lines, *_returned(program, lengths)]


def _loops(block: Block, lengths: dict[str, tuple[Polynomial, ...]]) -> list[str]:
    total = weighted_sum(
        [(term.coefficient, _sum(term, lengths[term.source], block.sizes)) for term in block.terms], block.bias
    )
    value = f"sign({total})" if block.activation == "sign" else total
    if not block.sizes:
        return [f"{block.name} = {value}"]
    empty = "0.0"
    for size in reversed(block.sizes[1:]):
        empty = f"[{empty}] * {number(size)}" if empty == "0.0" else f"[{empty} for _ in range({size})]"
    first = block.sizes[0]
    made = (
        f"[0.0] * {number(first) if ' ' not in str(first) else f'({first})'}"
        if len(block.sizes) == 1
        else f"[{empty} for _ in range({first})]"
    )
    lines = [f"{block.name} = {made}"]
    for depth, size in enumerate(block.sizes):
        lines.append(f"{'    ' * depth}for {INDICES[depth]} in range({size}):")
    depth = len(block.sizes)
    if condition := existing(block):
        lines.append(f"{'    ' * depth}if {condition}:")
        depth += 1
    places = "".join(f"[{INDICES[k]}]" for k in range(len(block.sizes)))
    return [*lines, f"{'    ' * depth}{block.name}{places} = {value}"]


def _sum(term: Term, lengths: Sequence[Polynomial], sizes: Sequence[Polynomial]) -> str:
    places, sums = positions(term, lengths, sizes)
    text = term.source + "".join(f"[{place}]" for place in places)
    loops = " ".join(f"for {index.letter} in range({_range(index.first, index.last)})" for index in sums)
    return f"sum({text} {loops})" if loops else text


def _range(first: Polynomial, last: Polynomial) -> str:
    stop = last + ONE
    return f"{first}, {stop}" if first else str(stop)


def _returned(program: Program, lengths: dict[str, tuple[Polynomial, ...]]) -> list[str]:
    flat = [name if not lengths[name] else f"*np.ravel({name})" for name in program.outputs]
    lines = [f"outputs = np.array([{', '.join(flat)}], float)"]
    if program.order:
        lines.append(f"outputs = outputs[{list(program.order)}]")
    if program.returns == "class":
        return [*lines, "return outputs.argmax()"]
    if program.returns == "bits":
        return [*lines, "return (outputs > 0).astype(int)"]
    lines.append(f"scores = {float(program.scale)!r} * outputs")
    if program.returns == "scores":
        return [*lines, "return scores"]
    return [*lines, "shares = np.exp(scores - scores.max())", "return shares / shares.sum()"]
