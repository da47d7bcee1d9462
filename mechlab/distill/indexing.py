"""Positions and sums of a term, in words that loops and formulas share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mechlab.distill.polynomial import Polynomial
from mechlab.distill.program import ONE, Along, Block, Term

INDICES = "ijklmn"
SUMMED = "abcpqr"


@dataclass(frozen=True)
class Summed:
    """A summed index: its letter, and the first and the last of its values."""

    letter: str
    first: Polynomial
    last: Polynomial


def positions(term: Term, lengths: Sequence[Polynomial], sizes: Sequence[Polynomial]) -> tuple[list[str], list[Summed]]:
    """Return the text of the position along each axis of a term's source, and the indices that are summed.

    Args:
        term: of a block whose indices are named i, j, ...
        lengths: of the source's axes.
        sizes: number of values of each of the block's indices.
    """
    texts, sums = [], []
    for along, length in zip(term.along, lengths, strict=True):
        letter = SUMMED[len(sums)]
        if along.whole:
            sums.append(Summed(letter, Polynomial(), length - ONE))
            texts.append(letter)
            continue
        text = _place(along)
        if not along.single:
            assert along.first is not None and along.last is not None
            sums.append(Summed(letter, along.first, along.last))
            text = letter if along.axis is None else f"{_index(along)} + {letter}"
        in_range = along.single and along.axis is not None and not along.first and sizes[along.axis] == length
        if along.periodic and not (in_range and along.sign == 1):
            text = f"({text}) % {_atom(length)}"
        texts.append(text)
    return texts, sums


def existing(block: Block) -> str:
    """Return the condition under which a unit of a block exists, or an empty text."""
    return {"all": "", "less": "i < j", "different": "i != j"}[block.where]


def _place(along: Along) -> str:
    if along.places:
        assert along.axis is not None
        return f"({', '.join(map(str, along.places))},)[{INDICES[along.axis]}]"
    assert along.first is not None
    if along.axis is None:
        return str(along.first)
    if not along.first:
        return _index(along)
    text = str(along.first)
    return f"{_index(along)} - {text[1:]}" if text.startswith("-") else f"{_index(along)} + {text}"


def _index(along: Along) -> str:
    assert along.axis is not None
    return INDICES[along.axis] if along.sign == 1 else f"-{INDICES[along.axis]}"


def _atom(value: Polynomial) -> str:
    return f"({value})" if " " in str(value) else str(value)
