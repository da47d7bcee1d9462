"""Programs of Boolean circuits and of one step of an automaton, of which networks with known weights are compiled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mechlab.distill.known_programs import at, block, term
from mechlab.distill.polynomial import Polynomial
from mechlab.distill.program import WHOLE, Along, Block, Input, Program

Literal = tuple[int, str, tuple[Along, ...]]  # weight, source, place in it: of a bit of an input, or of a unit
BITS = ("x", "a", "b")  # names of inputs; all else is a sign


def random_circuit(inputs: int, widths: Sequence[int], fan_in: int, rng: np.random.Generator) -> Program:
    """Return a random circuit of conjunctions and disjunctions of values or their negations, one block for each gate.

    Args:
        inputs: number of bits that it reads, at least `fan_in`.
        widths: number of gates of each layer; those of the last are the outputs.
        fan_in: number of values that a gate reads: one of the layer before, the others of any earlier ones.
        rng: of the gates.
    """
    values: list[tuple[str, tuple[Along, ...]]] = [("x", (at(k),)) for k in range(inputs)]
    layers: list[list[Block]] = []
    for depth, width in enumerate(widths):
        before = inputs if depth == 0 else widths[depth - 1]
        layers.append([])
        for unit in range(width):
            first = len(values) - 1 - int(rng.integers(before))
            others = rng.choice(np.delete(np.arange(len(values)), first), fan_in - 1, replace=False)
            signs = rng.choice([-1, 1], fan_in).tolist()
            read = [(sign, *values[k]) for sign, k in zip(signs, [first, *others], strict=True)]
            least = signs.count(1) if rng.random() < 0.5 else 1 - signs.count(-1)
            layers[-1].append(_at_least(least, f"g{depth}_{unit}", read, output=depth == len(widths) - 1))
        values += [(gate.name, ()) for gate in layers[-1]]
    outputs = tuple(gate.name for gate in layers[-1])
    return Program((_bits("x", inputs),), tuple(gate for layer in layers for gate in layer), outputs, "bits")


def adder(bits: int) -> Program:
    """Return the sum of two numbers a, b (bits,), as bits + 1 bits; the least significant ones are first."""
    carries, sums = [], []
    read: list[Literal] = []
    for k in range(bits):
        read = [(1, "a", (at(k),)), (1, "b", (at(k),)), *([(1, f"carry{k}", ())] if k else [])]
        carries.append(_at_least(2, f"carry{k + 1}", read))
        sums.append(_at_least(1, f"y{k}", [*read, (-2, f"carry{k + 1}", ())], output=True))
    sums.append(_at_least(1, f"y{bits}", [(1, f"carry{bits}", ())], output=True))
    inputs = (_bits("a", bits), _bits("b", bits))
    return Program(inputs, (*carries, *sums), tuple(made.name for made in sums), "bits")


def parity(depth: int) -> Program:
    """Return whether an odd number of 2^depth bits x (2, ..., 2) is 1: exclusive disjunctions along the last axis, one
    layer for each axis, each with a unit for at least one value and a unit for both."""
    blocks, read = [], [term(2, "x", *_follow(depth - 1), WHOLE)]
    for k in reversed(range(depth)):
        sizes = (2,) * k
        blocks += [block(f"some{k}", sizes, read, -1), block(f"both{k}", sizes, read, -3)]
        along = (*_follow(k - 1), WHOLE) if k else ()
        read = [term(1, f"some{k}", *along), term(-1, f"both{k}", *along)]
    return Program((_bits("x", *(2,) * depth),), (*blocks, block("y", (), read, -1, output=True)), ("y",), "bits")


def majority(depth: int) -> Program:
    """Return the majority of three majorities of three, and so on, of 3^depth bits x (3, ..., 3)."""
    blocks, source, (weight, bias) = [], "x", (2, -3)
    for k in reversed(range(depth)):
        total = [term(weight, source, *_follow(k), WHOLE)]
        source = f"m{k}" if k else "y"
        blocks.append(block(source, (3,) * k, total, bias, output=k == 0))
        weight, bias = 1, 0  # of signs
    return Program((_bits("x", *(3,) * depth),), tuple(blocks), ("y",), "bits")


def automaton_step(transitions: np.ndarray) -> Program:
    """Return one step of a deterministic automaton, from a state and a letter, both one-hot, to the next state.

    Args:
        transitions: (states, letters), the next state of each state and letter.
    """
    states, letters = transitions.shape
    pair = [term(2, "state", at(0, axis=0)), term(2, "letter", at(0, axis=1))]
    following: list[Block] = []
    for state in range(states):
        pairs = [(1, "d", (at(int(q)), at(int(a)))) for q, a in np.argwhere(transitions == state)]
        following.append(_at_least(1, f"next{state}", pairs, output=True))
    inputs = (_bits("state", states), _bits("letter", letters))
    blocks = (block("d", (states, letters), pair, -3), *following)
    return Program(inputs, blocks, tuple(made.name for made in following), "bits")


def _at_least(least: int, name: str, read: Sequence[Literal], *, output: bool = False) -> Block:
    """Return a unit that is positive where the weighted number of true values is `least` or more, and is never 0."""
    terms = [term(weight * (2 if source in BITS else 1), source, *along) for weight, source, along in read]
    constant = sum(weight for weight, source, _ in read if source not in BITS)
    return block(name, (), terms, constant - 2 * least + 1, output=output)


def _follow(count: int) -> tuple[Along, ...]:
    return tuple(at(0, axis=k) for k in range(count))


def _bits(name: str, *shape: int) -> Input:
    return Input(name, tuple(map(Polynomial.of, shape)))
