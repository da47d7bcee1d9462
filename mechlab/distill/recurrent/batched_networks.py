"""Many recurrent networks of two multi-layer perceptrons, of equal sizes, computed side by side."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sizes:
    """Sizes of a network h' = f([h, x]), y = g(h').

    Args:
        hidden: H, components of the state.
        transition_depth: affine maps in f.
        readout_depth: affine maps in g.
        transition_width: units of each hidden layer of f; not used at depth 1.
        readout_width: units of each hidden layer of g; not used at depth 1.
    """

    hidden: int
    transition_depth: int
    readout_depth: int
    transition_width: int = 1
    readout_width: int = 1

    def __str__(self) -> str:
        widths = [f"f of {self.transition_depth}"] + [f"width {self.transition_width}"] * (self.transition_depth > 1)
        widths += [f"g of {self.readout_depth}"] + [f"width {self.readout_width}"] * (self.readout_depth > 1)
        return f"hidden {self.hidden}, {', '.join(widths)}"


class BatchedNetworks:
    """M networks h' = f([h, x]), y = g(h') with h = 0 at first, whose parameters are rows of one tensor (M, P).

    A row has the affine maps of f, then those of g, each as a matrix (inputs + 1, outputs) whose last row is the bias.
    f reads the state, then the input.

    Args:
        sizes: of all networks.
        inputs: c, numbers at each position.
        outputs: k, numbers at each position.

    Attributes:
        count: P, parameters of one network.
    """

    def __init__(self, sizes: Sizes, inputs: int, outputs: int):
        self.sizes, self.inputs, self.outputs = sizes, inputs, outputs
        hidden = sizes.hidden
        f = [hidden + inputs, *[sizes.transition_width] * (sizes.transition_depth - 1), hidden]
        g = [hidden, *[sizes.readout_width] * (sizes.readout_depth - 1), outputs]
        self.transition = [(n + 1, m) for n, m in itertools.pairwise(f)]
        self.readout = [(n + 1, m) for n, m in itertools.pairwise(g)]
        self.count = sum(n * m for n, m in self.transition + self.readout)

    def draw(self, networks: int, rng: torch.Generator) -> Tensor:
        """Draw parameters (M, P) float32 for inputs and outputs of unit variance: normal weights of variance 1/n, or
        2/n behind a ReLU, and an orthogonal recurrence where f is affine."""
        drawn = []
        for shapes in (self.transition, self.readout):
            for place, (n, m) in enumerate(shapes):
                weights = torch.randn(networks, n, m, generator=rng) * ((2 if place else 1) / (n - 1)) ** 0.5
                weights[:, -1] *= 0.3 * (n - 1) ** 0.5 if place == 0 and len(shapes) > 1 else 0
                drawn.append(weights)
        if len(self.transition) == 1:
            hidden = self.sizes.hidden
            drawn[0][:, :hidden] = torch.linalg.qr(torch.randn(networks, hidden, hidden, generator=rng))[0]
        return torch.cat([weights.flatten(1) for weights in drawn], 1)

    def layers(self, weights: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the affine maps of f and of g, each (M, inputs + 1, outputs), as views of parameters (M, P)."""
        shapes = self.transition + self.readout
        parts = weights.split([n * m for n, m in shapes], 1)
        maps = [part.unflatten(1, shape) for part, shape in zip(parts, shapes, strict=True)]
        return maps[: len(self.transition)], maps[len(self.transition) :]

    def forward(self, weights: Tensor, x: Tensor) -> Tensor:
        """Return the outputs (M, T, B, k) of networks (M, P) on inputs x (T, B, c)."""
        transition, readout = self.layers(weights)
        (first, *rest), hidden, m = transition, self.sizes.hidden, len(weights)
        driven = torch.baddbmm(first[:, -1:], x.flatten(0, 1).expand(m, -1, -1), first[:, hidden:-1])
        states: list[Tensor] = []
        for part in driven.unflatten(1, x.shape[:2]).unbind(1):
            h = torch.baddbmm(part, states[-1], first[:, :hidden]) if states else part
            for layer in rest:
                h = _affine(torch.relu(h), layer)
            states.append(h)
        y = _affine(torch.stack(states, 1).flatten(1, 2), readout[0])
        for layer in readout[1:]:
            y = _affine(torch.relu(y), layer)
        return y.unflatten(1, x.shape[:2])

    def jacobian(self, weights: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the outputs (M, T, B, k) of networks (M, P) on inputs x (T, B, c) and their derivatives
        (M, T, B, k, P) with respect to the parameters, by sensitivities that run along with the states."""
        transition, readout = self.layers(weights)
        hidden, (steps, batch, _), m = self.sizes.hidden, x.shape, len(weights)
        inner = sum(n * k for n, k in self.transition)  # parameters of f
        h = weights.new_zeros(m, batch, hidden)
        sensitivity = weights.new_zeros(m, batch, inner, hidden)  # of the state to the parameters of f
        outputs = weights.new_empty(m, steps, batch, self.outputs)
        jacobian = weights.new_empty(m, steps, batch, self.outputs, self.count)
        for t in range(steps):
            h, own, through = _derivatives(torch.cat([h, x[t].expand(m, -1, -1)], -1), transition)
            sensitivity = sensitivity @ through[..., :hidden, :] + own
            outputs[:, t], own, through = _derivatives(h, readout)
            jacobian[:, t, ..., :inner] = (sensitivity @ through).mT
            jacobian[:, t, ..., inner:] = own.mT
        return outputs, jacobian


def _affine(x: Tensor, layer: Tensor) -> Tensor:
    """Apply maps (M, n + 1, m) to x (M, B, n)."""
    return torch.baddbmm(layer[:, -1:], x, layer[:, :-1])


def _derivatives(x: Tensor, layers: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the outputs (M, B, k) of perceptrons on x (M, B, n), and their derivatives with respect to the parameters
    (M, B, parameters, k) and to x (M, B, n, k)."""
    read, active, z = [], [], x
    for place, layer in enumerate(layers):
        if place:
            active.append((z > 0).to(z.dtype))
            z = z * active[-1]
        read.append(torch.cat([z, torch.ones_like(z[..., :1])], -1))
        z = _affine(z, layer)
    slope = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device).expand(*z.shape, -1)  # of the outputs by z
    own = []
    for place in reversed(range(len(layers))):
        own.append((read[place][..., :, None, None] * slope[..., None, :, :]).flatten(-3, -2))
        slope = layers[place][:, None, :-1] @ slope
        if place:
            slope = slope * active[place - 1][..., None]
    return z, torch.cat(own[::-1], -2), slope
