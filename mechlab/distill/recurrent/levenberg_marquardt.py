"""Levenberg-Marquardt steps of many small networks on the loss 1/2 log(1 + error^2)."""

from __future__ import annotations

import torch
from torch import Tensor

from mechlab.distill.recurrent.batched_networks import BatchedNetworks

TRIES = 6  # dampings of one step


def cauchy(errors: Tensor) -> Tensor:
    """Return the mean loss (M,) of errors (M, ...); infinite where it is not a number."""
    return (errors.flatten(1).square().log1p().mean(1) / 2).nan_to_num(torch.inf)


def levenberg_marquardt(
    networks: BatchedNetworks, weights: Tensor, damping: Tensor, x: Tensor, targets: Tensor, scale: Tensor, steps: int
) -> tuple[Tensor, Tensor]:
    """Return parameters (M, P) after damped Gauss-Newton steps, and the last dampings (M,).

    Errors are scale (output - target). Each step solves the least squares of the linearised errors, weighted by
    1/(1 + error^2), with a damping that is relative to the diagonal; it is taken where the loss falls.

    Args:
        weights: (M, P) float64.
        damping: (M,) of the first step.
        x: (T, B, c).
        targets: (T, B, k).
        scale: (k,), the units of outputs and targets.
        steps: number of steps.

    Source: Levenberg (1944) and Marquardt (1963), with iteratively reweighted least squares for the loss.
    """
    loss = cauchy(scale * (networks.forward(weights, x) - targets))
    for _ in range(steps):
        outputs, jacobian = networks.jacobian(weights, x)
        errors = (scale * (outputs - targets)).flatten(1)  # (M, T B k)
        jacobian = (scale[:, None] * jacobian).flatten(1, 3)
        weighted = (jacobian / (1 + errors.square())[..., None]).mT
        normal, gradient = weighted @ jacobian, weighted @ errors[..., None]
        diagonal = normal.diagonal(dim1=1, dim2=2)
        diagonal = diagonal.clamp_min(1e-12 * diagonal.amax(1, keepdim=True) + 1e-30)
        waiting = torch.ones_like(damping, dtype=torch.bool)
        for _ in range(TRIES):
            damped = normal + torch.diag_embed(diagonal * damping[:, None])
            moved = weights - torch.linalg.solve_ex(damped, gradient)[0][..., 0]
            tried = cauchy(scale * (networks.forward(moved, x) - targets))
            better = waiting & (tried < loss)
            weights, loss = torch.where(better[:, None], moved, weights), torch.where(better, tried, loss)
            damping = torch.where(better, damping / 5, torch.where(waiting, damping * 4, damping)).clamp(1e-12, 1e8)
            waiting = waiting & ~better
            if not waiting.any():
                break
        if waiting.all():  # no step is downhill at any damping
            break
    return weights, damping
