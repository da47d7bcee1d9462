"""Growth of small differences along trajectories of a recurrent model: Lyapunov exponents and Floquet multipliers."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mechlab.binding.iterated_map import IteratedMap
from mechlab.core.model import SequenceModel

RESOLVED = 1e-12  # of the largest multiplier: below, rounding decides


def lyapunov_exponents(
    model: SequenceModel,
    states: Tensor,
    steps: int,
    k: int,
    rng: torch.Generator,
    settling: int = 100,
    every: int = 4,
    x: Tensor | None = None,
) -> np.ndarray:
    """Return the k largest Lyapunov exponents (N, k) of trajectories of a recurrent model at constant input, in nats
    per step, in falling order.

    An orthonormal basis of k tangents is carried along each trajectory and made orthonormal again by a QR
    decomposition; the exponents are the mean logarithms of the diagonal of R.

    Args:
        model: the model.
        states: (N, S) the first states of the trajectories, on their attractor if the exponents are to be its own.
        steps: length over which the logarithms are averaged, a multiple of `every`.
        k: number of exponents, at most S.
        rng: of the first basis, on the CPU.
        settling: steps before, along which the basis turns towards the directions of largest growth.
        every: steps from one QR decomposition to the next.
        x: (inputs,) the input of every step; 0 by default.

    Raises:
        ConfigError: the model's state is a cache of inputs.

    Source: Benettin et al., Meccanica 15 (1980); Geist, Parlitz and Lauterborn, Progress of Theoretical Physics 83
    (1990), for the QR method.
    """
    system = IteratedMap(model, x)
    states = states.detach().to(system.x)
    first = torch.randn(*states.shape, k, generator=rng, dtype=torch.float64).to(system.x)
    Q = torch.linalg.qr(first).Q  # (N, S, k)
    logarithms = states.new_zeros(len(states), k)
    for step in range(1, settling + steps + 1):
        Q = system.tangents(states, Q)
        states = system.after(states)
        if step <= settling or (step - settling) % every == 0:
            Q, R = torch.linalg.qr(Q)
            if step > settling:
                logarithms += R.diagonal(dim1=1, dim2=2).abs().clamp(min=torch.finfo(R.dtype).tiny).log()
    return (logarithms / steps).sort(1, descending=True).values.cpu().numpy()


def floquet_multipliers(
    model: SequenceModel, states: Tensor, period: int, x: Tensor | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the logarithms of the moduli, in nats, and the angles, in radians, of the Floquet multipliers (N, S) of
    orbits of a recurrent model at constant input: the eigenvalues of the Jacobian of the p-step map, by modulus.

    The Jacobian is a product of `period` factors, as J_p ... J_1 = Q R_p ... R_1 with a QR decomposition at each step;
    the product of triangular factors is scaled, so that no period is too long. Multipliers below 1e-12 of the largest
    are lost in rounding, and are NaN.

    Args:
        model: the model.
        states: (N, S), a state of each orbit.
        period: p in steps.
        x: (inputs,) the input of every step; 0 by default.

    Raises:
        ConfigError: the model's state is a cache of inputs.
    """
    system = IteratedMap(model, x)
    states = states.detach().to(system.x)
    Q = triangle = torch.eye(states.shape[1], dtype=states.dtype, device=states.device).expand(len(states), -1, -1)
    scale = states.new_zeros(len(states))
    for _ in range(period):
        states, jacobian = system.jacobian(states)
        Q, R = torch.linalg.qr(jacobian @ Q)
        triangle = R @ triangle
        largest = triangle.abs().amax((1, 2)).clamp(min=torch.finfo(R.dtype).tiny)
        triangle, scale = triangle / largest[:, None, None], scale + largest.log()
    values = torch.linalg.eigvals(Q @ triangle)
    moduli, order = values.abs().sort(1, descending=True)
    resolved = moduli > RESOLVED * moduli[:, :1]
    logarithms = torch.where(resolved, moduli.log() + scale[:, None], torch.nan)
    angles = torch.where(resolved, values.gather(1, order).angle(), torch.nan)
    return logarithms.cpu().numpy(), angles.cpu().numpy()
