"""Signals that ask a run to stop: remembered when they come, acted upon at the next step boundary."""

from __future__ import annotations

import signal
from types import FrameType

STOPPING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class Preempted(Exception):
    """The run was asked to stop, and has written a checkpoint.

    Args:
        signum: the signal that asked.
        step: optimiser steps done.
    """

    def __init__(self, signum: int, step: int):
        self.signum, self.step = signum, step
        super().__init__(f"stopped by {signal.Signals(signum).name} after step {step}; the same command goes on from there")

    @property
    def exit_status(self) -> int:
        """130 for Ctrl-C, as shells have it; 143 otherwise."""
        return 130 if self.signum == signal.SIGINT else 143


class SignalWatch:
    """Remembers the first stopping signal; a second Ctrl-C interrupts at once."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, object] = {}

    def install(self) -> None:
        """Replace the handlers of the stopping signals."""
        for number in STOPPING:
            before = signal.signal(number, self._remember)
            self._before.setdefault(number, before)

    def restore(self) -> None:
        """Put back the handlers that were there before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = self.received or number
