"""Long computations with a progress line, resumed from a checkpoint after an interruption."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from torch import Tensor

from mechlab.core.errors import MechlabError
from mechlab.core.progress import ProgressLine, duration
from mechlab.record.tensors import load_tensors, save_tensors

SAVE_EVERY = 60.0  # seconds between checkpoints
STOPPING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class Resumable(Protocol):
    """A computation that yields (done, total) after each step, and whose state can be saved and restored."""

    def __iter__(self) -> Iterator[tuple[int, int]]: ...
    def state(self) -> dict[str, Tensor]: ...
    def restore(self, state: Mapping[str, Tensor]) -> None: ...


def carry_out(work: Resumable, name: str, checkpoint: Path, save_every: float | None = None) -> None:
    """Run all remaining steps of a computation. When a stopping signal arrives, save the state after the current step
    and pass the signal on: the same command resumes from there.

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
    with ProgressLine(lambda: line), SignalsAfterSteps() as signals:
        for done, total in work:
            now = time.monotonic()
            first = done - 1 if first is None else first
            left = (now - started) / (done - first) * (total - done)
            line = f"{name}: step {done}/{total}, {duration(left)} left"
            if done < total and (signals.received or now - saved >= save_every):
                save_tensors(checkpoint, work.state())
                saved = time.monotonic()
            signals.pass_on()
    checkpoint.unlink(missing_ok=True)
    if checkpoint.parent.is_dir() and not any(checkpoint.parent.iterdir()):
        checkpoint.parent.rmdir()


class SignalsAfterSteps(contextlib.AbstractContextManager):
    """Records a stopping signal inside its block, for `pass_on` to act upon; a second one acts at once.

    In threads other than the main one, which receive no signals, it does nothing.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> SignalsAfterSteps:
        if threading.current_thread() is threading.main_thread():
            handlers = {number: signal.getsignal(number) for number in STOPPING}
            self._before = {number: handler for number, handler in handlers.items() if handler is not signal.SIG_IGN}
        for number in self._before:
            signal.signal(number, self._record)
        return self

    def __exit__(self, *_exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def pass_on(self) -> None:
        """Call the former handler of the signal that was received, or exit as the signal would have made the process
        do: with status 143, and by KeyboardInterrupt for Ctrl-C."""
        number, self.received = self.received, None
        if number is not None:
            self._act(number, None)

    def _act(self, number: int, frame: FrameType | None) -> None:
        handler = self._before[number]
        if not callable(handler):
            raise SystemExit(143)
        handler(number, frame)

    def _record(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            self._act(number, frame)
        self.received = number
