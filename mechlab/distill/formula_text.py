"""The text of a program as formulas: one line for each block."""

from __future__ import annotations

from collections.abc import Sequence

from mechlab.distill.boolean_text import boolean_text, never_zero
from mechlab.distill.indexing import INDICES, existing, positions
from mechlab.distill.polynomial import Polynomial
from mechlab.distill.program import ONE, Block, Program, Term
from mechlab.distill.threshold_unit import VALUES, Kind
from mechlab.distill.wording import weighted_sum

RETURNED = {
    "class": "class = argmax of",
    "scores": "scores =",
    "probabilities": "probabilities = softmax of",
    "bits": "bits = [outputs > 0] of",
}


def formula_text(program: Program) -> str:
    """Return one formula for each block, and one for what the program returns; indices start at 0.

    Blocks of few inputs of two values have a Boolean formula besides, in which an input is true if it is 1, and a unit
    if it is positive.
    """
    lengths = {tensor.name: tensor.shape for tensor in program.inputs}
    kinds: dict[str, Kind] = {tensor.name: tensor.values for tensor in program.inputs if tensor.values in VALUES}
    lines = []
    for block in program.blocks:
        boolean = boolean_text(block, lengths, kinds)
        lines.append(_formula(block, lengths) + (f"; positive if {boolean}" if boolean else ""))
        lengths[block.name] = block.sizes
        if block.where == "all" and (boolean or never_zero(block)):
            kinds[block.name] = "signs"
    parts = [name + _indexed(len(lengths[name])) for name in program.outputs]
    joined = f"({', '.join(parts)})" if len(parts) > 1 else parts[0]
    order = f" in the order {', '.join(map(str, program.order))}" if program.order else ""
    scale = f"{program.scale:.6g} " if program.scale != 1 and program.returns in ("scores", "probabilities") else ""
    return "\n".join([*lines, f"{RETURNED[program.returns]} {scale}{joined}{order}"])


def _formula(block: Block, lengths: dict[str, tuple[Polynomial, ...]]) -> str:
    total = weighted_sum(
        [(term.coefficient, _sum(term, lengths[term.source], block.sizes)) for term in block.terms],
        block.bias,
        times=" ",
    )
    value = f"sign({total})" if block.activation == "sign" else total
    ranges = [f"{INDICES[k]} < {size}" for k, size in enumerate(block.sizes)]
    if condition := existing(block):
        ranges.append(condition)
    return f"{block.name}{_indexed(len(block.sizes))} = {value}" + (f"    for {', '.join(ranges)}" if ranges else "")


def _sum(term: Term, lengths: Sequence[Polynomial], sizes: Sequence[Polynomial]) -> str:
    places, sums = positions(term, lengths, sizes)
    text = f"{term.source}[{', '.join(places)}]" if places else term.source
    if not sums:
        return text
    return f"Σ_{{{', '.join(_range(index.letter, index.first, index.last) for index in sums)}}} {text}"


def _range(letter: str, first: Polynomial, last: Polynomial) -> str:
    return f"{letter} < {last + ONE}" if not first else f"{first} ≤ {letter} ≤ {last}"


def _indexed(count: int) -> str:
    return f"[{', '.join(INDICES[:count])}]" if count else ""
