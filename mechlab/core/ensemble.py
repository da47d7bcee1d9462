"""An ensemble: M networks of one architecture that are trained as one batched model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mechlab.core.batched_linear import with_batched_linear
from mechlab.core.errors import ConfigError
from mechlab.core.layout import Layout
from mechlab.core.step import trained_parameters, update_many
from mechlab.core.task import Batch, TaskSpec
from mechlab.core.update_equations import equations_of

KEY, ONE_BY_ONE = "trainer.seeds", "train the seeds one by one: -m seed=0,1,2"


@dataclass(frozen=True)
class Membership:
    """The row of an ensemble that a network is trained in.

    Args:
        row: its number, from 0.
        size: M, the number of rows.
    """

    row: int
    size: int


class Member(NamedTuple):
    """A network of an ensemble, and its optimizer."""

    model: nn.Module
    optimizer: torch.optim.Optimizer


class Ensemble:
    """M networks whose parameters and optimizer states are the rows of matrices (M, P).

    The parameters and the optimizer states of the members are views of their rows, so that models and optimizers hold
    the current values after each update. A row without a member computes on a copy of the first member and its data:
    the bits of a row depend on its number and on M, and not on the content of the other rows, so that one network can
    be trained again alone.

    Args:
        size: M.
        members: the networks by row, one or more.
        make_optimizer: builds the optimizer of all rows.
        sample: a few training examples.
        spec: of the task.

    Raises:
        ConfigError: the optimizer is not one that updates each number by itself, or the networks differ in the shapes
            of their parameters.
    """

    def __init__(
        self,
        size: int,
        members: Mapping[int, Member],
        make_optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        sample: Batch,
        spec: TaskSpec,
    ):
        self.size, self.members, self.spec = size, dict(members), spec
        first = next(iter(self.members.values()))
        equations_of(first.optimizer)  # refuses optimizers that are not known to update each number by itself
        self.model, self.layout = (
            with_batched_linear(first.model),
            Layout(trained_parameters(first.model, sample, spec)),
        )
        rows = [self.members.get(row, first) for row in range(size)]
        _check_shapes(rows)
        self.theta = nn.Parameter(torch.stack([self.layout.join(_values(row.model)) for row in rows]).detach())
        self.optimizer = make_optimizer([self.theta])
        names = [name for name in _values(first.model) if name not in self.layout.shapes]
        self._constants = {name: torch.stack([_values(row.model)[name].detach() for row in rows]) for name in names}
        if state := self._gathered(rows):
            self.optimizer.state[self.theta] = state
        for row, member in self.members.items():
            values = self.layout.split(self.theta.detach()[row])
            for name, parameter in member.model.named_parameters():
                if name in values:
                    parameter.data = values[name]
        self._bound = False  # whether the members' optimizer states are views
        self._stacked: tuple[list[Batch], Batch] | None = None

    def update(
        self,
        batches: Mapping[int, Batch],
        learning_rate: float,
        clip: float | None = None,
        weights: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Make one optimiser update of all networks, in place; see `update_many` for what is returned.

        Args:
            batches: the examples of each member, by row.
            learning_rate, clip: as for `update_many`.
            weights: (B,) weight of each example, for all networks.

        Raises:
            ConfigError: the members' batches differ in shape.
        """
        losses, outputs = update_many(
            self.model,
            self.layout,
            self.theta,
            self.optimizer,
            self._batch(batches),
            self.spec,
            learning_rate=learning_rate,
            clip=clip,
            weights=None if weights is None else weights.expand(self.size, -1),
            constants=self._constants,
        )
        if not self._bound:  # before the first update, torch's optimizers have no state
            self._bind_states()
        return losses, outputs

    def release(self) -> None:
        """Give the members parameters and optimizer states of their own, with the current values."""
        for member in self.members.values():
            for parameter in member.model.parameters():
                parameter.data = parameter.data.clone()
            for state in member.optimizer.state.values():
                state |= {name: value.clone() for name, value in state.items() if isinstance(value, Tensor)}

    def _batch(self, batches: Mapping[int, Batch]) -> Batch:
        """Return the batch of all rows (M, B, ...); of full batches, which do not change, the one from before."""
        first = batches[next(iter(self.members))]
        rows = [batches.get(row, first) for row in range(self.size)]
        if self._stacked is None or any(a is not b for a, b in zip(rows, self._stacked[0], strict=True)):
            shapes = {(tuple(batch.inputs.shape), tuple(batch.targets.shape), batch.mask is None) for batch in rows}
            if len(shapes) > 1:
                must = "the batches of networks that are trained together must have one shape"
                got = f"inputs of shapes {' and '.join(str(shape) for shape, *_ in sorted(shapes))} in one step"
                raise ConfigError(must, got=got, key=KEY, fix=ONE_BY_ONE)
            masks = [batch.mask for batch in rows if batch.mask is not None]  # all or none of them
            mask = torch.stack(masks) if masks else None
            stacked = {name: torch.stack([getattr(b, name) for b in rows]) for name in ("inputs", "targets", "index")}
            self._stacked = rows, Batch(mask=mask, **stacked)
        return self._stacked[1]

    def _gathered(self, rows: list[Member]) -> dict[str, Tensor]:
        """Return the state of the optimizer of all rows, given the members'; empty before the first update."""
        states = []
        for model, optimizer in rows:
            parameters = dict(model.named_parameters())
            states.append({name: optimizer.state.get(parameters[name], {}) for name in self.layout.names})
        first = states[0][self.layout.names[0]]
        return {
            key: value.clone()  # the number of steps
            if value.ndim == 0
            else torch.stack([self.layout.join({name: own[key] for name, own in state.items()}) for state in states])
            for key, value in first.items()
            if value is not None
        }

    def _bind_states(self) -> None:
        """Make the optimizer states of the members views of their rows, under the names that torch gives them."""
        whole = {key: value for key, value in self.optimizer.state[self.theta].items() if value is not None}
        for row, (model, optimizer) in self.members.items():
            parts = {key: value if value.ndim == 0 else self.layout.split(value[row]) for key, value in whole.items()}
            for name, parameter in model.named_parameters():
                if name in self.layout.shapes and parts:
                    optimizer.state[parameter] = {
                        key: part if isinstance(part, Tensor) else part[name] for key, part in parts.items()
                    }
        self._bound = True


def _check_shapes(rows: list[Member]) -> None:
    shapes = [{name: value.shape for name, value in _values(row.model).items()} for row in rows]
    for other in shapes[1:]:
        if other != shapes[0]:
            names = [name for name in {**shapes[0], **other} if shapes[0].get(name) != other.get(name)]
            must = "networks that are trained together must have parameters of one shape"
            raise ConfigError(must, got=f"{', '.join(names)} of other shapes", key=KEY, fix=ONE_BY_ONE)


def _values(model: nn.Module) -> dict[str, Tensor]:
    """Return all parameters and buffers of a model by name, each of them once."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}
