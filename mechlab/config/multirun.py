"""The jobs of a multirun: each leaves a note in the sweep's folder, whatever sweeper and launcher run it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from mechlab.core.errors import MechlabError, RunError
from mechlab.core.printable import printable
from mechlab.core.progress import duration
from mechlab.record.files import read_json, read_yaml, write_json

SUFFIX = ".job.json"
LONG = 5.0  # seconds of a job from which the time of those after it is estimated
OPTIMUM = "optimization_results.yaml"  # in which Hydra's optimising sweepers write the best trial
State = Literal["stopped", "done", "held", "failed"]


class JobFailed(Exception):
    """A job of a multirun failed in a process of its own; its error has been printed."""

    reported = True


@dataclass
class JobNote:
    """One job of a multirun, in the file `<number>.job.json` of the sweep's folder.

    Args:
        number: its number in the multirun.
        overrides: its own overrides, as words after `python -m mechlab.train`.
        objective: the metric that it returns to the sweeper.
        state: done, failed, or held (its run belongs to another process); stopped until then.
        runs: its run directories, several with trainer.seeds.
        value: the objective; None if it has none.
        error: the first line of the error of a failed job.
        analysis: configuration of its analyses, and of those of sets.
        allow_targets: packages beyond mechlab whose classes the configuration may name.
        repeated: whether all of its runs were done before it began.
    """

    number: int
    overrides: list[str]
    objective: str
    state: State = "stopped"
    runs: list[str] = field(default_factory=list)
    value: float | None = None
    error: str = ""
    analysis: dict[str, Any] = field(default_factory=dict)
    allow_targets: list[str] = field(default_factory=list)
    repeated: bool = False

    def write(self, folder: Path) -> None:
        """Write the note into the sweep's folder."""
        write_json(note_path(folder, self.number), asdict(self))

    def began(
        self, runs: Sequence[Path], analysis: Mapping[str, Any], allow_targets: Sequence[str], repeated: bool = False
    ) -> None:
        """Note the job's run directories and analyses, and whether all of its runs are done already."""
        self.repeated = repeated
        self.runs, self.analysis, self.allow_targets = [str(run) for run in runs], dict(analysis), list(allow_targets)

    def returned(self, value: float | None) -> None:
        """Note the end of the job's program, which returns no objective if another process holds its run."""
        self.state, self.value = "held" if value is None else "done", value

    def failed(self, error: BaseException | str) -> None:
        """Note the error that ended the job."""
        text = error.must if isinstance(error, MechlabError) else str(error)
        known = isinstance(error, MechlabError | JobFailed | str)
        line = next(iter(text.strip().splitlines()), "")
        self.state, self.error = "failed", printable(line if known else f"{type(error).__name__}: {line}")


def note_path(folder: Path, number: int) -> Path:
    """Return the file of a job's note in a sweep's folder."""
    return folder / f"{number}{SUFFIX}"


def read_note(path: Path) -> JobNote | None:
    """Return the note in a file; None if it is missing or damaged."""
    try:
        return JobNote(**read_json(path))
    except (RunError, TypeError):
        return None


@dataclass(frozen=True)
class Multirun:
    """The multirun that this process has started.

    Args:
        folder: the sweep's folder.
        optimum: the content of the sweeper's file of the best trial before the multirun; None if there was none.
        total: number of jobs, where they run one after another in this process and their time is still to be announced.
    """

    folder: Path
    optimum: bytes | None
    total: int | None = None

    def jobs(self) -> list[JobNote]:
        """Return the notes of all jobs that have begun, by number."""
        notes = (read_note(path) for path in self.folder.glob(f"*{SUFFIX}"))
        return sorted((note for note in notes if note is not None), key=lambda note: note.number)

    def best(self) -> dict[str, Any] | None:
        """Return what an optimising sweeper has written about the best trial; None if it has not."""
        if _content(self.folder / OPTIMUM) in (None, self.optimum):
            return None
        with contextlib.suppress(RunError):
            return dict(read_yaml(self.folder / OPTIMUM))
        return None


_started: list[Multirun] = []


class RememberMultirun(Callback):
    """Hydra callback that remembers the folder of the multirun that begins, and removes the notes of one before it."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Called by Hydra in the process of the command, before any job."""
        folder = Path(config.hydra.sweep.dir)
        for path in folder.glob(f"*{SUFFIX}"):
            path.unlink()
        _started[:] = [Multirun(folder, _content(folder / OPTIMUM), _count_jobs(config))]


def started_multirun() -> Multirun | None:
    """Return the multirun that this process has started since the last call, None if there is none."""
    return _started.pop() if _started else None


def in_multirun() -> bool:
    """True in a job of a multirun."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


@contextlib.contextmanager
def noted_job(cfg: DictConfig) -> Iterator[JobNote]:
    """Keep the note of a job while its program runs; outside of a multirun nothing is written.

    Args:
        cfg: the job's configuration.
    """
    if not in_multirun():
        yield JobNote(0, [], "")
        return
    hydra_cfg = HydraConfig.get()
    folder = Path(hydra_cfg.sweep.dir)
    overrides = OmegaConf.to_container(hydra_cfg.overrides.task, resolve=False)
    note = JobNote(int(hydra_cfg.job.num), list(overrides), str(cfg.get("objective")))
    note.write(folder)
    began = time.monotonic()
    try:
        yield note
    except Exception as error:
        note.failed(error)
        raise
    finally:
        with contextlib.suppress(OSError):  # of a full disk: the error of the job is the one to show
            note.write(folder)
    if not note.repeated:  # the time of a job that had nothing to train says nothing of others
        _announce_rest(note.number, time.monotonic() - began)


def _count_jobs(config: DictConfig) -> int | None:
    """Return the number of jobs of a grid that run one after another in this process; None for any other multirun."""
    targets = [str(OmegaConf.select(config, f"hydra.{part}._target_")) for part in ("sweeper", "launcher")]
    if not (targets[0].endswith(".BasicSweeper") and targets[1].endswith(".BasicLauncher")):
        return None
    params = OmegaConf.to_container(config.hydra.sweeper).get("params") or {}
    given = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
    machine = GlobalHydra.instance().hydra
    parser = OverridesParser.create(config_loader=machine and machine.config_loader)  # which glob() needs
    parsed = parser.parse_overrides([*(f"{key}={value}" for key, value in params.items()), *given])
    return len(BasicSweeper.split_arguments(parsed, None)[0])


def _announce_rest(number: int, seconds: float) -> None:
    """Print, after the first job that took long, how long the jobs after it would take at that rate."""
    if not _started or _started[0].total is None or seconds < LONG:
        return
    left = _started[0].total - number - 1
    _started[0] = replace(_started[0], total=None)
    if left > 0:
        whole = duration(left * seconds)
        print(f"this job took {duration(seconds)}; the {left} after it would take {whole}, at that rate", flush=True)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
