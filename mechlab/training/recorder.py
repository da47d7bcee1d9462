"""Writes the history of training as it goes, a shard at a time."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from mechlab.core.errors import ConfigError
from mechlab.core.files import write_json
from mechlab.core.history import cut, log_spaced, optimizer_tensors, write_shard
from mechlab.core.recipe import Recipe

SHARD_BYTES = 32 * 2**20


class Recorder:
    """Keeps the record of training in `folder`.

    Args:
        folder: the run's history/ folder.
        kind: none, sparse (about `points` log-spaced steps) or full (every step).
        recipe: what is trained.
        points: number of steps in a sparse record.
    """

    def __init__(self, folder: Path, kind: str, recipe: Recipe, points: int):
        self.folder, self.kind, self.recipe = folder, kind, recipe
        self._steps = set(log_spaced(points, recipe.max_steps)) if kind == "sparse" else set()
        self._buffer: list[tuple[int, dict[str, Tensor]]] = []
        self._bytes = 0
        self._plan = recipe.plan()
        n, size = self._plan.n, recipe.batch_size
        self._ids = torch.int64 if n is None else torch.int32  # endless data has endless ids
        self._batch_size = size if n is None else min(size or n, n)

    def wants(self, step: int) -> bool:
        """Tell whether the state before optimiser step `step` is to be recorded."""
        return self.kind == "full" or step in self._steps

    def planned_bytes(self) -> int:
        """Return the size that the whole record will have on disk, headers aside."""
        if self.kind == "none":
            return 0
        records = self.recipe.max_steps + 1 if self.kind == "full" else len(self._steps)
        return records * (_record_bytes(self.recipe) + self._ids.itemsize * self._batch_size)

    def begin(self, step: int) -> None:
        """Get ready to record from optimiser step `step` on; later records of an interrupted run are removed."""
        if self.kind == "none":
            return
        write_json(self.folder / "history.json", {"kind": self.kind, "version": 1})
        cut(self.folder, step)

    def record(self, step: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Record the state before optimiser step `step`."""
        indices = self._plan.indices(step).to(self._ids)
        padded = torch.full((self._batch_size,), -1, dtype=self._ids)
        padded[: len(indices)] = indices
        tensors = {
            **{f"params/{name}": value for name, value in model.state_dict().items()},
            **{f"optimizer/{name}": value for name, value in optimizer_tensors(model, optimizer).items()},
            "indices": padded,
            "rates": torch.tensor(self.recipe.rates(optimizer, step), dtype=torch.float64),
        }
        if (
            self._buffer and self._buffer[-1][1].keys() != tensors.keys()
        ):  # the optimizer has no state before its first step
            self.flush()
        copied = {name: value.detach().to("cpu", copy=True) for name, value in tensors.items()}
        self._buffer.append((step, copied))
        self._bytes += sum(value.nbytes for value in copied.values())
        if self._bytes > SHARD_BYTES:
            self.flush()

    def finish(self, step: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Record the end of training, after `step` optimiser steps."""
        if self.kind != "none":
            self.record(step, model, optimizer)
            self.flush()

    def flush(self) -> None:
        """Write what has been recorded since the last shard."""
        if self._buffer:
            steps, records = zip(*self._buffer, strict=True)
            write_shard(
                self.folder, list(steps), {name: torch.stack([r[name] for r in records]) for name in records[0]}
            )
            self._buffer, self._bytes = [], 0


def check_size(recorder: Recorder, limit_gb: float) -> str | None:
    """Return a sentence that announces the record's size, or raise ConfigError when it is over the limit."""
    size = recorder.planned_bytes()
    if not size:
        return None
    if size > limit_gb * 1e9:
        raise ConfigError(
            f"the history must fit into history.limit_gb={limit_gb:g}",
            got=f"history={recorder.kind} takes {size / 1e9:.2f} GB for {recorder.recipe.max_steps} steps",
            key="history.limit_gb",
            fix=f"history=sparse, fewer trainer.max_steps, or history.limit_gb={1.1 * size / 1e9:.2g}",
        )
    return f"history: {recorder.kind}, {size / 1e6:.1f} MB"


def _record_bytes(recipe: Recipe) -> int:
    model = recipe.model()
    optimizer = recipe.optimizer(model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    tensors = [*model.state_dict().values(), *optimizer_tensors(model, optimizer).values()]
    return sum(tensor.nbytes for tensor in tensors) + 16
