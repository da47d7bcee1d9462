"""Look into a model while it runs, and change what is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from mechlab.core.errors import MechlabError, did_you_mean
from mechlab.core.model import SequenceModel, Trace

Patch = Tensor | Callable[[Tensor], Tensor]


def places(model: nn.Module) -> list[str]:
    """Return the places that can be read and patched: submodules by name, and `state` for sequence models."""
    names = [name for name, _ in model.named_modules() if name]
    return [*names, "state"] if isinstance(model, SequenceModel) else names


@torch.no_grad()
def cache(model: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
    """Run the model and return its activations: `outputs`, every submodule's output by name, and for sequence models
    `state` (B, T+1, S) with the initial state first."""
    found: dict[str, Tensor] = {}

    def remember(name: str) -> Callable:
        def hook(_module: nn.Module, _inputs: tuple, output: object) -> None:
            found[name] = output[0] if isinstance(output, tuple) else output

        return hook

    handles = [module.register_forward_hook(remember(name)) for name, module in model.named_modules() if name]
    try:
        result = model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    if isinstance(result, Trace):
        return {**found, **result.extras, "state": result.states, "outputs": result.outputs}
    return {**found, "outputs": result}


@torch.no_grad()
def patch(model: nn.Module, inputs: Tensor, patches: Mapping[str, Patch]) -> Tensor:
    """Run the model with some activations replaced and return its outputs.

    Args:
        inputs: as the model takes them.
        patches: by place, a value, or a function from the activation to its replacement. Places are submodule names;
            for sequence models also `state@t`, the flat state (B, S) after t steps (`state@0` is the initial one). With
            a state patch the model is run step by step.

    Raises:
        MechlabError: a place does not exist, the step lies outside the sequence, or a patched submodule is not used
            when the model is run step by step.
    """
    states = {place: value for place, value in patches.items() if place.startswith("state@")}
    modules = {place: value for place, value in patches.items() if place not in states}
    known = dict(model.named_modules())
    for place in modules:
        if place not in known or not place:
            names = ["state@0" if name == "state" else name for name in places(model)]
            hint = did_you_mean(place, names)
            raise MechlabError("a patched place must exist in the model", got=place, fix=hint)
    reached: set[str] = set()
    hooks = {place: _replacing(value, place, reached) for place, value in modules.items()}
    handles = [known[place].register_forward_hook(hook) for place, hook in hooks.items()]
    try:
        result = _stepped(model, inputs, states) if states else model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    if missed := sorted(set(modules) - reached):
        must = "a patched submodule must be used, and with a state patch the model is run step by step"
        raise MechlabError(must, got=f"not used: {', '.join(missed)}", fix="patch states alone, or submodules alone")
    return result.outputs if isinstance(result, Trace) else result


def _stepped(model: nn.Module, inputs: Tensor, patches: Mapping[str, Patch]) -> Tensor:
    if not isinstance(model, SequenceModel):
        raise MechlabError("only sequence models have a state to patch", got=", ".join(patches))
    steps = inputs.shape[1]
    by_step = {}
    for place, value in patches.items():
        text = place.removeprefix("state@")
        if not text.isdigit() or int(text) > steps:
            raise MechlabError(f"a state patch must name a step from 0 to {steps}", got=place, fix="state@0")
        by_step[int(text)] = value
    state = _apply(by_step.get(0), model.initial_state(len(inputs)))
    outputs = []
    for t in range(steps):
        output, state = model.step(inputs[:, t], state)
        state = _apply(by_step.get(t + 1), state)
        outputs.append(output)
    return torch.stack(outputs, 1)


def _apply(value: Patch | None, activation: Tensor) -> Tensor:
    if value is None:
        return activation
    replacement = value(activation) if callable(value) else value
    return torch.as_tensor(replacement, dtype=activation.dtype, device=activation.device).expand_as(activation)


def _replacing(value: Patch, place: str, reached: set[str]) -> Callable:
    def hook(_module: nn.Module, _inputs: tuple, output: object) -> object:
        reached.add(place)
        if isinstance(output, tuple):
            return (_apply(value, output[0]), *output[1:])
        return _apply(value, output)

    return hook
