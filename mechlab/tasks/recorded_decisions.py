"""Decide as a network that was trained elsewhere does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch

from mechlab.core.constraints import at_least
from mechlab.core.task import Batch, FiniteTask, Split, TaskSpec
from mechlab.tasks.recorded import recorded_tensors


class RecordedDecisions(FiniteTask):
    """Inputs with the class that a network gives them, out of a file in the run directory.

    The file holds train_inputs (N, *shape), train_targets (N,), and test_inputs and test_targets, which serve as
    validation too.

    Args:
        shape: of an input.
        classes: number of classes.
        digest: hash of the tensors, as `core.state.digest` gives it.
        folder: where the file is; a recorded configuration has None, for the run directory.

    Raises:
        RunError: the file is missing, or it is not the one with this hash.
    """

    def __init__(
        self,
        shape: tuple[Annotated[int, at_least(1)], ...],
        classes: Annotated[int, at_least(1)],
        digest: int,
        folder: str | None = None,
    ):
        self.shape, self.classes, self.digest, self.folder = shape, classes, digest, folder
        self._tensors = recorded_tensors(folder, digest)
        size = int(torch.tensor(shape).prod())
        self.spec = TaskSpec(
            inputs=size,
            outputs=classes,
            kind="static",
            loss="cross_entropy",
            shape=tuple(shape),
            classes=tuple(map(str, range(classes))),
        )

    @classmethod
    def in_folder(cls, arguments: Mapping[str, Any], folder: str | Path) -> dict[str, Any]:
        """Return the arguments with the run directory as the place of the file."""
        return {**arguments, "folder": str(folder)}

    def examples(self, split: Split) -> Batch:
        """Return all examples of a split in the order of the file."""
        name = "train" if split == "train" else "test"
        inputs, targets = self._tensors[f"{name}_inputs"].float(), self._tensors[f"{name}_targets"].long()
        return Batch(inputs, targets, None, torch.arange(len(targets)))

    def chance(self) -> float:
        """Return the share of the most frequent class in the training split."""
        targets = self.examples("train").targets
        return float(targets.bincount().max() / len(targets))
