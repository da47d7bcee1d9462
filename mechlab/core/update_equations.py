"""Optimiser updates as linear recursions in the gradients, for given second moments.

For a given second moment, every update of SGD, Adam and AdamW has the form

    b_{s+1} = carry b_s + gain e_s,   step_s = -weight * (into b_{s+1} + direct e_s) - decoupled theta_s,

where e_s = clip_s g_s + coupled theta_s is the gradient that enters the optimizer, g_s the mean gradient of the batch,
clip_s <= 1 the factor of gradient clipping and b the momentum. Source: Kingma and Ba, arXiv 1412.6980; Loshchilov and
Hutter, arXiv 1711.05101; the torch.optim implementations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mechlab.core.errors import ConfigError


@dataclass(frozen=True)
class Recursion:
    """One update as a linear recursion; see the module.

    Args:
        weight: (..., P) or a number, the step size of each parameter.
        decoupled: share of the parameters that decay takes away, learning rate times weight decay.
        coupled: weight decay that is added to the gradient.
    """

    weight: Tensor | float
    into: float
    direct: float
    carry: float
    gain: float
    decoupled: float
    coupled: float

    def step(self, momentum: Tensor, gradient: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return the momentum after the update and the change of the parameters, all (..., P)."""
        momentum = self.carry * momentum + self.gain * gradient
        change = -self.weight * (self.into * momentum + self.direct * gradient) - self.decoupled * theta
        return momentum, change


@dataclass(frozen=True)
class SGDEquations:
    """torch.optim.SGD: the decay is coupled, and the first gradient is not damped.

    Args:
        momentum, dampening, nesterov: as torch.optim.SGD names them.
    """

    momentum: float = 0.0
    dampening: float = 0.0
    nesterov: bool = False
    decoupled = False
    first_moment = "momentum_buffer"
    second_moment = None

    def recursion(self, step: int, rate: float, decay: float, second: None = None) -> Recursion:
        """Return update `step` (0-based, counted from a fresh optimizer) at this learning rate and weight decay."""
        if self.momentum == 0:
            return Recursion(rate, into=1.0, direct=0.0, carry=0.0, gain=1.0, decoupled=0.0, coupled=decay)
        carry, gain = (0.0, 1.0) if step == 0 else (self.momentum, 1 - self.dampening)
        into, direct = (self.momentum, 1.0) if self.nesterov else (1.0, 0.0)
        return Recursion(rate, into, direct, carry, gain, decoupled=0.0, coupled=decay)


@dataclass(frozen=True)
class AdamEquations:
    """torch.optim.Adam (coupled decay) and, when decoupled, torch.optim.AdamW.

    Args:
        beta1, beta2, epsilon: of Adam.
        decoupled: whether the decay acts on the parameters rather than on the gradient.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    decoupled: bool = False
    first_moment = "exp_avg"
    second_moment = "exp_avg_sq"

    def recursion(self, step: int, rate: float, decay: float, second: Tensor) -> Recursion:
        """Return update `step` (0-based) for the raw second moment (..., P) after it."""
        size = rate / (1 - self.beta1 ** (step + 1))
        scale = (second / (1 - self.beta2 ** (step + 1))).sqrt() + self.epsilon
        decoupled, coupled = (rate * decay, 0.0) if self.decoupled else (0.0, decay)
        return Recursion(size / scale, 1.0, 0.0, self.beta1, 1 - self.beta1, decoupled, coupled)

    def second(self, before: Tensor, gradient: Tensor) -> Tensor:
        """Return the raw second moment (..., P) after a gradient (..., P)."""
        return self.beta2 * before + (1 - self.beta2) * gradient.square()

    def slope(self, step: int, second: Tensor) -> Tensor:
        """Return d(1 / (sqrt(v / correction) + epsilon)) / dv (P,) at the raw second moment v; 0 where v is 0."""
        correction = 1 - self.beta2 ** (step + 1)
        root = (second / correction).sqrt()
        slope = -1 / ((root + self.epsilon).square() * 2 * root * correction)
        return torch.where(second > 0, slope, torch.zeros_like(slope))


UpdateEquations = SGDEquations | AdamEquations


def equations_of(optimizer: torch.optim.Optimizer) -> UpdateEquations:
    """Return the update equations of a torch optimizer.

    Raises:
        ConfigError: another optimizer than SGD, Adam and AdamW, several parameter groups, amsgrad, or maximize.
    """
    kind, groups = type(optimizer), optimizer.param_groups
    if kind not in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW):
        _refuse(kind.__name__, "optimizer=sgd, adam or adamw")
    if len(groups) > 1:
        _refuse(f"{len(groups)} parameter groups", "put all parameters into one group")
    group: dict[str, Any] = groups[0]
    for option in ("amsgrad", "maximize"):
        if group.get(option):
            _refuse(f"{option}=true", f"train with optimizer.{option}=false")
    if kind is torch.optim.SGD:
        return SGDEquations(group["momentum"], group["dampening"], group["nesterov"])
    (beta1, beta2), decoupled = group["betas"], kind is torch.optim.AdamW or group.get("decoupled_weight_decay", False)
    return AdamEquations(float(beta1), float(beta2), group["eps"], bool(decoupled))


def _refuse(got: str, fix: str) -> None:
    must = "the optimizer must be SGD, Adam or AdamW, with one parameter group, without amsgrad and maximize"
    raise ConfigError(must, got=got, key="optimizer", fix=fix)


def clip_factor(norm: Tensor, clip: float | None) -> Tensor:
    """Return the factor by which gradients of these norms are multiplied before they enter the optimizer:
    min(1, clip / (norm + 1e-6)), as torch.nn.utils.clip_grad_norm_ has it, and 1 without clipping."""
    return torch.ones_like(norm) if clip is None else (clip / (norm + 1e-6)).clamp(max=1.0)


def entering_gradient(
    rule: UpdateEquations, gradient: Tensor, theta: Tensor, decay: float, clip: float | None
) -> tuple[Tensor, Tensor]:
    """Return the factor of clipping (..., 1) and the gradient (..., P) that enters the optimizer, clipped and with
    coupled weight decay, given the gradients of the batch loss at parameters theta (..., P)."""
    factor = clip_factor(gradient.norm(dim=-1, keepdim=True), clip)
    clipped = gradient if clip is None else factor * gradient
    return factor, clipped if rule.decoupled or not decay else clipped + decay * theta
