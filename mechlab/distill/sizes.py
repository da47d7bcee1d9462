"""Distilling networks of several sizes to one program of the size N."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from mechlab.core.errors import ConfigError
from mechlab.distill.certificate import DistillError
from mechlab.distill.distilling import distill
from mechlab.distill.fitting import interpolate, within
from mechlab.distill.isomorphism import aligned
from mechlab.distill.layers import Layer, as_layers
from mechlab.distill.polynomial import Polynomial
from mechlab.distill.program import Along, Block, Input, Program, Term
from mechlab.distill.verification import LEAST_SAMPLES, verify

LEAST_SIZES = 3


def distill_sizes(
    networks: Mapping[int, Sequence[Any]],
    input_shape: Callable[[int], Any] | None = None,
    *,
    held_out: int | None = None,
    tolerance: float = 1e-2,
    samples: int = LEAST_SAMPLES,
    rng: int = 0,
    **options: Any,
) -> Program:
    """Return one program of the size N that computes what networks of several sizes compute.

    The network of each size but one is distilled alone; the programs are matched block by block; and each of their
    integers becomes the polynomial in N of lowest degree through its values. The program is then compared with all of
    the networks, the one that was held out among them, and carries the certificate of that.

    Args:
        networks: {N: layers}, of at least 3 sizes. A polynomial of degree k takes at least k + 2 of them.
        input_shape: N -> the shape of the inputs, or a list of shapes; by default (N, N) where networks have N * N
            inputs, (N,) where they have N.
        held_out: the size that is used for validation alone; by default the largest.
        tolerance: largest relative change of a weight that may be noise.
        samples: number of inputs to compare for each size.
        rng: seed of the inputs.
        options: further arguments of `distill`.

    Raises:
        ConfigError: fewer than 3 sizes, or shapes that do not follow from the number of inputs.
        DistillError: a network has no short program, the programs of two sizes differ in structure, or the fitted
            program disagrees with a network.
    """
    layers = {int(size): as_layers(network) for size, network in sorted(networks.items())}
    if len(layers) < LEAST_SIZES:
        must = f"programs of many sizes must be distilled from at least {LEAST_SIZES} of them"
        raise ConfigError(must, got=sorted(layers), key="networks", fix="train another size")
    held_out = max(layers) if held_out is None else held_out
    if held_out not in layers:
        raise ConfigError("the size held out must be one of the networks'", got=held_out, key="held_out")
    shape = input_shape or _square_or_ring(layers)
    problem: DistillError | None = None
    for attempt in (options,) if "fan_in" in options else (options, options | {"fan_in": 0}):
        # Smallest weights of units with few inputs are no polynomials where larger sizes have too many inputs for them.
        try:
            programs = {
                size: distill(network, shape(size), tolerance=tolerance, samples=samples, rng=rng, **attempt)
                for size, network in layers.items()
                if size != held_out
            }
            return validated(fit(programs), layers, held_out, tolerance=tolerance, samples=samples, rng=rng)
        except DistillError as error:
            problem = problem or error
    assert problem is not None
    raise problem


def validated(
    program: Program,
    networks: Mapping[int, Sequence[Layer]],
    held_out: int,
    *,
    tolerance: float = 1e-2,
    samples: int = LEAST_SAMPLES,
    rng: int = 0,
) -> Program:
    """Return a program of many sizes with the certificate of its comparison with each network.

    Raises:
        DistillError: it disagrees with one of them, or a weight, length or position is not an integer at all
            sizes between, or not linear in N.
    """
    _check_integers(program, sorted(networks))
    certificate = verify(program, networks, samples=samples, rng=rng, tolerance=tolerance)
    return replace(program, certificate=replace(certificate, held_out=held_out), network=dict(networks))


def fit(programs: Mapping[int, Program]) -> Program:
    """Return the program of the size N that equals each of the programs at its size.

    Args:
        programs: {N: program}, of at least 2 sizes; the names are those of the smallest.

    Raises:
        DistillError: the programs differ in structure, or no polynomials go through their integers.
    """
    sizes = sorted(programs)
    first = programs[sizes[0]]
    alike = {sizes[0]: first}
    for size in sizes[1:]:
        program = aligned(first, programs[size], (sizes[0], size))
        if program is None:
            raise DistillError(
                f"the programs of N = {sizes[0]} and N = {size} must have the same blocks and terms",
                got=f"{_structure(first)} and {_structure(programs[size])}",
                key="networks",
                fix="leave out sizes that are too small to show the pattern, or train with less noise",
            )
        alike[size] = program
    inputs = tuple(
        Input(tensor.name, _lengths({n: p.inputs[k].shape for n, p in alike.items()}), tensor.values)
        for k, tensor in enumerate(first.inputs)
    )
    if all(length.degree == 0 for tensor in inputs for length in tensor.shape) or any(
        length.degree > 1 for tensor in inputs for length in tensor.shape
    ):
        shapes = {n: [tuple(map(str, tensor.shape)) for tensor in p.inputs] for n, p in alike.items()}
        raise DistillError("input shapes must be linear in the size N", got=shapes, key="input_shape")
    blocks = tuple(_fit_block({n: p.blocks[k] for n, p in alike.items()}) for k in range(len(first.blocks)))
    return replace(first, inputs=inputs, blocks=blocks, scale=_scale(alike), certificate=None, network=None)


def _check_integers(program: Program, sizes: Sequence[int]) -> None:
    """Refuse polynomials through values without a pattern.

    At every size in steps of the common divisor, weights, lengths and positions are integers, and biases halves of
    integers; lengths and positions are linear in N.
    """
    step = math.gcd(*(size - sizes[0] for size in sizes)) or 1
    for block in program.blocks:
        along = [part for term in block.terms for part in term.along]
        positions = [*block.sizes, *(end for part in along for end in (part.first, part.last) if end is not None)]
        weights = [*(term.coefficient for term in block.terms), block.bias * 2]
        for polynomial in (*positions, *weights):
            # A polynomial of degree k that is an integer at k + 1 successive steps is one at all.
            whole = all(polynomial(sizes[0] + step * k).denominator == 1 for k in range(polynomial.degree + 1))
            if not whole or (polynomial.degree > 1 and any(polynomial is end for end in positions)):
                must = f"weights and positions of block {block.name} must be integers, and positions linear in N"
                raise DistillError(must, got=str(polynomial), key="networks", fix="give more sizes, or larger ones")


def _fit_block(blocks: dict[int, Block]) -> Block:
    """Return the block with polynomials for its numbers, of least degrees over the common multiples of its weights.

    Units of different sizes may have been divided by different common factors, as (N, 2) is at even N. So the units of
    each size are also tried with a factor that makes one of the weights equal at all sizes.
    """
    first = next(iter(blocks.values()))
    candidates = [_with_factors(blocks, factors) for factors in _factors(blocks)]
    chosen = min(candidates, key=_complexity)
    sizes = _lengths({n: block.sizes for n, block in blocks.items()})
    terms = tuple(
        replace(term, coefficient=coefficient, along=_fit_along({n: b.terms[k].along for n, b in blocks.items()}))
        for k, (term, coefficient) in enumerate(zip(first.terms, chosen[0], strict=True))
    )
    return replace(first, sizes=sizes, terms=terms, bias=chosen[1], equal_biases=None)


def _factors(blocks: dict[int, Block]) -> Iterator[dict[int, Fraction]]:
    """Yield positive factors of the units of each size."""
    yield dict.fromkeys(blocks, Fraction(1))
    first = next(iter(blocks.values()))
    if first.activation == "linear":
        return
    for k in range(len(first.terms)):
        values = {n: abs(block.terms[k].coefficient()) for n, block in blocks.items()}
        if len(set(values.values())) > 1 and all(value.denominator == 1 and value for value in values.values()):
            common = math.lcm(*(int(value) for value in values.values()))
            yield {n: common / value for n, value in values.items()}


def _with_factors(blocks: dict[int, Block], factors: dict[int, Fraction]) -> tuple[tuple[Polynomial, ...], Polynomial]:
    """Return the polynomials of the coefficients, and of the bias."""
    count = len(next(iter(blocks.values())).terms)
    coefficients = tuple(
        interpolate({n: block.terms[k].coefficient() * factors[n] for n, block in blocks.items()}) for k in range(count)
    )
    intervals = {
        n: None if block.equal_biases is None else tuple(end * factors[n] for end in block.equal_biases)
        for n, block in blocks.items()
    }
    return coefficients, within({n: block.bias() * factors[n] for n, block in blocks.items()}, intervals)


def _complexity(fitted: tuple[tuple[Polynomial, ...], Polynomial]) -> float:
    """Return the length of the polynomials: their powers, and the bits of their coefficients."""
    every = [
        (power, abs(value))
        for polynomial in (*fitted[0], fitted[1])
        for power, value in enumerate(polynomial.coefficients)
        if value
    ]
    return sum(power + 1 + math.log2(value.numerator) + 2 * math.log2(value.denominator) for power, value in every)


def _fit_along(along: dict[int, tuple[Along, ...]]) -> tuple[Along, ...]:
    """Return the positions with polynomials for their offsets."""
    result = []
    for k, part in enumerate(next(iter(along.values()))):
        if part.places and len({parts[k].places for parts in along.values()}) > 1:
            raise DistillError(
                "wiring must follow an index to hold for all sizes", got=f"the list {part.places}", key="networks"
            )
        if part.whole or part.places:
            result.append(part)
            continue
        first, last = ({n: getattr(parts[k], name)() for n, parts in along.items()} for name in ("first", "last"))
        result.append(replace(part, first=interpolate(first), last=interpolate(last)))
    return tuple(result)


def _lengths(lengths: dict[int, tuple[Polynomial, ...]]) -> tuple[Polynomial, ...]:
    count = len(next(iter(lengths.values())))
    return tuple(interpolate({n: parts[k]() for n, parts in lengths.items()}) for k in range(count))


def _scale(programs: dict[int, Program]) -> float:
    """Return the common scale of outputs, which matters only where their values are returned."""
    scales = [program.scale for program in programs.values()]
    if next(iter(programs.values())).returns in ("class", "bits"):
        return 1.0
    if np.ptp(scales) > 1e-2 * max(map(abs, scales)):
        raise DistillError("the scale of outputs must be equal at all sizes", got=scales, key="networks")
    return float(np.mean(scales))


def _square_or_ring(layers: Mapping[int, Sequence[Layer]]) -> Callable[[int], tuple[int, ...]]:
    """Return the shape of inputs that follows from their number."""
    counts = {size: len(network[0].weight) for size, network in layers.items()}
    if all(count == size * size for size, count in counts.items()):
        return lambda size: (size, size)
    if all(count == size for size, count in counts.items()):
        return lambda size: (size,)
    must = "networks of the sizes N must have N or N * N inputs, or a given shape"
    raise ConfigError(must, got=counts, key="networks", fix="give input_shape, a function of N")


def _structure(program: Program) -> str:
    def text(term: Term) -> str:
        return f"{term.source}[{', '.join('all' if along.whole else 'part' for along in term.along)}]"

    return "; ".join(f"{block.name}: {', '.join(map(text, block.terms))}" for block in program.blocks[:8])
