"""The recorder of training, which writes the history a shard at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from mechlab.core.errors import ConfigError, RunError
from mechlab.core.precision import in_precision
from mechlab.core.recipe import Recipe
from mechlab.core.state import digest, optimizer_tensors
from mechlab.record.files import write_json
from mechlab.record.history import ABOUT, TRACE, VERSION, log_spaced
from mechlab.record.segments import conditions
from mechlab.record.shards import SHARDS, Shards, cut, recorded_steps
from mechlab.record.tensors import real_parts

RATES = 16  # bytes of the learning rate and weight decay of a step


class Recorder:
    """Writes the record of training into `folder`.

    Args:
        folder: the run's history/ folder.
        kind: none, sparse (about `points` log-spaced steps), replay (the state at every `every`-th step and at the end,
            and a hash of the parameters at all of them) or full (every step).
        recipe: what is trained.
        points: number of steps in a sparse record.
        every: steps between the stored states of a replay record; by default the root of the number of steps, so that
            as many lie in a segment as there are segments.
        steps: the steps of a sparse record, in place of the log-spaced ones; the end of training is added.
        optimizer: whether a record holds the optimizer's state and the batch beside parameters and buffers.
        dtype: in which floating parameters and buffers are stored; by default, and where it is wider, that of training.
    """

    def __init__(
        self,
        folder: Path,
        kind: str,
        recipe: Recipe,
        points: int,
        every: int | None = None,
        steps: Iterable[int] | None = None,
        optimizer: bool = True,
        dtype: torch.dtype | None = None,
    ):
        self.folder, self.kind, self.recipe, self.optimizer = folder, kind, recipe, optimizer
        self.dtype = None if dtype is None or dtype.itemsize >= recipe.dtype.itemsize else dtype
        self.every = every or max(1, round(recipe.max_steps**0.5))
        chosen = log_spaced(points, recipe.max_steps) if steps is None else {*steps, recipe.max_steps}
        self._steps = set(chosen) if kind == "sparse" else set()
        self._states, self._trace = Shards(folder), Shards(folder / TRACE)
        self._newest = -1  # the last step that has been recorded
        self._plan = recipe.plan()
        n, size = self._plan.n, recipe.batch_size
        self._ids = torch.int64 if n is None else torch.int32  # endless data has endless ids
        self._batch_size = size if n is None else min(size or n, n)

    def wants(self, step: int) -> bool:
        """True if anything of the state before optimiser step `step` is to be recorded."""
        return self.kind in ("full", "replay") or step in self._steps

    def stores(self, step: int) -> bool:
        """True if the whole state before a step is recorded, whether or not training ends there."""
        return step % self.every == 0 if self.kind == "replay" else self.wants(step)

    def stored_steps(self) -> Sequence[int]:
        """Return the steps whose state is recorded in a whole training, in order."""
        if self.kind in ("none", "sparse"):
            return sorted(self._steps)
        every = self.every if self.kind == "replay" else 1
        return sorted({*range(0, self.recipe.max_steps, every), self.recipe.max_steps})

    def planned_bytes(self) -> int:
        """Return the size that the whole record will have on disk, headers aside."""
        if self.kind == "none":
            return 0
        trace = 24 * (self.recipe.max_steps + 1) if self.kind == "replay" else 0
        return len(self.stored_steps()) * self._state_bytes() + trace

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
        self._newest = step - 1

    def describe(self, device: str) -> None:
        """Write history.json: the kind of record, and what the bits of an update depend on."""
        about = {"kind": self.kind, "version": VERSION}
        if not self.optimizer:
            about |= {"optimizer": False}
        if self.dtype is not None:
            about |= {"dtype": _name(self.dtype), "trained": _name(self.recipe.dtype)}
        if self.kind == "replay":
            about |= {"every": self.every, **conditions(self.recipe, device)}
        elif device != "cpu":
            about["device"] = device  # whose generator draws endless and augmented examples
        write_json(self.folder / ABOUT, about)

    def record(self, step: int, model: nn.Module, optimizer: torch.optim.Optimizer, whole: bool = False) -> None:
        """Record the state before optimiser step `step`, unless this or a later step has been recorded. Of most steps
        of a replay record only a hash is recorded, unless the `whole` state is requested."""
        if step <= self._newest:
            return
        self._newest = step
        if self.kind == "replay":
            self.record_hash(step, model, optimizer)
        if whole or self.stores(step):
            self.record_state(step, model, optimizer)

    def record_hash(self, step: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Record a hash of the parameters before optimiser step `step`, and its rates."""
        rates = self._rates(step, optimizer)
        self._trace.add(step, {"digest": torch.tensor(digest(model.state_dict())), "rates": rates})

    def record_state(self, step: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Record the whole state before optimiser step `step`."""
        params = model.state_dict()
        if self.dtype is not None:
            params = self._narrow(params, step)
        state = {f"params/{name}": value for name, value in params.items()}
        if self.optimizer:
            indices = self._plan.indices(step).to(self._ids)
            padded = torch.full((self._batch_size,), -1, dtype=self._ids)
            padded[: len(indices)] = indices
            moments = optimizer_tensors(model, optimizer)
            state |= {f"optimizer/{name}": value for name, value in moments.items()} | {"indices": padded}
        self._states.add(step, {**state, "rates": self._rates(step, optimizer)})

    def _narrow(self, params: Mapping[str, Tensor], step: int) -> dict[str, Tensor]:
        """Return parameters in the dtype in which they are stored, or raise RunError if one does not fit into it."""
        narrow = {}
        for name, value in real_parts(params).items():
            narrow[name] = in_precision(value, self.dtype)
            if value.is_floating_point() and (narrow[name].isinf() & ~value.isinf()).any():
                dtype, largest = _name(self.dtype), torch.finfo(self.dtype).max
                must = f"parameters and buffers that are stored in {dtype} must be within {largest:g}"
                got = f"{value.abs().max():.3g} in {name} at step {step}"
                raise RunError(must, got=got, key="history.dtype", fix="history.dtype=float32")
        return narrow

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
        states = [step for step in self.stored_steps() if step < stop] + [stop] * ended
        hashes = list(range(stop + ended)) if self.kind == "replay" else []
        return [step for step in states if step not in stored], [step for step in hashes if step not in hashed]

    def _rates(self, step: int, optimizer: torch.optim.Optimizer) -> Tensor:
        return torch.tensor(self.recipe.rates(optimizer, step), dtype=torch.float64)

    def _state_bytes(self) -> int:
        params, moments = _state_tensors(self.recipe)
        if self.dtype is not None:
            params = self._narrow(params, 0)
        tensors = [*params.values(), *(moments.values() if self.optimizer else ())]
        batch = self._ids.itemsize * self._batch_size if self.optimizer else 0
        return sum(tensor.nbytes for tensor in tensors) + RATES + batch


def check_size(recorder: Recorder, limit_gb: float) -> str | None:
    """Return a sentence that announces the record's size, or raise ConfigError when it is over the limit."""
    size = recorder.planned_bytes()
    if not size:
        return None
    if size > limit_gb * 1e9:
        options = {"full": "history=replay or history=sparse", "replay": "a larger history.every, or history=sparse"}
        smaller = options.get(recorder.kind, "fewer history.points, history.optimizer=false or history.dtype=float16")
        raise ConfigError(
            f"the history must fit into history.limit_gb={limit_gb:g}",
            got=f"history={recorder.kind} takes {size / 1e9:.2f} GB for {recorder.recipe.max_steps} steps",
            key="history.limit_gb",
            fix=f"{smaller}, fewer trainer.max_steps, or history.limit_gb={1.1 * size / 1e9:.2g}",
        )
    if recorder.kind == "replay":
        memory = f"; reading takes {recorder.segment_bytes() / 1e6:.1f} MB of memory"
        return f"history: replay, a state every {recorder.every} steps, {size / 1e6:.1f} MB{memory}"
    parts = [recorder.kind]
    if recorder.kind == "sparse":
        parts += [f"{len(recorder.stored_steps())} steps"]
    parts += ["weights only"] * (not recorder.optimizer)
    parts += [f"stored in {_name(recorder.dtype)}"] if recorder.dtype is not None else []
    return f"history: {', '.join(parts)}, {size / 1e6:.1f} MB"


def _state_tensors(recipe: Recipe) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the parameters and buffers of a fresh model, and the optimizer's state after one step, by name."""
    model = recipe.architecture()
    optimizer = recipe.optimizer(model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    return model.state_dict(), optimizer_tensors(model, optimizer)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
