"""Files of the record of training: tensors by optimiser step, many steps to a safetensors file."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from mechlab.core.errors import RunError
from mechlab.record.tensors import load_metadata, load_tensors, save_tensors

SHARDS = "*-*.safetensors"
RESTORE = "restore the file, or repeat the command that trained the run"
SHARD_BYTES = 32 * 2**20


def shard_rows(folder: Path) -> dict[int, tuple[Path, int]]:
    """Return the file and row of each stored record by step."""
    return {step: (path, row) for path in sorted(folder.glob(SHARDS)) for row, step in enumerate(shard_steps(path))}


def shard_steps(path: Path) -> list[int]:
    """Return the steps that a shard holds, in the order of its rows."""
    steps = load_metadata(path)
    if not isinstance(steps, list) or not all(isinstance(step, int) for step in steps):
        raise RunError("a shard must hold its steps", got=str(steps)[:40], key=str(path), fix=RESTORE)
    return steps


def recorded_steps(folder: Path) -> set[int]:
    """Return the steps of which a folder of shards holds a record."""
    return set(shard_rows(folder))


def write_shard(folder: Path, steps: list[int], tensors: dict[str, Tensor]) -> None:
    """Write the records of these steps, in order: every tensor has a leading axis (len(steps), ...)."""
    save_tensors(folder / f"{steps[0]:08d}-{steps[-1]:08d}.safetensors", tensors, steps)


def cut(folder: Path, step: int) -> None:
    """Remove all records of optimiser step `step` and later, so that training can go on from there."""
    for path in sorted(folder.glob(SHARDS)):
        first, last = map(int, path.stem.split("-"))
        if last < step:
            continue
        if first < step:
            before = [recorded for recorded in shard_steps(path) if recorded < step]
            write_shard(folder, before, {name: tensor[: len(before)] for name, tensor in load_tensors(path).items()})
        path.unlink()


class Shards:
    """Records on their way into a folder, many to a file.

    They are collected in one block of memory for each file: small pieces that live on among the large temporary ones of
    training would keep the allocator from returning those.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._steps: list[int] = []
        self._rows: dict[str, Tensor] = {}  # (rows of a file, ...)
        self._capacity = 0

    def add(self, step: int, tensors: dict[str, Tensor]) -> None:
        """Add a copy of the record of a step."""
        if self._rows.keys() != tensors.keys():  # the optimizer has no state before its first step
            self.flush()
            self._capacity = SHARD_BYTES // max(1, sum(value.nbytes for value in tensors.values())) + 1
            self._rows = {
                name: torch.empty(self._capacity, *value.shape, dtype=value.dtype) for name, value in tensors.items()
            }
        for name, value in tensors.items():
            self._rows[name][len(self._steps)] = value.detach()
        self._steps.append(step)
        if len(self._steps) == self._capacity:
            self.flush()

    def flush(self) -> None:
        """Write what has been added since the last file."""
        if self._steps:
            write_shard(self.folder, self._steps, {name: rows[: len(self._steps)] for name, rows in self._rows.items()})
            self._steps = []
