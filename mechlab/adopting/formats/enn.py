"""Networks of threshold units, a file for each layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from mechlab.adopting.adopted_network import AdoptedNetwork
from mechlab.adopting.layer_files import files_of, read_layers
from mechlab.adopting.named_task import named_task
from mechlab.core.constraints import at_least
from mechlab.core.errors import ConfigError

EXAMPLES = 2000  # of random inputs, for training and for testing


def enn(
    path: Path,
    input_shape: Sequence[Annotated[int, at_least(1)]],
    task: str | dict[str, Any] | None = None,
    values: Literal["bits", "signs"] = "bits",
) -> AdoptedNetwork:
    """Return a network of threshold units, such as an essence network (Blazek and Lin, Nature Computational Science 1,
    2021): its hidden units have the activation sign with sign(0) = 0, its output layer is linear.

    Args:
        path: a folder with the layers 1.csv, 2.csv, ... or 1.npy, 2.npy, ..., or a file .npz with arrays whose names
            end in 1, 2, ...; each of shape (n_in + 1, n_out), with the biases in the last row.
        input_shape: of an input; their product is the first layer's n_in.
        task: the task that it was trained on, with its settings: task=orientation task.size=28. None for random inputs
            with the classes that the network gives them.
        values: of the random inputs: bits, 0 and 1, or signs, -1 and 1.

    Raises:
        ConfigError: a file is missing or invalid, or layers, inputs and task do not match.
    """
    import torch

    shape = tuple(input_shape)
    layers = read_layers(path, math.prod(shape))
    widths = [layer.shape[1] for layer in layers]
    data: dict[str, Any] = {}
    if task is None:
        name, (node, data) = "decisions", _decisions(layers, shape, values)
    else:
        name, node, spec = named_task(task, "task=orientation task.size=28")
        inputs = None if spec.tokens or spec.kind != "static" else math.prod(spec.shape)
        if (inputs, spec.outputs) != (math.prod(shape), widths[-1]):
            must = f"the task must have inputs of shape {shape} and {widths[-1]} outputs, as the network has"
            got = f"task={name} with inputs of shape {spec.shape} and {spec.outputs} outputs"
            raise ConfigError(must, got=got, key="task", fix="task.size=... for another size, or leave out task")
    return AdoptedNetwork(
        name=f"{name}-threshold_network",
        task=node,
        model={"_target_": "mechlab.models.threshold_network.ThresholdNetwork", "widths": widths[:-1]},
        weights={f"weights.{k}": torch.from_numpy(layer) for k, layer in enumerate(layers)},
        files=files_of(path),
        data=data,
    )


def _decisions(layers: Sequence[Any], shape: tuple[int, ...], values: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the task of deciding as the network on random inputs, and its examples."""
    import torch

    from mechlab.core.state import digest
    from mechlab.distill.layers import activations, as_layers

    data = {}
    for seed, split in enumerate(("train", "test")):
        bits = torch.randint(2, (EXAMPLES, *shape), generator=torch.Generator().manual_seed(seed))
        inputs = (bits if values == "bits" else 2 * bits - 1).to(torch.int8)
        outputs = activations(as_layers(layers), inputs.flatten(1).numpy())[-1]
        data |= {f"{split}_inputs": inputs, f"{split}_targets": torch.from_numpy(outputs.argmax(1)).to(torch.int32)}
    target = "mechlab.tasks.recorded_decisions.RecordedDecisions"
    return {"_target_": target, "shape": list(shape), "classes": layers[-1].shape[1], "digest": digest(data)}, data
