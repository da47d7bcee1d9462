"""Elman networks trained on variable binding, as PyTorch modules `rnn` and `readout`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mechlab.adopting.adopted_network import AdoptedNetwork
from mechlab.adopting.named_task import named_task
from mechlab.adopting.weight_files import read_tensors, without_prefix
from mechlab.core.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from mechlab.core.task import TaskSpec

WEIGHTS = {  # mechlab's names of the parameters by those of the file
    "rnn.weight_ih_l0": "layers.0.weight_ih_l0",
    "rnn.weight_hh_l0": "layers.0.weight_hh_l0",
    "readout.weight": "readout.weight",
}
BIASES = {
    "rnn.bias_ih_l0": "layers.0.bias_ih_l0",
    "rnn.bias_hh_l0": "layers.0.bias_hh_l0",
    "readout.bias": "readout.bias",
}
WITH_BIASES = "the network has biases: the origin is no fixed point, and its linearisation there leaves them out"


def rnn_binding(path: Path, task: str | dict[str, Any]) -> AdoptedNetwork:
    """Return a torch.nn.RNN of one tanh layer with a linear read-out, and the task of variable binding that it was
    trained on (Karuvally et al., arXiv 2310.02430).

    Args:
        path: a state dict (.pt, .pth, .npz or .safetensors) or a Lightning checkpoint (.ckpt) with rnn.weight_ih_l0,
            rnn.weight_hh_l0 and readout.weight; a common prefix is removed. The published networks have no biases;
            rnn.bias_ih_l0, rnn.bias_hh_l0 and readout.bias are read where they are not zero.
        task: the task's name and settings: task=linear_binding task.id=T3, task.id=[255,0,0] task.d=8 task.s=8,
            task.cells=[...] or task.cycles=[...]; task=repeat_copy task.d=6 task.s=7; or any other task whose inputs
            are sequences of vectors, such as compose_copy. task.horizon is the number of output steps on which the
            network is tested. In Python a dict, with the name as `name`.

    Raises:
        ConfigError: the file or the task is invalid, or they do not match.
    """
    import torch

    name, node, spec = _task(task)
    tensors = without_prefix(read_tensors(path), ("rnn.weight_ih_l0",))
    hidden = _check(tensors, name, spec, path)
    weights = {WEIGHTS[name]: tensors[name] for name in WEIGHTS}
    notes, given = [], [name for name in BIASES if name in tensors]
    biased = any(tensors[name].any() for name in given)
    if biased:
        zeros = {"rnn": torch.zeros(hidden), "readout": torch.zeros(spec.outputs)}
        for name, own in BIASES.items():
            weights[own] = tensors.get(name, zeros[name.partition(".")[0]].to(tensors["readout.weight"]))
        notes.append(WITH_BIASES)
    elif given:
        notes.append("all biases are zeros and are left out")
    return AdoptedNetwork(
        name=f"{node['_target_'].split('.')[-2]}-rnn",
        task=node,
        model={"_target_": "mechlab.models.rnn.RNN", "hidden": hidden, "bias": biased},
        weights=weights,
        files={"weights": path},
        notes=notes,
    )


def _task(given: str | dict[str, Any]) -> tuple[str, dict[str, Any], TaskSpec]:
    """Return a task's name, its config node and its properties."""
    name, node, spec = named_task(given, "task=linear_binding task.id=T1")
    if spec.kind != "sequence" or spec.tokens or spec.vocabulary:
        must = "the network reads sequences of vectors, so the task must give them"
        raise ConfigError(must, got=name, key="task", fix="task=linear_binding; automata have format=rnn_automaton")
    return name, node, spec


def _check(tensors: dict[str, Tensor], task: str, spec: TaskSpec, path: Path) -> int:
    """Return the number of units, or raise ConfigError if a tensor is missing, superfluous, or of another shape."""
    fix = f"save a state dict with {', '.join(WEIGHTS)} of a torch.nn.RNN of one layer"
    if missing := [name for name in WEIGHTS if name not in tensors]:
        got = f"{path}: no {', '.join(missing)}; there are {', '.join(tensors)}"
        raise ConfigError("the weights must have these names", got=got, key="path", fix=fix)
    if extra := [name for name in tensors if name not in {**WEIGHTS, **BIASES}]:
        must = "the weights must be those of rnn, with one layer, and readout only"
        raise ConfigError(must, got=f"{path}: also {', '.join(extra)}", key="path", fix=fix)
    shape = tuple(tensors["rnn.weight_hh_l0"].shape)
    if len(shape) != 2 or shape[0] != shape[1]:
        must = "rnn.weight_hh_l0 must have as many rows as columns, as that of an Elman network has"
        raise ConfigError(must, got=f"{path}: shape {shape}", key="path", fix=fix)
    hidden = shape[0]
    shapes = {"rnn.weight_ih_l0": (hidden, spec.inputs), "readout.weight": (spec.outputs, hidden)}
    shapes |= {"rnn.bias_ih_l0": (hidden,), "rnn.bias_hh_l0": (hidden,), "readout.bias": (spec.outputs,)}
    for name, wanted in shapes.items():
        if name in tensors and (given := tuple(tensors[name].shape)) != wanted:
            must = f"{name} must have shape {wanted}, for {hidden} units and task={task}"
            sizes = given[1] if name == "rnn.weight_ih_l0" and len(given) == 2 else given[0] if given else None
            got = f"{path}: shape {given}"
            raise ConfigError(must, got=got, key="task", fix=f"task.d={sizes}, or the task that it was trained on")
    return hidden
