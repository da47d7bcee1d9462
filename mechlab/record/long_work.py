"""Work of many steps that tells how far it is and goes on where it was interrupted."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from torch import Tensor

from mechlab.core.errors import MechlabError
from mechlab.record.tensors import load_tensors, save_tensors

SPEAK_EVERY = 30.0  # seconds between plain lines
KEEP_EVERY = 60.0  # seconds between copies of the state on disk


class Sweep(Protocol):
    """Work that yields (done, total) after each step, and whose state can be kept and taken up again."""

    def __iter__(self) -> Iterator[tuple[int, int]]: ...
    def state(self) -> dict[str, Tensor]: ...
    def restore(self, state: Mapping[str, Tensor]) -> None: ...


def carry_out(work: Sweep, name: str, kept: Path, keep_every: float | None = None) -> None:
    """Do all steps of the work, or those that are left of it.

    Args:
        name: what the work is called where its progress is shown.
        kept: file for the state, which is there while the work is not done. One that does not fit is written anew.
        keep_every: seconds between copies of the state; KEEP_EVERY by default.
    """
    if kept.exists():
        try:
            work.restore(load_tensors(kept))
            print(f"{name}: goes on with the work in {kept}", flush=True)
        except MechlabError as error:
            print(f"{name}: begins anew, since {kept} does not fit: {error.must}", flush=True)
    keep_every = KEEP_EVERY if keep_every is None else keep_every
    started = saved = time.monotonic()
    first, spoken = None, started
    for done, total in work:
        now = time.monotonic()
        first = done - 1 if first is None else first
        left = (now - started) / (done - first) * (total - done)
        if done < total and now - saved >= keep_every:
            save_tensors(kept, work.state())
            saved = time.monotonic()
        if now - spoken >= (1.0 if sys.stdout.isatty() else SPEAK_EVERY):
            spoken = now
            _say(f"{name}: step {done}/{total}, {_duration(left)} left")
    if first is not None and sys.stdout.isatty() and spoken > started:
        print(flush=True)
    kept.unlink(missing_ok=True)
    if kept.parent.is_dir() and not any(kept.parent.iterdir()):
        kept.parent.rmdir()


def _say(line: str) -> None:
    """Print a line of progress, on a terminal over the one before."""
    if sys.stdout.isatty():
        print(f"\r\033[K{line}", end="", flush=True)
    else:
        print(line, flush=True)


def _duration(seconds: float) -> str:
    """Return a duration as people say it.

    >>> _duration(75), _duration(7500)
    ('1 min 15 s', '2 h 05 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
