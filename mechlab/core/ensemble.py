"""An ensemble: M networks of one architecture that are trained as one batched model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mechlab.core.errors import ConfigError
from mechlab.core.layout import Layout
from mechlab.core.rules import TrainingState, rule_of
from mechlab.core.step import trained_parameters, update_many
from mechlab.core.task import Batch, TaskSpec


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
        sample: a few training examples.
        spec: of the task.

    Raises:
        ConfigError: the optimizer has no rule, or the networks differ in the shapes of their parameters.
    """

    def __init__(self, size: int, members: Mapping[int, Member], sample: Batch, spec: TaskSpec):
        self.size, self.members, self.spec = size, dict(members), spec
        first = next(iter(self.members.values()))
        self.model, self.rule = first.model, rule_of(first.optimizer)
        self.layout = Layout(trained_parameters(first.model, sample, spec))
        self._filled = [self.members.get(row, first) for row in range(size)]
        self._check_shapes()
        theta = torch.stack([self.layout.join(_values(member.model)) for member in self._filled]).detach()
        momentum, second = (self._moments(key, theta) for key in (self.rule.first_moment, self.rule.second_moment))
        self.state = TrainingState(theta, momentum, second)
        names = [name for name in _values(first.model) if name not in self.layout.shapes]
        self._constants = {
            name: torch.stack([_values(member.model)[name].detach() for member in self._filled]) for name in names
        }
        self._count, self._bound = torch.zeros((), dtype=torch.float32), False
        for row, member in self.members.items():
            values = self.layout.split(theta[row])
            for name, parameter in member.model.named_parameters():
                if name in values:
                    parameter.data = values[name]
        self._stacked: tuple[list[Batch], Batch] | None = None

    def update(
        self,
        batches: Mapping[int, Batch],
        step: int,
        rates: tuple[float, float],
        clip: float | None = None,
        weights: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Make optimiser update `step` of all networks, in place; see `update_many` for what is returned.

        Args:
            batches: the examples of each member, by row.
            rates: learning rate and weight decay.
            weights: (B,) weight of each example, for all networks.

        Raises:
            ConfigError: the members' batches differ in shape.
        """
        losses, outputs = update_many(
            self.model,
            self.layout,
            self.rule,
            self.state,
            self._batch(batches),
            self.spec,
            step=step,
            learning_rate=rates[0],
            weight_decay=rates[1],
            clip=clip,
            weights=None if weights is None else weights.expand(self.size, -1),
            constants=self._constants,
        )
        self._count.fill_(step + 1)
        if not self._bound:  # before the first update, torch's optimizers have no state
            self._bind_moments()
        return losses.detach(), outputs.detach()

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
            shapes = {(batch.inputs.shape, batch.targets.shape, batch.mask is None) for batch in rows}
            if len(shapes) > 1:
                must = "the batches of networks that are trained together must have one shape"
                got = f"inputs of shapes {', '.join(str(tuple(shape)) for shape, *_ in sorted(shapes))} in one step"
                raise ConfigError(must, got=got, key="trainer.seeds", fix="train the seeds one by one: -m seed=0,1,2")
            mask = None if first.mask is None else torch.stack([batch.mask for batch in rows])
            inputs, targets, index = (
                torch.stack([getattr(b, n) for b in rows]) for n in ("inputs", "targets", "index")
            )
            self._stacked = rows, Batch(inputs, targets, mask, index)
        return self._stacked[1]

    def _moments(self, key: str | None, theta: Tensor) -> Tensor | None:
        """Return the moments (M, P) of this name that the optimizers hold; zero where there are none yet."""
        if key is None:
            return None
        moments = torch.zeros_like(theta)
        for row, member in enumerate(self._filled):
            places = self.layout.split(moments[row])
            for name, parameter in member.model.named_parameters():
                if name in places and key in member.optimizer.state.get(parameter, {}):
                    places[name].copy_(member.optimizer.state[parameter][key])
        return moments

    def _bind_moments(self) -> None:
        """Make the optimizers' states views of the moments, under the names that torch gives them."""
        keys = {self.rule.first_moment: self.state.momentum, self.rule.second_moment: self.state.second}
        if self.rule.second_moment is None and not self.rule.momentum:
            keys = {}
        for row, member in self.members.items():
            split = {key: self.layout.split(value[row]) for key, value in keys.items() if value is not None}
            for name, parameter in member.model.named_parameters():
                if name in self.layout.shapes:
                    step = {} if self.rule.second_moment is None else {"step": self._count}
                    state: dict[str, Any] = {**step, **{key: places[name] for key, places in split.items()}}
                    if state:
                        member.optimizer.state[parameter] = state
        self._bound = True

    def _check_shapes(self) -> None:
        shapes = [{name: value.shape for name, value in _values(member.model).items()} for member in self._filled]
        for other in shapes[1:]:
            if other != shapes[0]:
                names = [name for name in {**shapes[0], **other} if shapes[0].get(name) != other.get(name)]
                must = "networks that are trained together must have parameters of one shape"
                fix = "train the seeds one by one: -m seed=0,1,2"
                raise ConfigError(must, got=f"{', '.join(names)} of other shapes", key="trainer.seeds", fix=fix)


def _values(model: nn.Module) -> dict[str, Tensor]:
    """Return all parameters and buffers of a model by name, each of them once."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}
