"""A progress line of a long computation."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable

PRINT_EVERY = 30.0  # seconds between plain lines
REWRITE_EVERY = 1.0  # seconds between updates on a terminal


class ProgressLine:
    """Shows the progress of a block of code: a line that is rewritten on a terminal, and plain lines now and then
    elsewhere. A block that ends before the first of them shows nothing.

    Args:
        text: returns the line; called in a thread of its own.
    """

    def __init__(self, text: Callable[[], str]):
        self._text, self._ended, self._lock = text, threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._repeat, name="progress", daemon=True)
        self._on_terminal, self._open = sys.stdout.isatty(), False

    def __enter__(self) -> ProgressLine:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ended.set()
        self._thread.join()
        self._erase()

    def print(self, line: str) -> None:
        """Print another line, in place of the progress line on a terminal."""
        with self._lock:
            self._erase()
            print(line, flush=True)

    def _repeat(self) -> None:
        while not self._ended.wait(REWRITE_EVERY if self._on_terminal else PRINT_EVERY):
            text = self._text()
            with self._lock:
                self._show(text)

    def _show(self, text: str) -> None:
        if not self._on_terminal:
            print(text, flush=True)
            return
        width = shutil.get_terminal_size().columns - 1
        shown = text if len(text) <= width else f"{text[: width - 3]}..."
        print(f"\r\033[K{shown}", end="", flush=True)
        self._open = True

    def _erase(self) -> None:
        if self._open:
            print("\r\033[K", end="", flush=True)
            self._open = False


def duration(seconds: float) -> str:
    """Format a duration for people.

    >>> duration(75), duration(7500)
    ('1 min 15 s', '2 h 05 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
