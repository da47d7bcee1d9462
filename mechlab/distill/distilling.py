"""From a network of threshold units to a program: snap, simplify, describe, group, verify."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np

from mechlab.core.errors import ConfigError
from mechlab.distill.certificate import DistillError
from mechlab.distill.describing import Source, candidates
from mechlab.distill.grouping import Group, group, least_cost
from mechlab.distill.layers import Layer, as_layers
from mechlab.distill.polynomial import Polynomial
from mechlab.distill.program import Block, Input, Program, Returns, Term, Values
from mechlab.distill.simplifying import Affine, simplify
from mechlab.distill.snapping import Interval, NoIntegersError, Snapping, Sums, snap, snap_outputs
from mechlab.distill.verification import verify

Shape = Sequence[int]


@dataclass(frozen=True)
class Settings:
    """What `distill` was asked for, as far as its steps need it."""

    snapping: Snapping
    longest: int
    returns: Returns
    output_shape: tuple[int, ...]


@dataclass
class State:
    """A program under construction.

    Args:
        sources: inputs and blocks so far, whose values are the variables.
        kinds: values of each variable.
        blocks: so far.
        units: the latest layer's units as functions of variables.
        layers: the same for all hidden layers so far.
        origin: for each layer, weights (V, U) of its distinct units, and the variables they became.
        cost: length of the program so far.
    """

    sources: list[Source]
    kinds: list[str]
    blocks: list[Block]
    units: Affine
    layers: list[Affine] = field(default_factory=list)
    origin: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    cost: float = 0.0


def distill(
    layers: Sequence[Any],
    input_shape: Shape | Sequence[Shape],
    *,
    values: Values = "bits",
    returns: Returns = "class",
    names: Sequence[str] = ("x",),
    output_shape: Shape | None = None,
    tolerance: float = 1e-2,
    fan_in: int = 10,
    longest: int = 4000,
    rng: Any = 0,
    samples: int = 3000,
) -> Program:
    """Return a verified program that computes what a network of threshold units computes.

    The program does not depend on the order of the units in a layer nor on their positive scales.

    Args:
        layers: see `as_layers`; sign after all but the last.
        input_shape: shape of the input tensor, or one for each of several, which make up the network's flat input.
        values: of the inputs.
        returns: what the program returns.
        names: of the input tensors.
        output_shape: of the output vector; by default that of the input tensor where it has as many elements.
        tolerance: largest relative change of a weight that is snapped to a multiple of a small integer.
        fan_in: units with at most so many inputs of two values get the smallest integer weights with the same signs.
        longest: largest length of the program, in terms and explicit positions.
        rng: seed of the inputs on which the program is verified.
        samples: number of these inputs, where not all are tried.

    Raises:
        ConfigError: the layers do not fit the shapes.
        DistillError: the weights have no short description, or the program disagrees with the network.
    """
    shapes = _shapes(input_shape)
    if len(names) != len(shapes):
        names = [f"x{k + 1}" for k in range(len(shapes))] if len(names) == 1 else names
    if len(names) != len(shapes) or len(set(names)) != len(names):
        raise ConfigError("each input tensor must have its own name", got=f"{list(names)}", key="names")
    network = as_layers(layers, int(sum(np.prod(shape, dtype=int) for shape in shapes)))
    inputs = tuple(
        Input(name, tuple(map(Polynomial.of, shape)), values) for name, shape in zip(names, shapes, strict=True)
    )
    shape = _output_shape(output_shape, network[-1].bias.size, shapes)
    problem: DistillError | None = None
    tried: list[Program] = []
    for first in Snapping(tolerance, 0.0, fan_in).stages:
        settings = Settings(Snapping(tolerance, first, fan_in), longest, returns, shape)
        try:
            program = _program(network, inputs, settings)
            if program not in tried:
                tried.append(program)
                certificate = verify(program, network, samples=samples, rng=rng, tolerance=tolerance)
                return replace(program, certificate=certificate, network={0: network})
        except NoIntegersError:
            raise
        except DistillError as error:
            problem = problem or error
    assert problem is not None
    raise problem


def _program(network: Sequence[Layer], inputs: tuple[Input, ...], settings: Settings) -> Program:
    alive = _alive(network)
    while True:
        state = _start(inputs)
        for layer, live in zip(network[:-1], alive, strict=True):
            _hidden(state, layer, live, settings)
        outputs, order, scale = _outputs(state, network[-1], settings)
        used = _used(state)
        fewer = [live & units for live, units in zip(alive, used, strict=True)]
        if all((a == b).all() for a, b in zip(alive, fewer, strict=True)):
            break
        alive = fewer
    blocks = _positive(state.blocks, {tensor.name for tensor in inputs})
    return Program(inputs, blocks, outputs, settings.returns, order, scale)


def _start(inputs: tuple[Input, ...]) -> State:
    sources: list[Source] = []
    start = 0
    for tensor in inputs:
        sizes = tuple(int(length()) for length in tensor.shape)
        sources.append(Source(tensor.name, sizes, tensor.values, start))
        start += sources[-1].count
    kinds: list[str] = [source.kind for source in sources for _ in range(source.count)]
    return State(sources, kinds, [], Affine(np.arange(start), np.ones(start), np.zeros(start)))


def _hidden(state: State, layer: Layer, live: np.ndarray, settings: Settings) -> None:
    """Add the blocks of a hidden layer to the state."""
    columns = np.flatnonzero(live)
    sums = _substituted(state, layer.weight[:, columns], layer.bias[columns])
    snapped = snap(sums, state.kinds, settings.snapping)
    simple, distinct = simplify(snapped, state.kinds)
    chosen = distinct.columns
    biases = [snapped.bias[u] for u in chosen]
    groups = _groups(state, snapped.weights[:, chosen], biases, distinct.given, None, settings)
    groups = [_signed(made, distinct.given, state) for made in groups]
    variables, signs = np.zeros(len(chosen), int), np.ones(len(chosen), int)
    for made in _add(state, groups, [snapped.equal_biases[u] for u in chosen], "sign", settings):
        variables[list(made[0].units)], signs[list(made[0].units)] = made[1], made[0].signs
    state.origin.append((snapped.weights[:, chosen], variables))
    own = np.flatnonzero(distinct.number >= 0)
    number = distinct.number[own]
    units = Affine(np.zeros(len(live), int), np.zeros(len(live)), np.zeros(len(live)))
    units.constant[columns], units.factor[columns], units.variable[columns] = (
        simple.constant,
        simple.factor,
        simple.variable,
    )
    units.variable[columns[own]] = variables[number]
    units.factor[columns[own]] = distinct.sign[own] * distinct.sign[chosen[number]] * signs[number]
    state.units = units
    state.layers.append(units)


def _outputs(state: State, layer: Layer, settings: Settings) -> tuple[tuple[str, ...], tuple[int, ...], float]:
    """Add the blocks of the outputs; return their names, the order of the outputs in them, and their scale."""
    sums = _substituted(state, layer.weight, layer.bias)
    if settings.returns == "bits":
        snapped = snap(sums, state.kinds, settings.snapping, ties=False)
    else:
        snapped = snap_outputs(sums, settings.snapping)
    state.origin.append((snapped.weights, np.arange(0)))
    positions = np.stack(np.unravel_index(np.arange(len(layer.bias)), settings.output_shape), 1)
    groups = _groups(state, snapped.weights, snapped.bias, np.zeros(len(layer.bias), int), positions, settings)
    groups.sort(key=lambda made: min(made.units))
    order, before, names = np.zeros(len(layer.bias), int), len(state.kinds), []
    for made, places in _add(state, groups, snapped.equal_biases, "linear", settings):
        order[list(made.units)] = places - before
        names.append(state.blocks[len(state.blocks) - len(groups) + len(names)].name)
    return tuple(names), () if (order == np.arange(len(order))).all() else tuple(map(int, order)), snapped.scale


def _groups(
    state: State,
    weights: np.ndarray,
    biases: list[Fraction],
    given: np.ndarray,
    positions: np.ndarray | None,
    settings: Settings,
) -> list[Group]:
    """Return the groups of a layer's units; with positions on rings only where this is shorter."""
    signed = positions is not None
    described = candidates(weights, biases, state.sources, signed, periodic=False)
    _limit(state.cost + least_cost(described), state, settings)
    groups = group(described, state.sources, given, positions)
    listed = any(along.places for made in groups for term in made.terms for along in term.along)
    if len(groups) <= _kinds_of_units(weights, biases, signed) and not listed:
        return groups
    turned = candidates(weights, biases, state.sources, signed, periodic=True)
    both = [plain | other for plain, other in zip(described, turned, strict=True)]
    other = group(both, state.sources, given, positions)
    return min(groups, other, key=lambda groups: sum(made.cost for made in groups))


def _kinds_of_units(weights: np.ndarray, biases: list[Fraction], signed: bool) -> int:
    """Return the number of different sets of weights, with bias: no program has fewer blocks in this layer."""
    up, down = np.sort(weights, axis=0).T, np.sort(-weights, axis=0).T
    keys = {(row.tobytes(), bias) for row, bias in zip(up, biases, strict=True)}
    if signed:
        return len(keys)
    pairs = zip(up, down, biases, strict=True)
    return len({min((row.tobytes(), bias), (negative.tobytes(), -bias)) for row, negative, bias in pairs})


def _substituted(state: State, weight: np.ndarray, bias: np.ndarray) -> Sums:
    """Return a layer's weights, given on the latest layer's units, as weights on variables."""
    units = state.units
    weights, size = np.zeros((2, len(state.kinds), weight.shape[1]))
    used = np.flatnonzero(units.factor)
    scaled = units.factor[used, None] * weight[used]
    np.add.at(weights, units.variable[used], scaled)
    np.add.at(size, units.variable[used], np.abs(scaled))
    bias_size = np.abs(bias) + np.abs(units.constant) @ np.abs(weight)
    return Sums(weights, bias + units.constant @ weight, size, bias_size)


def _add(
    state: State, groups: list[Group], intervals: Sequence[Interval], activation: str, settings: Settings
) -> list[tuple[Group, np.ndarray]]:
    """Add blocks for groups; return each group with the numbers of its units' variables."""
    state.cost += sum(made.cost for made in groups)
    _limit(state.cost, state, settings)
    if activation == "sign":
        groups = sorted(groups, key=lambda made: _structure(made, state.sources))
    made = []
    for found, name in zip(groups, _names(state, len(groups), activation), strict=True):
        equal = [intervals[u] for u in found.units]
        equal_biases = _flipped(equal[0], found.signs[0]) if equal and equal[0] is not None else None
        kind = "ternary" if None in equal else "signs"
        sizes = tuple(map(Polynomial.of, found.sizes))
        block = Block(name, sizes, found.terms, Polynomial.of(found.bias), activation, found.where, equal_biases)
        exists = _existing(found)
        places = len(state.kinds) + np.flatnonzero(np.ones(found.sizes, bool) if exists is None else exists)
        source = Source(name, found.sizes, kind, len(state.kinds), exists)
        state.blocks.append(block)
        state.sources.append(source)
        state.kinds.extend([kind] * source.count)
        made.append((found, places))
    return made


def _limit(cost: float, state: State, settings: Settings) -> None:
    if cost > settings.longest:
        raise DistillError(
            f"the program must have at most {settings.longest} terms and explicit positions",
            got=f"more in layer {len(state.origin) + 1}: its weights have little structure",
            fix="a larger value of longest, or a network with repeated weights",
        )


def _structure(made: Group, sources: Sequence[Source]) -> tuple:
    """Return a key by which the blocks of a layer are ordered."""
    numbers = {source.name: k for k, source in enumerate(sources)}
    terms = [(numbers[term.source], term.coefficient() < 0, repr(term.along)) for term in made.terms]
    coefficients = [term.coefficient() for term in made.terms]
    return -len(made.sizes), made.where, [term[:2] for term in terms], terms, made.bias, coefficients


def _names(state: State, count: int, activation: str) -> list[str]:
    """Return names for a layer's blocks: y for outputs, d, s, ... for hidden layers, numbered if there are several."""
    taken = {source.name for source in state.sources}
    hidden = "dstuvwabcefghijklmnopqr"
    letter = "y" if activation == "linear" else hidden[len(state.origin) % len(hidden)]
    while any(name.rstrip(string.digits) == letter for name in taken):
        letter += "_"
    return [letter] if count == 1 else [f"{letter}{k + 1}" for k in range(count)]


def _existing(made: Group) -> np.ndarray | None:
    if made.where == "all":
        return None
    first, second = np.arange(made.sizes[0])[:, None], np.arange(made.sizes[1])
    exists = first < second if made.where == "less" else first != second
    return np.broadcast_to(exists.reshape(*exists.shape, *[1] * (len(made.sizes) - 2)), made.sizes)


def _signed(made: Group, given: np.ndarray, state: State) -> Group:
    """Return a group with a readable sign: sums of bits exceed a threshold; others have the sign that most of the units
    have in the network."""
    bits = {source.name for source in state.sources if source.kind == "bits"}
    if made.bias and all(term.source in bits for term in made.terms):
        return made if made.bias < 0 else made.negated()
    votes = sum(int(given[unit]) * sign for unit, sign in zip(made.units, made.signs, strict=True))
    return made.negated() if votes < 0 and not made.symmetric else made


def _positive(blocks: Sequence[Block], inputs: set[str]) -> tuple[Block, ...]:
    """Return blocks with those negated that are only subtracted; blocks that read inputs stay as they are."""
    made = list(blocks)
    for k, block in reversed(list(enumerate(made))):
        reads = [term.coefficient() for later in made[k + 1 :] for term in later.terms if term.source == block.name]
        if block.activation != "sign" or any(term.source in inputs for term in block.terms) or max(reads) > 0:
            continue
        made[k] = replace(
            block, terms=_negated(block.terms), bias=-block.bias, equal_biases=_flipped(block.equal_biases, -1)
        )
        made[k + 1 :] = [replace(later, terms=_negated(later.terms, block.name)) for later in made[k + 1 :]]
    return tuple(made)


def _negated(terms: tuple[Term, ...], source: str | None = None) -> tuple[Term, ...]:
    """Return terms with those of a source negated; by default, all."""
    return tuple(
        replace(term, coefficient=-term.coefficient) if source in (None, term.source) else term for term in terms
    )


def _flipped(interval: Interval, sign: int) -> Interval:
    return interval if sign > 0 or interval is None else (-interval[1], -interval[0])


def _alive(network: Sequence[Layer]) -> list[np.ndarray]:
    """Return, for each hidden layer, which units have an effect."""
    alive: list[np.ndarray] = []
    after = np.ones(len(network[-1].bias), bool)
    for layer in reversed(network[1:]):
        after = layer.weight[:, after].any(1)
        alive.insert(0, after)
    return alive


def _used(state: State) -> list[np.ndarray]:
    """Return, for each hidden layer, which units are constants or stand for a variable that the outputs depend on."""
    needed = np.zeros(len(state.kinds), bool)
    result: list[np.ndarray] = []
    for k, (integers, variables) in reversed(list(enumerate(state.origin))):
        used = integers if k == len(state.layers) else integers[:, needed[variables]]
        needed[: len(integers)] |= used.any(1)
    for units in state.layers:
        result.append((units.factor == 0) | needed[units.variable])
    return result


def _shapes(input_shape: Shape | Sequence[Shape]) -> list[tuple[int, ...]]:
    """Return the shapes of the input tensors."""
    one = np.isscalar(input_shape) or np.ndim(input_shape[0]) == 0
    several = [input_shape] if one else input_shape
    return [tuple(map(int, np.atleast_1d(shape))) for shape in several]


def _output_shape(given: Shape | None, count: int, shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    if given is not None:
        if int(np.prod(given, dtype=int)) != count:
            raise ConfigError(f"output_shape must have {count} elements", got=tuple(given), key="output_shape")
        return tuple(given)
    return next((shape for shape in shapes if np.prod(shape, dtype=int) == count), (count,))
