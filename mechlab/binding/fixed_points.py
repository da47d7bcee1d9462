"""Fixed points and cycles of a recurrent model at constant input."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mechlab.binding.iterated_map import IteratedMap
from mechlab.core.model import SequenceModel

AT_ONCE = 2**21  # elements of Jacobians in memory
LEAST_DAMPING, FIRST_DAMPING, MOST_DAMPING = 1e-14, 1e-3, 1e12


class FixedPoints(NamedTuple):
    """Distinct solutions of F^p(h) = h, those that most starts lead to first; a cycle is one solution.

    Args:
        points: (K, S) float64, a point of each cycle.
        residuals: (K,) the distance |F^p(h) - h|.
        periods: (K,) int, the least number of steps, a divisor of p, after which the orbit returns.
        starts: (K,) int, the number of starts that lead there.
        multipliers: (K, S) complex, the eigenvalues of the Jacobian of F^p at the point, by falling modulus: those of
            the Floquet matrix.
    """

    points: np.ndarray
    residuals: np.ndarray
    periods: np.ndarray
    starts: np.ndarray
    multipliers: np.ndarray

    @property
    def stable(self) -> np.ndarray:
        """Whether all multipliers of a solution (K,) are inside the unit circle."""
        return np.abs(self.multipliers).max(1, initial=0) < 1


def fixed_points(
    model: SequenceModel,
    starts: Tensor,
    period: int = 1,
    x: Tensor | None = None,
    tolerance: float = 1e-8,
    iterations: int = 50,
    distance: float = 1e-3,
) -> FixedPoints:
    """Return the fixed points of the p-step map F^p of a recurrent model at constant input, from many starts.

    Each start descends on q = |F^p(h) - h|^2 / 2 by the Levenberg-Marquardt method, in double precision, with the
    Jacobians of all starts in one batch. Starts that do not converge are left out.

    Args:
        model: the model.
        starts: (N, S) states.
        period: p in steps.
        x: (inputs,) the input of every step; 0 by default.
        tolerance: largest residual |F^p(h) - h| of a solution, relative to the root mean square of the starts' norms.
        iterations: largest number of Jacobians for each start.
        distance: largest distance, in the same unit, between two results that count as one solution. Of a
            cycle, the result may be any point.

    Raises:
        ConfigError: the model's state is a cache of inputs.

    Source: Sussillo and Barak, "Opening the Black Box", Neural Computation 25 (2013); Golub and Sussillo,
    "FixedPointFinder", Journal of Open Source Software 3 (2018), with Newton steps in place of gradient descent.
    """
    system = IteratedMap(model, x)
    starts = starts.detach().to(system.x)
    scale = max(float(starts.square().sum(1).mean().sqrt()), 1e-3)
    points, residuals = _levenberg_marquardt(system, starts, period, tolerance * scale, iterations)
    solved = residuals <= tolerance * scale
    points, residuals = points[solved], residuals[solved]
    first, count = _distinct(system, points, period, distance * scale)
    order = np.argsort(-count, kind="stable")
    first, count = first[order], count[order]
    points, residuals = points[first], residuals[first]
    multipliers = np.zeros((len(points), starts.shape[1]), complex)
    at_once = max(1, AT_ONCE // starts.shape[1] ** 2)
    for k in range(0, len(points), at_once):
        values = torch.linalg.eigvals(system.jacobian(points[k : k + at_once], period)[1]).cpu().numpy()
        order = np.argsort(-np.abs(values), 1, kind="stable")
        multipliers[k : k + at_once] = np.take_along_axis(values, order, 1)
    periods = _least_periods(system, points, period, distance * scale)
    return FixedPoints(points.cpu().numpy(), residuals.cpu().numpy(), periods, count, multipliers)


def _levenberg_marquardt(
    system: IteratedMap, h: Tensor, period: int, tolerance: float, iterations: int
) -> tuple[Tensor, Tensor]:
    """Return the points (N, S) where the descent from each start ends, and their residuals (N,)."""
    h = h.clone()
    residual = (system.after(h, period) - h).norm(dim=1)
    damping = torch.full_like(residual, FIRST_DAMPING)
    eye = torch.eye(h.shape[1], dtype=h.dtype, device=h.device)
    for _ in range(iterations):
        active = ((residual > tolerance) & (damping < MOST_DAMPING) & residual.isfinite()).nonzero()[:, 0]
        if not len(active):
            break
        image, jacobian = system.jacobian(h[active], period)
        r, J = image - h[active], jacobian - eye
        gradient, normal = (J.mT @ r[..., None]), J.mT @ J
        for _ in range(6):  # dampings at one Jacobian, until the residual falls
            step = torch.linalg.solve_ex(normal + damping[active, None, None] * eye, gradient)[0][..., 0]
            moved = h[active] - step
            after = (system.after(moved, period) - moved).norm(dim=1)
            falls = after < residual[active]
            better = active[falls]
            h[better], residual[better] = moved[falls], after[falls]
            damping[better] = (damping[better] / 30).clamp(min=LEAST_DAMPING)
            active, gradient, normal = active[~falls], gradient[~falls], normal[~falls]
            damping[active] *= 10
            if not len(active):
                break
    return h, residual


def _distinct(system: IteratedMap, points: Tensor, period: int, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the first point of each distinct solution, and the number of points that are on it."""
    first: list[int] = []
    count: list[int] = []
    left = torch.ones(len(points), dtype=torch.bool, device=points.device)
    while left.any():
        index = int(left.nonzero()[0])
        same = torch.zeros_like(left)
        for state in system.orbit(points[index : index + 1], period):  # ends at the point itself
            same |= (points - state).norm(dim=1) <= distance
        same[index] = True
        first.append(index)
        count.append(int((same & left).sum()))
        left &= ~same
    return np.array(first, int), np.array(count, int)


def _least_periods(system: IteratedMap, points: Tensor, period: int, distance: float) -> np.ndarray:
    periods = np.full(len(points), period)
    for step, states in enumerate(system.orbit(points, period), 1):
        returned = ((states - points).norm(dim=1) <= distance).cpu().numpy()
        if period % step == 0:
            periods = np.where(returned & (periods == period), step, periods)
    return periods
