"""Decoding of variables from a network's states: by several linear maps, at each moment after the input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mechlab.analyses.binding.linear_network import LinearNetwork, Observed
from mechlab.binding.decoder import ObservabilityDecoder
from mechlab.binding.published import published_basis
from mechlab.core.precision import in_precision

RIDGE = 1e-3  # of the probe, relative to the mean variance of a state's component


@dataclass(frozen=True, eq=False)
class Decoding:
    """Variables of B sequences as decoded at K moments from the end of the input on.

    Args:
        right: by method, where the sign of each of the A active variables is right, bool (B, K, A).
        lost: by method, the reconstruction error (K,); see `reconstruction_errors`.
        decoder: with the mean secant of the first step.
        origin: by the linearisation at the origin alone.
        psi, dual: the published basis (S, s d) and its dual (s d, S).
        mean: (K, S), the mean state that was subtracted.
    """

    right: dict[str, np.ndarray]
    lost: dict[str, np.ndarray]
    decoder: ObservabilityDecoder
    origin: ObservabilityDecoder
    psi: np.ndarray
    dual: np.ndarray
    mean: np.ndarray


def decode(network: LinearNetwork, others: Observed, test: Observed) -> Decoding:
    """Return the variables of test sequences as decoded by each method: "decoder", "origin", "published", the "probe"
    that was fitted to other sequences, and "shuffled", the decoder against the variables of another sequence."""
    fitted, states, variables = double(others.states), double(test.states), double(test.variables)
    mean = fitted.mean(0)
    fitted, states = fitted - mean, states - mean
    decoder, origin = _decoders(network, others.states[:, 0])
    psi, dual = published_basis(network.linear.recurrent, network.linear.readout, network.truth.matrix)
    active, truth = network.active, variables[..., network.active] > 0
    maps = {"decoder": decoder.decode[active], "origin": origin.decode[active], "published": dual[active]}
    maps["probe"] = probe(fitted, double(others.variables)[..., active])
    right = {name: signs(matrix, states) == truth for name, matrix in maps.items()}
    right["shuffled"] = signs(maps["decoder"], states) == np.roll(truth, 1, 0)
    lost = {
        "decoder": reconstruction_errors(origin.basis, origin.decode, states),
        "published": reconstruction_errors(psi, dual, states),
    }
    return Decoding(right, lost, decoder, origin, psi, dual, mean)


def signs(matrix: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Return which decoded variables are not negative, bool (B, K, A), given states (B, K, S) and a map (A, S), or
    (K, A, S) with one for each moment."""
    return (states.swapaxes(0, 1) @ matrix.swapaxes(-1, -2)).swapaxes(0, 1) >= 0


def probe(states: np.ndarray, variables: np.ndarray) -> np.ndarray:
    """Return the ridge regressions (K, A, S) of variables (N, K, A) on states (N, K, S), one for each moment."""
    maps = []
    for x, y in zip(states.swapaxes(0, 1), variables.swapaxes(0, 1), strict=True):
        squares = x.T @ x
        squares += (RIDGE * np.trace(squares) / len(squares) or 1.0) * np.eye(len(squares))  # 1 where no state varies
        maps.append(np.linalg.solve(squares, x.T @ y).T)
    return np.stack(maps)


def matrix_error(matrix: np.ndarray, phi: np.ndarray, active: np.ndarray, scaled: bool = False) -> float:
    """Return ||M - Phi|| / ||Phi|| (Frobenius) on the active cells; if scaled, of c M with the best common factor c.

    Args:
        matrix, phi: (s d, s d).
        active: (s d,) bool.
        scaled: True to scale M first.
    """
    block = np.ix_(active, active)
    matrix, phi = matrix[block], phi[block]
    if scaled and matrix.any():
        matrix = matrix * (matrix * phi).sum() / (matrix**2).sum()
    return float(np.linalg.norm(matrix - phi) / np.linalg.norm(phi))


def reconstruction_errors(basis: np.ndarray, decode: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Return ||h - basis decode h|| / ||h|| (K,) of states (B, K, S), where ||h|| is over the sequences too."""
    lost = states - states @ decode.T @ basis.T
    sizes = (states**2).sum((0, 2))
    return np.sqrt((lost**2).sum((0, 2)) / np.where(sizes > 0, sizes, 1))


def double(tensor: Tensor) -> np.ndarray:
    """Return a tensor as a float64 array."""
    return in_precision(tensor.detach().cpu(), torch.float64).numpy()


def _decoders(network: LinearNetwork, states: Tensor) -> tuple[ObservabilityDecoder, ObservabilityDecoder]:
    """Return the decoder for states (N, S) and the one at the origin, or zeros if no state predicts an output."""
    try:
        return network.decoder_at(states), network.decoder
    except ValueError:
        cells, size = len(network.truth.matrix), states.shape[1]
        zeros = np.zeros((cells, size)), np.zeros((size, cells)), np.zeros((size, 0)), np.zeros(0, complex), np.inf
        return ObservabilityDecoder(*zeros), ObservabilityDecoder(*zeros)
