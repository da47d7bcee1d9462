"""The future of a network whose state is changed once, scored against the rule's future."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mechlab.analyses.binding.linear_network import LinearNetwork, right
from mechlab.binding.interventions import Coordinates, spectral_projection

NUMBERS_AT_ONCE = 2**16  # states times components: what a processor's cache holds

Edit = Callable[[np.ndarray, np.ndarray], np.ndarray]  # values (N, C), variables (V,) -> edited values (V, N, C)


class Accuracy(NamedTuple):
    """Shares of right signs after changes of V variables in N sequences.

    Args:
        changed: (V, N) of the outputs that the rule changes; NaN where there are none.
        stays: (V, N) of all other outputs.
    """

    changed: np.ndarray
    stays: np.ndarray


@dataclass(frozen=True, eq=False)
class Moment:
    """The states of a network on N sequences, some steps after the last input.

    Args:
        network: the network and its rule.
        states: (N, S) float64.
        variables: (N, s d) the true variables, signs.
        centres: (s, S) the mean state now and at each of the next s - 1 steps: over these sequences and the same with
            all signs reversed, so that it is 0 in a network that is an odd function, as tanh without biases.
    """

    network: LinearNetwork
    states: np.ndarray
    variables: np.ndarray
    centres: np.ndarray

    @classmethod
    def of(cls, network: LinearNetwork, inputs: Tensor, settle: int) -> Moment:
        """Return the moment that is `settle` steps after the last input of sequences (N, T, d)."""
        observed = network.observe(torch.cat([inputs, -inputs]))
        states, n = observed.states.double(), len(inputs)
        variables = observed.variables[:n, settle].double().numpy()
        centres = states[:, settle : settle + network.truth.s].mean(0).numpy()
        return cls(network, states[:n, settle].numpy(), variables, centres)

    def first(self, n: int) -> Moment:
        """Return the first n sequences, with the same centres."""
        return Moment(self.network, self.states[:n], self.variables[:n], self.centres)

    @cached_property
    def active(self) -> np.ndarray:
        """The variables (C,) on a cycle, as numbers of cells."""
        return np.flatnonzero(self.network.active)

    def removed(self, projection: np.ndarray) -> np.ndarray:
        """Return the states (N, S) less their part in the range of a projection (S, S), which becomes the mean's."""
        return self.states - (self.states - self.centres[0]) @ projection.T

    def kept(self, projection: np.ndarray) -> np.ndarray:
        """Return the part of the states (N, S) in the range of a projection (S, S); the rest becomes the mean's."""
        return self.centres[0] + (self.states - self.centres[0]) @ projection.T

    def exchanged(self, projection: np.ndarray) -> np.ndarray:
        """Return the states (N, S) with the part in the range of a projection (S, S) from the sequence before."""
        return self.states + (np.roll(self.states, 1, 0) - self.states) @ projection.T

    def continued(self, states: np.ndarray, steps: int) -> Tensor:
        """Return the network's outputs (M, steps, d) in the next steps from states (M, S), in its own precision."""
        return self.network.continued(self.network.model.initial_state(1).new_tensor(states), steps)

    @torch.no_grad()
    def continued_without(self, projection: np.ndarray, steps: int) -> Tensor:
        """Return the outputs (N, steps, d) in the next steps if the part of the state in the range of a projection
        (S, S) is removed now and at each of the next s - 1 steps."""
        model = self.network.model
        states, outputs = model.initial_state(1).new_tensor(self.states), []
        matrix, x = states.new_tensor(projection.T), states.new_zeros(len(states), model.spec.inputs)
        for centre in states.new_tensor(self.centres[:steps]):
            output, states = model.step(x, states - (states - centre) @ matrix)
            outputs.append(output[:, None])
        if len(outputs) < steps:
            outputs.append(self.network.continued(states, steps - len(outputs)))
        return torch.cat(outputs, 1)

    def accuracy(self, outputs: Tensor, of_donors: bool = False) -> np.ndarray:
        """Return the share (N,) of right signs in the outputs (N, steps, d) of the next steps; with `of_donors`, of
        the future of the sequence before."""
        variables = np.roll(self.variables, 1, 0) if of_donors else self.variables
        targets = np.tensordot(variables, self._responses(outputs.shape[1]), 1)
        return right(outputs, torch.from_numpy(targets)).flatten(1).double().mean(1).numpy()

    def after(self, edit: Edit, coordinates: Coordinates, steps: int, dose: float = 1.0) -> Accuracy:
        """Return the accuracy of the next steps against the rule's from edited variables, one edited at a time.

        Args:
            edit: changes active variables, the true ones and the decoded ones alike.
            coordinates: of the active variables in the state.
            steps: number of steps.
            dose: multiple of the change of the state.
        """
        values, truth = coordinates.values(self.states), self.variables[:, self.active]
        future = np.tensordot(self.variables, self._responses(steps), 1)  # (N, steps, d)
        responses = self._responses(steps, self._with_followers())  # (C, steps, d)
        parts = []
        at_once = max(1, NUMBERS_AT_ONCE // self.states.size)
        for few in np.split(np.arange(len(self.active)), range(at_once, len(self.active), at_once)):
            changed = self.states + dose * (edit(values, few) - values) @ coordinates.basis.T  # (V, N, S)
            outputs = self.continued(changed.reshape(-1, changed.shape[-1]), steps)
            expected = future + np.tensordot(edit(truth, few) - truth, responses, 1)  # (V, N, steps, d)
            hit = right(outputs.reshape(expected.shape), torch.from_numpy(expected)).numpy()
            parts.append((_share(hit, expected != future), _share(hit, expected == future)))
        return Accuracy(*(np.concatenate(shares) for shares in zip(*parts, strict=True)))

    def _responses(self, steps: int, variables: np.ndarray | None = None) -> np.ndarray:
        """Return the rule's outputs (M, steps, d) from variables (M, s d), by default from each one alone; it is
        linear."""
        variables = np.eye(self.variables.shape[1]) if variables is None else variables
        return self.network.future(torch.from_numpy(variables), steps).numpy()

    def _with_followers(self) -> np.ndarray:
        """Return, for each active variable, the change (C, s d) of all variables that goes with a change of it: that of
        the cells beside the cycles that are copies of it, as they are after the transients."""
        phi = self.network.truth.matrix
        return spectral_projection(phi, self.network.truth.rank)[:, self.active].T.round()


def _share(hit: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Return the share (V, N) of hits (V, N, steps, d) bool among some; NaN where there are none."""
    counts = among.sum((2, 3))
    return np.where(counts, (hit & among).sum((2, 3)) / np.maximum(counts, 1), np.nan)
