"""Programs whose networks are known, weight by weight, made with loops only."""

from dataclasses import replace
from fractions import Fraction

import numpy as np

from mechlab.distill.polynomial import Polynomial
from mechlab.distill.program import WHOLE, Along, Block, Input, Program, Term

N = Polynomial((0, 1))
ZERO, ONE = Polynomial(), Polynomial.of(1)


def at(axis, offset=0, sign=1, periodic=False, to=None):
    """The positions sign * index + offset..to."""
    return Along(Polynomial.of(offset), Polynomial.of(offset if to is None else to), axis, sign, (), periodic)


def term(coefficient, source, *along):
    return Term(Polynomial.of(coefficient), source, along)


def orientation(size=N):
    """Whether an image has more of a full column (0) or of a full row (1)."""
    n = Polynomial.of(size)
    return Program(
        (Input("x", (n, n)),),
        (
            Block("d", (n, n), (term(1, "x", WHOLE, at(0)), term(-1, "x", at(1), WHOLE))),
            Block("columns", (n,), (term(n, "d", at(0), WHOLE), term(ONE - n, "d", WHOLE, WHOLE)), n - n * n),
            Block("rows", (n,), (term(-n, "d", WHOLE, at(0)), term(n - 1, "d", WHOLE, WHOLE)), n - n * n),
            Block("c", (), (term(1, "columns", WHOLE), term(-1, "rows", WHOLE)), activation="linear"),
            Block("r", (), (term(1, "rows", WHOLE), term(-1, "columns", WHOLE)), activation="linear"),
        ),
        ("c", "r"),
    )


def orientation_layers(n):
    """The network of `orientation`, unit by unit."""
    d = np.zeros((n * n + 1, n * n))
    s = np.zeros((n * n + 1, 2 * n))
    c = np.zeros((2 * n + 1, 2))
    for i in range(n):
        for j in range(n):
            for k in range(n):
                d[n * k + i, n * i + j] += 1  # column i
                d[n * j + k, n * i + j] -= 1  # row j
    for unit in range(n):
        s[: n * n, unit] = 1 - n
        s[: n * n, n + unit] = n - 1
        for k in range(n):
            s[n * unit + k, unit] += n
            s[n * k + unit, n + unit] -= n
        s[n * n, [unit, n + unit]] = n - n * n
        c[unit], c[n + unit] = (1, -1), (-1, 1)
    return [d, s, c]


def ring(size=N):
    """Elementary rule 110 on a ring: a cell is 1 if itself or its right neighbour is, and not all three are."""
    n = Polynomial.of(size)

    def cells(first, last):
        return Along(Polynomial.of(first), Polynomial.of(last), 0, 1, (), True)

    return Program(
        (Input("x", (n,)),),
        (
            Block("some", (n,), (term(1, "x", cells(0, 1)),), Polynomial.of(-1) * Polynomial((ONE.constant / 2,))),
            Block("all", (n,), (term(1, "x", cells(-1, 1)),), Polynomial((-ONE.constant * 5 / 2,))),
            Block("y", (n,), (term(1, "some", at(0)), term(-1, "all", at(0))), -ONE, activation="linear"),
        ),
        ("y",),
        returns="bits",
    )


def ring_layers(n):
    """The network of `ring`, unit by unit, with units of the two kinds by turns."""
    hidden, out = np.zeros((n + 1, 2 * n)), np.zeros((2 * n + 1, n))
    for i in range(n):
        for offset in (0, 1):
            hidden[(i + offset) % n, 2 * i] += 1
        for offset in (-1, 0, 1):
            hidden[(i + offset) % n, 2 * i + 1] += 1
        hidden[n, 2 * i], hidden[n, 2 * i + 1] = -0.5, -2.5
        out[2 * i, i], out[2 * i + 1, i], out[2 * n, i] = 1, -1, -1
    return [hidden, out]


def rule_110(x):
    """One step of elementary rule 110, from its table."""
    number = 4 * np.roll(x, 1, -1) + 2 * x + np.roll(x, -1, -1)
    return 110 >> number.astype(int) & 1


def disturbed(layers, rng, noise=0.0, permute=True, rescale=True):
    """The network with permuted units, each hidden unit rescaled by a positive factor, and relative weight noise."""
    layers = [np.array(layer, float) for layer in layers]
    for k in range(len(layers) - 1):
        count = layers[k].shape[1]
        if permute:
            order = rng.permutation(count)
            layers[k] = layers[k][:, order]
            layers[k + 1] = np.concatenate([layers[k + 1][:-1][order], layers[k + 1][-1:]])
        if rescale:
            layers[k] = layers[k] * rng.uniform(0.1, 10, count)
    return [layer * (1 + noise * rng.normal(size=layer.shape)) for layer in layers]


def mutants(program):
    """Every program with one coefficient, bias or offset changed by one."""
    for b, block in enumerate(program.blocks):
        for change in (ONE, -ONE):
            yield f"{block.name}.bias{change}", _with(program, b, replace(block, bias=block.bias + change))
        for t, part in enumerate(block.terms):
            for change in (ONE, -ONE):
                other = replace(part, coefficient=part.coefficient + change)
                yield f"{block.name}.{t}.coefficient{change}", _with(program, b, _term(block, t, other))
                for a, along in enumerate(part.along):
                    for name in () if along.first is None else ("first", "last"):
                        moved = replace(along, **{name: getattr(along, name) + change})
                        if int(moved.first()) <= int(moved.last()):
                            other = replace(part, along=(*part.along[:a], moved, *part.along[a + 1 :]))
                            yield f"{block.name}.{t}.{a}.{name}{change}", _with(program, b, _term(block, t, other))


def _term(block, t, other):
    return replace(block, terms=(*block.terms[:t], other, *block.terms[t + 1 :]))


def _with(program, b, other):
    return replace(program, blocks=(*program.blocks[:b], other, *program.blocks[b + 1 :]))


def written_out(layers, values="signs", returns="bits"):
    """The program of a small network of integer weights with one block for each unit and one term for each weight."""
    names = [[f"u{k}_{i}" for i in range(layer.shape[1])] for k, layer in enumerate(layers)]
    blocks = []
    for k, layer in enumerate(layers):
        for i, name in enumerate(names[k]):
            terms = [
                term(int(weight), names[k - 1][m]) if k else term(int(weight), "x", at(None, m))
                for m, weight in enumerate(layer[:-1, i])
                if weight
            ]
            activation = "sign" if k < len(layers) - 1 else "linear"
            blocks.append(Block(name, (), tuple(terms), Polynomial((Fraction(layer[-1, i]),)), activation))
    inputs = (Input("x", (Polynomial.of(len(layers[0]) - 1),), values),)
    return Program(inputs, tuple(blocks), tuple(names[-1]), returns)
