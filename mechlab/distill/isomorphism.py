"""Isomorphisms between programs of the same structure: their blocks, index axes, terms and signs of units."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from scipy.optimize import linear_sum_assignment

from mechlab.distill.program import Along, Block, Program, Term

MOST_NODES = 20_000


@dataclass(frozen=True)
class _Image:
    """Where a block of the first program is in the second: its name, the index axis there for each index axis here, and
    -1 where its units have the opposite sign."""

    name: str
    axes: tuple[int, ...]
    sign: int


def aligned(first: Program, second: Program, sizes: tuple[int, int]) -> Program | None:
    """Return the second program with the block names, index order, signs of units and order of terms of the first.

    Two programs are isomorphic if they have the same blocks, terms and patterns, whatever their coefficients, biases,
    offsets and lengths. Of several isomorphisms the one is taken that leaves most of these numbers equal, or equal up
    to the difference of the sizes.

    Args:
        first, second: programs of two sizes.
        sizes: the two sizes N.

    Returns:
        The second program rewritten, which computes the same; None if they are not isomorphic.
    """
    if [(t.name, len(t.shape), t.values) for t in first.inputs] != [
        (t.name, len(t.shape), t.values) for t in second.inputs
    ] or first.returns != second.returns:
        return None
    best: tuple[float, Program] | None = None
    for images in _isomorphisms(first, second, sizes):
        candidate = _rewritten(first, second, images, sizes)
        if candidate is None or not _same_outputs(first, candidate):
            continue
        cost = sum(_block_cost(a, b, sizes) for a, b in zip(first.blocks, candidate.blocks, strict=True))
        if best is None or cost < best[0]:
            best = cost, candidate
    return None if best is None else best[1]


def _isomorphisms(first: Program, second: Program, sizes: tuple[int, int]) -> Iterator[dict[str, _Image]]:
    """Yield the ways to match all blocks, the closest numbers first."""
    colours = _colours(first), _colours(second)
    if Counter(colours[0].values()) != Counter(colours[1].values()):
        return
    budget = [MOST_NODES]

    def extend(k: int, images: dict[str, _Image]) -> Iterator[dict[str, _Image]]:
        if k == len(first.blocks):
            yield images
            return
        block = first.blocks[k]
        used = {image.name for image in images.values()}
        choices = []
        for other in second.blocks:
            if other.name in used or colours[0][block.name] != colours[1][other.name]:
                continue
            for axes in itertools.permutations(range(len(block.sizes))):
                for sign in (1, -1) if block.activation == "sign" else (1,):
                    budget[0] -= 1
                    image = _Image(other.name, axes, sign)
                    moved = _moved(block, other, image, images, sizes)
                    if moved is not None:
                        choices.append((_block_cost(block, moved, sizes), len(choices), image))
        for _, _, image in sorted(choices):
            if budget[0] < 0:
                return
            yield from extend(k + 1, images | {block.name: image})

    # All of them would be too many where blocks are alike; the closest come first.
    yield from itertools.islice(extend(0, {}), 64)


def _rewritten(first: Program, second: Program, images: dict[str, _Image], sizes: tuple[int, int]) -> Program | None:
    by_name = {block.name: block for block in second.blocks}
    back = {image.name: name for name, image in images.items()}
    blocks = []
    for block in first.blocks:
        moved = _moved(block, by_name[images[block.name].name], images[block.name], images, sizes)
        if moved is None:
            return None
        blocks.append(moved)
    for name in second.outputs:
        if images[back[name]].axes != tuple(range(len(images[back[name]].axes))):
            return None
    return replace(second, blocks=tuple(blocks), outputs=tuple(back[name] for name in second.outputs))


def _same_outputs(first: Program, second: Program) -> bool:
    """Whether the outputs are the same blocks in the same order, of single units in any order of the blocks."""
    if first.outputs == second.outputs:
        return first.order == second.order
    single = all(not block.sizes for block in first.blocks if block.name in first.outputs)
    if not single or sorted(first.outputs) != sorted(second.outputs):
        return False
    ordered = [
        [program.outputs[k] for k in program.order or range(len(program.outputs))] for program in (first, second)
    ]
    return ordered[0] == ordered[1]


def _moved(
    block: Block, other: Block, image: _Image, images: dict[str, _Image], sizes: tuple[int, int]
) -> Block | None:
    """Return the other block in the first program's names, axes and signs, its terms in the order of `block`."""
    if (block.activation, block.where) != (other.activation, other.where) or len(block.terms) != len(other.terms):
        return None
    if block.where != "all" and set(image.axes[:2]) != {0, 1}:
        return None
    if block.where == "less" and image.axes[:2] != (0, 1):
        return None
    back = {image.name: (name, image) for name, image in images.items()}
    here = {axis: k for k, axis in enumerate(image.axes)}
    terms = []
    for term in other.terms:
        name, source = back.get(term.source, (term.source, None))
        along = [term.along[axis] for axis in source.axes] if source else list(term.along)
        along = [part if part.axis is None else replace(part, axis=here[part.axis]) for part in along]
        sign = image.sign * (source.sign if source else 1)
        terms.append(Term(term.coefficient * sign, name, tuple(along)))
    order = _order(block.terms, terms, sizes)
    if order is None:
        return None
    equal = other.equal_biases
    if equal is not None and image.sign < 0:
        equal = (-equal[1], -equal[0])
    return replace(
        other,
        name=block.name,
        sizes=tuple(other.sizes[axis] for axis in image.axes),
        terms=tuple(terms[k] for k in order),
        bias=other.bias * image.sign,
        equal_biases=equal,
    )


def _order(terms: tuple[Term, ...], others: list[Term], sizes: tuple[int, int]) -> list[int] | None:
    """Return for each term the number of the other one of the same pattern and closest numbers, or None."""
    patterns = [_pattern(term) for term in terms], [_pattern(term) for term in others]
    if Counter(patterns[0]) != Counter(patterns[1]):
        return None
    cost = np.array(
        [
            [_term_cost(a, b, sizes) if p == q else 1e6 for b, q in zip(others, patterns[1], strict=True)]
            for a, p in zip(terms, patterns[0], strict=True)
        ]
    )
    return linear_sum_assignment(cost)[1].tolist() if len(terms) else []


def _pattern(term: Term) -> tuple:
    return term.source, tuple((*_kind(along), along.axis) for along in term.along)


def _kind(along: Along) -> tuple:
    return along.whole, bool(along.places), along.axis is not None, along.sign, along.periodic


def _colours(program: Program) -> dict[str, object]:
    """Return a colour of each block that isomorphisms leave as it is: its pattern and those of sources and readers."""
    colours: dict[str, object] = {tensor.name: ("input", tensor.name) for tensor in program.inputs}
    for block in program.blocks:
        role = block.name in program.outputs
        colours[block.name] = (block.activation, block.where, len(block.sizes), len(block.terms), role)
    readers: dict[str, list[tuple[str, Term]]] = {name: [] for name in colours}
    for block in program.blocks:
        for term in block.terms:
            readers[term.source].append((block.name, term))
    for _ in range(3):
        following: dict[str, object] = {tensor.name: colours[tensor.name] for tensor in program.inputs}
        for block in program.blocks:
            read = sorted(f"{colours[term.source]}{_kinds(term)}" for term in block.terms)
            by = sorted(f"{colours[name]}{_kinds(term)}" for name, term in readers[block.name])
            text = f"{colours[block.name]} {read} {by}"
            following[block.name] = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        colours = following
    return {block.name: colours[block.name] for block in program.blocks}


def _kinds(term: Term) -> list[tuple]:
    return sorted(_kind(along) for along in term.along)


def _block_cost(block: Block, other: Block, sizes: tuple[int, int]) -> float:
    lengths = sum(_cost(a(), b(), sizes) for a, b in zip(block.sizes, other.sizes, strict=True))
    terms = sum(_term_cost(a, b, sizes) for a, b in zip(block.terms, other.terms, strict=True))
    return lengths + terms + _cost(block.bias(), other.bias(), sizes)


def _term_cost(term: Term, other: Term, sizes: tuple[int, int]) -> float:
    cost = _cost(term.coefficient(), other.coefficient(), sizes)
    for a, b in zip(term.along, other.along, strict=True):
        if a.first is not None and b.first is not None and a.last is not None and b.last is not None:
            cost += _cost(a.first(), b.first(), sizes) + _cost(a.last(), b.last(), sizes)
        cost += a.places != b.places
    return cost


def _cost(a: Fraction, b: Fraction, sizes: tuple[int, int]) -> float:
    """Return 0 for equal numbers, 0.5 for those that differ as the sizes do, 1 for others, 3 for other signs."""
    if a == b:
        return 0.0
    if abs(a - b) == abs(sizes[0] - sizes[1]):
        return 0.5
    return 3.0 if a * b < 0 else 1.0
