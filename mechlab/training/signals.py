"""Stopping signals: recorded when they arrive, acted upon at the next step boundary."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import ClassVar

STOPPING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class Preempted(BaseException):
    """The run was stopped by a signal and can be resumed. Not an Exception, so that error handlers let it pass.

    Args:
        signum: the signal.
        step: optimiser steps done, all of them in the checkpoint; None if no checkpoint was written for the signal.
    """

    def __init__(self, signum: int, step: int | None = None):
        self.signum, self.step = signum, step
        when, where = ("at once", "the last checkpoint") if step is None else (f"after step {step}", "there")
        super().__init__(f"stopped by {signal.Signals(signum).name} {when}; the same command resumes from {where}")

    @property
    def exit_status(self) -> int:
        """130 for Ctrl-C, as in shells; 143 otherwise."""
        return 130 if self.signum == signal.SIGINT else 143


@contextlib.contextmanager
def stopped_at_once() -> Iterator[None]:
    """Raise Preempted at once when a stopping signal arrives inside the block."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise Preempted(number)

    before = {number: signal.signal(number, stop) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class SignalWatch:
    """Records the first stopping signal, to be acted upon at a step boundary; a second Ctrl-C stops at once.

    Attributes:
        received: the first signal since `install`, or None.
        seen: the first signal that any watch of this process received; jobs that follow in the process read it.
    """

    seen: ClassVar[int | None] = None

    def __init__(self) -> None:
        self.received: int | None = None

    def install(self) -> None:
        """Replace the handlers of the stopping signals."""
        for number in STOPPING:
            signal.signal(number, self._remember)

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Replace the handlers of the stopping signals inside the block."""
        before = {number: signal.getsignal(number) for number in STOPPING}
        self.install()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise Preempted(number)
        self.received = self.received or number
        SignalWatch.seen = SignalWatch.seen or number
