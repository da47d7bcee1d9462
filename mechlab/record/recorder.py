"""Writes the history of training as it goes, a shard at a time."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from mechlab.core.errors import ConfigError
from mechlab.core.recipe import Recipe
from mechlab.core.state import digest, optimizer_tensors
from mechlab.record.files import write_json
from mechlab.record.history import ABOUT, TRACE, VERSION, log_spaced
from mechlab.record.segments import conditions
from mechlab.record.shards import SHARDS, Shards, cut, recorded_steps


class Recorder:
    """Keeps the record of training in `folder`.

    Args:
        folder: the run's history/ folder.
        kind: none, sparse (about `points` log-spaced steps), replay (the state at every `every`-th step and at the end,
            and a hash of the parameters at all of them) or full (every step).
        recipe: what is trained.
        points: number of steps in a sparse record.
        every: steps between the stored states of a replay record; by default the root of the number of steps, so that
            as many lie in a segment as there are segments.
    """

    def __init__(self, folder: Path, kind: str, recipe: Recipe, points: int, every: int | None = None):
        self.folder, self.kind, self.recipe = folder, kind, recipe
        self.every = every or max(1, round(recipe.max_steps**0.5))
        self._steps = set(log_spaced(points, recipe.max_steps)) if kind == "sparse" else set()
        self._states, self._trace = Shards(folder), Shards(folder / TRACE)
        self._plan = recipe.plan()
        n, size = self._plan.n, recipe.batch_size
        self._ids = torch.int64 if n is None else torch.int32  # endless data has endless ids
        self._batch_size = size if n is None else min(size or n, n)

    def wants(self, step: int) -> bool:
        """Tell whether anything of the state before optimiser step `step` is to be recorded."""
        return self.kind in ("full", "replay") or step in self._steps

    def planned_bytes(self) -> int:
        """Return the size that the whole record will have on disk, headers aside."""
        if self.kind == "none":
            return 0
        steps = self.recipe.max_steps
        states = {"full": steps + 1, "sparse": len(self._steps), "replay": -(-steps // self.every) + 1}[self.kind]
        trace = 24 * (steps + 1) if self.kind == "replay" else 0
        return states * self._state_bytes() + trace

    def segment_bytes(self) -> int:
        """Return the memory that reading takes: the states of one segment of a replay record, else one state."""
        return self._state_bytes() * (min(self.every, self.recipe.max_steps) if self.kind == "replay" else 1)

    def begin(self, step: int, device: str = "cpu") -> None:
        """Get ready to record from optimiser step `step` on; later records of an interrupted run are removed.

        Args:
            device: where training happens.
        """
        if self.kind == "none":
            return
        if step == 0 or not (self.folder / ABOUT).exists():  # what a run began with counts
            self.describe(device)
        cut(self.folder, step)
        cut(self.folder / TRACE, step)

    def describe(self, device: str) -> None:
        """Write history.json: the kind of record, and what the bits of an update depend on."""
        about = {"kind": self.kind, "version": VERSION}
        if self.kind == "replay":
            about |= {"every": self.every, **conditions(self.recipe, device)}
        write_json(self.folder / ABOUT, about)

    def record(self, step: int, model: nn.Module, optimizer: torch.optim.Optimizer, whole: bool = False) -> None:
        """Record the state before optimiser step `step`; of most steps of a replay record only a hash, unless the
        `whole` state is asked for."""
        if self.kind == "replay":
            self.record_hash(step, model, optimizer)
        if whole or self._stores(step):
            self.record_state(step, model, optimizer)

    def record_hash(self, step: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Record a hash of the parameters before optimiser step `step`, and its rates."""
        rates = self._rates(step, optimizer)
        self._trace.add(step, {"digest": torch.tensor(digest(model.state_dict())), "rates": rates})

    def record_state(self, step: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Record the whole state before optimiser step `step`."""
        indices = self._plan.indices(step).to(self._ids)
        padded = torch.full((self._batch_size,), -1, dtype=self._ids)
        padded[: len(indices)] = indices
        moments = optimizer_tensors(model, optimizer)
        state = {f"params/{name}": value for name, value in model.state_dict().items()}
        state |= {f"optimizer/{name}": value for name, value in moments.items()}
        self._states.add(step, {**state, "indices": padded, "rates": self._rates(step, optimizer)})

    def finish(self, step: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Record the end of training, after `step` optimiser steps."""
        if self.kind != "none":
            self.record(step, model, optimizer, whole=True)
            self.flush()

    def flush(self) -> None:
        """Write what has been recorded since the last shards."""
        self._states.flush()
        self._trace.flush()

    def shards(self) -> list[Path]:
        """Return the files of the record."""
        return [path for folder in (self.folder, self.folder / TRACE) for path in sorted(folder.glob(SHARDS))]

    def missing(self, stop: int, ended: bool) -> tuple[list[int], list[int]]:
        """Return the steps below `stop`, and at it where training `ended`, whose state is missing, and those whose hash
        is."""
        if self.kind == "none":
            return [], []
        stored, hashed = recorded_steps(self.folder), recorded_steps(self.folder / TRACE)
        states = [step for step in range(stop) if self._stores(step)] + [stop] * ended
        hashes = list(range(stop + ended)) if self.kind == "replay" else []
        return [step for step in states if step not in stored], [step for step in hashes if step not in hashed]

    def _stores(self, step: int) -> bool:
        """True if the whole state before a step is recorded, whether or not training ends there."""
        return step % self.every == 0 if self.kind == "replay" else self.wants(step)

    def _rates(self, step: int, optimizer: torch.optim.Optimizer) -> Tensor:
        return torch.tensor(self.recipe.rates(optimizer, step), dtype=torch.float64)

    def _state_bytes(self) -> int:
        return _record_bytes(self.recipe) + self._ids.itemsize * self._batch_size


def check_size(recorder: Recorder, limit_gb: float) -> str | None:
    """Return a sentence that announces the record's size, or raise ConfigError when it is over the limit."""
    size = recorder.planned_bytes()
    if not size:
        return None
    if size > limit_gb * 1e9:
        options = {"full": "history=replay or history=sparse", "replay": "a larger history.every, or history=sparse"}
        smaller = options.get(recorder.kind, "fewer history.points")
        raise ConfigError(
            f"the history must fit into history.limit_gb={limit_gb:g}",
            got=f"history={recorder.kind} takes {size / 1e9:.2f} GB for {recorder.recipe.max_steps} steps",
            key="history.limit_gb",
            fix=f"{smaller}, fewer trainer.max_steps, or history.limit_gb={1.1 * size / 1e9:.2g}",
        )
    if recorder.kind == "replay":
        memory = f"; reading takes {recorder.segment_bytes() / 1e6:.1f} MB of memory"
        return f"history: replay, a state every {recorder.every} steps, {size / 1e6:.1f} MB{memory}"
    return f"history: {recorder.kind}, {size / 1e6:.1f} MB"


def _record_bytes(recipe: Recipe) -> int:
    model = recipe.architecture()
    optimizer = recipe.optimizer(model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    tensors = [*model.state_dict().values(), *optimizer_tensors(model, optimizer).values()]
    return sum(tensor.nbytes for tensor in tensors) + 16
