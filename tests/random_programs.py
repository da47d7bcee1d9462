"""Random programs of every form that the intermediate representation has, and inputs for them."""

from __future__ import annotations

import numpy as np

from mechlab.distill.polynomial import Polynomial
from mechlab.distill.program import Along, Block, Input, Program, Term

RETURNS = ("class", "scores", "probabilities", "bits")


def fixed(first: int, last: int | None = None, **more) -> Along:
    return Along(Polynomial.of(first), Polynomial.of(first if last is None else last), **more)


def random_along(length: int, sizes: tuple[int, ...], rng: np.random.Generator) -> Along:
    """Return positions that exist along an axis of this length."""
    kind = rng.integers(6)
    if kind == 0:
        return Along()
    first, last = sorted(rng.integers(length, size=2).tolist())
    if kind == 1 or not sizes:
        return fixed(first, last if rng.random() < 0.5 else None)
    axis = int(rng.integers(len(sizes)))
    if kind == 2:
        return Along(axis=axis, places=tuple(rng.integers(length, size=sizes[axis]).tolist()))
    if kind == 3 and sizes[axis] <= length:
        offset = int(rng.integers(length - sizes[axis] + 1))
        window = int(rng.integers(length - sizes[axis] - offset + 1))
        return fixed(offset, offset + window, axis=axis)
    if kind == 4 and sizes[axis] <= length:
        return fixed(int(rng.integers(sizes[axis] - 1, length)), axis=axis, sign=-1)
    low = int(rng.integers(-2, 2))
    return fixed(low, low + int(rng.integers(3)), axis=axis, sign=int(rng.choice([1, 1, -1])), periodic=True)


def random_program(rng: np.random.Generator) -> Program:
    """Return a program of one or two inputs and a few blocks."""
    inputs = tuple(
        Input(name, tuple(Polynomial.of(int(n)) for n in rng.integers(2, 5, size=rng.integers(1, 3))), "integers")
        for name in ("x", "z")[: rng.integers(1, 3)]
    )
    lengths = {tensor.name: tuple(int(length()) for length in tensor.shape) for tensor in inputs}
    blocks = []
    for k in range(int(rng.integers(1, 5))):
        sizes = tuple(map(int, rng.integers(2, 5, size=rng.integers(4))))
        terms = []
        for _ in range(int(rng.integers(4))):
            source = str(rng.choice(list(lengths)))
            along = tuple(random_along(length, sizes, rng) for length in lengths[source])
            terms.append(Term(Polynomial.of(int(rng.choice([-3, -1, 1, 2]))), source, along))
        where = str(rng.choice(["all", "all", "less", "different"])) if len(sizes) > 1 else "all"
        activation = "sign" if rng.random() < 0.7 else "linear"
        bias = Polynomial((int(rng.integers(-3, 4)) / 2,))
        blocks.append(Block(f"u{k}", sizes and tuple(map(Polynomial.of, sizes)), tuple(terms), bias, activation, where))
        lengths[f"u{k}"] = sizes
    outputs = [block.name for block in blocks[-2:]]
    count = sum(int(np.prod(lengths[name])) for name in outputs)
    order = tuple(rng.permutation(count).tolist()) if rng.random() < 0.3 else ()
    return Program(inputs, tuple(blocks), tuple(outputs), str(rng.choice(RETURNS)), order, 0.5)


def random_inputs(program: Program, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Return a batch of random integers for each input of a program of one size."""
    return [rng.integers(-2, 3, size=(count, *(int(n()) for n in tensor.shape))) for tensor in program.inputs]
