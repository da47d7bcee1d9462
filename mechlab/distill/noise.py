"""Whether the weights of a network differ from a program's integers by noise alone."""

from __future__ import annotations

import numpy as np

from mechlab.distill.matrices import Sums

SYSTEMATIC = 1e-6  # relative error of weights that were rounded to float32 or to decimals
STANDARD_ERRORS = 5


def change_by_noise(
    weight: np.ndarray,
    bias: np.ndarray,
    integers: np.ndarray,
    integer_bias: np.ndarray,
    scale: np.ndarray,
    block: np.ndarray,
    tolerance: float,
    sums: Sums | None = None,
) -> tuple[float, np.ndarray]:
    """Return the largest relative change of a weight, and for each unit whether its block differs by noise alone.

    Noise has mean 0: over all weights of a block that have the same integer, the mean of weight / (scale * integer) - 1
    must be within 5 standard errors of 0, their spread taken from the median of all weights. So a program whose
    coefficient is wrong by one is not taken for a copy with noise, however small the relative difference is, down to
    1e-6. A bias must pass the same test, or lie where it cannot change a sign.

    Args:
        weight, bias: of the network, (V, n) and (n,).
        integers, integer_bias: of the program's units that stand for them.
        scale: (n,), the factor of each unit.
        block: (n,), units of the same block have equal errors in the mean.
        tolerance: largest relative change that counts as noise.
        sums: the values that each unit's sum can take, for biases between two of them.
    """
    if not len(scale):
        return 0.0, np.zeros(0, bool)
    largest = np.abs(integers).max(0)
    size = np.where(integers != 0, np.abs(integers), np.maximum(largest, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        change = (weight / scale - integers) / size
        shift = (bias / scale - integer_bias) / np.where(integer_bias != 0, np.abs(integer_bias), largest)
    change, shift = (np.nan_to_num(part, nan=0.0, posinf=np.inf, neginf=-np.inf) for part in (change, shift))
    if sums is not None:
        free = (sums.below(-integer_bias) < -bias / scale) & (-bias / scale < sums.above(-integer_bias))
        shift = np.where(free & ~sums.contain(-integer_bias), 0.0, shift)
    used = (integers != 0) | (weight != 0)
    spread = 1.4826 * float(np.median(np.abs(change[used]))) if used.any() else 0.0
    noise = np.zeros(len(scale), bool)
    for number in np.unique(block):
        units = np.flatnonzero(block == number)
        here = used[:, units]
        values, group = np.unique(integers[:, units][here], return_inverse=True)
        classes = [np.bincount(group, change[:, units][here], len(values)), np.bincount(group, minlength=len(values))]
        biases, group = np.unique(integer_bias[units], return_inverse=True)
        totals = np.concatenate([classes[0], np.bincount(group, shift[units], len(biases))])
        counts = np.concatenate([classes[1], np.bincount(group, minlength=len(biases))])
        small = max(np.abs(change[:, units]).max(initial=0), np.abs(shift[units]).max()) <= tolerance
        mean = np.abs(totals) / np.maximum(counts, 1) <= STANDARD_ERRORS * spread / np.sqrt(counts) + SYSTEMATIC
        noise[units] = small and mean.all()
    return float(np.abs(change).max(initial=0)), noise
