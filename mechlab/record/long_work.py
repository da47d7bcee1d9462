"""Long computations with a progress line, resumed from a checkpoint after an interruption."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from torch import Tensor

from mechlab.core.errors import MechlabError
from mechlab.core.progress import ProgressLine, duration
from mechlab.record.tensors import load_tensors, save_tensors

SAVE_EVERY = 60.0  # seconds between checkpoints


class Resumable(Protocol):
    """A computation that yields (done, total) after each step, and whose state can be saved and restored."""

    def __iter__(self) -> Iterator[tuple[int, int]]: ...
    def state(self) -> dict[str, Tensor]: ...
    def restore(self, state: Mapping[str, Tensor]) -> None: ...


def carry_out(work: Resumable, name: str, checkpoint: Path, save_every: float | None = None) -> None:
    """Run all remaining steps of a computation.

    Args:
        name: the computation's name in its progress line.
        checkpoint: file of the state, removed at the end. One that does not fit is overwritten.
        save_every: seconds between checkpoints; SAVE_EVERY by default.
    """
    if checkpoint.exists():
        try:
            work.restore(load_tensors(checkpoint))
            print(f"{name}: resumes from {checkpoint}", flush=True)
        except MechlabError as error:
            print(f"{name}: starts from the beginning, since {checkpoint} does not fit: {error.must}", flush=True)
    save_every = SAVE_EVERY if save_every is None else save_every
    started = saved = time.monotonic()
    first, line = None, f"{name}: begins"
    with ProgressLine(lambda: line):
        for done, total in work:
            now = time.monotonic()
            first = done - 1 if first is None else first
            left = (now - started) / (done - first) * (total - done)
            line = f"{name}: step {done}/{total}, {duration(left)} left"
            if done < total and now - saved >= save_every:
                save_tensors(checkpoint, work.state())
                saved = time.monotonic()
    checkpoint.unlink(missing_ok=True)
    if checkpoint.parent.is_dir() and not any(checkpoint.parent.iterdir()):
        checkpoint.parent.rmdir()
