"""From a network of threshold units to a program: snap, simplify, describe, group, verify."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np

from mechlab.core.errors import ConfigError
from mechlab.distill.block_signs import positive
from mechlab.distill.building import Settings, add_hidden, add_outputs, start, used
from mechlab.distill.certificate import DistillError
from mechlab.distill.layers import Layer, as_layers
from mechlab.distill.polynomial import Polynomial
from mechlab.distill.program import Input, Program, Returns, Values
from mechlab.distill.program_data import NAME, RESERVED
from mechlab.distill.snapping import NoIntegersError, Snapping
from mechlab.distill.verification import verify

Shape = Sequence[int]
HIDDEN = "dstuvw"  # names of hidden layers


def distill(
    layers: Sequence[Any],
    input_shape: Shape | Sequence[Shape],
    *,
    values: Values = "bits",
    returns: Returns = "class",
    names: Sequence[str] = ("x",),
    layer_names: Sequence[str] | None = None,
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
        layers: from the inputs to the outputs, each an array (n_in + 1, n_out) with the biases in the last row, or a
            pair (weight (n_in, n_out), bias (n_out,)). Sign follows all but the last; see `as_layers`.
        input_shape: shape of the input tensor, or one for each of several, which make up the network's flat input.
        values: of the inputs: "bits" (0, 1), "signs" (-1, 1), "integers" or "reals".
        returns: what the program returns: "class" (the index of the largest output), "scores" (the outputs),
            "probabilities" (their softmax) or "bits" (outputs > 0).
        names: of the input tensors, as the program's arguments.
        layer_names: of the layers, for the blocks that they become; by default d, s, t, ..., and y for the outputs.
        output_shape: of the output vector; by default that of the input tensor where it has as many elements.
        tolerance: largest relative change of a weight that is snapped to a multiple of a small integer.
        fan_in: units with at most this many inputs of two values get the smallest integer weights with the same signs.
        longest: largest length of the program, in terms and explicit positions.
        rng: seed of the inputs on which the program is verified.
        samples: number of these inputs, where there are too many to try all.

    Raises:
        ConfigError: the layers do not fit the shapes, or an option is unknown.
        DistillError: the weights have no short description, or the program disagrees with the network.

    Source: the question is that of Blazek, Venkatesh and Lin (2024), arXiv 2111.08275; the method is our own.
    """
    for key, value, allowed in (("values", values, get_args(Values)), ("returns", returns, get_args(Returns))):
        if value not in allowed:
            raise ConfigError(f"{key} must be one of {', '.join(allowed)}", got=repr(value), key=key)
    shapes = _shapes(input_shape)
    if len(names) != len(shapes):
        names = [f"x{k + 1}" for k in range(len(shapes))] if len(names) == 1 else names
    if len(names) != len(shapes) or len(set(names)) != len(names):
        raise ConfigError("each input tensor must have its own name", got=f"{list(names)}", key="names")
    network = as_layers(layers, int(sum(np.prod(shape, dtype=int) for shape in shapes)))
    inputs = tuple(
        Input(name, tuple(map(Polynomial.of, shape)), values) for name, shape in zip(names, shapes, strict=True)
    )
    layered = _layer_names(layer_names, len(network), names)
    shape = _output_shape(output_shape, network[-1].bias.size, shapes)
    problem: DistillError | None = None
    tried: list[Program] = []
    for first in Snapping(tolerance, 0.0, fan_in).stages:
        settings = Settings(Snapping(tolerance, first, fan_in), longest, returns, shape, layered)
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


def _layer_names(given: Sequence[str] | None, count: int, inputs: Sequence[str]) -> tuple[str, ...]:
    """Return a name for each layer, and raise ConfigError if one cannot be a block's."""
    if given is None:
        return (*(HIDDEN[k % len(HIDDEN)] for k in range(count - 1)), "y")
    wrong = [name for name in given if not NAME.fullmatch(name) or name in RESERVED or name in inputs]
    if len(given) != count or wrong:
        must = f"each of the {count} layers must have a name of small letters that is not used otherwise"
        raise ConfigError(must, got=list(given), key="layer_names", fix="such as differentia, subconcept, concept")
    return tuple(given)


def _program(network: Sequence[Layer], inputs: tuple[Input, ...], settings: Settings) -> Program:
    alive = _alive(network)
    while True:
        state = start(inputs)
        for layer, live in zip(network[:-1], alive, strict=True):
            add_hidden(state, layer, live, settings)
        outputs, order, scale = add_outputs(state, network[-1], settings)
        effective = used(state)
        fewer = [live & units for live, units in zip(alive, effective, strict=True)]
        if all((a == b).all() for a, b in zip(alive, fewer, strict=True)):
            break
        alive = fewer
    blocks = positive(state.blocks, {tensor.name for tensor in inputs})
    return Program(inputs, blocks, outputs, settings.returns, order, scale)


def _alive(network: Sequence[Layer]) -> list[np.ndarray]:
    """Return, for each hidden layer, which units have an effect."""
    alive: list[np.ndarray] = []
    after = np.ones(len(network[-1].bias), bool)
    for layer in reversed(network[1:]):
        after = layer.weight[:, after].any(1)
        alive.insert(0, after)
    return alive


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
