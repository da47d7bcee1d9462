"""Which unit of a program stands for each unit of a network, and whether both are proved to have the same sign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mechlab.distill.equal_signs import NetworkSums, equal_by_counts, equal_signs, rounding, scales, sign_table
from mechlab.distill.layers import Layer
from mechlab.distill.matrices import Box, Matrices, sums
from mechlab.distill.noise import change_by_noise
from mechlab.distill.threshold_unit import MOST_INPUTS

CANDIDATES = 4
MOST_PAIRS = 2_000


@dataclass
class Matched:
    """A network's layer in terms of a program's values.

    Args:
        value: (n,), number of the program's value that stands for each unit; -1 where there is none.
        sign: (n,), -1 where it has the opposite sign; the constant itself where `value` is -2.
        shift: (n,), added to sign * value, for units that repeat an input of two values: 2 x - 1 for a bit x.
        equal: (n,), True where the signs are proved to be equal if those of all earlier units are.
        proved: (n,), True where the signs are proved to be equal.
        needed: (n,), True for units that the network's outputs depend on.
        copy: True if all needed units are proved or have weights that differ from the program's by noise alone.
        snapped: largest relative change of a weight of a needed unit.
    """

    value: np.ndarray
    sign: np.ndarray
    shift: np.ndarray
    equal: np.ndarray
    proved: np.ndarray
    needed: np.ndarray
    copy: bool = True
    snapped: float = 0.0

    @classmethod
    def inputs(cls, program: Matrices) -> Matched:
        """Return the inputs as a layer."""
        every = np.ones(program.n_inputs, bool)
        return cls(np.arange(program.n_inputs), every.astype(float), np.zeros(len(every)), every, every, every)

    def expected(self, values: np.ndarray) -> np.ndarray:
        """Return the activations (B, n) that the program's values (B, V) imply; NaN for units without counterpart."""
        result = self.sign * values[:, np.maximum(self.value, 0)] + self.shift
        return np.where(self.value == -2, self.sign, np.where(self.value == -1, np.nan, result))


def match(layers: Sequence[Layer], program: Matrices, tolerance: float) -> list[Matched]:
    """Return the correspondence of each hidden layer of a network.

    Args:
        layers: of the network.
        program: at the network's size.
        tolerance: largest relative change of a weight that may be noise.
    """
    matched = [Matched.inputs(program)]
    for layer, needed in zip(layers[:-1], _needed(layers)[:-1], strict=True):
        part = _match_layer(_substituted(layer, matched[-1], program), program, needed, tolerance)
        part.proved = part.equal & ~layer.weight[~matched[-1].proved].any(0)
        matched.append(part)
    return matched[1:]


def match_outputs(
    layer: Layer, before: Matched, program: Matrices, returns: str, scale: float, tolerance: float
) -> tuple[bool, bool, float]:
    """Return whether the outputs are proved to be equal, whether they differ by noise alone, and the relative change.

    Equal outputs: the index of the largest output for "class" (all differences of two outputs have equal signs), the
    signs for "bits", the values to within 1e-9 of the sum of |weights| for "scores" and "probabilities".
    """
    network, units = _substituted(layer, before, program), program.outputs
    common = float(np.lcm.reduce(program.factor[units].astype(np.int64)))
    weight, bias = (part[..., units] * (common / program.factor[units]) for part in (program.weight, program.bias))
    values = returns in ("scores", "probabilities")
    s = scale / common if values else (network.weight * weight).sum() / max((weight * weight).sum(), 1)
    change, copy = change_by_noise(
        network.weight, network.bias, weight, bias, np.full(len(units), s), np.zeros(len(units), int), tolerance
    )
    known = bool(network.known.all())
    if values:
        low, high = program.box.bounds(network.weight - s * weight)
        shift = network.bias - s * bias
        error = np.maximum(np.abs(low + shift), np.abs(high + shift))
        proved = error <= np.where(np.isfinite(network.total), 1e-9 * network.total, 0)
    else:
        if returns == "class":
            first, second = np.triu_indices(len(units), 1)
            if len(first) > MOST_PAIRS:
                return False, known and bool(copy.all()), change
            network = network.differences(first, second)
            weight, bias = weight[:, first] - weight[:, second], bias[first] - bias[second]
        proved = equal_signs(network, weight, bias, np.ones(weight.shape[1]), program.box)
    return known and bool(proved.all()), known and bool(copy.all()), change


def _substituted(layer: Layer, before: Matched, program: Matrices) -> NetworkSums:
    """Return the sums of a layer as functions of the program's values, which stand for the units before it."""
    weight = np.zeros((len(program.box.low), layer.weight.shape[1]))
    stands = before.value >= 0
    part, value = before.sign[stands, None] * layer.weight[stands], before.value[stands]
    if len(np.unique(value)) == len(value):
        weight[value] = part
    else:
        np.add.at(weight, value, part)
    constant = before.value == -2
    bias = layer.bias + before.sign[constant] @ layer.weight[constant] + before.shift @ layer.weight
    unknown = layer.weight[before.value == -1].any(0)
    largest = np.where(stands, program.box.largest[np.maximum(before.value, 0)], 1.0)
    finite = np.isfinite(largest)
    total = np.abs(layer.bias) + largest[finite] @ np.abs(layer.weight[finite])
    total = np.where(layer.weight[~finite].any(0), np.inf, total)
    return NetworkSums(weight, bias, ~unknown, total)


def _needed(layers: Sequence[Layer]) -> list[np.ndarray]:
    """Return the units (n,) of each layer that the outputs depend on."""
    needed = [np.ones(layers[-1].weight.shape[1], bool)]
    for layer in reversed(layers[1:]):
        needed.append(layer.weight[:, needed[-1]].any(1))
    return needed[::-1]


def _match_layer(network: NetworkSums, program: Matrices, needed: np.ndarray, tolerance: float) -> Matched:
    count = network.weight.shape[1]
    none = np.zeros(count, bool)
    matched = Matched(np.full(count, -1), np.zeros(count), np.zeros(count), none, none.copy(), needed)
    _constants(network, program.box, matched)
    units = np.flatnonzero(program.exists & ~program.linear)
    left = np.flatnonzero(matched.value == -1)
    if len(units) and len(left):
        _by_weights(network, program, matched, left, units)
    repeats = _by_values(network, program, matched, units)
    which = np.flatnonzero(needed & (matched.value >= program.n_inputs) & ~repeats)
    units = matched.value[which] - program.n_inputs
    weight, bias = program.weight[:, units] * matched.sign[which], program.bias[units] * matched.sign[which]
    part = network.only(which)
    s = scales(part.weight, weight)
    matched.snapped, noise = change_by_noise(
        part.weight, part.bias, weight, bias, s, program.block[units], tolerance, sums(weight, program.box)
    )
    by_noise = np.zeros(count, bool)
    by_noise[which] = noise & part.known & (s > 0)
    matched.copy = bool((matched.equal | by_noise)[needed].all())
    taken = np.isin(matched.value, matched.value[matched.equal & (matched.value >= program.n_inputs)])
    matched.value[taken & ~matched.equal & ~by_noise] = -1  # it may cancel in the sums of later units
    return matched


def _constants(network: NetworkSums, box: Box, matched: Matched) -> None:
    """Match units that have one sign on the whole box."""
    low, high = box.bounds(network.weight)
    error = rounding(len(network.weight)) * network.total
    positive, negative = low + network.bias > 2 * error, high + network.bias < -2 * error
    dead = ~network.weight.any(0) & (network.bias == 0)
    constant = (positive | negative | dead) & network.known
    matched.value[constant] = -2
    matched.sign[constant] = positive[constant] * 1.0 - negative[constant]
    matched.equal |= constant


def _by_weights(network: NetworkSums, program: Matrices, matched: Matched, left: np.ndarray, units: np.ndarray) -> None:
    """Match by the direction of the weights, and by the bias; try to prove equal signs for the closest units."""
    norms = np.linalg.norm(network.weight[:, left], axis=0), np.linalg.norm(program.weight[:, units], axis=0)
    norms = np.maximum(norms[0], 1e-300)[:, None], np.maximum(norms[1], 1e-300)
    cosine = network.weight[:, left].T @ (program.weight[:, units] / norms[1]) / norms[0]
    _prove(network, program, matched, left, units, cosine, np.abs(cosine).argmax(1)[:, None])
    again = ~matched.equal[left]
    left, cosine, norm = left[again], cosine[again], norms[0][again]
    distance = np.abs(network.bias[left][:, None] / norm - np.sign(cosine) * (program.bias[units] / norms[1]))
    similarity = np.abs(cosine) - 0.01 * np.minimum(distance, 10)
    ranked = np.argsort(-similarity, axis=1, kind="stable")[:, :CANDIDATES]
    _prove(network, program, matched, left, units, cosine, ranked)


def _prove(
    network: NetworkSums,
    program: Matrices,
    matched: Matched,
    left: np.ndarray,
    units: np.ndarray,
    cosine: np.ndarray,
    ranked: np.ndarray,
) -> None:
    """Match each unit with its first candidate, or with the first one of equal direction that is proved."""
    every = np.arange(len(left))
    for rank, column in enumerate(ranked.T):
        value = np.abs(cosine[every, column])
        similar = (value > 0.5) & (value >= np.abs(cosine[every, ranked[:, 0]]) - 0.05)
        trying = np.flatnonzero(~matched.equal[left] & similar)
        if not len(trying):
            break
        which, candidate = left[trying], units[column[trying]]
        sign = np.sign(cosine[trying, column[trying]])
        part = network.only(which)
        proved = part.known & equal_signs(
            part, program.weight[:, candidate], program.bias[candidate], sign, program.box
        )
        for k in np.flatnonzero(part.known & ~proved):
            weight, bias = sign[k] * program.weight[:, candidate[k]], sign[k] * program.bias[candidate[k]]
            proved[k] = equal_by_counts(part.only(np.array([k])), weight, bias, program.box)
        chosen = proved | (rank == 0)
        matched.value[which[chosen]] = program.n_inputs + candidate[chosen]
        matched.sign[which[chosen]] = sign[chosen]
        matched.equal[which[proved]] = True


def _by_values(network: NetworkSums, program: Matrices, matched: Matched, units: np.ndarray) -> np.ndarray:
    """Match units of few inputs by their signs on every value of these; return True (n,) for those that repeat one
    value, or its opposite."""
    repeats = np.zeros(len(matched.value), bool)
    support = (network.weight != 0).sum(0)
    open_ = np.flatnonzero(~matched.equal & network.known & (support <= MOST_INPUTS) & np.isfinite(network.total))
    if not len(open_):
        return repeats
    error = rounding(len(network.weight))
    tables: dict[tuple, tuple[int, float, bool]] = {}
    box = program.box
    for value in np.flatnonzero((box.step > 0) & (box.largest <= 1)):
        signs = np.arange(box.low[value], box.high[value] + 1, box.step[value]).astype(int)
        _enter(tables, ((int(value),), tuple(signs.tolist())), int(value), True)
    for unit in units:
        column = program.weight[:, unit]
        if np.count_nonzero(column) <= MOST_INPUTS and np.isfinite(program.box.largest[column != 0]).all():
            key = sign_table(column, program.bias[unit], program.box, 0.0)
            _enter(tables, key, program.n_inputs + unit, False)
    for unit in open_:
        key = sign_table(network.weight[:, unit], network.bias[unit], program.box, error * network.total[unit])
        if key is None:
            continue
        if not key[0]:
            matched.value[unit], matched.sign[unit], matched.equal[unit] = -2, key[1][0], True
        elif key in tables:
            (matched.value[unit], matched.sign[unit], repeats[unit]), matched.equal[unit] = tables[key], True
        elif len(key[0]) == 1 and len(key[1]) == 2:
            value, (at_low, at_high) = key[0][0], key[1]
            matched.value[unit], matched.sign[unit] = value, (at_high - at_low) / (box.high[value] - box.low[value])
            matched.shift[unit] = at_low - matched.sign[unit] * box.low[value]
            matched.equal[unit] = repeats[unit] = True
    return repeats


def _enter(tables: dict[tuple, tuple[int, float, bool]], key: tuple | None, value: int, repeats: bool) -> None:
    if key is not None and key[0]:
        tables.setdefault(key, (value, 1.0, repeats))
        tables.setdefault((key[0], tuple(-sign for sign in key[1])), (value, -1.0, repeats))
