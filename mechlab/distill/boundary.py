"""Inputs for comparing a program with its network: random ones, and ones beside the thresholds of units."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mechlab.distill.layers import Layer, activations
from mechlab.distill.program import Values

STEPS, STARTS, FLIPS = 24, 192, 12
WORK = 2e9  # multiplications that the search beside the thresholds of later layers may take


def random_inputs(values: Sequence[Values], count: int, rng: np.random.Generator) -> np.ndarray:
    """Return inputs (count, n) of many densities: the share of ones is uniform, and every fourth input is half ones.

    Args:
        values: of each of the n inputs. Integers are within 2, 10 or 100 of 0; reals are normal,
            rounded to multiples of 1/256, so that sums of them are exact.
        count: of inputs.
        rng: of the draws.
    """
    density = np.where(np.arange(count) % 4 == 0, 0.5, rng.random(count))[:, None]
    ones = rng.random((count, len(values))) < density
    width = rng.choice([2, 10, 100], (count, 1))
    whole = np.rint(rng.uniform(-1, 1, ones.shape) * width)
    kinds = np.array(values)
    real = np.rint(256 * rng.normal(size=ones.shape)) / 256 if (kinds == "reals").any() else whole
    return np.select([kinds == "bits", kinds == "signs", kinds == "integers"], [ones, 2 * ones - 1, whole], real)


def boundary_inputs(
    layers: Sequence[Layer], values: Sequence[Values], count: int, rng: np.random.Generator, returns: str = "class"
) -> np.ndarray:
    """Return about `count` inputs on which a random unit or the decision of a network is as close to its threshold as
    changes of single inputs can bring it, and the inputs beside these.

    Units of the first layer take two thirds of them: their sum falls greedily. For later units and the difference of
    the two largest outputs, single changes are tried at random.

    Args:
        layers: of the network.
        values: of each input.
        count: of inputs.
        rng: of the draws.
        returns: of the program; the outputs themselves are thresholds for "bits".
    """
    first = _beside_first(layers[0], values, (2 * count // 3) // 3 + 1, rng)
    hidden = 2 * layers[0].weight.size + 2 * sum(layer.weight.size for layer in layers[1:])
    starts = int(min(count / 9 + 1, STARTS, WORK / (hidden * STEPS * FLIPS) + 1))
    return np.concatenate([first, _beside_later(layers, values, starts, rng, returns)])


def _beside_first(layer: Layer, values: Sequence[Values], count: int, rng: np.random.Generator) -> np.ndarray:
    """Return inputs (3 count, n) whose sums in one unit each are closest to 0, below and above it."""
    target = rng.integers(layer.weight.shape[1], size=count)
    weight, bias = layer.weight.T[target], layer.bias[target]  # (count, n)
    state = random_inputs(values, count, rng)
    kinds = np.array(values)
    total = (state * weight).sum(1) + bias
    every = np.arange(count)
    for _ in range(4 * STEPS):
        change = _flip(state, kinds, -total[:, None] / np.where(weight == 0, np.inf, weight))
        distance = np.abs(total[:, None] + change * weight) * rng.uniform(1, 1.01, state.shape)
        chosen = distance.argmin(1)
        better = distance[every, chosen] < np.abs(total)
        if not better.any():
            break
        step = np.where(better, change[every, chosen], 0)
        state[every, chosen] += step
        total = total + step * weight[every, chosen]
    beside = [state]
    for side in (1, -1):
        change = _flip(state, kinds, side * np.sign(weight))
        after = side * (total[:, None] + change * weight) * rng.uniform(1, 1.01, state.shape)
        chosen = np.where((change != 0) & (after > 0), after, np.inf).argmin(1)
        other = state.copy()
        other[every, chosen] += change[every, chosen]
        beside.append(other)
    return np.concatenate(beside)


def _beside_later(
    layers: Sequence[Layer], values: Sequence[Values], starts: int, rng: np.random.Generator, returns: str
) -> np.ndarray:
    """Return inputs from searches for a small sum in one unit of a later layer, or a small difference of outputs."""
    kinds, every = np.array(values), np.arange(starts)
    depth = rng.integers(1, len(layers), starts) if len(layers) > 1 else np.zeros(starts, int)
    unit = rng.integers([layers[k].weight.shape[1] for k in depth])
    state = random_inputs(values, starts, rng)
    best = _distance(layers, state, depth, unit, returns)
    visited = [state.copy()]
    for _ in range(STEPS):
        inputs = rng.integers(len(values), size=(starts, FLIPS))
        wanted = rng.normal(size=inputs.shape) * 2
        change = _flip(state[every[:, None], inputs], kinds[inputs], wanted)
        tried = np.repeat(state, FLIPS, axis=0)
        tried[np.arange(len(tried)), inputs.ravel()] += change.ravel()
        distance = _distance(layers, tried, depth.repeat(FLIPS), unit.repeat(FLIPS), returns).reshape(starts, FLIPS)
        chosen = distance.argmin(1)
        better = distance[every, chosen] <= best
        state[better] = tried.reshape(starts, FLIPS, -1)[every, chosen][better]
        best = np.minimum(best, distance[every, chosen])
        visited.append(state.copy())
    return np.concatenate([visited[0], *visited[len(visited) // 2 :: 3], visited[-1]])


def _distance(
    layers: Sequence[Layer], state: np.ndarray, depth: np.ndarray, unit: np.ndarray, returns: str
) -> np.ndarray:
    """Return |sum| of one unit for each input, or the difference of the two largest outputs."""
    hidden = [state, *activations(layers, state)]
    result = np.empty(len(state))
    for k in np.unique(depth):
        here = depth == k
        if k == len(layers) - 1 and returns != "bits" and layers[k].weight.shape[1] > 1:
            ordered = np.sort(hidden[-1][here], axis=1)
            result[here] = ordered[:, -1] - ordered[:, -2]
        else:
            weight = layers[k].weight.T[unit[here]]
            result[here] = np.abs((hidden[k][here] * weight).sum(1) + layers[k].bias[unit[here]])
    return result


def _flip(state: np.ndarray, kinds: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the change of each input that its values allow: to the other value, or by about `wanted`."""
    if (kinds == "bits").all():
        return 1 - 2 * state
    whole = np.where(np.rint(wanted) == 0, np.sign(wanted), np.rint(wanted))
    return np.select(
        [kinds == "bits", kinds == "signs", kinds == "integers"],
        [1 - 2 * state, -2 * state, whole],
        np.rint(256 * wanted) / 256,
    )
