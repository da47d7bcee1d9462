"""What distilling needs of a run: the layers, the shapes and values of the inputs, and what the outputs mean."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F

from mechlab.core.task import SPLITS, Batch, FiniteTask, Task
from mechlab.distill.layers import Layer, as_layers
from mechlab.distill.program import Program, Returns, Values
from mechlab.distill.program_data import to_data

if TYPE_CHECKING:
    from mechlab.record.artifacts import Artifacts

EXAMPLES = 2000  # of each split, that show the values of inputs


def layers_of(model: Any) -> tuple[Layer, ...]:
    """Return the layers of a network of threshold units, in float64."""
    return as_layers(model.layers())


def parameters(layers: Sequence[Layer]) -> int:
    """Return the number of weights and biases of a network."""
    return sum(layer.weight.size + layer.bias.size for layer in layers)


def input_parts(task: Task) -> dict[str, tuple[int, ...]]:
    """Return name and shape of each input tensor: those that the task names, else one, without a channel axis of
    length 1; of one-hot vectors where inputs are tokens."""
    named = getattr(task, "input_parts", None)
    if named:
        return dict(named)
    shape = task.spec.shape
    if task.spec.tokens:
        return {"x": (*shape, task.spec.inputs)}
    return {"x": shape[1:] if len(shape) > 1 and shape[0] == 1 else shape}


def values_of(task: Task) -> Values:
    """Return which values the inputs of all splits have."""
    if task.spec.tokens:
        return "bits"
    drawn = [task.generate(EXAMPLES, split, torch.Generator().manual_seed(0)).inputs.flatten() for split in SPLITS]
    inputs = torch.cat(drawn).double()
    if ((inputs == 0) | (inputs == 1)).all():
        return "bits"
    if (inputs.abs() == 1).all():
        return "signs"
    return "integers" if (inputs == inputs.round()).all() else "reals"


def returns_of(task: Task, asked: Literal["class", "scores", "probabilities"] | None = None) -> Returns:
    """Return what a program for the task returns: what is asked for, else the class or the bits that it decides, or
    scores where it decides nothing."""
    if asked is not None:
        return asked
    if task.spec.loss.classes:
        return "class"
    return "bits" if task.has_accuracy else "scores"


def decided(task: Task, outputs: np.ndarray) -> np.ndarray:
    """Return the decisions of outputs (B, n_out): the class (B,), or bits (B, n_out)."""
    return outputs.argmax(1) if task.spec.loss.classes else (outputs > 0).astype(np.int64)


def wanted(task: Task, targets: torch.Tensor) -> np.ndarray:
    """Return the decisions that targets stand for; the first of the best classes for soft targets."""
    if not targets.is_floating_point():
        return targets.numpy()
    return decided(task, targets.double().numpy() - (0.0 if task.spec.loss.classes else _middle(targets)))


def examples_of(task: Task, n: int) -> Batch:
    """Return at most n test examples: evenly spaced ones of a fixed set, else seeded draws."""
    if not isinstance(task, FiniteTask):
        return task.generate(n, "test", torch.Generator().manual_seed(0))
    batch = task.examples("test")
    return batch if len(batch) <= n else batch[torch.linspace(0, len(batch) - 1, n).long()]


def parts_of(inputs: torch.Tensor, task: Task) -> list[np.ndarray]:
    """Return inputs (B, ...) of a task as one array (B, *shape) for each input tensor."""
    parts = input_parts(task)
    inputs = F.one_hot(inputs, task.spec.inputs) if task.spec.tokens else inputs
    flat = inputs.flatten(1).double().split([math.prod(shape) for shape in parts.values()], 1)
    return [part.unflatten(1, shape).numpy() for part, shape in zip(flat, parts.values(), strict=True)]


def most_frequent(decisions: np.ndarray) -> float:
    """Return the share of the most frequent decision; of bits, of the more frequent value."""
    _, counts = np.unique(decisions, return_counts=True)
    return float(counts.max() / counts.sum())


def save_program(out: Artifacts, program: Program, name: str = "program") -> None:
    """Save a program as data, as vectorised numpy, as loops and as formulas, and a table of its blocks."""
    import pandas as pd

    out.save_bytes(f"{name}.json", (json.dumps(to_data(program), indent=1) + "\n").encode())
    out.save_bytes(f"{name}.py", program.source.encode())
    out.save_bytes(f"{name}_loops.txt", program.loops.encode())
    formulas = program.formula.splitlines()
    out.save_bytes(f"{name}_formula.txt", (program.formula + "\n").encode())
    rows = [
        {"block": block.name, "indices": len(block.sizes), "terms": len(block.terms), "formula": formula}
        for block, formula in zip(program.blocks, formulas, strict=False)
    ]
    out.save_table("blocks", pd.DataFrame(rows))


def _middle(targets: torch.Tensor) -> float:
    """Return the number between the two targets of a bit: 0 for signs, .5 for 0 and 1."""
    return 0.0 if bool((targets < 0).any()) else 0.5
