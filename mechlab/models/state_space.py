"""What linear state-space models share: scans and convolutions over time."""

from __future__ import annotations

import torch
from torch import Tensor


def scan(decay: Tensor, driven: Tensor, before: Tensor | None = None) -> Tensor:
    """Return h_t = decay h_{t-1} + driven_t for all t, (B, T, N), in log2(T) vectorised passes.

    Args:
        decay: (N,), the same at every step.
        driven: (B, T, N).
        before: (B, N), h before the first step; 0 by default.

    >>> scan(torch.tensor([0.5]), torch.ones(1, 3, 1)).flatten().tolist()
    [1.0, 1.5, 1.75]
    """
    if before is not None:
        driven = torch.cat([driven[:, :1] + (decay * before)[:, None], driven[:, 1:]], 1)
    lag = 1
    while lag < driven.shape[1]:  # after each pass h_t holds the last 2 lag steps
        driven = torch.cat([driven[:, :lag], driven[:, lag:] + decay * driven[:, :-lag]], 1)
        decay, lag = decay * decay, 2 * lag
    return driven


def convolve(kernel: Tensor, u: Tensor) -> Tensor:
    """Return sum_k kernel[c, k] u[b, t - k, c], (B, T, C), by the fast Fourier transform.

    Args:
        kernel: (C, T) real.
        u: (B, T, C) real.
    """
    T = u.shape[1]
    product = torch.fft.rfft(u, 2 * T, dim=1) * torch.fft.rfft(kernel, 2 * T).mT
    return torch.fft.irfft(product, 2 * T, dim=1)[:, :T]


def flat(h: Tensor) -> Tensor:
    """Return complex states (..., N) as real and imaginary parts in turn (..., 2 N)."""
    return torch.view_as_real(h).flatten(-2)
