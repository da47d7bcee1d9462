"""Loss and accuracy of a network of pairs when hidden units read other elements, or other signs.

Source: Stander et al., arXiv 2312.06581, section 5 (causal interventions).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mechlab.groups.activations import Functions
from mechlab.groups.network import PairNetwork

NUMBERS = 4_000_000  # of the largest tensor of a block


@dataclass(frozen=True, eq=False)
class Replaced:
    """Hidden units that read other elements in place of a and b.

    Args:
        units: (k,) their numbers.
        x, y: (n,) the elements that they read for each left and each right factor.
    """

    units: np.ndarray
    x: np.ndarray
    y: np.ndarray


@torch.no_grad()
def scores(network: PairNetwork, rows: np.ndarray, change: Callable[[Tensor, Tensor], Tensor]) -> tuple[float, float]:
    """Return the mean loss in nats and the accuracy over the pairs of some elements a (R,) with all b.

    Args:
        network: with hidden units.
        rows: the elements.
        change: maps elements a and their hidden activations (R, n, h) to changed activations.
    """
    table = torch.from_numpy(np.array(network.group.table)).long()
    width = max(network.order, len(network.unembedding))
    loss = right = 0.0
    for block in torch.from_numpy(rows).split(max(1, NUMBERS // (network.order * width))):
        logits = network.logits(block, change(block, network.hidden(block))).double()
        own = logits.gather(2, table[block][..., None])[..., 0]
        loss += float((logits.logsumexp(2) - own).sum())
        right += float(((logits >= own[..., None]).sum(2) == 1).sum())
    pairs = len(rows) * network.order
    return loss / pairs, right / pairs


def replaced(network: PairNetwork, parts: Sequence[Replaced]) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the change of activations, for `scores`, with which hidden units read other elements."""

    def change(block: Tensor, hidden: Tensor) -> Tensor:
        hidden = hidden.clone()
        for part in parts:
            units, x, y = (torch.from_numpy(values) for values in (part.units, part.x, part.y))
            hidden[:, :, units] = network.hidden(x[block])[:, :, units][:, y]
        return hidden

    return change


def is_relu(network: PairNetwork) -> bool:
    """Return whether the hidden units are the positive parts of what their nonlinearity reads, up to a constant."""
    if network.preactivations is None:
        return False
    row = torch.tensor([network.group.identity])
    left = (network.hidden(row) - network.preactivations(row).relu()).flatten(0, 1)
    return bool((left - left[0]).abs().max() <= 1e-9 * (1 + network.hidden(row).abs().max()))


def symmetry_ablations(
    network: PairNetwork, read: Functions, noise: float, rng: np.random.Generator
) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """Return changes of the activations of a relu network by name, for `scores`.

    - both_signs: the negative of what the nonlinearity reads. A circuit that depends on whether the two functions of
      the factors cancel is not changed in kind, since relu(-x) = relu(x) - x.
    - absolute: the absolute value in place of relu.
    - left_sign, right_sign: the negative of the function of one factor alone.
    - exchange: the right factor in place of the left one, and the reverse.
    - noise: normal noise in the functions of the factors, of a relative size.

    Args:
        network: with relu units.
        read: the functions of the factors that these read.
        noise: standard deviation relative to that of each function.
        rng: of the noise.
    """
    parts = [torch.from_numpy(part - part.mean(0)) for part in (read.a, read.b)]
    drawn = [part.std(0) * noise * torch.from_numpy(rng.standard_normal(part.shape)) for part in parts]

    def reading(change: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        """Return the change of activations that a change of what the nonlinearity reads makes."""

        def changed(block: Tensor, hidden: Tensor) -> Tensor:
            before = network.preactivations(block)
            return hidden - before.relu() + change(block, before)

        return changed

    a, b = parts
    return {
        "both_signs": reading(lambda block, x: (-x).relu()),
        "absolute": reading(lambda block, x: x.abs()),
        "left_sign": reading(lambda block, x: (x - 2 * a[block][:, None]).relu()),
        "right_sign": reading(lambda block, x: (x - 2 * b).relu()),
        "exchange": lambda block, hidden: _exchanged(network, block),
        "noise": reading(lambda block, x: (x + drawn[0][block][:, None] + drawn[1]).relu()),
    }


def _exchanged(network: PairNetwork, block: Tensor) -> Tensor:
    """Return the activations (R, n, h) of the pairs (b, a) in place of (a, b)."""
    step = max(1, NUMBERS // (network.order * len(network.unembedding)))
    return torch.cat([network.hidden(b)[:, block] for b in torch.arange(network.order).split(step)]).transpose(0, 1)
