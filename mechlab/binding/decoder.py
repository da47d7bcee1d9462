"""The variables of a linear rule, decoded from a network's state by what the state makes the network output later."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg

LEAST_MODULUS = 1e-9


class ObservabilityDecoder(NamedTuple):
    """A linear map from states to variables, and back.

    Args:
        decode: (s d, h): variables of a state.
        basis: (h, s d): the state, in the persistent subspace, of variables.
        subspace: (h, r): an orthonormal basis of that subspace.
        eigenvalues: (r,) complex, those that belong to it, by falling modulus.
        condition: the condition number of `decode` on the subspace.
    """

    decode: np.ndarray
    basis: np.ndarray
    subspace: np.ndarray
    eigenvalues: np.ndarray
    condition: float


def observability_decoder(
    W_hh: np.ndarray, W_hy: np.ndarray, phi: np.ndarray, rank: int | None = None, condition: float = 100.0
) -> ObservabilityDecoder:
    """Return the decoder D = O_Phi^+ O_W, where O_W stacks W_hy W~^j and O_Phi stacks C Phi^j for j = 1 .. 2 s:
    variables and state are matched where they predict the same outputs.

    W~ has the eigenvectors of W_hh on its persistent subspace and the eigenvalues' angles, with modulus 1; C reads the
    newest block.

    Args:
        W_hh: (h, h) recurrent matrix.
        W_hy: (d, h) read-out.
        phi: (s d, s d) companion matrix.
        rank: dimension of the persistent subspace, the eigenvectors of largest modulus; conjugate pairs stay together.
            By default the largest, up to the rank of Phi, for which D has at most this condition number.
        condition: see `rank`.

    Raises:
        ValueError: the shapes do not fit, or no subspace has so small a condition number.

    Source: Karuvally et al., arXiv 2310.02430, for the theory; the decoder takes the place of their basis.
    """
    W_hh, W_hy, phi = (np.asarray(matrix, float) for matrix in (W_hh, W_hy, phi))
    d, h, cells = len(W_hy), len(W_hh), len(phi)
    if W_hh.shape != (h, h) or W_hy.shape != (d, h) or phi.shape != (cells, cells) or cells % d:
        shapes = f"{W_hh.shape}, {W_hy.shape}, {phi.shape}"
        raise ValueError(f"shapes must be (h, h), (d, h) and (s d, s d). Got {shapes} instead.")
    values, left, right = scipy.linalg.eig(W_hh, left=True)
    order = np.argsort(-np.abs(values), kind="stable")
    values, left, right = values[order], left[:, order].conj().T, right[:, order]
    most = np.count_nonzero(np.abs(np.linalg.eigvals(phi)) > 0.5) if rank is None else rank
    theory = _predictions(np.eye(cells)[-d:], phi, 2 * cells // d)
    for size in range(min(most, h), 0, -1):
        if (
            abs(values[size - 1].imag) > LEAST_MODULUS
            and size < h
            and np.isclose(values[size], values[size - 1].conj())
        ):
            continue  # this would cut a pair
        found = _decoder(values[:size], left[:size], right[:, :size], W_hy, theory)
        if rank is not None or found.condition <= condition:
            return found
    raise ValueError(f"a persistent subspace must have a condition number of at most {condition:g}. None has.")


def _decoder(
    values: np.ndarray, left: np.ndarray, right: np.ndarray, W_hy: np.ndarray, theory: np.ndarray
) -> ObservabilityDecoder:
    """Return the decoder on the subspace of r eigenvalues, given left (r, h) and right (h, r) eigenvectors."""
    dual = np.linalg.solve(left @ right, left)  # well-conditioned also where other eigenvalues are defective
    turns = (values / np.abs(values))[:, None] ** np.arange(1, len(theory) // len(W_hy) + 1)  # (r, steps)
    outputs = np.einsum("dr,rt,rh->tdh", W_hy @ right, turns, dual, optimize=True).real.reshape(len(theory), -1)
    decode = np.linalg.pinv(theory) @ outputs
    subspace = np.linalg.svd(np.concatenate([right.real, right.imag], 1), full_matrices=False)[0][:, : len(values)]
    within = decode @ subspace  # (s d, r)
    singular = np.linalg.svd(within, compute_uv=False)
    condition = float(singular[0] / singular[-1]) if singular[-1] > 0 else np.inf
    return ObservabilityDecoder(decode, subspace @ np.linalg.pinv(within), subspace, values, condition)


def _predictions(read_out: np.ndarray, transition: np.ndarray, steps: int) -> np.ndarray:
    """Return the outputs (steps * d, n) of the next steps as linear functions of a state."""
    rows = [read_out @ transition]
    for _ in range(steps - 1):
        rows.append(rows[-1] @ transition)
    return np.concatenate(rows)
