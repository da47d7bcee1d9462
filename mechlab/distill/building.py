"""Building a program, a layer of the network at a time."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from mechlab.distill.block_signs import as_given, flipped
from mechlab.distill.certificate import DistillError
from mechlab.distill.describing import Source, candidates
from mechlab.distill.forming import Group
from mechlab.distill.grouping import group, kinds_of_units, least_cost
from mechlab.distill.layers import Layer
from mechlab.distill.polynomial import Polynomial
from mechlab.distill.program import Block, Input, Returns
from mechlab.distill.simplifying import Affine, simplify
from mechlab.distill.snapping import Interval, Snapping, Sums, snap, snap_outputs


@dataclass(frozen=True)
class Settings:
    """Settings of building a program; see `distill` for the arguments.

    Args:
        snapping: of weights to integers.
        longest: largest length of the program, in terms and explicit positions.
        returns: what the program returns.
        output_shape: of the output vector.
        layer_names: of the network's layers, for the blocks that they become.
    """

    snapping: Snapping
    longest: int
    returns: Returns
    output_shape: tuple[int, ...]
    layer_names: tuple[str, ...]


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


def start(inputs: tuple[Input, ...]) -> State:
    """Return a program that has inputs only."""
    sources: list[Source] = []
    count = 0
    for tensor in inputs:
        sizes = tuple(int(length()) for length in tensor.shape)
        sources.append(Source(tensor.name, sizes, tensor.values, count))
        count += sources[-1].count
    kinds: list[str] = [source.kind for source in sources for _ in range(source.count)]
    return State(sources, kinds, [], Affine(np.arange(count), np.ones(count), np.zeros(count)))


def add_hidden(state: State, layer: Layer, live: np.ndarray, settings: Settings) -> None:
    """Add the blocks of a hidden layer to the state."""
    columns = np.flatnonzero(live)
    sums = _substituted(state, layer.weight[:, columns], layer.bias[columns])
    snapped = snap(sums, state.kinds, settings.snapping)
    simple, distinct = simplify(snapped, state.kinds)
    chosen = distinct.columns
    biases = [snapped.bias[u] for u in chosen]
    groups = _groups(state, snapped.weights[:, chosen], biases, distinct.given, None, settings)
    groups = [as_given(made, distinct.given, state.sources) for made in groups]
    variables, signs = np.zeros(len(chosen), int), np.ones(len(chosen), int)
    for made in _add(state, groups, [snapped.equal_biases[u] for u in chosen], "sign", settings):
        variables[list(made[0].units)], signs[list(made[0].units)] = made[1], made[0].signs
    state.origin.append((snapped.weights[:, chosen], variables))
    own = np.flatnonzero(distinct.number >= 0)
    number = distinct.number[own]
    units = Affine(np.zeros(len(live), int), np.zeros(len(live)), np.zeros(len(live)))
    units.variable[columns] = simple.variable
    units.factor[columns], units.constant[columns] = simple.factor, simple.constant
    units.variable[columns[own]] = variables[number]
    units.factor[columns[own]] = distinct.sign[own] * distinct.sign[chosen[number]] * signs[number]
    state.units = units
    state.layers.append(units)


def add_outputs(state: State, layer: Layer, settings: Settings) -> tuple[tuple[str, ...], tuple[int, ...], float]:
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
    if len(groups) <= kinds_of_units(weights, biases, signed) and not listed:
        return groups
    turned = candidates(weights, biases, state.sources, signed, periodic=True)
    both = [plain | other for plain, other in zip(described, turned, strict=True)]
    other = group(both, state.sources, given, positions)
    return min(groups, other, key=lambda groups: sum(made.cost for made in groups))


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
    layer_name = settings.layer_names[-1 if activation == "linear" else len(state.origin)]
    for found, name in zip(groups, _names(state, len(groups), layer_name), strict=True):
        equal = [intervals[u] for u in found.units]
        equal_biases = flipped(equal[0], found.signs[0]) if equal and equal[0] is not None else None
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


def _names(state: State, count: int, name: str) -> list[str]:
    """Return names for a layer's blocks: that of the layer, numbered if there are several."""
    taken = {source.name.rstrip(string.digits) for source in state.sources}
    while name in taken:
        name += "_"
    return [name] if count == 1 else [f"{name}{k + 1}" for k in range(count)]


def _existing(made: Group) -> np.ndarray | None:
    if made.where == "all":
        return None
    first, second = np.arange(made.sizes[0])[:, None], np.arange(made.sizes[1])
    exists = first < second if made.where == "less" else first != second
    return np.broadcast_to(exists.reshape(*exists.shape, *[1] * (len(made.sizes) - 2)), made.sizes)


def used(state: State) -> list[np.ndarray]:
    """Return, for each hidden layer, which units are constants or stand for a variable that the outputs depend on."""
    needed = np.zeros(len(state.kinds), bool)
    result: list[np.ndarray] = []
    for k, (integers, variables) in reversed(list(enumerate(state.origin))):
        used = integers if k == len(state.layers) else integers[:, needed[variables]]
        needed[: len(integers)] |= used.any(1)
    for units in state.layers:
        result.append((units.factor == 0) | needed[units.variable])
    return result
