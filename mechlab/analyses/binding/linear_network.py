"""A recurrent network beside the linear rule of its task: linearisation, variables over time, continuations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mechlab.binding.companion import CompanionMatrix, on_cycles
from mechlab.binding.decoder import ObservabilityDecoder, observability_decoder
from mechlab.binding.linearisation import Linearisation, linearise
from mechlab.core.errors import ConfigError
from mechlab.core.model import SequenceModel

ELEMENTS, AT_ONCE = 2**22, 2**21  # of all Jacobians, and of those computed together

if TYPE_CHECKING:
    from mechlab.core.task import Task
    from mechlab.record.run import Run


class Observed(NamedTuple):
    """What a network does on B sequences of T steps, beside the true variables. Row k of states and variables belongs
    to the moment k steps after the last input, so K = T - s + 1 and row 0 is the end of the input.

    Args:
        inputs: (B, T, d) the s vectors to read, then 0.
        outputs: (B, T, d) of the network.
        targets: (B, T, d) of the rule, 0 for the first s steps.
        states: (B, K, S) of the network.
        variables: (B, K, s d) the last s states of the system, the oldest first: variables[:, k + 1] is
            Phi variables[:, k], and variables[:, k, -d:] the target of the same moment.
    """

    inputs: Tensor
    outputs: Tensor
    targets: Tensor
    states: Tensor
    variables: Tensor


@dataclass(frozen=True, eq=False)
class LinearNetwork:
    """A recurrent network near the origin, and the linear rule that it was trained on.

    Args:
        model: with a transition and a read-out; see `linearise`.
        truth: the rule, with its companion matrix Phi.
    """

    model: SequenceModel
    truth: CompanionMatrix

    @classmethod
    def of(cls, run: Run) -> LinearNetwork:
        """Return the trained network of a run whose ground truth is a companion matrix."""
        return cls(run.model(), run.task.ground_truth())

    @cached_property
    def linear(self) -> Linearisation:
        """Input, recurrent and read-out matrix at the origin."""
        return linearise(self.model)

    @cached_property
    def active(self) -> np.ndarray:
        """Which variables (s d,) bool are on a cycle of Phi: the future depends on no other."""
        return on_cycles(self.truth.matrix)

    @cached_property
    def decoder(self) -> ObservabilityDecoder:
        """The observability decoder of the linearisation."""
        return observability_decoder(self.linear.recurrent, self.linear.readout, self.truth.matrix)

    def decoder_at(self, states: Tensor) -> ObservabilityDecoder:
        """Return the observability decoder for states like the given (N, S), such as those at the end of the input,
        which may be too large for the linearisation at the origin."""
        first = self.secant(states)
        return observability_decoder(self.linear.recurrent, self.linear.readout, self.truth.matrix, first=first)

    @torch.no_grad()
    def secant(self, states: Tensor) -> np.ndarray:
        """Return the mean secant (S, S) of the transition F at input 0 from the origin to states (N, S): F(h) - F(0) is
        J h, with J the mean Jacobian on the line from 0 to h, for which the one at its middle stands here."""
        size = states.shape[1]
        chosen = states[: max(1, ELEMENTS // size**2)] / 2
        x, total = chosen.new_zeros(self.model.spec.inputs), 0
        for part in chosen.split(max(1, AT_ONCE // size**2)):
            total = total + self.model.jacobian(x.expand(len(part), -1), part).double().sum(0)
        return (total / len(chosen)).cpu().numpy()

    @torch.no_grad()
    def observe(self, inputs: Tensor) -> Observed:
        """Return the network's behaviour on inputs (B, T, d), beside the rule's."""
        zero, s = self.model.initial_state(1), self.truth.s
        inputs = inputs.to(zero)
        targets = self.truth.targets(inputs)[0]
        trace = self.model(inputs)
        system = torch.cat([inputs[:, :s], targets[:, s:]], 1)
        variables = system.unfold(1, s, 1).transpose(2, 3).flatten(2)  # (B, K, s d)
        return Observed(inputs, trace.outputs, targets, trace.states[:, s:], variables)

    @torch.no_grad()
    def continued(self, states: Tensor, steps: int) -> Tensor:
        """Return the outputs (B, steps, d) of the next steps at input 0, from states (B, S)."""
        x = states.new_zeros(len(states), steps, self.model.spec.inputs)
        return self.model.resume(x, states).outputs

    def future(self, variables: Tensor, steps: int) -> Tensor:
        """Return the rule's outputs (B, steps, d) of the next steps, from variables (B, s d)."""
        phi, outputs = torch.from_numpy(self.truth.matrix).to(variables), []
        for _ in range(steps):
            variables = variables @ phi.T
            outputs.append(variables[:, -self.truth.d :])
        return torch.stack(outputs, 1)


def right(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return where outputs have the sign of targets in {-1, +1}, bool, of their shape; the sign of 0 is +1."""
    return (outputs >= 0) == (targets > 0)


def held_out_inputs(task: Task, n: int, horizon: int, rng: np.random.Generator) -> Tensor:
    """Return the inputs (n, s + horizon, d) of n new test sequences of a linear rule, at any horizon in steps.

    Raises:
        ConfigError: the task's length cannot be set.
    """
    s = task.ground_truth().s
    unit = task.at_length(2).spec.length - task.at_length(1).spec.length  # steps by which the length key counts
    longer = task.at_length(math.ceil(horizon / unit))
    seed = torch.Generator().manual_seed(int(rng.integers(2**63)))
    return longer.generate(n, "test", seed).inputs[:, : s + horizon]


def check_read_out(name: str, model: type | None, key: str) -> None:
    """Raise ConfigError, naming an analysis and its config key, if a model's class does not say how outputs follow from
    the state; None for a class that is not known."""
    if model is not None and getattr(model, "read_out", None) in (None, SequenceModel.read_out):
        must = f"analysis={name} needs a model that has read_out()"
        raise ConfigError(must, got=f"{model.__name__}, which has not", key=key, fix="implement read_out(state)")
