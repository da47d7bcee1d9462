"""One attempt at a perfect network of given sizes: gradient descent from many starts, then Levenberg-Marquardt."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mechlab.distill.recurrent.batched_networks import BatchedNetworks, Sizes
from mechlab.distill.recurrent.levenberg_marquardt import cauchy, levenberg_marquardt

COMPARED = 1024  # sequences on which networks of an attempt are compared
CHUNK = 4096  # sequences that a perfect network is tested on at once
BATCH = 128  # sequences of a step of gradient descent
EVERY = 100  # steps of gradient descent between two comparisons
ROUND = 10  # Levenberg-Marquardt steps between two comparisons
HOPELESS = 0.93  # an attempt ends when a round leaves every network at more than this share of its loss
KEPT = 16  # networks that Levenberg-Marquardt begins with, at most
REFINED = 2400  # parameters of all of them, at most: the cost of a step grows with the square of their number
NEARLY = 0.9  # accuracy from which sequences with wrong outputs are added to the batch
MEMORY = 2**21  # derivatives of a network that it computes at once, which bounds its batch


class Examples:
    """Sequences of integers and their targets, standardised: every channel has mean 0 and variance 1.

    Args:
        inputs: (N, T, c); the first half is to fit, the second half to decide whether a network is perfect.
        targets: (N, T, k) whole numbers.
    """

    def __init__(self, inputs: Tensor, targets: Tensor):
        self.inputs, self.targets = inputs.float().transpose(0, 1), targets.float().transpose(0, 1)  # (T, N, ...)
        self.input_mean, self.input_std = _moments(self.inputs)
        self.target_mean, self.target_std = _moments(self.targets)
        self.x = ((self.inputs - self.input_mean) / self.input_std).float()
        self.y = ((self.targets - self.target_mean) / self.target_std).float()
        self.length, self.half = len(self.x), self.x.shape[1] // 2

    def batch(self, size: int, length: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw standardised inputs and targets (length, size, ...) of the first half."""
        chosen = torch.randint(self.half, (size,), generator=rng)
        return self.x[:length, chosen], self.y[:length, chosen]

    def compared(self) -> tuple[Tensor, Tensor]:
        """Return standardised inputs and targets (T, B, ...) of the second half, the same each time."""
        part = slice(self.half, self.half + COMPARED)
        return self.x[:, part], self.y[:, part]

    def unscaled(self, networks: BatchedNetworks, weights: Tensor) -> Tensor:
        """Return parameters (M, P) float32 that map the integers themselves as `weights` map standardised ones."""
        weights = weights.detach().double().clone()
        transition, readout = networks.layers(weights)
        own = transition[0][:, networks.sizes.hidden : -1]  # of the inputs
        own /= self.input_std[:, None]
        transition[0][:, -1] -= (self.input_mean[:, None] * own).sum(1)
        readout[-1].mul_(self.target_std)
        readout[-1][:, -1] += self.target_mean
        return weights.float()

    def share_right(self, networks: BatchedNetworks, weights: Tensor) -> float:
        """Return the share of targets of the second half that the rounded outputs of one network (1, P), in float32 and
        on the integers themselves, equal; testing ends at the first chunk that has a wrong one."""
        row, share = self.unscaled(networks, weights), 1.0
        chunks = (values[:, self.half :].split(CHUNK, 1) for values in (self.inputs, self.targets))
        for x, y in zip(*chunks, strict=True):
            share = (networks.forward(row, x)[0].round() == y).float().mean().item()
            if share < 1:
                break
        return share


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the means and standard deviations of channels (T, N, c), 1 for constant ones."""
    flat = values.double().flatten(0, 1)
    spread = flat.std(0, correction=0)
    return flat.mean(0), torch.where(spread > 0, spread, torch.ones_like(spread))


@dataclass(frozen=True)
class Attempt:
    """The outcome of an attempt.

    Args:
        sizes: of its networks.
        weights: (P,) float32, parameters of the best network, for the integers themselves.
        accuracy: share of tested targets that its rounded outputs equal; 1 if it is perfect.
        steps: steps of gradient descent and of Levenberg-Marquardt that were made.
    """

    sizes: Sizes
    weights: Tensor
    accuracy: float
    steps: tuple[int, int]

    @property
    def perfect(self) -> bool:
        """True if all targets of the test are met."""
        return self.accuracy == 1


class Attempting:
    """An attempt at a perfect network.

    Networks of one batch start at random and take Adam steps on sequences that grow to their full length in the first
    half. The best of them go on with Levenberg-Marquardt, in double precision, for as long as that helps one of them.
    The first network that meets all targets ends the attempt, polished by some further Levenberg-Marquardt steps if it
    is still perfect afterwards.

    Args:
        examples: the sequences.
        sizes: of the networks.
        starts: networks, M.
        steps: of gradient descent.
        rounds: of Levenberg-Marquardt, ten steps each.
        rate: largest learning rate; the last one is a tenth.
        rng: source of starts and batches.
    """

    def __init__(
        self,
        examples: Examples,
        sizes: Sizes,
        starts: int,
        steps: int,
        rounds: int,
        rng: torch.Generator,
        rate: float = 1e-2,
    ):
        self.examples, self.sizes, self.rng = examples, sizes, rng
        self.starts, self.steps, self.rounds, self.rate = starts, steps, rounds, rate
        self.networks = BatchedNetworks(sizes, examples.x.shape[2], examples.y.shape[2])
        per_sequence = examples.length * examples.y.shape[2]
        rows = max(4 * self.networks.count, 1000)
        self.fitted_on = max(16, min(rows // per_sequence, 512, MEMORY // (per_sequence * self.networks.count)))
        self.best: tuple[float, Tensor] = (-1.0, torch.empty(0))

    def run(self) -> Attempt:
        """Make the attempt."""
        weights, descended = self.descend(self.networks.draw(self.starts, self.rng))
        refined = 0
        if self.best[0] < 1:
            kept = min(KEPT, REFINED // self.networks.count)
            refined = self._refine(weights[self._losses(weights).argsort()[:kept]].double()) if kept else 0
        elif self.networks.count <= REFINED:
            self._polish()
        accuracy, row = self.best
        return Attempt(self.sizes, self.examples.unscaled(self.networks, row)[0], accuracy, (descended, refined))

    def descend(self, weights: Tensor, tests: bool = True) -> tuple[Tensor, int]:
        """Return parameters (M, P) after Adam steps, and the number of steps, which end at a perfect network."""
        first, second = torch.zeros_like(weights), torch.zeros_like(weights)
        length, scale = self.examples.length, self.examples.target_std.float()
        for step in range(1, self.steps + 1):
            passed = step / self.steps
            x, y = self.examples.batch(BATCH, min(length, 2 + int((length - 1) * 2 * passed)), self.rng)
            with torch.enable_grad():
                weights = weights.detach().requires_grad_()
                errors = scale * (self.networks.forward(weights, x) - y)
                gradient = torch.autograd.grad(errors.square().log1p().mean((1, 2, 3)).sum() / 2, weights)[0]
            gradient = gradient.nan_to_num() / gradient.norm(dim=1, keepdim=True).clamp_min(1).nan_to_num(1.0)
            weights = weights.detach()
            first, second = first.lerp(gradient, 0.1), second.lerp(gradient.square(), 0.01)
            rate = self.rate * min(1, step / 50) * 0.1**passed
            weights = weights - rate * (first / (1 - 0.9**step)) / ((second / (1 - 0.99**step)).sqrt() + 1e-8)
            if tests and (step % EVERY == 0 or step == self.steps) and self._test(weights):
                return weights, step
        return weights, self.steps

    def _refine(self, weights: Tensor) -> int:
        """Make Levenberg-Marquardt steps from parameters (M, P), and return their number."""
        damping, done = torch.full((len(weights),), 1e-2, dtype=torch.float64), 0
        losses = self._losses(weights)
        for done in range(1, self.rounds + 1):
            for _ in range(2):
                weights, damping = self._fit(weights, damping, ROUND // 2)
            if self._test(weights):
                self._polish()
                return done * ROUND
            before, losses = losses, self._losses(weights)
            if not (losses < HOPELESS * before).any():
                break
            if len(weights) > 2:
                kept = losses.argsort()[: max(2, len(weights) * 3 // 4)]
                weights, damping, losses = weights[kept], damping[kept], losses[kept]
        return done * ROUND

    def _polish(self) -> None:
        """Bring the best network closer to the targets, unless it is no longer perfect then."""
        row = self.best[1].double()
        moved, _ = self._fit(row, torch.full((1,), 1e-3, dtype=torch.float64), ROUND)
        if self.examples.share_right(self.networks, moved) == 1:
            self.best = (1.0, moved)

    def _fit(self, weights: Tensor, damping: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        x, y = self._batch()
        scale = self.examples.target_std
        return levenberg_marquardt(self.networks, weights, damping, x.double(), y.double(), scale, steps)

    def _batch(self) -> tuple[Tensor, Tensor]:
        """Draw the sequences of some steps; if the best network is nearly perfect, also such that it gets wrong."""
        x, y = self.examples.batch(self.fitted_on, self.examples.length, self.rng)
        if self.best[0] < NEARLY:
            return x, y
        more_x, more_y = self.examples.batch(CHUNK, self.examples.length, self.rng)
        errors = self._scaled(self.best[1], more_x, more_y)[0]
        wrong = (errors.abs() >= 0.5).any(2).any(0).nonzero()[: self.fitted_on // 2, 0]
        return torch.cat([x, more_x[:, wrong]], 1), torch.cat([y, more_y[:, wrong]], 1)

    def _scaled(self, weights: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Return the errors (M, T, B, k), in whole numbers, of networks (M, P) on standardised sequences."""
        return self.examples.target_std.float() * (self.networks.forward(weights.float(), x) - y)

    def _errors(self, weights: Tensor) -> Tensor:
        return self._scaled(weights, *self.examples.compared())

    def _losses(self, weights: Tensor) -> Tensor:
        return cauchy(self._errors(weights).double())

    def _test(self, weights: Tensor) -> bool:
        """Remember the best of some networks (M, P), and return whether it is perfect."""
        shares = (self._errors(weights).abs() < 0.5).flatten(1).double().mean(1)
        for place in shares.argsort(descending=True).tolist():
            row, share = weights[place : place + 1], shares[place].item()
            if share < 1 and share <= self.best[0]:
                break
            share = self.examples.share_right(self.networks, row) if share == 1 else share
            if share > self.best[0]:
                self.best = (share, row)
            if share == 1:
                return True
        return False
