"""The text of a program as vectorised numpy: one assignment for each block."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from mechlab.distill.polynomial import Polynomial
from mechlab.distill.program import ONE, Along, Block, Program, Term
from mechlab.distill.wording import head, number, weighted_sum

Lengths = Mapping[str, tuple[Polynomial, ...]]


def numpy_text(program: Program) -> str:
    """Return a module with one function `program`, which needs numpy only and takes one input or a batch (B, *shape).

    Example:
        >>> from mechlab.distill.program import WHOLE, Input
        >>> total = Block("y", (), (Term(ONE, "x", (WHOLE,)),), Polynomial.of(-1), "linear")
        >>> print("\\n".join(body(Program((Input("x", (Polynomial.of(3),)),), (total,), ("y",), "bits"))))
        x = np.asarray(x, float)
        y = x.sum(-1) - 1
        return (y[..., None] > 0).astype(int)
    """
    return head(program, "import numpy as np") + "".join(f"    {line}\n" for line in body(program))


def body(program: Program) -> list[str]:
    """Return the lines of the function, without its docstring."""
    names = [tensor.name for tensor in program.inputs]
    lengths: Lengths = {tensor.name: tensor.shape for tensor in program.inputs}
    lines = [f"{name} = np.asarray({name}, float)" for name in names]
    if program.parametric:
        lines.append(f"N = {size_of(program)}")
    first = program.inputs[0]
    batch = f"{first.name}.shape[:-{len(first.shape)}]"
    aliases: dict[str, str] = {}
    blocks: dict[str, Block] = {}
    for block in program.blocks:
        if (alias := _copied(block, blocks)) is not None:
            aliases[block.name] = aliases.get(alias, alias)
        else:
            lines.append(f"{block.name} = {_assignment(block, lengths, batch, aliases, blocks)}")
        lengths = {**lengths, block.name: block.sizes}
        blocks[block.name] = block
    return [*lines, *_returned(program, lengths, aliases)]


def body_lines(program: Program) -> int:
    """Return the number of lines of the function, without its docstring."""
    return len(body(program))


def size_of(program: Program) -> str:
    """Return an expression of N in the shape of an input."""
    for tensor in program.inputs:
        for k, length in enumerate(tensor.shape):
            if length.degree == 1:
                shape = f"{tensor.name}.shape[{k - len(tensor.shape)}]"
                constant, slope = length.coefficients
                shifted = shape if not constant else f"{shape} {'-' if constant > 0 else '+'} {abs(constant)}"
                return shifted if slope == 1 else f"({shifted}) // {slope}"
    raise ValueError("no length of an input is linear in N")


def _copied(block: Block, blocks: Mapping[str, Block]) -> str | None:
    """Return the name of the block whose values an output block repeats, if that is all it does."""
    if block.activation != "linear" or block.bias or len(block.terms) != 1 or block.where != "all":
        return None
    term = block.terms[0]
    earlier = blocks.get(term.source)
    same = all(
        along.first == Polynomial() and along.single and along.axis == k and along.sign == 1 and not along.places
        for k, along in enumerate(term.along)
    )
    copies = earlier is not None and earlier.sizes == block.sizes and term.coefficient == ONE and same
    return term.source if copies else None


def _assignment(
    block: Block, lengths: Lengths, batch: str, aliases: Mapping[str, str], blocks: Mapping[str, Block]
) -> str:
    for other in blocks.values():
        if block.terms and _negated(block, other) and other.name not in aliases:
            return f"-{other.name}"
    if not block.terms:
        total = _constant(block, batch)
    else:
        total = weighted_sum(_summands(block, lengths, aliases), block.bias)
        covered = {along.axis for term in block.terms for along in term.along}
        if any(axis not in covered for axis in range(len(block.sizes))):
            total = f"{total} + np.zeros({_shape(block.sizes)})"
    return _existing(f"np.sign({total})" if block.activation == "sign" else total, block)


def _constant(block: Block, batch: str) -> str:
    value = str(block.bias) if block.bias.degree else repr(float(block.bias.constant))
    shape = ", ".join([f"*{batch}", *map(str, block.sizes)])
    return f"np.full(({shape}), {value})" if block.sizes else f"np.full({batch}, {value})"


def _shape(sizes: Sequence[Polynomial]) -> str:
    return f"({', '.join(map(str, sizes))}{',' if len(sizes) == 1 else ''})"


def _existing(total: str, block: Block) -> str:
    """Return the values with 0 in place of units that do not exist."""
    if block.where == "all":
        return total
    if block.where == "less" and len(block.sizes) == 2:
        return f"np.triu({total}, 1)"
    mask = f"np.arange({block.sizes[0]})[:, None] {'<' if block.where == 'less' else '!='} np.arange({block.sizes[1]})"
    more = ", ".join(["..."] + ["None"] * (len(block.sizes) - 2))
    mask = f"({mask})" if len(block.sizes) == 2 else f"({mask})[{more}]"
    return f"{mask} * {total}" if block.activation == "sign" else f"{mask} * ({total})"


def _negated(block: Block, other: Block) -> bool:
    def key(terms: Sequence[Term], sign: int) -> frozenset[Term]:
        return frozenset(Term(term.coefficient * sign, term.source, term.along) for term in terms)

    same = (block.sizes, block.where, block.activation) == (other.sizes, other.where, other.activation)
    return same and block.bias == -other.bias and key(block.terms, 1) == key(other.terms, -1)


def _summands(block: Block, lengths: Lengths, aliases: Mapping[str, str]) -> list[tuple[Polynomial, str]]:
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


def _returned(program: Program, lengths: Lengths, aliases: Mapping[str, str]) -> list[str]:
    """Return the last lines."""
    parts = []
    for name in program.outputs:
        axes, text = len(lengths[name]), aliases.get(name, name)
        if axes > 1:
            text = f"{text}.reshape(*{text}.shape[:-{axes}], -1)"
        parts.append((axes, text))
    if len(parts) == 1:
        axes, text = parts[0]
        joined = text if axes else f"{text}[..., None]"
    elif not any(axes for axes, _ in parts):
        joined = f"np.stack([{', '.join(text for _, text in parts)}], -1)"
    else:
        flat = [text if axes else f"{text}[..., None]" for axes, text in parts]
        joined = f"np.concatenate([{', '.join(flat)}], -1)"
    if program.order:
        joined = f"{joined}[..., {list(program.order)}]"
    if program.returns == "class":
        return [f"return {joined}.argmax(-1)"]
    if program.returns == "bits":
        return [f"return ({joined} > 0).astype(int)"]
    scaled = joined if program.scale == 1 else f"{float(program.scale)!r} * {joined}"
    if program.returns == "scores":
        return [f"return {scaled}"]
    return [
        f"scores = {scaled}",
        "shares = np.exp(scores - scores.max(-1, keepdims=True))",
        "return shares / shares.sum(-1, keepdims=True)",
    ]
