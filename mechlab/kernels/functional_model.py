"""A model and its loss as functions of the parameters."""

from __future__ import annotations

import copy
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp

from mechlab.core.errors import ConfigError
from mechlab.core.forward_mode import load_forward_mode
from mechlab.core.layout import Layout
from mechlab.core.model import SequenceModel
from mechlab.core.precision import set_precision
from mechlab.core.seeding import global_generator
from mechlab.core.state import load_weights
from mechlab.core.step import aligned_outputs, example_losses, trained_parameters
from mechlab.core.task import Batch, TaskSpec

HALF = (torch.float16, torch.bfloat16)


class FunctionalModel:
    """The per-example loss and the outputs of a model as functions of its parameters.

    A recurrent network whose fused kernel torch cannot differentiate in forward mode (an LSTM in 32 bits on a CPU, all
    of cuDNN's) is computed by its `step`, one time after another.

    Args:
        model: its parameters give names and shapes; their values are replaced. Parameters that get no gradient on the
            sample (declared and never used) and buffers are constants.
        spec: of the task, with its loss.
        sample: a few training examples.
        dtype: of all arithmetic, float32 or float64.
        device: of the arithmetic.

    Raises:
        ConfigError: the model draws random numbers or keeps statistics while it trains, it has complex parameters, or
            the dtype is a half one.
    """

    def __init__(
        self, model: nn.Module, spec: TaskSpec, sample: Batch, dtype: torch.dtype, device: str | torch.device = "cpu"
    ):
        check_precision(model, dtype)
        check_deterministic(model, sample)
        self.model = set_precision(copy.deepcopy(model).to(device), dtype).train()
        self.spec, self.dtype, self.device = spec, dtype, torch.device(device)
        self.layout = Layout(trained_parameters(self.model, self.placed(sample), spec))
        self.model.requires_grad_(False)
        if isinstance(self.model, SequenceModel) and not self._has_forward_mode(self.placed(sample)):
            self._make_stepwise()

    def placed(self, batch: Batch) -> Batch:
        """Return a batch on this model's device, in its dtype."""
        return batch.to(self.device, self.dtype)

    def set_constants(self, state: dict[str, Tensor]) -> None:
        """Set buffers and unused parameters to those of a recorded state."""
        load_weights(self.model, state)

    def outputs(self, parameters: dict[str, Tensor], batch: Batch) -> Tensor:
        """Return the model's outputs at the steps that have targets (B, ...)."""
        return aligned_outputs(self._calls(parameters), batch, self.spec)

    def losses(self, parameters: dict[str, Tensor], batch: Batch) -> Tensor:
        """Return each example's loss (B,), in the dtype of the arithmetic."""
        return example_losses(self.outputs(parameters, batch), batch, self.spec).to(self.dtype)

    def gradient(self, theta: Tensor, batch: Batch) -> Tensor:
        """Return the sum over the batch of the gradients of the losses (P,), at flat parameters theta (P,)."""
        parameters = {name: value.detach().requires_grad_() for name, value in self.layout.split(theta).items()}
        total = self.losses(parameters, batch).sum()
        return self.layout.join(
            dict(zip(parameters, torch.autograd.grad(total, list(parameters.values())), strict=True))
        )

    def _has_forward_mode(self, sample: Batch) -> bool:
        """Return whether torch can differentiate the losses in forward mode, and that once more in reverse mode."""
        load_forward_mode()
        parameters = {name: value.detach() for name, value in self.model.named_parameters()}

        def slope(moved: dict[str, Tensor]) -> Tensor:
            return jvp(lambda p: self.losses(p, sample), (moved,), (parameters,))[1].sum()

        try:
            grad(slope)(parameters)
        except RuntimeError:
            return False
        return True

    def _make_stepwise(self) -> None:
        """Have the model compute sequences by repeated steps."""
        for name in ("forward", "resume"):
            setattr(self.model, name, MethodType(getattr(SequenceModel, name), self.model))

    def _calls(self, parameters: dict[str, Tensor]) -> Any:
        return lambda *inputs, **options: functional_call(self.model, parameters, inputs, options)


def check_precision(model: nn.Module, dtype: torch.dtype) -> None:
    """Raise ConfigError for half precision, of the model or of the arithmetic, and for complex parameters."""
    if (name := next((name for name, value in model.named_parameters() if value.is_complex()), None)) is not None:
        fix = "use torch.view_as_real of it as the parameter: real numbers with an axis of 2"
        raise ConfigError("attribution needs real parameters", got=f"{name} is complex", key="model", fix=fix)
    found = next((value.dtype for value in model.parameters() if value.dtype in HALF), dtype)
    if found not in (torch.float32, torch.float64):
        fix = "train in 32 or 64 bits, and explain with dtype float32 or float64"
        raise ConfigError(
            "attribution needs 32 or 64 bits", got=str(found).removeprefix("torch."), key="dtype", fix=fix
        )


def check_deterministic(model: nn.Module, sample: Batch) -> None:
    """Raise ConfigError if training mode changes the model's outputs (dropout, batch statistics) or its buffers."""
    model = copy.deepcopy(model)
    dtype = next(model.parameters()).dtype
    inputs = sample.to(next(model.parameters()).device, dtype).inputs
    before = {name: value.clone() for name, value in model.named_buffers()}
    with torch.no_grad(), global_generator():
        state = torch.get_rng_state()
        training = [_outputs(model.train(), inputs) for _ in range(2)]
        drawn = not torch.equal(state, torch.get_rng_state())
        changed = [name for name, value in model.named_buffers() if not torch.equal(value, before[name])]
        evaluated = _outputs(model.eval(), inputs)
    if drawn or changed or not all(torch.equal(found, evaluated) for found in training):
        got = (
            "dropout or other noise" if drawn else f"buffers that change: {changed}" if changed else "batch statistics"
        )
        must = "attribution needs a model whose outputs are the same in training and in evaluation"
        raise ConfigError(must, got=got, key="model", fix="train without dropout and without batch normalisation")


def _outputs(model: nn.Module, inputs: Tensor) -> Tensor:
    result = model(inputs)
    return getattr(result, "outputs", result)
