from dataclasses import replace
from fractions import Fraction

import numpy as np
import planted_layers
import planted_programs as planted
import pytest
from planted_programs import WHOLE, N, at, disturbed, term

from mechlab.core.errors import ConfigError
from mechlab.distill import distill_sizes
from mechlab.distill.certificate import DistillError
from mechlab.distill.fitting import interpolate, within
from mechlab.distill.isomorphism import aligned
from mechlab.distill.polynomial import Polynomial
from mechlab.distill.program import Block, Input, Program
from mechlab.distill.sizes import fit, validated


def test_interpolation_has_the_lowest_degree():
    for polynomial in (Polynomial.of(3), N - N * N, Polynomial((0, Fraction(1, 2))), N * N * N - 2 * N):
        values = {size: polynomial(size) for size in (3, 5, 6, 9, 11)}
        assert interpolate(values) == polynomial
    assert interpolate({4: 1, 5: 0, 7: 5}).degree == 2


def test_biases_are_any_inside_their_intervals():
    # A majority of N bits: a tie at even N, anything between the two middle counts at odd N.
    values = {n: Fraction(-n, 2) for n in (5, 6, 7, 8)}
    intervals = {n: (Fraction(-n - 1, 2), Fraction(1 - n, 2)) if n % 2 else None for n in values}
    assert within(values, intervals) == Polynomial((0, Fraction(-1, 2)))
    # Midpoints of unequal intervals lie on no line, but a line goes through the intervals.
    values = {4: Fraction(-9, 2), 6: Fraction(-13, 2), 9: Fraction(-11)}
    intervals = {4: (Fraction(-5), Fraction(-4)), 6: (Fraction(-7), Fraction(-6)), 9: (Fraction(-14), Fraction(-8))}
    line = within(values, intervals)
    assert line.degree == 1 and all(intervals[n][0] < line(n) < intervals[n][1] for n in values)
    assert within(dict.fromkeys((3, 4), Fraction(-5, 2)), {3: (-3, -2), 4: (-3, -2)}) == Polynomial.of(Fraction(-5, 2))


def rewritten(program, rng):
    """The same program with other names, order of terms, of index axes, and signs of its first block's units."""
    d, *rest = program.blocks
    flipped = replace(
        d,
        name="u",
        terms=tuple(
            replace(
                part,
                coefficient=-part.coefficient,
                along=tuple(a if a.axis is None else replace(a, axis=1 - a.axis) for a in part.along),
            )
            for part in d.terms[::-1]
        ),
    )
    blocks = [flipped]
    for k, block in enumerate(rest):
        terms = [
            replace(part, source="u", coefficient=-part.coefficient, along=part.along[::-1])
            if part.source == "d"
            else replace(part, source={"columns": "p", "rows": "q"}[part.source])
            for part in block.terms
        ]
        order = rng.permutation(len(terms))
        blocks.append(replace(block, name="pqyz"[k], terms=tuple(terms[m] for m in order)))
    blocks = [blocks[0], blocks[2], blocks[1], *blocks[3:]]
    return replace(program, blocks=tuple(blocks), outputs=("y", "z"))


def test_programs_are_aligned_whatever_their_names_order_axes_and_signs():
    rng = np.random.default_rng(0)
    first, second = planted.orientation(6), planted.orientation(9)
    other = rewritten(second, rng)
    x = rng.integers(0, 2, (200, 9, 9))
    assert np.array_equal(other(x), second(x))  # the same program indeed
    assert aligned(first, other, (6, 9)) == second
    assert aligned(first, planted.ring(9), (6, 9)) is None


@pytest.mark.parametrize("planted_program", [planted.orientation, planted.ring])
def test_polynomials_are_recovered_from_programs_of_single_sizes(planted_program):
    assert fit({n: planted_program(n) for n in (6, 8, 9)}) == planted_program()


def test_common_factors_of_single_sizes_are_undone():
    """sign(N x - 2 y) is sign(N/2 x - y) in smallest integers at even N."""

    def program(n, a, b):
        unit = Block("m", (), (term(a, "x", at(None, 0)), term(b, "x", WHOLE)))
        return Program(
            (Input("x", (Polynomial.of(n),)),), (unit, Block("y", (), (term(1, "m"),), activation="linear")), ("y",)
        )

    reduced = {6: program(6, 3, -1), 7: program(7, 7, -2), 8: program(8, 4, -1), 9: program(9, 9, -2)}
    assert fit(reduced) == program(N, N, -2)


def test_networks_of_several_sizes_give_one_program():
    rng = np.random.default_rng(1)
    program = distill_sizes({n: disturbed(planted.orientation_layers(n), rng) for n in (3, 5, 6, 7)})
    assert program.status == "proved" and program.certificate.held_out == 7
    assert program.certificate.sizes == (3, 5, 6, 7) and program.lines <= 12 and program.parametric
    networks = {n: disturbed(planted.ring_layers(n), rng, 1e-3) for n in (6, 7, 9, 10)}
    ring = distill_sizes(networks, returns="bits", held_out=7)
    assert ring.status == "lossless" and ring.certificate.held_out == 7
    x = rng.integers(0, 2, (3, 200))
    assert np.array_equal(ring(x), planted.rule_110(x))


@pytest.mark.parametrize("noise", [0.0, 1e-3])
def test_pairs_of_inputs_are_compared_at_all_sizes(noise):
    rng = np.random.default_rng(3)
    program = distill_sizes({n: disturbed(planted_layers.argmax(n), rng, noise) for n in (4, 5, 6, 7)})
    x = np.eye(40)
    assert np.array_equal(program(x), np.arange(40))
    assert program.blocks[0].where == "less" and (program.status == "lossless") == (noise == 0)


def test_weights_that_grow_with_the_size_are_not_replaced_by_smaller_ones_at_small_sizes():
    """At 8 and 10 literals the unit has a smaller equal, which no polynomial joins with the weights at 12."""
    rng = np.random.default_rng(4)
    networks = {n: disturbed(planted_layers.maxsat(5, n), rng) for n in (8, 10, 12, 13)}
    program = distill_sizes(networks, lambda n: (5, n))
    coefficients = {part.coefficient for block in program.blocks for part in block.terms}
    assert program.status == "proved" and {N - 1, -N - 1} <= coefficients


def mann_whitney(x):
    """The decision of the orientation network in closed form: the sum over all pairs of sign(column sum - row sum), and
    near 0 the votes of the single columns and rows."""
    n = x.shape[-1]
    columns, rows = x.sum(-2), x.sum(-1)
    d = np.sign(columns[:, :, None] - rows[:, None, :])
    total = d.sum((1, 2))[:, None]
    for_columns = np.sign(n * d.sum(2) - (n - 1) * total - n * (n - 1)).sum(1)
    for_rows = np.sign(-n * d.sum(1) + (n - 1) * total - n * (n - 1)).sum(1)
    return for_columns < for_rows


@pytest.mark.ci
def test_orientation_holds_at_sizes_that_no_network_had():
    rng = np.random.default_rng(2)
    program = distill_sizes({n: disturbed(planted.orientation_layers(n), rng) for n in (6, 8, 9, 11)})
    for n, count in ((6, 500), (8, 500), (9, 500), (11, 500), (28, 3000), (57, 3000)):
        x = (rng.random((count, n, n)) < rng.random((count, 1, 1))).astype(int)
        assert np.array_equal(program(x), mann_whitney(x))
    shifted = replace(
        program, blocks=(*program.blocks[:1], replace(program.blocks[1], bias=-N * N), *program.blocks[2:])
    )
    assert not np.array_equal(shifted(x), mann_whitney(x))  # the edge cases are among the images


def test_a_wrong_polynomial_is_refused_at_the_size_held_out():
    networks = {n: planted.orientation_layers(n) for n in (4, 5, 6)}
    right = planted.orientation()
    assert validated(right, networks, 6).status == "proved"
    vanishing = (N - 4) * (N - 5)  # zero at the sizes that were fitted
    first = right.blocks[1]
    wrong = replace(right, blocks=(right.blocks[0], replace(first, bias=first.bias + vanishing), *right.blocks[2:]))
    with pytest.raises(DistillError, match="N = 6"):
        validated(wrong, networks, 6)


def test_polynomials_without_a_pattern_are_refused():
    """Integers at 6, 8, 9 and 11, and not between them."""
    networks = {n: planted.orientation_layers(n) for n in (6, 8, 9, 11)}
    right = planted.orientation()
    strange = (N - 6) * (N - 8) * (N - 9) * (N - 11) * Fraction(1, 12)
    first = right.blocks[1]
    wrong = replace(right, blocks=(right.blocks[0], replace(first, bias=first.bias + strange), *right.blocks[2:]))
    with pytest.raises(DistillError, match="integers"):
        validated(wrong, networks, 11)


def test_networks_of_separators_with_the_largest_margin_leave_out_one_line():
    """A sum over all lines but a unit's own is one pattern at all sizes, however it was written at a small one."""
    networks = {}
    for n in (5, 6, 8, 9):
        own = np.kron(np.eye(n), np.ones((n, 1)))  # (n * n, n)
        d, s, c = planted.orientation_layers(n)
        s[:-1, :n], s[-1] = 1 - own, 0
        networks[n] = [d, s, c]
    program = distill_sizes(networks)
    x = (np.random.default_rng(6).random((50, 28, 28)) < 0.3).astype(int)
    d = np.sign(x.sum(1)[:, :, None] - x.sum(2)[:, None, :])
    total = d.sum((1, 2))[:, None]
    rows = np.sign(27 * total - 28 * d.sum(1)).sum(1)
    columns = np.sign(total - d.sum(2)).sum(1)
    assert np.array_equal(program(x), columns < rows)


def test_degrees_that_the_sizes_do_not_determine_are_refused():
    with pytest.raises(DistillError, match="N = 8"):  # N - N^2 through two sizes
        distill_sizes({n: planted.orientation_layers(n) for n in (5, 6, 8)})
    with pytest.raises(ConfigError, match="at least 3"):
        distill_sizes({n: planted.ring_layers(n) for n in (5, 7)}, returns="bits")


def test_different_structures_and_unknown_shapes_are_refused():
    with pytest.raises(DistillError, match="same blocks"):
        fit({6: planted.orientation(6), 36: planted.ring(36)})
    networks = {n: planted.ring_layers(n + 1) for n in (5, 6, 7)}
    with pytest.raises(ConfigError, match="shape"):
        distill_sizes(networks, returns="bits")
    assert distill_sizes(networks, lambda n: (n + 1,), returns="bits").status == "lossless"


def test_sizes_without_integer_positions_are_refused():
    half = Polynomial((0, Fraction(1, 2)))
    first = Block("m", (), (term(1, "x", at(None, 0, to=half - 1)), term(-1, "x", at(None, half, to=N - 1))))
    output = Block("y", (), (term(1, "m"),), activation="linear")
    program = Program((Input("x", (N,)),), (first, output), ("y",), "bits")
    assert fit({n: replace_size(program, n) for n in (4, 6, 8)}) == program
    assert program([1, 1, 0, 0]) == 1
    with pytest.raises(ConfigError, match="integer"):
        program([1, 1, 0, 0, 0])
    with pytest.raises(DistillError, match="integers"):
        validated(program, {6: [np.ones((7, 1)), np.ones((2, 1))], 7: [np.ones((8, 1)), np.ones((2, 1))]}, 7)


def replace_size(program, n):
    """The program of one size."""

    def at_size(value):
        return value if value is None else Polynomial.of(value(n))

    def terms(block):
        return tuple(
            replace(
                part,
                coefficient=at_size(part.coefficient),
                along=tuple(replace(a, first=at_size(a.first), last=at_size(a.last)) for a in part.along),
            )
            for part in block.terms
        )

    inputs = tuple(replace(tensor, shape=tuple(map(at_size, tensor.shape))) for tensor in program.inputs)
    blocks = tuple(
        replace(block, sizes=tuple(map(at_size, block.sizes)), bias=at_size(block.bias), terms=terms(block))
        for block in program.blocks
    )
    return replace(program, inputs=inputs, blocks=blocks)
