"""The result of a format's reader: a trained network, with its recorded training if there is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

DATA = "data.safetensors"  # the file of a task's examples in the run directory, as the tasks in mechlab/tasks name it


@dataclass(frozen=True)
class TrainingRecord:
    """A training of S optimiser steps recorded by another program, read step by step.

    Args:
        optimizer, schedule: config nodes.
        batch_size: number of examples of the largest batch.
        rates: S pairs of learning rate and weight decay.
        params: returns the parameters before step s = 0, ..., S (the end) by mechlab's names, float32 or float64.
        known: returns the recorded parts of the optimizer state before step s, as `<state>/<parameter name>`.
        digest: hash of all of this.
    """

    optimizer: Mapping[str, Any]
    schedule: Mapping[str, Any]
    batch_size: int
    rates: Sequence[tuple[float, float]]
    params: Callable[[int], Mapping[str, Tensor]]
    known: Callable[[int], Mapping[str, Tensor]]
    digest: str


@dataclass(frozen=True)
class AdoptedNetwork:
    """A trained network from the files of another program, in mechlab's terms.

    Args:
        name: `<task>-<model>`, the folder of the run directory.
        task, model: config nodes: `_target_` and its arguments, plain data without references to files.
        weights: the parameters by mechlab's names, all float32 or all float64.
        files: the files that were read, by role.
        outputs: names of the parameters whose rows are the output classes.
        infer: True to infer the order of the output classes by matching; else it is that of the task.
        notes: remarks for the user, one sentence each.
        data: the tensors of the task's examples, where the task reads them from the run directory.
        training: the training of the weights, where it was recorded.
    """

    name: str
    task: Mapping[str, Any]
    model: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    files: Mapping[str, Path]
    outputs: Sequence[str] = ()
    infer: bool = False
    notes: Sequence[str] = field(default_factory=tuple)
    data: Mapping[str, Tensor] = field(default_factory=dict)
    training: TrainingRecord | None = None
