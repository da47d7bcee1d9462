"""The examples of a training that was recorded elsewhere, in the order in which it used them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor

from mechlab.core.constraints import between
from mechlab.core.errors import RunError
from mechlab.core.state import digest
from mechlab.core.task import Batch, FiniteTask, Split, TaskSpec
from mechlab.record.tensors import load_tensors

DATA = "data.safetensors"


class RecordedExpressions(FiniteTask):
    """Expressions of four tokens, such as x, "+", y, "=", with a class for each, out of a file in the run directory.

    The file holds train_inputs (N, 4) and train_targets (N,); test_inputs (M, 4) and test_targets (M,), which serve as
    validation too; and batches (S, B), the ids of the examples of each optimiser step, -1 past the end of a smaller
    batch. Tokens and classes are the numbers below p, p for "+" and p + 1 for "=".

    Args:
        p: the modulus.
        digest: hash of the tensors, as `core.state.digest` gives it.
        folder: where the file is; a recorded configuration has None, for the run directory.

    Raises:
        RunError: the file is missing, or it is not the one with this hash.
    """

    def __init__(self, p: Annotated[int, between(2, 1_000_000)], digest: int, folder: str | None = None):
        self.p, self.digest, self.folder = p, digest, folder
        symbols = (*map(str, range(p)), "+", "=")
        self.spec = TaskSpec(
            inputs=len(symbols),
            outputs=len(symbols),
            kind="static",
            loss="cross_entropy",
            shape=(4,),
            tokens=True,
            vocabulary=symbols,
            classes=symbols,
        )
        self._tensors = recorded_tensors(folder, digest)

    @classmethod
    def in_folder(cls, arguments: Mapping[str, Any], folder: str | Path) -> dict[str, Any]:
        """Return the arguments with the run directory as the place of the file."""
        return {**arguments, "folder": str(folder)}

    def examples(self, split: Split) -> Batch:
        """Return all examples of a split in the order of the file."""
        name = "train" if split == "train" else "test"
        inputs, targets = (self._tensors[f"{name}_{part}"].long() for part in ("inputs", "targets"))
        return Batch(inputs, targets, None, torch.arange(len(targets)))

    def recorded_batches(self) -> Tensor:
        """Return the ids (S, B) of the examples of each optimiser step, -1 past the end of a smaller batch."""
        return self._tensors["batches"]

    def chance(self) -> float:
        """Return the share of the most frequent class in the training split."""
        targets = self.examples("train").targets
        return float(targets.bincount().max() / len(targets))


def recorded_tensors(folder: str | None, hashed: int) -> dict[str, Tensor]:
    """Return the tensors of the examples in a run directory.

    Args:
        folder: the run directory.
        hashed: the hash that the tensors must have, as `core.state.digest` gives it.

    Raises:
        RunError: the file is missing, or it holds other tensors.
    """
    path = Path(folder or ".") / DATA
    tensors = load_tensors(path)
    if digest(tensors) != hashed:
        must, fix = "the file must hold the examples of the recorded training", "restore the file, or adopt again"
        raise RunError(must, got="other tensors, by their hash", key=str(path), fix=fix)
    return tensors
