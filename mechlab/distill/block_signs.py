"""The sign of blocks whose consumers can negate their weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mechlab.distill.describing import Source
from mechlab.distill.forming import Group
from mechlab.distill.program import Block, Term
from mechlab.distill.snapping import Interval


def as_given(made: Group, given: np.ndarray, sources: Sequence[Source]) -> Group:
    """Return a group with a readable sign: sums of bits exceed a threshold; others have the sign that most of the units
    have in the network."""
    bits = {source.name for source in sources if source.kind == "bits"}
    if made.bias and all(term.source in bits for term in made.terms):
        return made if made.bias < 0 else made.negated()
    votes = sum(int(given[unit]) * sign for unit, sign in zip(made.units, made.signs, strict=True))
    return made.negated() if votes < 0 and not made.symmetric else made


def positive(blocks: Sequence[Block], inputs: set[str]) -> tuple[Block, ...]:
    """Return blocks with those negated that are only subtracted; blocks that read inputs stay as they are."""
    made = list(blocks)
    for k, block in reversed(list(enumerate(made))):
        reads = [term.coefficient() for later in made[k + 1 :] for term in later.terms if term.source == block.name]
        if block.activation != "sign" or any(term.source in inputs for term in block.terms) or max(reads) > 0:
            continue
        made[k] = replace(
            block, terms=_negated(block.terms), bias=-block.bias, equal_biases=flipped(block.equal_biases, -1)
        )
        made[k + 1 :] = [replace(later, terms=_negated(later.terms, block.name)) for later in made[k + 1 :]]
    return tuple(made)


def _negated(terms: tuple[Term, ...], source: str | None = None) -> tuple[Term, ...]:
    """Return terms with those of a source negated; by default, all."""
    return tuple(
        replace(term, coefficient=-term.coefficient) if source in (None, term.source) else term for term in terms
    )


def flipped(interval: Interval, sign: int) -> Interval:
    return interval if sign > 0 or interval is None else (-interval[1], -interval[0])
