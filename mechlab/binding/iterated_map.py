"""A recurrent model at constant input as a map of its state, iterated and differentiated in double precision."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor

from mechlab.core.errors import ConfigError
from mechlab.core.model import SequenceModel


class IteratedMap:
    """The map F(h) of states h that a recurrent model has at a constant input, in double precision.

    Args:
        model: the model, of which a copy is used.
        x: (inputs,) the input of every step; 0 by default.

    Raises:
        ConfigError: the model's state is a cache of inputs, which has no Jacobian.
    """

    def __init__(self, model: SequenceModel, x: Tensor | None = None):
        if not hasattr(model, "jacobian"):
            must, fix = "a model must have a transition to iterate", "choose a recurrent model, such as model=rnn"
            got = f"{type(model).__name__}, whose state is a cache of inputs"
            raise ConfigError(must, got=got, key="model", fix=fix)
        self.model = copy.deepcopy(model).to(torch.float64).eval()
        zeros = self.model.initial_state(1).new_zeros(model.spec.inputs)
        self.x = zeros if x is None else x.to(zeros)

    @torch.no_grad()
    def orbit(self, states: Tensor, steps: int) -> Iterator[Tensor]:
        """Yield the states (N, S) after 1, 2, ..., `steps` steps."""
        x = self.x.expand(len(states), -1)
        for _ in range(steps):
            states = self.model.step(x, states)[1]
            yield states

    def after(self, states: Tensor, steps: int = 1) -> Tensor:
        """Return the states (N, S) after some steps, at least 1."""
        for following in self.orbit(states, steps):
            states = following
        return states

    def jacobian(self, states: Tensor, steps: int = 1) -> tuple[Tensor, Tensor]:
        """Return the states (N, S) after some steps, at least 1, and their Jacobians (N, S, S) in the given states."""
        x, product = self.x.expand(len(states), -1), None
        for following in self.orbit(states, steps):
            local = self.model.jacobian(x, states)
            states, product = following, local if product is None else local @ product
        return states, product

    def tangents(self, states: Tensor, tangents: Tensor) -> Tensor:
        """Return the images (N, S, k) of tangents (N, S, k) under the Jacobians of one step."""
        N, S, k = tangents.shape
        rows = states.repeat_interleave(k, 0), tangents.mT.reshape(N * k, S)
        return self.model.jvp(self.x.expand(N * k, -1), *rows).unflatten(0, (N, k)).mT
