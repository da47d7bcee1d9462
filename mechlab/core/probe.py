"""Look into a model while it runs, and change what is there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mechlab.core.errors import MechlabError, did_you_mean
from mechlab.core.model import SequenceModel, Trace

Patch = Tensor | Callable[[Tensor], Tensor]
Hook = Callable[[Tensor], Tensor | None]  # what to put in place of an output; None for the output itself


def places(model: nn.Module) -> list[str]:
    """Return the places that can be read and patched: submodules by name, and `state` for sequence models. One step of
    a place is `place@t`."""
    names = [name for name, _ in model.named_modules() if name]
    return [*names, "state"] if isinstance(model, SequenceModel) else names


@torch.no_grad()
def cache(model: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
    """Run the model and return its activations: `outputs`, every submodule's output by name, and for sequence models
    `state` (B, T+1, S) with the initial state first.

    The outputs of a submodule that is called several times, or by a sequence model's `step`, are stacked along an axis
    of time after the batch axis: (B, H) at each of T steps becomes (B, T, H). Where the calls differ in shape, each is
    under a name of its own: `name@0`, `name@1`, .... Of an output that is a tuple, the first tensor is returned.
    """
    calls: dict[str, list[Tensor]] = {}
    stepped: set[str] = set()  # submodules that a step has called

    def remember(name: str) -> Hook:
        def hook(output: Tensor) -> None:
            calls.setdefault(name, []).append(output)
            if in_step():
                stepped.add(name)

        return hook

    hooks = {module: remember(name) for name, module in model.named_modules() if name}
    with _steps_noted(model) as in_step, _hooked(hooks):
        result = model(inputs)
    activations: dict[str, Tensor] = {}
    for name, outputs in calls.items():
        if len({output.shape for output in outputs}) > 1:
            activations |= {f"{name}@{t}": output for t, output in enumerate(outputs)}
        elif len(outputs) > 1 or name in stepped:
            activations[name] = torch.stack(outputs, _time_axis(outputs[0].shape))
        else:
            activations[name] = outputs[0]
    if isinstance(result, Trace):
        return {**activations, **result.extras, "state": result.states, "outputs": result.outputs}
    return {**activations, "outputs": result}


@torch.no_grad()
def patch(model: nn.Module, inputs: Tensor, patches: Mapping[str, Patch]) -> Tensor:
    """Run the model with some activations replaced and return its outputs.

    A value, and what a function returns, has exactly the shape of what it replaces; nothing is broadcast.

    Args:
        inputs: as the model takes them.
        patches: by place, a value, or a function from the activation to its replacement.
            - `name`: a submodule. A value has the shape that `cache` gives, (B, T, H) for T calls; a function is
              applied at each call.
            - `name@t`: what a submodule gives at its t-th call, counted from 0; in a sequence model its output (B, H)
              of step t, also where one call gives all steps.
            - `state@t`, for sequence models: the flat state (B, S) after t steps; `state@0` is the initial one. With a
              state patch the model is run step by step.

    Raises:
        MechlabError: a place does not exist, a step lies outside the sequence, a shape is not that of what is replaced,
            or a patched submodule is not used when the model is run step by step.
    """
    states = {place: value for place, value in patches.items() if place.startswith("state@")}
    known = {name: module for name, module in model.named_modules() if name}
    replacements = []
    with _steps_noted(model) as in_step:
        length = inputs.shape[1] if isinstance(model, SequenceModel) else None
        for place, value in patches.items():
            if place not in states:
                replacements.append(_Replacement(place, value, known, in_step, length, places(model)))
        with contextlib.ExitStack() as stack:
            for replacement in replacements:
                stack.enter_context(_hooked({known[replacement.name]: replacement}))
            result = _stepped(model, inputs, states) if states else model(inputs)
    if missed := sorted(replacement.place for replacement in replacements if not replacement.shapes):
        must = "a patched submodule must be used, and with a state patch the model is run step by step"
        raise MechlabError(must, got=f"not used: {', '.join(missed)}", fix="patch states alone, or submodules alone")
    for replacement in replacements:
        replacement.check()
    return result.outputs if isinstance(result, Trace) else result


class _Replacement:
    """Replaces a submodule's output by a patch, and checks afterwards whether the patch fitted.

    Args:
        place: `name`, or `name@t`.
        value: what to put there.
        known: all submodules by name.
        in_step: returns True while the model reads a single step.
        length: T, of the sequences that a sequence model reads; None for a static model.
        offered: places to name in a hint.
    """

    def __init__(
        self,
        place: str,
        value: Patch,
        known: Mapping[str, nn.Module],
        in_step: Callable[[], bool],
        length: int | None,
        offered: list[str],
    ):
        self.place, self.value, self.in_step, self.length = place, value, in_step, length
        self.name, at, step = place.partition("@")
        if self.name not in known or (at and not step.isdecimal()):
            hint = did_you_mean(place, ["state@0" if name == "state" else name for name in offered])
            raise MechlabError("a patched place must exist in the model", got=place, fix=hint)
        self.step = int(step) if at else None
        if not callable(value):
            self.value = _tensor(value, place)
        self.shapes: list[torch.Size] = []  # of the outputs, call by call
        self.stepped = False  # called by a step of the model
        self.sliced = False  # patched at one step of an output that has them all

    def __call__(self, output: Tensor) -> Tensor:
        """Return the output of the submodule at this call. `check` tests the patch once the number of calls is
        known."""
        call = len(self.shapes)
        self.shapes.append(output.shape)
        self.stepped = self.stepped or self.in_step()
        if self.step is not None:
            return self._at_step(output, call)
        if callable(self.value):
            return _replaced(self.value, output, self.place)
        axis = _time_axis(output.shape)
        several = self.value.ndim == output.ndim + 1 and call < self.value.shape[axis]
        value = self.value.select(axis, call) if several else self.value
        return _replaced(value, output, self.place) if value.shape == output.shape else output

    def _at_step(self, output: Tensor, call: int) -> Tensor:
        assert self.step is not None
        whole = self.length is not None and output.ndim > 2 and output.shape[1] == self.length
        if call == 0 and not self.stepped and whole:
            self.sliced = True
            if self.step < output.shape[1]:
                output = output.clone()
                output[:, self.step] = _replaced(self.value, output[:, self.step], self.place)
        elif call == self.step and not self.sliced:
            return _replaced(self.value, output, self.place)
        return output

    def check(self) -> None:
        """Raise MechlabError if the patch was not made for calls such as these."""
        shape, calls = self.shapes[0], len(self.shapes)
        if self.step is not None:
            if self.sliced and calls > 1:
                must, fix = "a step can be patched where a call gives one, or one call all", f"a patch of {self.name}"
                raise MechlabError(must, got=f"{calls} calls that give all steps", key=self.place, fix=fix)
            steps = shape[1] if self.sliced else calls
            if self.step >= steps:
                must = f"a patch of {self.name} must name a step from 0 to {steps - 1}"
                raise MechlabError(must, got=self.place, fix=f"{self.name}@{steps - 1}")
        elif not callable(self.value):
            if len(set(self.shapes)) > 1:
                must, got = "a submodule whose calls differ in shape must be patched call by call", self.place
                raise MechlabError(must, got=got, fix=f"a value for each of {self.name}@0 to {self.name}@{calls - 1}")
            axis = _time_axis(shape)
            several = self.stepped or calls > 1
            _check_shape(self.value, (*shape[:axis], calls, *shape[axis:]) if several else shape, self.place)


def _stepped(model: nn.Module, inputs: Tensor, patches: Mapping[str, Patch]) -> Tensor:
    if not isinstance(model, SequenceModel):
        raise MechlabError("only sequence models have a state to patch", got=", ".join(patches))
    steps = inputs.shape[1]
    by_step = {}
    for place, value in patches.items():
        text = place.removeprefix("state@")
        if not text.isdecimal() or int(text) > steps:
            raise MechlabError(f"a state patch must name a step from 0 to {steps}", got=place, fix="state@0")
        by_step[int(text)] = (value, place)
    state = model.initial_state(len(inputs))
    outputs = []
    for t in range(steps + 1):
        if t in by_step:
            state = _replaced(by_step[t][0], state, by_step[t][1])
        if t < steps:
            output, state = model.step(inputs[:, t], state)
            outputs.append(output)
    return torch.stack(outputs, 1)


def _replaced(value: Patch, activation: Tensor, place: str) -> Tensor:
    """Return what a patch puts in place of an activation."""
    replacement = _tensor(value(activation) if callable(value) else value, place)
    _check_shape(replacement, activation.shape, place)
    if not torch.can_cast(replacement.dtype, activation.dtype):
        kinds = f"{replacement.dtype} in place of {activation.dtype}"
        raise MechlabError("a patch must be numbers of the kind that it replaces", got=kinds, key=place)
    return replacement.to(activation)


def _tensor(value: Any, place: str) -> Tensor:
    try:
        return torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        must, got = "a patch must be a tensor, or a function that returns one", f"{type(value).__name__}: {error}"
        raise MechlabError(must, got=got, key=place) from None


def _check_shape(value: Tensor, shape: tuple[int, ...], place: str) -> None:
    if value.shape != torch.Size(shape):
        must = f"a patch must have the shape of what it replaces, {tuple(shape)}"
        fix = (
            f"a tensor of that shape, or a function of what is there: {{'{place}': lambda activation: 0 * activation}}"
        )
        raise MechlabError(must, got=f"shape {tuple(value.shape)}", key=place, fix=fix)


def _time_axis(shape: torch.Size) -> int:
    """Return where an axis of time goes: after the batch axis, if there is one."""
    return min(len(shape), 1)


@contextlib.contextmanager
def _hooked(hooks: Mapping[nn.Module, Hook]) -> Iterator[None]:
    """Let each hook see, and replace, the tensor that its module gives: the first one where it gives a tuple."""

    def adapted(hook: Hook) -> Callable:
        def forward_hook(_module: nn.Module, _inputs: tuple, output: Any) -> Any:
            first = output[0] if isinstance(output, tuple) and output else output
            put = hook(first) if isinstance(first, Tensor) else None
            if put is None:
                return None
            return (put, *output[1:]) if isinstance(output, tuple) else put

        return forward_hook

    handles = [module.register_forward_hook(adapted(hook)) for module, hook in hooks.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextlib.contextmanager
def _steps_noted(model: nn.Module) -> Iterator[Callable[[], bool]]:
    """Yield a function that returns True while the model is in its `step`."""
    inside = False

    def noted(*arguments: Any, **options: Any) -> Any:
        nonlocal inside
        inside = True
        try:
            return step(*arguments, **options)
        finally:
            inside = False

    own, step = vars(model).get("step"), getattr(model, "step", lambda: None)
    if isinstance(model, SequenceModel):
        vars(model)["step"] = noted
    try:
        yield lambda: inside
    finally:
        vars(model).pop("step", None)
        if own is not None:
            vars(model)["step"] = own
