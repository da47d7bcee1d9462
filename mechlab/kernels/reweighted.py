"""Training with other weights of the examples, which measures what attribution predicts.

The weight w_k multiplies example k's loss in every batch that holds it. Batches keep their denominators, so that a
weight of 0 removes an example. Small networks that differ in these weights alone are trained side by side.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mechlab.core.errors import ConfigError
from mechlab.core.step import update_many
from mechlab.core.task import Batch
from mechlab.kernels.functional_model import FunctionalModel
from mechlab.kernels.inner import InnerProducts, works

if TYPE_CHECKING:
    from mechlab.core.data import Source
    from mechlab.core.recipe import Recipe
    from mechlab.kernels.trajectory import Trajectory

WORTHWHILE = 10**6  # activations of one batch, beyond which training side by side is not faster
MOST = 64  # networks side by side, beyond which training is not faster


@dataclass(frozen=True)
class ReweightedUpdates:
    """S optimiser updates of networks that differ in the weights of their examples alone.

    Args:
        functional: the architecture and its loss.
        make_optimizer: builds the optimizer, of a kind that `core.update_equations.equations_of` supports.
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
    """Return whether torch can train networks of this architecture side by side: it needs a batching rule for each of
    their operations."""
    once = replace(updates, steps=1)
    weights = torch.ones(2, int(updates.batch(0).index.max()) + 1)
    return works(lambda: list(retrain(once, initial, weights)))


@dataclass(frozen=True)
class RepeatedTraining:
    """A recorded training that is repeated with other weights of its examples.

    Args:
        recipe: of the training.
        trajectory: its record, in the precision and on the device of the repetitions.
        limit: bytes that networks side by side may take.
    """

    recipe: Recipe
    trajectory: Trajectory
    limit: int

    def portion(self, networks: int) -> int:
        """Return how many networks are trained side by side; 1 where they are trained one after another."""
        functional, theta, batch = self.trajectory.functional, self.trajectory.state(0).theta, self._batches()(0)
        itemsize = theta.element_size()
        activations = InnerProducts(functional).activation_bytes(theta, batch) * len(batch) // itemsize
        portion = portion_size(networks, functional.layout.size, activations, itemsize, self.limit)
        return portion if portion > 1 and side_by_side(self._updates(), theta) else 1

    def training(self, portion: int) -> Callable[[Tensor], Iterator[Tensor | None]]:
        """Return `together` for portions of several networks, else `alone`."""
        if portion > 1:
            return self.together
        _ = self.initial  # threads cannot build it at the same time
        return self.alone

    def together(self, weights: Tensor) -> Iterator[Tensor]:
        """Train networks with weights (m, N) side by side; yield their parameters (m, P) after each update."""
        return retrain(self._updates(), self.trajectory.state(0).theta, weights)

    def alone(self, weights: Tensor) -> Iterator[Tensor | None]:
        """Train one network by ordinary updates, with weights (1, N); yield its parameters (1, P) after the last."""
        functional, steps = self.trajectory.functional, self.trajectory.steps
        recipe, initial = self.initial
        model = copy.deepcopy(initial)
        weights = weights[0].to(functional.device, functional.dtype)
        for step, *_ in recipe.steps(model, source=self.source(recipe), weights=weights, stop=steps):
            yield functional.layout.join(dict(model.named_parameters())).detach()[None] if step == steps else None

    @cached_property
    def initial(self) -> tuple[Recipe, nn.Module]:
        """The recipe in the precision of the repetitions, and the model before the first step."""
        recipe = replace(self.recipe, dtype=self.trajectory.functional.dtype, initial=None, member=None)
        return recipe, recipe.model(self.trajectory.record.params(0)).to(self.trajectory.functional.device)

    def source(self, recipe: Recipe) -> Source:
        """Return the examples of the recorded training, on the device of the repetitions."""
        return recipe.source(self.trajectory.functional.device, drawn_on=self.trajectory.drawn_on)

    def _updates(self) -> ReweightedUpdates:
        trajectory = self.trajectory
        functional = copy.deepcopy(trajectory.functional)  # functional calls change the module, and workers are threads
        rates, steps = trajectory.record.rates, trajectory.steps
        return ReweightedUpdates(functional, self.recipe.make_optimizer, self._batches(), rates, steps, trajectory.clip)

    def _batches(self) -> Callable[[int], Batch]:
        """Return the batch of a step; each worker has a source of its own."""
        source = self.source(self.recipe)
        return lambda step: self.trajectory.functional.placed(source.batch(step))


class ReweightedTrainings:
    """Many trainings, each with weights of its own, and a measurement at the end of each.

    Iteration computes a step of a few portions and yields (done, total), counted in trainings times steps. `state`
    holds the finished portions. The size of portions changes measurements by rounding, the number of workers does not.

    Args:
        weights: (M, N) of the training examples by id, a row for each training.
        portion: trainings that one worker computes side by side.
        train: trains with weights (m, N) and yields after each of `steps` updates; the last yield is measured.
            Concurrent trainings must not share a module: torch.func.functional_call changes it while it runs.
        measure: maps the last yield to (m, ...) numbers.
        steps: updates of one training.
        shape: of the measurement of one training.
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
        """Return the measurements of the finished portions, and all weights."""
        return {"finished": torch.tensor([self.finished]), "weights": self.weights, "measured": self.measured}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a state that `state` returned.

        Raises:
            ConfigError: the state is of other trainings.
        """
        local = self.state()
        same = {n: v.shape for n, v in local.items()} == {n: v.shape for n, v in state.items()}
        if not same or not torch.equal(state["weights"].to(self.weights), self.weights):
            raise ConfigError("the saved state must be of the same trainings", fix="remove it and begin anew")
        self.finished, self.measured = int(state["finished"]), state["measured"].clone()


def portion_size(networks: int, parameters: int, activations: int, itemsize: int, limit: int) -> int:
    """Return how many networks to train side by side; 1 where training one after another is faster.

    From about 10^6 activations on (measured on CPUs), a single network occupies a processor, and several of them do not
    fit its caches.

    Args:
        networks: how many there are.
        parameters: P of each.
        activations: numbers that back-propagation through the loss of one batch stores, for each network.
        itemsize: bytes of a number.
        limit: bytes that they may take.
    """
    if activations > WORTHWHILE:
        return 1
    each = (8 * parameters + activations) * itemsize  # parameters, moments, gradient, temporaries of the update
    return int(max(1, min(networks, MOST, limit // each)))
