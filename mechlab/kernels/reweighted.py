"""Retraining with other weights of the examples, which measures what attribution predicts.

The weight w_k multiplies example k's loss wherever it is seen, and batches keep their denominators, so that a weight of
0 removes an example. Trainings that differ in their weights alone are the rows of one: parameters (M, P), one gradient
for all of them by torch.func, and one elementwise update by the optimizer's equations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from mechlab.core.errors import ConfigError
from mechlab.core.step import update_many
from mechlab.core.task import Batch
from mechlab.kernels.functional_model import FunctionalModel
from mechlab.kernels.inner import works

WORTHWHILE = 10**6  # numbers saved for one batch, beyond which trainings side by side are not faster
MOST = 64  # trainings side by side, beyond which they are not faster


@dataclass(frozen=True)
class ReweightedUpdates:
    """S optimiser updates of networks that differ in the weights of their examples alone.

    Args:
        functional: the architecture and its loss.
        make_optimizer: builds the optimizer, one that `core.rules.rule_of` knows.
        batch: returns the batch of a step.
        rates: returns (learning rate, weight decay) in force during a step.
        steps: S, the number of updates.
        clip: largest norm of the whole gradient; None for no clipping.
    """

    functional: FunctionalModel
    make_optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
    batch: Callable[[int], Batch]
    rates: Callable[[int], tuple[float, float]]
    steps: int
    clip: float | None = None


def retrain(updates: ReweightedUpdates, initial: Tensor, weights: Tensor) -> Iterator[Tensor]:
    """Train M networks side by side and yield their parameters (M, P) after each update, which overwrites them.

    Args:
        initial: (P,) the parameters before the first update, or (M, P).
        weights: (M, N) of the training examples by id; 1 leaves an example as it is, 0 removes it.

    The optimizer begins afresh; see `core.step.update_many` for the updates.
    """
    functional, theta = updates.functional, nn.Parameter(initial.expand(len(weights), -1).clone())
    optimizer = updates.make_optimizer([theta])
    for step in range(updates.steps):
        batch, (rate, decay) = updates.batch(step), updates.rates(step)
        optimizer.param_groups[0]["weight_decay"] = decay
        some = weights[:, batch.index.to(weights.device)].to(theta)
        update_many(
            functional.model,
            functional.layout,
            theta,
            optimizer,
            batch,
            functional.spec,
            learning_rate=rate,
            clip=updates.clip,
            weights=some,
        )
        yield theta.detach()


def side_by_side(updates: ReweightedUpdates, initial: Tensor) -> bool:
    """True if torch can train networks of this architecture side by side: it needs a batching rule for each of
    their operations."""
    once = replace(updates, steps=1)
    weights = torch.ones(2, int(updates.batch(0).index.max()) + 1)
    return works(lambda: list(retrain(once, initial, weights)))


class Retrainings:
    """Many trainings with weights of their own and what is measured of each, a few portions at a time.

    Iterating over it does the work and yields (done, total), counted in trainings times steps. Finished portions are in
    `state`, which can be saved and restored. What is measured depends on the portions' size to rounding, and
    on the number of workers not at all.

    Args:
        weights: (M, N) of the training examples by id, a row for each training.
        portion: trainings that one worker has in memory at once.
        train: trains with weights (m, N), yielding after each of `steps` updates; what it yields last is measured.
            Trainings at the same time must not share a module: torch.func.functional_call changes it while it runs.
        measure: maps that to (m, ...) numbers.
        steps: updates of one training.
        shape: of what is measured of one training.
        workers: portions that are trained at the same time, each in a thread.
    """

    def __init__(
        self,
        weights: Tensor,
        portion: int,
        train: Callable[[Tensor], Iterator[Any]],
        measure: Callable[[Any], Tensor],
        steps: int,
        shape: Sequence[int],
        workers: int = 1,
    ):
        self.weights, self.portion, self.train, self.measure = weights, portion, train, measure
        self.steps, self.workers = steps, workers
        self.finished = 0  # trainings
        self.measured = torch.zeros(len(weights), *shape, dtype=torch.float64)

    @property
    def total(self) -> int:
        """Updates to make in all."""
        return len(self.weights) * self.steps

    def __iter__(self) -> Iterator[tuple[int, int]]:
        with ThreadPoolExecutor(self.workers) as threads:
            at_once = threads.map if self.workers > 1 else map
            while self.finished < len(self.weights):
                stop = min(self.finished + self.portion * self.workers, len(self.weights))
                parts = self.weights[self.finished : stop].split(self.portion)
                trainings = [self.train(part) for part in parts]
                for step in range(1, self.steps):
                    list(at_once(next, trainings))
                    yield self.finished * self.steps + step * (stop - self.finished), self.total
                ends = [self.measure(trained) for trained in at_once(next, trainings)]
                self.measured[self.finished : stop] = torch.cat(ends).double().cpu()
                self.finished = stop
                yield self.finished * self.steps, self.total

    def state(self) -> dict[str, Tensor]:
        """Return the finished portions, and the weights that they belong to."""
        return {"finished": torch.tensor([self.finished]), "weights": self.weights, "measured": self.measured}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what `state` returned.

        Raises:
            ConfigError: the state belongs to other trainings.
        """
        own = self.state()
        same = {n: v.shape for n, v in own.items()} == {n: v.shape for n, v in state.items()}
        if not same or not torch.equal(state["weights"].to(self.weights), self.weights):
            raise ConfigError("the saved state must belong to the same trainings", fix="remove it and begin anew")
        self.finished, self.measured = int(state["finished"]), state["measured"].clone()


def portion_size(networks: int, parameters: int, saved: int, itemsize: int, limit: int) -> int:
    """Return how many networks to train side by side; 1 where they are faster one after another.

    A network whose differentiation saves many numbers keeps a processor busy by itself, and several of them leave its
    caches: from about 10^6 numbers on (measured on CPUs), nothing is gained.

    Args:
        networks: how many there are.
        parameters: P of each.
        saved: numbers that are saved to differentiate the loss of one batch, for each network.
        itemsize: bytes of a number.
        limit: bytes that they may take.
    """
    if saved > WORTHWHILE:
        return 1
    each = (8 * parameters + saved) * itemsize  # parameters, moments, gradient, and what the update makes of them
    return int(max(1, min(networks, MOST, limit // each)))
