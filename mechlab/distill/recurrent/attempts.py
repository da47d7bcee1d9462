"""One attempt at a perfect network of given sizes: gradient descent from many starts, then Levenberg-Marquardt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np
import torch
from torch import Tensor

from mechlab.distill.recurrent.batched_networks import BatchedNetworks, Sizes
from mechlab.distill.recurrent.levenberg_marquardt import cauchy, levenberg_marquardt

FEW = 2000  # distinct sequences below which there are too few for held-out ones
COMPARED = 1024  # sequences on which networks of an attempt are compared
CHUNK = 4096  # sequences that a perfect network is tested on at once
BATCH = 128  # sequences of a step of gradient descent
EVERY = 100  # steps of gradient descent between two comparisons
ROUND = 10  # Levenberg-Marquardt steps between two comparisons
HOPELESS = 0.9  # an attempt ends when a round leaves every network at more than this share of its loss
KEPT = 16  # networks that Levenberg-Marquardt begins with, at most
REFINED = 2400  # parameters of all of them, at most: the cost of a step grows with the square of their number
NEARLY = 0.95  # accuracy from which sequences with wrong outputs are added to the batch
NEAREST = 3  # networks that go on from there
MORE = 3  # times as many sequences are in the batches of so few networks
PATIENCE = 4  # such rounds in a row that end an attempt whose best network is that accurate
MEMORY = 2**21  # derivatives of a network in a step, at most: those of a wider one it does not take


class Examples:
    """Distinct sequences of integers and their targets, standardised: every channel has mean 0 and variance 1.

    Sequences that occur repeatedly are taken once. Half of the distinct ones are to fit, the other half is held out; if
    there are fewer than FEW, all of them are to fit, and all of them are tested.

    Args:
        inputs: (N, T, c), in random order.
        targets: (N, T, k) whole numbers.

    Attributes:
        inputs, targets: (T, n, c) and (T, n, k), the n distinct sequences, those to fit first.
        x, y: the same, standardised.
        fitted: number of sequences to fit.
        held_out: the sequences that decide whether a network is perfect.
    """

    def __init__(self, inputs: Tensor, targets: Tensor):
        first = torch.from_numpy(np.unique(inputs.flatten(1).cpu().numpy(), axis=0, return_index=True)[1]).sort()[0]
        self.inputs, self.targets = (values[first].float().transpose(0, 1) for values in (inputs, targets))
        self.input_mean, self.input_std = _moments(self.inputs)
        self.target_mean, self.target_std = _moments(self.targets)
        self.x = ((self.inputs - self.input_mean) / self.input_std).float()
        self.y = ((self.targets - self.target_mean) / self.target_std).float()
        self.length, total = self.x.shape[:2]
        self.fitted = total if total < FEW else total // 2
        self.held_out = slice(0 if total < FEW else self.fitted, None)

    def batch(self, size: int, length: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw standardised inputs and targets (length, size, ...) to fit."""
        chosen = torch.randint(self.fitted, (size,), generator=rng)
        return self.x[:length, chosen], self.y[:length, chosen]

    def compared(self) -> tuple[Tensor, Tensor]:
        """Return some standardised inputs and targets (T, B, ...) that are held out, the same each time."""
        return self.x[:, self.held_out][:, :COMPARED], self.y[:, self.held_out][:, :COMPARED]

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

    def share_right(self, networks: BatchedNetworks, row: Tensor) -> float:
        """Return the share of all held-out targets that the rounded outputs of one network equal, in float32 and on the
        integers themselves; 1 only if those of the sequences to fit are right too.

        Args:
            row: (1, P) float32, parameters for the integers.
        """
        held_out = self._share(networks, row, self.held_out)
        return held_out if held_out < 1 else self._share(networks, row, slice(self.fitted))

    def _share(self, networks: BatchedNetworks, row: Tensor, part: slice) -> float:
        right, count = 0, 0
        chunks = (values[:, part].split(CHUNK, 1) for values in (self.inputs, self.targets))
        for x, y in zip(*chunks, strict=True):
            right += int((networks.forward(row, x)[0].round() == y).sum())
            count += y.numel()
        return right / count


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


def attempts_state(attempts: Sequence[Attempt]) -> dict[str, Tensor]:
    """Return attempts as tensors, from which `attempts_of_state` makes them again."""
    state = {
        "sizes": torch.tensor([astuple(attempt.sizes) for attempt in attempts]),
        "accuracy": torch.tensor([attempt.accuracy for attempt in attempts], dtype=torch.float64),
        "steps": torch.tensor([attempt.steps for attempt in attempts]),
    }
    return state | {f"weights.{place}": attempt.weights for place, attempt in enumerate(attempts)}


def attempts_of_state(state: Mapping[str, Tensor]) -> list[Attempt]:
    """Return the attempts of `attempts_state`."""
    rows = zip(*(state[name].tolist() for name in ("sizes", "accuracy", "steps")), strict=True)
    return [
        Attempt(Sizes(*sizes), state[f"weights.{place}"], accuracy, tuple(steps))
        for place, (sizes, accuracy, steps) in enumerate(rows)
    ]


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
        count = self.networks.count
        self.fitted_on = max(16, -(-max(4 * count, 1000) // per_sequence))
        fits = self.fitted_on * per_sequence * count <= MEMORY and count <= REFINED
        self.refined = min(KEPT, REFINED // count) if fits else 0  # networks that Levenberg-Marquardt begins with
        self.best: tuple[float, Tensor] = (-1.0, torch.empty(0))

    def run(self) -> Attempt:
        """Make the attempt."""
        weights, descended = self.descend(self.networks.draw(self.starts, self.rng))
        refined = 0
        if self.best[0] < 1:
            kept = self._losses(weights).argsort()[: self.refined]
            refined = self._refine(weights[kept].double()) if self.refined else 0
        elif self.refined:
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
        damping, done, failed = torch.full((len(weights),), 1e-2, dtype=torch.float64), 0, 0
        losses = self._losses(weights)
        while failed < (PATIENCE if self.best[0] >= NEARLY else 1) and done < self.rounds:
            done += 1
            for _ in range(2):
                weights, damping = self._fit(weights, damping, ROUND // 2)
            accuracy = self.best[0]
            if self._test(weights):
                self._polish()
                break
            before, losses = losses, self._losses(weights)
            helped = (losses < HOPELESS * before).any() or self.best[0] > accuracy >= NEARLY
            failed = 0 if helped else failed + 1
            if len(weights) > 2:
                kept = losses.argsort()[: NEAREST if self.best[0] >= NEARLY else max(2, len(weights) * 3 // 4)]
                weights, damping, losses = weights[kept], damping[kept], losses[kept]
        return done * ROUND

    def _polish(self) -> None:
        """Bring the best network closer to the targets, unless it is no longer perfect then."""
        row = self.best[1].double()
        moved, _ = self._fit(row, torch.full((1,), 1e-3, dtype=torch.float64), ROUND)
        if self._share(moved) == 1:
            self.best = (1.0, moved)

    def _fit(self, weights: Tensor, damping: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        x, y = self._batch(self.fitted_on * (MORE if len(weights) <= NEAREST else 1))
        scale = self.examples.target_std
        return levenberg_marquardt(self.networks, weights, damping, x.double(), y.double(), scale, steps)

    def _batch(self, size: int) -> tuple[Tensor, Tensor]:
        """Draw the sequences of some steps; if the best network is nearly perfect, also such that it gets wrong."""
        x, y = self.examples.batch(size, self.examples.length, self.rng)
        if self.best[0] < NEARLY:
            return x, y
        more_x, more_y = self.examples.batch(CHUNK, self.examples.length, self.rng)
        errors = self._scaled(self.best[1], more_x, more_y)[0]
        wrong = (errors.abs() >= 0.5).any(2).any(0).nonzero()[: size // 2, 0]
        return torch.cat([x, more_x[:, wrong]], 1), torch.cat([y, more_y[:, wrong]], 1)

    def _share(self, row: Tensor) -> float:
        return self.examples.share_right(self.networks, self.examples.unscaled(self.networks, row))

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
            share = self._share(row) if share == 1 else share
            if share > self.best[0]:
                self.best = (share, row)
            if share == 1:
                return True
        return False
