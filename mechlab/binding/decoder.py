"""The variables of a linear rule, decoded from a network's state by what the state makes the network output later."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg

from mechlab.binding.companion import on_cycles

CUT = 1e-9  # of singular values of C Phi^j, relative to the largest
PERSISTENT = 0.9  # modulus of directions that belong to the subspace whatever their geometry
RISE, LEAST, MOST = 5.0, 10.0, 1e6  # of condition numbers: allowed rise, and limits of the bound


class ObservabilityDecoder(NamedTuple):
    """A linear map from states to variables, and back.

    Args:
        decode: (s d, h): variables of a state.
        basis: (h, s d): the state, in the persistent subspace, of variables on cycles; the columns of the others, which
            follow from these there, are 0.
        subspace: (h, r): an orthonormal basis of that subspace.
        eigenvalues: (r,) complex, those that belong to it, by falling modulus.
        condition: the condition number of `decode` on the subspace, with the rows of variables on cycles scaled to
            length 1.
    """

    decode: np.ndarray
    basis: np.ndarray
    subspace: np.ndarray
    eigenvalues: np.ndarray
    condition: float


def observability_decoder(
    W_hh: np.ndarray,
    W_hy: np.ndarray,
    phi: np.ndarray,
    rank: int | None = None,
    condition: float | None = None,
    first: np.ndarray | None = None,
) -> ObservabilityDecoder:
    """Return the decoder D = O_Phi^+ O_W, where O_W stacks W_hy W~^j and O_Phi stacks C Phi^j for j = 1 .. s: variables
    and state are matched where they predict the same outputs.

    C reads the newest block. W~ is W_hh with moduli above 1 (or above the spectral radius of Phi, if that is larger)
    reduced to that, because saturation turns growth into a limit cycle. Smaller moduli stay: directions that decay
    predict little, so D needs no choice of rank, which a W~ of modulus 1 would need in networks that lack some of the
    theoretical eigenvalues. After s steps the window is replaced, so each variable with a future has been read.

    Only the persistent subspace, on which `basis` inverts D, has a rank: the eigenvectors of largest modulus, as many
    as variables are on cycles, or fewer where conditioning demands it. In trained networks the condition number is 1 to
    3 on directions that persist, and jumps to 15 and more where one is missing and a transient takes its place; a
    direction that decays slowly raises it less, and belongs to the basis. (Where far more eigenvalues than variables
    are near the unit circle, as in linear recurrent units, the largest need not be those in use; D is right
    nevertheless.)

    Args:
        W_hh: (h, h) recurrent matrix.
        W_hy: (d, h) read-out.
        phi: (s d, s d) companion matrix.
        rank: dimension of the persistent subspace; one less where it would divide a conjugate pair.
        condition: without `rank`, the largest condition number. By default 5 times that on the directions of modulus
            above .9 (the geometry of the variables themselves may be ill-conditioned), and at least 10.
        first: (h, h), the transition of the first of the s steps, in place of W~. Where the states to be decoded are
            large, the origin's is wrong for that step: those at the end of an input are, and the mean secant of their
            transitions is better.

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
    bounded = _bounded(W_hh, values, left, right, max(1.0, np.abs(np.linalg.eigvals(phi)).max()))
    first = bounded if first is None else np.asarray(first, float)
    outputs = _predictions(W_hy, bounded, cells // d) @ first
    theory = _predictions(np.eye(cells)[-d:], phi, cells // d) @ phi
    decode = np.linalg.pinv(theory, CUT) @ outputs
    return _with_subspace(decode, values, right, on_cycles(phi), rank, condition)


def _predictions(read_out: np.ndarray, transition: np.ndarray, steps: int) -> np.ndarray:
    """Return the outputs (steps * d, n) of this and the next steps as linear functions of a state."""
    rows = [read_out]
    for _ in range(steps - 1):
        rows.append(rows[-1] @ transition)
    return np.concatenate(rows)


def _bounded(matrix: np.ndarray, values: np.ndarray, left: np.ndarray, right: np.ndarray, bound: float) -> np.ndarray:
    """Return a matrix (h, h) with eigenvalues of modulus above the bound reduced to it."""
    growing = np.abs(values) > bound * (1 + 1e-9)
    if not growing.any():
        return matrix
    values, left, right = values[growing], left[:, growing].conj().T, right[:, growing]
    dual = np.linalg.solve(left @ right, left)  # well-conditioned also where other eigenvalues are defective
    return matrix - ((right * (values - bound * values / np.abs(values))) @ dual).real


def _with_subspace(
    decode: np.ndarray, values: np.ndarray, right: np.ndarray, active: np.ndarray, rank: int | None, condition: float
) -> ObservabilityDecoder:
    """Return the decoder with its persistent subspace, given the eigenvalues and right eigenvectors of W_hh."""
    leads = np.flatnonzero(values.imag >= 0)  # one of each pair, and all real ones
    leads = leads[np.argsort(-np.abs(values[leads]), kind="stable")]
    columns, ordered = [], []
    for i in leads:
        pair = values[i].imag > 0
        columns += [right[:, i].real, right[:, i].imag] if pair else [right[:, i].real]
        ordered += [values[i], values[i].conj()] if pair else [values[i]]
    columns, ordered = np.stack(columns, 1), np.array(ordered)
    sizes = np.cumsum([2 if values[i].imag > 0 else 1 for i in leads])
    most = min(np.count_nonzero(active) if rank is None else rank, len(values))
    sizes = sizes[sizes <= most]
    if condition is None:
        lasting = max(1, np.count_nonzero(np.abs(ordered[:most]) > PERSISTENT))
        core = _condition((decode @ np.linalg.qr(columns[:, :lasting])[0])[active])
        condition = min(max(RISE * core, LEAST), MOST)
    for size in reversed(sizes):
        subspace = np.linalg.qr(columns[:, :size])[0]
        within = decode @ subspace  # (s d, r)
        measured = _condition(within[active])
        if rank is not None or measured <= condition:
            basis = np.zeros(decode.T.shape)
            basis[:, active] = subspace @ np.linalg.pinv(within[active])
            return ObservabilityDecoder(decode, basis, subspace, ordered[:size], measured)
    raise ValueError(f"a persistent subspace must have a condition number of at most {condition:g}. None has.")


def _condition(rows: np.ndarray) -> float:
    """Return the condition number of a matrix whose rows are scaled to length 1 first."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    singular = np.linalg.svd(rows / np.where(lengths > 0, lengths, 1), compute_uv=False)
    return float(singular[0] / singular[-1]) if singular[-1] > 0 else np.inf
