"""The text of a program as vectorised numpy: one assignment for each block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mechlab.distill.numpy_sums import Lengths, summands
from mechlab.distill.polynomial import Polynomial
from mechlab.distill.program import ONE, Block, Program, Term
from mechlab.distill.wording import head, weighted_sum


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
        total = weighted_sum(summands(block, lengths, aliases), block.bias)
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
