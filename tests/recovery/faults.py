"""Faults to plant in a process: something bad happens at a chosen call of a chosen function."""

from __future__ import annotations

import errno
import functools
import importlib
import os
import resource
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

STEP = "mechlab.core.recipe.Recipe.update"  # called once per optimiser step, so `nth` counts steps


@dataclass(frozen=True)
class Fault:
    """Calling it plants the fault.

    Args:
        target: dotted name of the function or method.
        nth: at which call it happens, counted from 1.
        does: kill (SIGKILL), term, usr1 or int (the signals), int twice, full (OSError as from a full disk), small
            (from then on no file may grow beyond 8 KiB), wait (until there is a file `go` in the working directory).
        when: before or after the call itself.
        about: count only calls with this text in one of their arguments.
    """

    target: str
    nth: int = 1
    does: Literal["kill", "term", "usr1", "int", "int twice", "full", "small", "wait"] = "kill"
    when: Literal["before", "after"] = "before"
    about: str = ""

    def __str__(self) -> str:
        name = ".".join(self.target.split(".")[-2:])
        return f"{self.does} {self.when} {name}{f' of {self.about}' if self.about else ''} {self.nth}"

    def __call__(self) -> None:
        owner, name = _owner(self.target)
        original = getattr(owner, name)
        calls = 0

        @functools.wraps(original)
        def faulty(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += any(self.about in str(argument) for argument in arguments)
            due = calls == self.nth and any(self.about in str(argument) for argument in arguments)
            if due and self.when == "before":
                self._happen()
            result = original(*arguments, **options)
            if due and self.when == "after":
                self._happen()
            return result

        setattr(owner, name, faulty)

    def _happen(self) -> None:
        if self.does == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.does == "small":
            resource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))
            return
        if self.does == "wait":
            while not Path("go").exists():
                time.sleep(0.01)
            return
        name, *twice = self.does.split()
        for _ in range(2 if twice else 1):
            os.kill(os.getpid(), getattr(signal, f"SIG{name.upper()}"))


def _owner(target: str) -> tuple[Any, str]:
    """Return the module or class that holds the function, and the function's name there."""
    path, name = target.rsplit(".", 1)
    try:
        return importlib.import_module(path), name
    except ModuleNotFoundError:
        module, cls = path.rsplit(".", 1)
        return getattr(importlib.import_module(module), cls), name
