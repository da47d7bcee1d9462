"""Networks whose program is known, built by hand: layers (n_in + 1, n_out) with the bias in the last row."""

from __future__ import annotations

import itertools

import numpy as np

Layers = list[np.ndarray]


def orientation(n: int) -> Layers:
    """Columns against rows of an (n, n) image: every column minus every row, then n + n subconcepts, two scores."""
    images, labels = [], []
    for k in range(n):
        for label in (0, 1):
            image = np.zeros((n, n))
            image[(slice(None), k) if label == 0 else (k, slice(None))] = 1
            images.append(image.ravel())
            labels.append(label)
    images, labels = np.array(images), np.array(labels)
    columns, rows = images[labels == 0], images[labels == 1]
    first = np.array([column - row for column in columns for row in rows]).T
    signs = np.sign(images @ first)
    second = []
    for own in (0, 1):
        others = signs[labels != own]
        for a in signs[labels == own]:
            weight = n * (a - others.mean(0)) / 2
            second.append(np.append(weight, -(a @ weight + (others @ weight).max()) / 2))
    last = np.zeros((2 * n + 1, 2))
    last[:n, 0] = last[n:-1, 1] = 1
    last[n:-1, 0] = last[:n, 1] = -1
    return [np.vstack([first, np.zeros(n * n)]), np.rint(np.array(second).T), last]


def ring(rule: int, n: int) -> Layers:
    """An elementary cellular automaton on a ring of n cells: one unit for each neighbourhood that gives 1, and OR."""
    ones = [cells for k, cells in enumerate(itertools.product((0, 1), repeat=3)) if rule >> k & 1]
    first, last = np.zeros((n + 1, max(n * len(ones), 1))), np.zeros((max(n * len(ones), 1) + 1, n))
    for i in range(n):
        for k, cells in enumerate(ones):
            unit = i * len(ones) + k
            first[[(i - 1) % n, i, (i + 1) % n], unit] = [2 * cell - 1 for cell in cells]
            first[-1, unit] = 0.5 - sum(cells)
            last[unit, i] = 1
        last[-1, i] = len(ones) - 1
    return [first, last]


def rule_110(n: int) -> Layers:
    """Rule 110 on a ring of n cells with two units for each: the middle or the right one, but not all three."""
    first, last = np.zeros((n + 1, 2 * n)), np.zeros((2 * n + 1, n))
    for i in range(n):
        first[[i, (i + 1) % n], i], first[-1, i] = 1, -0.5
        first[[(i - 1) % n, i, (i + 1) % n], n + i], first[-1, n + i] = 1, -2.5
        last[i, i], last[n + i, i], last[-1, i] = 1, -1, -1
    return [first, last]


def life(n: int) -> Layers:
    """One step of Life on an (n, n) torus: twice the neighbours plus the cell is at least 5 and at most 7."""
    first, last = np.zeros((n * n + 1, 2 * n * n)), np.zeros((2 * n * n + 1, n * n))
    for i, j in itertools.product(range(n), repeat=2):
        unit = i * n + j
        for a, b in itertools.product((-1, 0, 1), repeat=2):
            first[(i + a) % n * n + (j + b) % n, [unit, n * n + unit]] = 1 if a == b == 0 else 2
        first[-1, unit], first[-1, n * n + unit] = -4.5, -7.5
        last[unit, unit], last[n * n + unit, unit], last[-1, unit] = 1, -1, -1
    return [first, last]


def life_patch() -> Layers:
    """Life for the centre of a (3, 3) patch."""
    centre = np.full((3, 3), 2.0)
    centre[1, 1] = 1
    first = np.array([[*centre.ravel(), -4.5], [*centre.ravel(), -7.5]]).T
    return [first, np.array([[1.0], [-1.0], [-1.0]])]


def argmax(n: int) -> Layers:
    """The place of the largest of n numbers: one comparison for each pair, then the number of comparisons won."""
    pairs = list(itertools.combinations(range(n), 2))
    first, last = np.zeros((n + 1, len(pairs))), np.zeros((len(pairs) + 1, n))
    for unit, (a, b) in enumerate(pairs):
        first[[a, b], unit] = 1, -1
        last[unit, [a, b]] = 1, -1
    return [first, last]


def maxsat(slots: int, literals: int) -> Layers:
    """Weighted votes of a formula's clauses for its first variable, (slots, literals) with x and not-x first: six tests
    and four conjunctions for each clause; unit clauses weigh 13, longer ones 3."""
    first = np.zeros((slots, literals, 6 * slots))
    bias = np.zeros(6 * slots)
    second = np.zeros((6 * slots + 1, 4 * slots))
    last = np.zeros((4 * slots + 1, 2))
    for c in range(slots):
        empty, longer, yes, no, yes_first, no_first = range(6 * c, 6 * c + 6)
        first[c, 2:, empty], bias[empty] = -1, 0.5
        first[c, 2:, longer], bias[longer] = 1, -0.5
        first[c, 0, yes], first[c, 1, yes], first[c, 2:, yes], bias[yes] = literals, -literals, 1, -0.5
        first[c, 1, no], first[c, 0, no], first[c, 2:, no], bias[no] = literals, -literals, 1, -0.5
        first[c, 0, yes_first], bias[yes_first] = 2, -0.5
        first[0, 1, yes_first] -= 1
        first[c, 1, no_first], bias[no_first] = 2, -0.5
        first[0, 0, no_first] -= 1
        for k, (a, b) in enumerate([(empty, yes_first), (empty, no_first), (longer, yes), (longer, no)]):
            second[[a, b], 4 * c + k], second[-1, 4 * c + k] = 1, -1
            vote = (13, -13, 3, -3)[k]
            last[4 * c + k] = vote, -vote
    return [np.vstack([first.reshape(slots * literals, -1), bias]), second, last]


def circuit(n_in: int, widths: list[int], fan_in: int, seed: int) -> Layers:
    """A random circuit of conjunctions and disjunctions of `fan_in` values or their negations."""
    rng = np.random.default_rng(seed)
    layers, bits = [], True
    for width in widths:
        table = np.zeros((n_in + 1, width))
        for unit in range(width):
            places, signs = rng.choice(n_in, fan_in, replace=False), rng.choice([-1, 1], fan_in)
            table[places, unit] = signs
            every = rng.random() < 0.5
            if bits:
                table[-1, unit] = (0.5 - (signs > 0).sum()) if every else ((signs < 0).sum() - 0.5)
            else:
                table[-1, unit] = 1 - fan_in if every else fan_in - 1
        layers.append(table)
        n_in, bits = width, False
    return layers


def disturbed(layers: Layers, seed: int, noise: float = 0.0, outputs: bool = False) -> Layers:
    """The same network with its hidden units permuted, each with another positive scale, and relative noise on all
    weights; its outputs too have other scales if `outputs`."""
    rng = np.random.default_rng(seed)
    made, order = [], np.arange(len(layers[0]) - 1)
    for k, table in enumerate(layers):
        weight, bias = table[:-1][order], table[-1]
        table = np.vstack([weight, bias]) * (1 + noise * rng.standard_normal(table.shape))
        hidden = k < len(layers) - 1
        if hidden or outputs:
            table = table * np.exp(rng.uniform(-3, 3, table.shape[1]))
        order = rng.permutation(table.shape[1]) if hidden else np.arange(table.shape[1])
        made.append(table[:, order])
    return made
