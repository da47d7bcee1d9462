"""Essence networks of several binary outputs: a small network for each, of the few inputs that it depends on."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np

SETS = 200_000  # of inputs of one size; more are not searched
Fit = Callable[[np.ndarray, np.ndarray], list[np.ndarray]]  # points (n, d), concepts (n,) -> layers of one output


def bitwise_network(points: np.ndarray, bits: np.ndarray, reads: np.ndarray | list, fit: Fit) -> list[np.ndarray]:
    """Return the layers (n_in + 1, n_out) of a network of binary outputs, positive for 1, biases in the last rows.

    Outputs with equal examples, on their own inputs, have equal units.

    Args:
        points: samples (n, d).
        bits: the outputs (n, m), 0 or 1.
        reads: the inputs of each output, in order: m sequences; or an array (m, w) of windows, whose examples are
            examples of every output.
        fit: makes the layers of one output, of distinct points (k, w) and concepts 0 and 1 (k,).
    """
    if isinstance(reads, np.ndarray):
        pooled = points[:, reads].reshape(bits.size, reads.shape[1])
        networks = [fit(*_table(pooled, bits.ravel()))] * len(reads)
        return _joined(networks, reads, points.shape[1])
    networks, known = [], {}
    for inputs, values in zip(reads, bits.T, strict=True):
        rows, concepts = _table(points[:, list(inputs)], values)
        key = rows.shape, rows.tobytes(), concepts.tobytes()
        if key not in known:
            known[key] = fit(rows, concepts)
        networks.append(known[key])
    return _joined(networks, reads, points.shape[1])


def consistent_inputs(points: np.ndarray, bits: np.ndarray, most: int) -> list[tuple[int, ...]]:
    """Return the smallest set of inputs of which each output is a function on the samples.

    Args:
        points: samples (n, d) of inputs with two values.
        bits: outputs (n, m), 0 or 1.
        most: size of the largest set that is tried; an output that needs a larger one has all inputs. Sizes of which
            there are more than SETS sets are not tried.

    Returns:
        m tuples, the first set in lexicographic order of each output, in cyclic order: the first input is the one after
        the largest gap, so that outputs on a ring list their neighbours in one order.
    """
    d = points.shape[1]
    values = (points > points.mean(0)).astype(np.int64)
    reads: list[tuple[int, ...] | None] = [None] * bits.shape[1]
    for size in range(min(most, d) + 1):
        unknown = np.array([j for j, inputs in enumerate(reads) if inputs is None], int)
        if not len(unknown) or math.comb(d, size) > SETS:
            break
        for inputs in itertools.combinations(range(d), size):
            for j in unknown[_functions(values[:, inputs], bits[:, unknown])]:
                reads[j] = inputs
            unknown = np.array([j for j in unknown if reads[j] is None], int)
            if not len(unknown):
                break
    return [tuple(range(d)) if inputs is None else _cyclic(inputs, d) for inputs in reads]


def _functions(points: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Return which outputs (m,) of bits (n, m) have equal values on equal points (n, k) of 0 and 1."""
    codes = points @ (1 << np.arange(points.shape[1]))
    order = np.argsort(codes, kind="stable")
    changes = np.diff(codes[order]) != 0
    return ((np.diff(bits[order], axis=0) == 0) | changes[:, None]).all(0)


def shared_inputs(points: np.ndarray, bits: np.ndarray, most: int) -> np.ndarray:
    """Return the inputs (d, k) of each cell of a ring, for samples (n, d) and outputs (n, d): the smallest set of
    positions relative to a cell of which the outputs of all cells are one function; see `consistent_inputs`."""
    d = points.shape[1]
    around = (np.arange(d)[:, None] + np.arange(d)) % d
    (offsets,) = consistent_inputs(points[:, around].reshape(-1, d), bits.reshape(-1, 1), most)
    return (np.arange(d)[:, None] + np.array(offsets, int)) % d


def windows(shape: tuple[int, ...], width: int) -> np.ndarray:
    """Return the positions (cells, width^axes) of the window around each cell of a ring or torus, row-major."""
    offsets = np.arange(width) - width // 2
    cells = np.indices(shape).reshape(len(shape), -1, 1)
    around = np.stack(np.meshgrid(*[offsets] * len(shape), indexing="ij")).reshape(len(shape), 1, -1)
    return np.ravel_multi_index(tuple(cells + around), shape, mode="wrap")


def _table(points: np.ndarray, bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct points in lexicographic order, and the value that each has most often."""
    rows, inverse = np.unique(points, axis=0, return_inverse=True)
    counts = np.bincount(inverse, minlength=len(rows))
    ones = np.bincount(inverse, bits, minlength=len(rows))
    return rows, (2 * ones > counts).astype(int)


def _joined(networks: list[list[np.ndarray]], reads: np.ndarray | list, inputs: int) -> list[np.ndarray]:
    """Return the layers of networks side by side, each with its own inputs."""
    layers, sources = [], [np.asarray(read, int) for read in reads]
    for depth in range(3):
        widths = [network[depth].shape[1] for network in networks]
        starts = np.cumsum([0, *widths])
        layer = np.zeros((inputs + 1, starts[-1]))
        for network, source, start, width in zip(networks, sources, starts, widths, strict=False):
            layer[np.append(source, inputs), start : start + width] = network[depth]
        layers.append(layer)
        inputs, sources = starts[-1], [np.arange(a, b) for a, b in itertools.pairwise(starts)]
    return layers


def _cyclic(inputs: tuple[int, ...], d: int) -> tuple[int, ...]:
    """Return increasing inputs from the one after the largest gap on a ring of d."""
    gaps = [(inputs[k] - inputs[k - 1]) % d or d for k in range(len(inputs))]
    start = int(np.argmax(gaps)) if inputs else 0
    return inputs[start:] + inputs[:start]
