"""What a format's reader hands over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Adopted:
    """A trained network out of somebody else's files, in mechlab's terms.

    Args:
        name: `<task>-<model>`, the folder of the run's siblings.
        task, model: config nodes: `_target_` and its arguments, plain data that needs no file.
        weights: the parameters by mechlab's names, all float32 or all float64.
        files: the files that were read, by what they hold.
        outputs: names of the parameters whose rows are the output classes.
        infer: whether the order of the output classes is to be found by matching; else it is that of the task.
        notes: what is worth knowing about the reading, one sentence each.
    """

    name: str
    task: Mapping[str, Any]
    model: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    files: Mapping[str, Path]
    outputs: Sequence[str] = ()
    infer: bool = False
    notes: Sequence[str] = field(default_factory=tuple)
