"""The interpreter against a dense evaluation, the texts against the interpreter, and programs as JSON."""

import json
from fractions import Fraction

import numpy as np
import pytest
from random_programs import fixed, random_inputs, random_program

from mechlab.core.errors import ConfigError
from mechlab.distill.interpret import arranged, evaluate
from mechlab.distill.polynomial import Polynomial
from mechlab.distill.program import WHOLE, Block, Input, Program, Term
from mechlab.distill.program_data import from_data, to_data

N, ONE = Polynomial((0, 1)), Polynomial.of(1)


def orientation() -> Program:
    """The program of all column-row comparisons, for every size; see Blazek et al."""
    row, column = fixed(0, axis=0), fixed(0, axis=1)
    return Program(
        (Input("x", (N, N)),),
        (
            Block("d", (N, N), (Term(ONE, "x", (WHOLE, row)), Term(-ONE, "x", (column, WHOLE)))),
            Block("s", (N,), (Term(N, "d", (row, WHOLE)), Term(ONE - N, "d", (WHOLE, WHOLE))), N - N * N),
            Block("t", (N,), (Term(-N, "d", (WHOLE, row)), Term(N - ONE, "d", (WHOLE, WHOLE))), N - N * N),
            Block("y", (), (Term(ONE, "s", (WHOLE,)), Term(-ONE, "t", (WHOLE,))), activation="linear"),
            Block("w", (), (Term(-ONE, "s", (WHOLE,)), Term(ONE, "t", (WHOLE,))), activation="linear"),
        ),
        ("y", "w"),
    )


def function(text: str):
    space: dict = {}
    exec(compile(text, "program.py", "exec"), space)
    return space["program"]


def unit(block: Block, index: tuple[int, ...], values: dict[str, np.ndarray]) -> float:
    """The value of one unit for one input, term by term and position by position."""
    if (block.where == "less" and index[0] >= index[1]) or (block.where == "different" and index[0] == index[1]):
        return 0.0
    total = float(block.bias())
    for term in block.terms:
        source = values[term.source]
        weights = np.zeros(source.shape)
        for place in np.ndindex(*source.shape):
            count = 1
            for along, position, length in zip(term.along, place, source.shape, strict=True):
                if along.whole:
                    continue
                if along.places:
                    allowed = [along.places[index[along.axis]]]
                else:
                    start = 0 if along.axis is None else along.sign * index[along.axis]
                    allowed = [start + offset for offset in range(int(along.first()), int(along.last()) + 1)]
                count *= sum((a % length if along.periodic else a) == position for a in allowed)
            weights[place] = count
        total += float(term.coefficient()) * float((weights * source).sum())
    return float(np.sign(total)) if block.activation == "sign" else total


@pytest.mark.parametrize("seed", range(40))
def test_the_interpreter_equals_a_dense_evaluation(seed):
    rng = np.random.default_rng(seed)
    program = random_program(rng)
    tensors, _, _ = arranged(program, *random_inputs(program, 3, rng))
    values = evaluate(program, tensors)
    for block in program.blocks:
        for example in range(3):
            earlier = {name: value[example] for name, value in values.items()}
            sizes = tuple(int(size()) for size in block.sizes)
            expected = [unit(block, index, earlier) for index in np.ndindex(*sizes)]
            assert np.allclose(values[block.name][example].ravel(), expected)


@pytest.mark.parametrize("seed", range(150))
def test_texts_equal_the_interpreter(seed):
    rng = np.random.default_rng(seed)
    program = random_program(rng)
    inputs = random_inputs(program, 3, rng)
    expected = program(*inputs)
    vectorised, loops = function(program.source), function(program.loops)
    assert np.allclose(vectorised(*inputs), expected), program.source
    for example in range(3):
        one = [tensor[example] for tensor in inputs]
        assert np.allclose(program(*one), expected[example])
        assert np.allclose(vectorised(*one), expected[example])
        assert np.allclose(loops(*one), expected[example]), program.loops
    assert len(program.formula.splitlines()) == len(program.blocks) + 1


@pytest.mark.parametrize("seed", range(20))
def test_programs_survive_json(seed):
    program = random_program(np.random.default_rng(seed))
    assert from_data(json.loads(json.dumps(to_data(program)))) == program


def test_a_program_of_all_sizes_is_short_and_right():
    program = orientation()
    assert program.lines <= 8 and program.parametric
    assert from_data(json.loads(json.dumps(to_data(program)))) == program
    vectorised, loops = function(program.source), function(program.loops)
    for size in (3, 6, 11):
        lines = np.zeros((2 * size, size, size))
        for k in range(size):
            lines[k, :, k] = lines[size + k, k] = 1
        images = np.concatenate([lines, np.random.default_rng(size).random((20, size, size)) < 0.4])
        assert (program(images)[: 2 * size] == np.repeat([0, 1], size)).all()
        assert (vectorised(images) == program(images)).all()
        assert [loops(image) for image in images] == program(images).tolist()


def test_stencils_become_rolls():
    near = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)]
    terms = [
        Term(Polynomial.of(2), "x", (fixed(a, axis=0, periodic=True), fixed(b, axis=1, periodic=True))) for a, b in near
    ]
    at = (fixed(0, axis=0), fixed(0, axis=1))
    terms.append(Term(ONE, "x", at))
    low = Block("low", (N, N), tuple(terms), Polynomial((Fraction(-9, 2),)))
    high = Block("high", (N, N), tuple(Term(-term.coefficient, "x", term.along) for term in terms), Polynomial((7.5,)))
    y = Block("y", (N, N), (Term(ONE, "low", at), Term(ONE, "high", at)), Polynomial.of(-1), "linear")
    life = Program((Input("x", (N, N)),), (low, high, y), ("y",), "bits")
    assert life.lines <= 6
    grids = np.random.default_rng(0).random((50, 7, 7)) < 0.4
    count = sum(np.roll(grids.astype(int), shift, (1, 2)) for shift in near)
    expected = (count == 3) | (grids & (count == 2))
    for result in (life(grids), function(life.source)(grids)):
        assert (result.reshape(expected.shape) == expected).all()


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"outputs": ["nobody"]},
        {"inputs": []},
        {"blocks": [{"name": "import os", "sizes": [], "terms": [], "bias": [], "activation": "sign"}]},
        {"scale": "much"},
        {"returns": "code"},
        {"order": [0.5]},
    ],
)
def test_other_data_are_refused(change):
    with pytest.raises(ConfigError, match="must hold a program"):
        from_data(to_data(orientation()) | change)
    with pytest.raises(ConfigError):
        from_data([1, 2])


def test_wrong_inputs_are_refused():
    with pytest.raises(ConfigError, match="shape"):
        orientation()(np.zeros((2, 3, 5)))
    with pytest.raises(ConfigError, match="0 or 1"):
        orientation()(np.full((5, 5), 2))
