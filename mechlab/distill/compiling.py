"""From a program to the weights of a network of threshold units that computes it."""

from __future__ import annotations

import numpy as np

from mechlab.core.errors import ConfigError
from mechlab.distill.matrices import Matrices, matrices
from mechlab.distill.program import Program


def compile_program(program: Program, size: int | None = None) -> list[np.ndarray]:
    """Return layers (n_in + 1, n_out), biases in the last rows, of a network that computes a program's outputs.

    Hidden units are signs with sign(0) = 0, outputs are linear. A unit is in the first layer after all that it reads; a
    value that is read further on is copied by one unit in each layer between. Linear blocks that others read become
    part of their sums. Units without an effect, and those that a block's `where` excludes, are left out.

    Args:
        program: of one size or of many; its inputs are read in row-major order, one tensor after the other.
        size: N, for a program of many sizes.

    Raises:
        ConfigError: an input of integers or real numbers, which a unit cannot copy, is read beyond the first layer; or
            a program of many sizes has no size.
        DistillError: a term reads a position outside its source.
    """
    if program.parametric and size is None:
        raise ConfigError("a program of many sizes must be compiled at one size", got="none", key="size", fix="size=8")
    table = matrices(program, size)
    weight, bias, outputs = _resolved(table)
    return _layers(table, weight, bias, program.scale * outputs)


def _resolved(table: Matrices) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return weights (V, U) and biases (U,) of threshold units, and of outputs (V + 1, n_out), without linear units."""
    n, factor = table.n_inputs, table.factor.copy()
    weight, bias = table.weight.copy(), table.bias.copy()
    weight[n + np.flatnonzero(~table.exists)] = 0
    for unit in np.flatnonzero(table.linear):
        readers = np.flatnonzero(weight[n + unit])
        coefficients = weight[n + unit, readers]
        weight[n + unit] = 0
        # integers remain integers: the readers are multiplied by the denominator
        weight[:, readers] = weight[:, readers] * factor[unit] + np.outer(weight[:, unit], coefficients)
        bias[readers] = bias[readers] * factor[unit] + bias[unit] * coefficients
        factor[readers] *= factor[unit]
    chosen = table.outputs
    outputs = np.vstack([weight[:, chosen], bias[chosen]]) / factor[chosen]
    threshold = np.flatnonzero(~table.linear[chosen])
    outputs[:, threshold] = 0
    outputs[n + chosen[threshold], threshold] = table.exists[chosen[threshold]]
    return weight, bias, outputs


def _depths(weight: np.ndarray, outputs: np.ndarray, n_inputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which values (V,) the outputs depend on, and in which layer each is computed; 0 for inputs."""
    needed, depth = outputs.any(1), np.zeros(len(weight), int)
    reads = [np.flatnonzero(column) for column in weight.T]
    for unit in reversed(range(len(reads))):
        if needed[n_inputs + unit]:
            needed[reads[unit]] = True
    for unit in np.flatnonzero(needed[n_inputs:]):
        depth[n_inputs + unit] = 1 + depth[reads[unit]].max(initial=0)
    return needed, depth


def _layers(table: Matrices, weight: np.ndarray, bias: np.ndarray, outputs: np.ndarray) -> list[np.ndarray]:
    """Return the layers; each has its own units, then copies of values that later ones read."""
    n, (needed, depth) = table.n_inputs, _depths(weight, outputs[:-1], table.n_inputs)
    values, last = np.arange(len(weight)), depth.max(initial=0) + 1
    until = np.where(outputs[:-1].any(1), last, 0)  # the last layer that reads each value
    for unit in np.flatnonzero(needed[n:]):
        reads = weight[:, unit] != 0
        until[reads] = np.maximum(until[reads], depth[n + unit])
    if np.isinf(table.box.high[:n][until[:n] > 1]).any():
        must = "inputs that later layers read must be bits or signs, which a threshold unit can copy"
        raise ConfigError(must, got="integers or reals", key="program.inputs.values")
    bits = (values < n) & (table.box.low == 0)
    present, factor, constant = values[:n], np.ones(n), np.zeros(n)  # values = factor * states + constant
    layers = []
    for k in range(1, last + 1):
        own = values[(values >= n) & needed & (depth == k)]
        copies = values[(depth < k) & (until > k)]
        copy = np.zeros((len(values), len(copies)))
        copy[copies, np.arange(len(copies))] = np.where(bits[copies], 2, 1)
        columns, biases = (weight[:, own - n], bias[own - n]) if k < last else (outputs[:-1], outputs[-1])
        columns = np.hstack([columns, copy])[present]
        biases = np.concatenate([biases, np.where(bits[copies], -1, 0)]) + constant @ columns
        layers.append(np.vstack([factor[:, None] * columns, biases]))
        present = np.concatenate([own, copies])
        factor, constant = np.where(bits[present], 0.5, 1), np.where(bits[present], 0.5, 0)
    return layers
