"""Agreement of a learned spectrum with the theoretical one: angle, modulus and rank as separate numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from mechlab.binding.companion import cycle_roots

LEAST_MODULUS = np.finfo(float).eps
TIE_BREAK = 1e-9


@dataclass(frozen=True, eq=False)
class SpectrumComparison:
    """Pairs of learned and theoretical eigenvalues, with their errors.

    Args:
        learned: (R,) complex, the learned eigenvalues of largest modulus, in the order of their partners.
        theory: (R,) complex, the theoretical eigenvalues.
        complex_error: mean distance |learned - theory| under the one-to-one assignment that minimises it.
        rank: number of learned eigenvalues whose modulus is above the threshold.
        rank_theory: number of theoretical eigenvalues.
    """

    learned: np.ndarray
    theory: np.ndarray
    complex_error: float
    rank: int
    rank_theory: int

    @property
    def angle_errors(self) -> np.ndarray:
        """The angle between partners (R,), in radians from 0 to pi."""
        return angle_between(self.learned, self.theory)

    @property
    def angle_error(self) -> float:
        """The mean angle between partners, in radians."""
        return float(self.angle_errors.mean())

    @property
    def angle_error_max(self) -> float:
        """The largest angle between partners, in radians."""
        return float(self.angle_errors.max())

    @property
    def modulus_ratios(self) -> np.ndarray:
        """|learned| / |theory| of partners (R,)."""
        return np.abs(self.learned) / np.abs(self.theory)

    @property
    def modulus_error(self) -> float:
        """The mean of |log modulus ratio|, in nats; ratios below the machine precision count as that."""
        return float(np.abs(np.log(np.maximum(self.modulus_ratios, LEAST_MODULUS))).mean())

    @property
    def rank_error(self) -> int:
        """The learned rank minus the theoretical one."""
        return self.rank - self.rank_theory


def compare(learned: np.ndarray, theory: np.ndarray, persistent: float = 0.9) -> SpectrumComparison:
    """Return the comparison of a learned spectrum with the theoretical one.

    The R learned eigenvalues of largest modulus are matched one to one with the R theoretical ones, with the least sum
    of angles, and among equals the least sum of their squares. A deficit of rank never removes a pair and is a number
    of its own. (If fewer than R were learned, all of these are matched; 0 has the angle 0.)

    Args:
        learned: (S,) complex, eigenvalues of the learned transition in any order.
        theory: (R,) complex, the non-zero theoretical eigenvalues in any order.
        persistent: modulus above which a learned eigenvalue counts for the rank.

    Raises:
        ValueError: either spectrum is empty, or a theoretical eigenvalue is 0.

    Source: Karuvally et al., arXiv 2310.02430, with optimal assignment in place of the greedy one.

    >>> compare(np.array([-1.0, 1.02, 0.1]), np.array([1.0, -1.0])).angle_error
    0.0
    """
    learned, theory = np.asarray(learned, complex), np.asarray(theory, complex)
    rows, columns = match(learned, theory)
    distance = np.abs(learned[rows][:, None] - theory[None])
    return SpectrumComparison(
        learned=learned[rows],
        theory=theory[columns],
        complex_error=float(distance[linear_sum_assignment(distance)].mean()),
        rank=int(np.count_nonzero(np.abs(learned) > persistent)),
        rank_theory=len(theory),
    )


def match(learned: np.ndarray, theory: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of partners in a learned spectrum (S,) and in the theoretical one (R,), in the order of the
    latter: min(S, R) each. See `compare`, also for what is raised."""
    if learned.size == 0 or theory.size == 0 or not theory.all():
        raise ValueError(
            "both spectra must have eigenvalues, the theoretical one without zeros. "
            f"Got {learned.size} learned and {theory.size} theoretical ones, {np.count_nonzero(theory == 0)} of them 0."
        )
    largest = np.argsort(-np.abs(learned), kind="stable")[: len(theory)]
    angles = angle_between(learned[largest][:, None], theory[None])
    # many assignments have the same sum (any two partners on one arc may swap); the least sum of squares is fairest
    rows, columns = linear_sum_assignment(angles + TIE_BREAK * angles**2)
    order = np.argsort(columns)
    return largest[rows[order]], columns[order]


def spectral_distance(A: np.ndarray, B: np.ndarray, threshold: float = 0.9) -> SpectrumComparison:
    """Return the comparison of the spectrum of A with the persistent eigenvalues of B; see `compare`.

    Args:
        A, B: square matrices, or spectra (S,); B is the reference.
        threshold: modulus above which an eigenvalue is persistent.

    Raises:
        ValueError: B has no persistent eigenvalue.
    """
    reference = eigenvalues_of(B)
    return compare(eigenvalues_of(A), reference[np.abs(reference) > threshold], threshold)


def eigenvalues_of(given: np.ndarray) -> np.ndarray:
    """Return the eigenvalues (S,) complex of a square matrix; a vector is a spectrum already."""
    given = np.asarray(given)
    return given.astype(complex) if given.ndim == 1 else np.linalg.eigvals(given).astype(complex)


def angle_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the angle between complex numbers, in radians from 0 to pi, exactly 0 for equal ones; shapes broadcast."""
    gap = np.abs(np.angle(a) - np.angle(b))
    return np.minimum(gap, 2 * np.pi - gap)


def chance_angle_errors(theory: np.ndarray, rng: np.random.Generator, draws: int = 100) -> np.ndarray:
    """Return the mean angle errors (draws,), in radians, of random orthogonal matrices of the theory's rank.

    Args:
        theory: (R,) complex, the non-zero theoretical eigenvalues.
        draws: number of matrices, drawn from the uniform (Haar) distribution on O(R).
    """
    q, r = np.linalg.qr(rng.standard_normal((draws, len(theory), len(theory))))
    orthogonal = q * np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None]  # the signs make QR's q uniform
    return np.array([compare(values, theory).angle_error for values in np.linalg.eigvals(orthogonal)])


def permuted_angle_errors(
    learned: np.ndarray, theory: np.ndarray, rng: np.random.Generator, draws: int = 100
) -> np.ndarray:
    """Return the mean angle errors (draws,), in radians, of a learned spectrum against the theories of other rules: the
    spectra of uniformly random signed permutations of as many cells as the theory has eigenvalues.

    Args:
        learned: (S,) complex, eigenvalues of the learned transition.
        theory: (R,) complex, the non-zero theoretical eigenvalues.
        draws: number of permutations.
    """
    others = (signed_permutation_spectrum(len(theory), rng) for _ in range(draws))
    return np.array([compare(learned, other).angle_error for other in others])


def signed_permutation_spectrum(size: int, rng: np.random.Generator) -> np.ndarray:
    """Return the eigenvalues (size,) complex of a uniformly random signed permutation matrix, by its cycles: one of
    length L and sign product p has the L roots of lambda^L = p."""
    image, free = rng.permutation(size), np.ones(size, bool)
    roots = []
    for start in range(size):
        length, cell = 0, start
        while free[cell]:
            free[cell] = False
            length, cell = length + 1, image[cell]
        if length:
            roots.append(cycle_roots(length, rng.choice([-1.0, 1.0])))
    return np.concatenate(roots)


def p_value(observed: float, null: np.ndarray) -> float:
    """Return the one-sided Monte Carlo p-value (1 + #{null <= observed}) / (1 + n) of an error that is small under the
    alternative; its least value is 1 / (1 + n).

    Args:
        observed: the error.
        null: (n,) errors that were drawn under the null hypothesis.

    Source: Phipson and Smyth, Statistical Applications in Genetics and Molecular Biology 9 (2010), article 39.

    >>> p_value(0.1, np.array([0.2, 0.3, 0.05]))
    0.5
    """
    ties = np.count_nonzero(null <= observed + TIE_BREAK)  # equal up to rounding, so that no p-value hangs on it
    return float((1 + ties) / (1 + len(null)))
