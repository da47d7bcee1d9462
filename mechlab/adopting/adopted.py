"""What a format's reader hands over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Training:
    """A recorded training of S optimiser steps, read a step at a time.

    Args:
        optimizer, schedule: config nodes.
        batch_size: examples of the largest batch.
        rates: S pairs of the learning rate and the weight decay in force.
        params: returns the parameters before step s = 0, ..., S (the end) by mechlab's names, float32 or float64.
        known: returns the parts of the optimizer state before step s that were recorded, as `<state>/<parameter name>`.
        data: the tensors of the file from which the task in the run directory takes its examples, and the file's name.
        digest: hash of all of this.
    """

    optimizer: Mapping[str, Any]
    schedule: Mapping[str, Any]
    batch_size: int
    rates: Sequence[tuple[float, float]]
    params: Callable[[int], Mapping[str, Tensor]]
    known: Callable[[int], Mapping[str, Tensor]]
    data: tuple[str, Mapping[str, Tensor]]
    digest: str


@dataclass(frozen=True)
class Adopted:
    """A trained network out of somebody else's files, in mechlab's terms.

    Args:
        name: `<task>-<model>`, the folder of the run's siblings.
        task, model: config nodes: `_target_` and its arguments, plain data that needs no file outside of the run.
        weights: the parameters by mechlab's names, all float32 or all float64.
        files: the files that were read, by what they hold.
        outputs: names of the parameters whose rows are the output classes.
        infer: whether the order of the output classes is to be found by matching; else it is that of the task.
        notes: what is worth knowing about the reading, one sentence each.
        training: how the weights came about, where that was recorded.
    """

    name: str
    task: Mapping[str, Any]
    model: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    files: Mapping[str, Path]
    outputs: Sequence[str] = ()
    infer: bool = False
    notes: Sequence[str] = field(default_factory=tuple)
    training: Training | None = None
