"""A recurrent model near the origin, as three matrices."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.func import jacrev

from mechlab.core.errors import ConfigError
from mechlab.core.model import SequenceModel
from mechlab.core.precision import in_precision


class Linearisation(NamedTuple):
    """h' = recurrent h + input x and y = readout h', to first order in h and x.

    Args:
        input: (S, inputs) float64.
        recurrent: (S, S) float64, the Jacobian of the transition.
        readout: (outputs, S) float64.
    """

    input: np.ndarray
    recurrent: np.ndarray
    readout: np.ndarray


@torch.no_grad()
def linearise(model: SequenceModel) -> Linearisation:
    """Return the linearisation of a recurrent model at state 0 and input 0.

    For the Elman network without biases these are W_ih, W_hh and the read-out's weight. Constant terms, which biases
    give, are left out.

    Raises:
        ConfigError: the state is a cache of inputs, or the model does not say how outputs follow from the state after
            a step; see `SequenceModel.read_out`.
    """
    if not hasattr(model, "jacobian"):
        must = "a model must have a transition to linearise"
        raise ConfigError(must, got=f"{type(model).__name__}, whose state is a cache of inputs", key="model")
    state = torch.zeros_like(model.initial_state(1)[0])
    x = state.new_zeros(model.spec.inputs)

    def following(x: Tensor) -> Tensor:
        return model.step(x[None], state[None])[1][0]

    def outputs(state: Tensor) -> Tensor:
        return model.read_out(state[None])[0]

    matrices = jacrev(following)(x), model.jacobian(x, state), jacrev(outputs)(state)
    return Linearisation(*(in_precision(matrix.cpu(), torch.float64).numpy() for matrix in matrices))
