"""The sums of terms as vectorised numpy: slices and rolls where they suffice, else arrays of positions."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from mechlab.distill.polynomial import Polynomial
from mechlab.distill.program import Along, Block, Term
from mechlab.distill.wording import number

Lengths = Mapping[str, tuple[Polynomial, ...]]


def summands(block: Block, lengths: Lengths, aliases: Mapping[str, str]) -> list[tuple[Polynomial, str]]:
    """Return coefficients and expressions; shifts of one source around a ring with one coefficient share a sum."""
    summands: list[tuple[Polynomial, str]] = []
    shifted: dict[tuple[Polynomial, str, tuple[int | None, ...]], list[Term]] = {}
    for term in block.terms:
        if _rolls(term, block, lengths[term.source]):
            axes = tuple(along.axis for along in term.along)
            shifted.setdefault((term.coefficient, term.source, axes), []).append(term)
        else:
            name = aliases.get(term.source, term.source)
            summands.append((term.coefficient, _expression(term, name, block, lengths[term.source])))
    for (coefficient, source, _), terms in shifted.items():
        summands.append((coefficient, _rolled(terms, aliases.get(source, source), block)))
    return summands


def _rolls(term: Term, block: Block, lengths: Sequence[Polynomial]) -> bool:
    """Return whether a term follows all axes of a source around rings, with constant offsets."""
    return len({along.axis for along in term.along}) == len(term.along) > 0 and all(
        along.periodic
        and along.axis is not None
        and along.sign == 1
        and along.first is not None
        and along.last is not None
        and not (along.first.degree or along.last.degree)
        and block.sizes[along.axis] == length
        for along, length in zip(term.along, lengths, strict=True)
    )


def _rolled(terms: Sequence[Term], name: str, block: Block) -> str:
    """Return the sum of a source over all shifts of some terms."""
    axes = [along.axis for along in terms[0].along]
    shifts = sorted(
        itertools.chain.from_iterable(
            itertools.product(*(range(-int(along.last()), -int(along.first()) + 1) for along in term.along))
            for term in terms
        )
    )
    k = len(axes)
    if k == 1:
        steps = [shift[0] for shift in shifts]
        texts = [name if step == 0 else f"np.roll({name}, {step}, -1)" for step in steps]
        text = texts[0] if len(texts) == 1 else f"({' + '.join(texts)})"
        if len(texts) > 3:
            text = f"sum(np.roll({name}, shift, -1) for shift in {_listed(steps)})"
    else:
        on = f"({', '.join(str(axis - k) for axis in range(k))})"
        if len(shifts) == 1:
            text = name if not any(shifts[0]) else f"np.roll({name}, {shifts[0]}, {on})"
        else:
            text = f"sum(np.roll({name}, shift, {on}) for shift in {_products(shifts)})"
    return _aligned(text, axes, len(block.sizes))


def _listed(steps: Sequence[int]) -> str:
    dense = len(steps) > 3 and list(steps) == list(range(steps[0], steps[0] + len(steps)))
    return f"range({steps[0]}, {steps[-1] + 1})" if dense else f"({', '.join(map(str, steps))})"


def _products(shifts: Sequence[tuple[int, ...]]) -> str:
    """Return an iterable of shifts: a product of ranges, perhaps without zero, or a list."""
    ranges = [sorted({shift[k] for shift in shifts}) for k in range(len(shifts[0]))]
    full = set(itertools.product(*ranges))
    missing = full - set(shifts)
    if missing <= {(0,) * len(ranges)} and len(ranges) == 2 and len(shifts) > 2:
        condition = " if a or b" if missing else ""
        return f"((a, b) for a in {_listed(ranges[0])} for b in {_listed(ranges[1])}{condition})"
    return f"[{', '.join(map(str, shifts))}]"


def _expression(term: Term, name: str, block: Block, lengths: Sequence[Polynomial]) -> str:
    """Return the expression of a term's sum, shaped to broadcast over the block's indices."""
    followed = [along.axis for along in term.along if along.axis is not None]
    simple = all(
        along.whole or along.axis is None or along.places or (along.single and not along.periodic)
        for along in term.along
    )
    listed = sum(bool(along.places) for along in term.along)
    if not simple or len(set(followed)) < len(followed) or listed > 1:
        return _gathered(term, name, block, lengths)
    parts, summed, kept = [], [], []
    for k, (along, length) in enumerate(zip(term.along, lengths, strict=True)):
        part = _part(along, block, length)
        parts.append(part)
        if along.whole or (along.axis is None and not along.single):
            summed.append(k)
        elif along.axis is not None:
            kept.append(along.axis)
    positions = [k for k, along in enumerate(term.along) if not (along.axis is None and along.single)]
    text = name if all(part == ":" for part in parts) else f"{name}[..., {', '.join(_trimmed(parts))}]"
    if summed:
        axes = [positions.index(k) - len(positions) for k in summed]
        text += f".sum({axes[0] if len(axes) == 1 else tuple(axes)})"
    return _aligned(text, kept, len(block.sizes))


def _trimmed(parts: Sequence[str]) -> Sequence[str]:
    """Leave out leading full slices, which the ellipsis covers."""
    first = next(k for k, part in enumerate(parts) if part != ":")
    return parts[first:]


def _part(along: Along, block: Block, length: Polynomial) -> str:
    """Return what stands in the brackets for one axis of a source."""
    if along.whole:
        return ":"
    if along.places:
        return f"[{', '.join(map(str, along.places))}]"
    assert along.first is not None and along.last is not None
    if along.axis is None:
        if along.single:
            return str(along.first)
        return _slice(along.first, along.last + 1, length)
    size = block.sizes[along.axis]
    if along.sign == 1:
        return _slice(along.first, along.first + size, length)
    stop = along.first - size
    return f"{along.first}::-1" if stop == Polynomial.of(-1) else f"{along.first}:{stop}:-1"


def _slice(start: Polynomial, stop: Polynomial, length: Polynomial) -> str:
    return f"{start if start else ''}:{'' if stop == length else stop}"


def _aligned(text: str, axes: Sequence[int], count: int) -> str:
    """Return an array whose last axes are the given indices of a block as one that broadcasts over all its indices."""
    if list(axes) != sorted(axes):
        order = sorted(range(len(axes)), key=lambda k: axes[k])
        if len(axes) == 2:
            text = f"np.swapaxes({text}, -2, -1)"
        else:
            places = tuple(k - len(axes) for k in order)
            text = f"np.moveaxis({text}, {places}, {tuple(range(-len(axes), 0))})"
    present = [axis in axes for axis in range(count)]
    if all(present):
        return text
    if True in present:
        marks = [":" if here else "None" for here in present]
        return f"{text}[..., {', '.join(marks)}]"
    return f"{text}[{', '.join(['...'] + ['None'] * count)}]"


def _gathered(term: Term, name: str, block: Block, lengths: Sequence[Polynomial]) -> str:
    """Return a term as sums over index arrays, for windows and wiring that slices do not express."""
    letters = iter("pqr")
    count = len(block.sizes)
    parts: list[str] = []
    loops: list[str] = []
    followed: int | None = None  # until one array has an axis for each index of the block, so that it sets their number
    summed = [k for k, along in enumerate(term.along) if along.whole]
    for along, length in zip(term.along, lengths, strict=True):
        if along.whole:
            continue
        offset = number(along.first) if along.first is not None else ""
        if not along.single:
            letter = next(letters)
            assert along.first is not None and along.last is not None
            loops.append(f"for {letter} in range({along.first}, {along.last + 1})")
            offset = letter
        parts.append(_indices(along, offset, block, length, count if followed is None else 0))
        followed = followed if along.axis is None else along.axis
    source = name
    if summed:
        axes = [k - len(term.along) for k in summed]
        source = f"{name}.sum({axes[0] if len(axes) == 1 else tuple(axes)})"
    text = f"{source}[..., {', '.join(parts)}]"
    text = f"sum({text} {' '.join(loops)})" if loops else text
    return text if followed is not None else _aligned(text, [], len(block.sizes))


def _indices(along: Along, offset: str, block: Block, length: Polynomial, dimensions: int) -> str:
    """Return a position or an expression of an index array that broadcasts over a block's indices.

    It has at least so many dimensions.
    """
    if along.axis is None:
        return f"{offset} % ({length})" if along.periodic else offset
    if along.places:
        places = f"np.array([{', '.join(map(str, along.places))}])"
    elif along.sign == 1 and offset == "0":
        places = f"np.arange({block.sizes[along.axis]})"
    else:
        index = f"np.arange({block.sizes[along.axis]})"
        places = index if along.sign == 1 else f"-{index}"
        places = places if offset == "0" else f"{places} + {offset}".replace("+ -", "- ")
    after = len(block.sizes) - 1 - along.axis
    before = dimensions - 1 - after if dimensions else 0
    if along.periodic:
        places = f"({places}) % ({length})" if length.degree else f"({places}) % {length}"
    if not after and before <= 0:
        return places
    bracketed = places if along.places and not along.periodic else f"({places})"
    return f"{bracketed}[{', '.join(['None'] * before + [':'] + ['None'] * after)}]"
