"""Commands of mechlab in processes forked from one that has imported everything: all that a command line does, in a
process of its own, without the seconds that its imports take."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

WARM = [
    "mechlab.train",
    "mechlab.analyze",
    "mechlab.jobs.prepare",
    "mechlab.jobs.execute",
    "mechlab.jobs.console",
    "mechlab.training.fit",
    "mechlab.analyses.spectrum",
    "mechlab.analyses.ambiguity",
    "mechlab.plotting.spectrum",
    "mechlab.plotting.ambiguity",
    "mechlab.tasks.tomita",
    "mechlab.tasks.repeat_copy",
    "mechlab.tasks.modular_addition",
    "mechlab.tasks.digits",
    "mechlab.models.rnn",
    "mechlab.models.gru",
    "mechlab.models.mlp",
    "torch.utils.tensorboard",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "pandas",
]
PATIENCE = 120.0  # seconds after which a command counts as hung

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(WARM)


@dataclass(frozen=True)
class Done:
    """How a command ended: its exit status (negative for a signal that killed it) and what it printed."""

    exit: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Both outputs, for messages of failing tests."""
        return f"exit {self.exit}\n{self.out}\n{self.err}"


class Command:
    """A command that is running.

    Args:
        program: name of the module, such as train.
        arguments: of the command line.
        folder: the working directory.
        before: called in the new process before the program.
    """

    _count = 0

    def __init__(self, program: str, *arguments: str, folder: Path, before: Callable[[], None] | None = None):
        Command._count += 1
        self._outputs = [folder / f".{name}-{os.getpid()}-{Command._count}" for name in ("out", "err")]
        inside = (program, arguments, folder, self._outputs, before)
        self.process = _context.Process(target=_main, args=inside)
        self.process.start()

    def wait(self, patience: float = PATIENCE) -> Done:
        """Wait for its end, at most so many seconds."""
        self.process.join(patience)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
            raise TimeoutError(f"the command hung: {self.output()}")
        out, err = (path.read_text() for path in self._outputs)
        for path in self._outputs:
            path.unlink()
        code = self.process.exitcode
        self.process.close()
        return Done(code, out, err)

    def output(self) -> str:
        """Return what it has printed so far."""
        return self._outputs[0].read_text() if self._outputs[0].exists() else ""


def command(
    program: str,
    *arguments: str,
    folder: Path,
    before: Callable[[], None] | None = None,
    patience: float = PATIENCE,
) -> Done:
    """Run a command to its end; see Command for the arguments."""
    return Command(program, *arguments, folder=folder, before=before).wait(patience)


def _main(
    program: str, arguments: tuple[str, ...], folder: Path, outputs: list[Path], before: Callable[[], None] | None
) -> None:
    os.chdir(folder)
    for number, path in zip((1, 2), outputs, strict=True):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, number)
        os.close(handle)
    sys.argv = [f"mechlab.{program}", *arguments]
    if before is not None:
        before()
    importlib.import_module(f"mechlab.{program}").main()
