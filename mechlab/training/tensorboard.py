"""TensorBoard events of one run: one curve per metric, however often the run was interrupted."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from pytorch_lightning.loggers import TensorBoardLogger

from mechlab.record.files import atomic

EVENTS = "events.out.tfevents.*"
FIRST = "events.out.tfevents.0000000000.cut"
HPARAMS = "_hparams_/"  # what the tags of hyper-parameters begin with


class RunTensorBoard(TensorBoardLogger):
    """Writes a run's events into `<run>/tb`.

    Args:
        folder: the run directory.
        resume_at: optimiser step that training goes on from; events beyond it are removed, and those already there at
            that very step are not written twice.
        rows: the rows of metrics.csv up to there; scalars that are missing are taken from them.
    """

    def __init__(self, folder: Path, resume_at: int = 0, rows: Sequence[Mapping[str, str]] = ()):
        super().__init__(save_dir=str(folder), name="", version="tb", default_hp_metric=False)
        _silence_writers()
        self.folder, self._resume_at = folder / "tb", resume_at
        kept = cut_events(self.folder, resume_at, rows)
        self._present = {value.tag for event in kept if event.step == resume_at for value in event.summary.value}
        self.figures = sum(value.HasField("image") for event in kept for value in event.summary.value)
        if resume_at:
            self._forget_beyond(resume_at)

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Write scalars at an optimiser step."""
        super().log_metrics({tag: value for tag, value in metrics.items() if not self._written(tag, step)}, step)

    def log_figure(self, analysis: str, name: str, figure: Figure, step: int) -> None:
        """Write a figure of an analysis at an optimiser step; TensorBoard cannot show a scalar under the same tag."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        tag = f"{analysis}/figures/{name}"  # apart from scalars, since a tag belongs to one of TensorBoard's pages only
        if not self._written(tag, step):
            FigureCanvasAgg(figure)  # add_figure draws on the canvas that the figure has
            self.experiment.add_figure(tag, figure, step, close=False)
            self.figures += 1

    def log_final(self, hyperparameters: dict[str, Any], metrics: dict[str, float]) -> None:
        """Write what the HParams page shows; the metrics' values are those of their curves."""
        from torch.utils.tensorboard.summary import hparams

        for summary in hparams(hyperparameters, metrics):
            self.experiment.file_writer.add_summary(summary)
        self.experiment.close()

    def log_hyperparams(self, *_arguments: Any, **_options: Any) -> None:
        """Hyper-parameters are written once, at the end, together with the metrics; see `log_final`."""

    def save(self) -> None:
        """Write out what is buffered."""
        self.experiment.flush()

    def sync(self) -> None:
        """Write out what is buffered, and have it reach the disk."""
        self.save()
        for path in self.folder.glob(EVENTS):
            with open(path, "rb") as file:
                os.fsync(file.fileno())

    def finalize(self, status: str) -> None:
        """Write out what is buffered; the file stays open for what follows training."""
        self.save()

    def _forget_beyond(self, step: int) -> None:
        """Write the event upon which a TensorBoard that is running forgets what it read beyond an optimiser step."""
        from tensorboard.compat.proto import event_pb2

        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self.experiment.file_writer.add_event(event_pb2.Event(session_log=start), step=step + 1)

    def _written(self, tag: str, step: int | None) -> bool:
        return step == self._resume_at and tag in self._present


def _silence_writers() -> None:
    """Let the threads that write events print no tracebacks: an error of theirs, such as that of a full disk, is raised
    again where the next event is written."""
    before = threading.excepthook
    if getattr(before, "silences_writers", False):
        return

    def hook(failure: threading.ExceptHookArgs) -> None:
        if not (isinstance(failure.exc_value, OSError) and type(failure.thread).__module__.startswith("tensorboard.")):
            before(failure)

    hook.silences_writers = True
    threading.excepthook = hook


def cut_events(folder: Path, step: int, rows: Sequence[Mapping[str, str]] = ()) -> list[Any]:
    """Rewrite a folder's event files as one without events beyond optimiser step `step`; return the events in it.

    The new file sorts before all that later processes write, whatever their clocks say: TensorBoard reads in order.
    Hyper-parameters go as well: they stand at step 0, and the end of training writes them again. An event that is in
    two files is kept once: a process was killed here after writing the new file and before removing the old ones.

    Args:
        folder: the run's tb/ folder.
        step: the last optimiser step to keep.
        rows: the rows of metrics.csv up to there; a scalar that no readable event holds is taken from them, and said.
    """
    from tensorboard.compat.proto import event_pb2
    from tensorboard.summary.writer.record_writer import RecordWriter

    paths = sorted(folder.glob(EVENTS))
    records = dict.fromkeys(record for path in paths for record in _records(path))
    events = [event_pb2.Event.FromString(record) for record in records]
    kept = [event for event in events if event.step <= step and _is_measured(event)]
    wall_time = min((event.wall_time for event in events), default=0.0)
    if missing := _missing(kept, rows, wall_time):
        print(f"warning: {len(missing)} scalars are missing from the events of TensorBoard; metrics.csv has them")
        kept = sorted([*kept, *missing], key=lambda event: event.step)
    if not kept and not paths:
        return []
    version = event_pb2.Event(wall_time=wall_time, file_version="brain.Event:2")
    first = folder / FIRST
    with atomic(first) as path, open(path, "wb") as file:
        writer = RecordWriter(file)
        for event in [version, *kept]:
            writer.write(event.SerializeToString())
        writer.flush()
    for path in paths:
        if path != first:
            os.unlink(path)
    return kept


def read_scalars(folder: Path, step: int) -> dict[int, dict[str, float]]:
    """Return the scalars up to an optimiser step in a folder's readable events, by step and tag (single precision)."""
    from tensorboard.compat.proto import event_pb2

    found: dict[int, dict[str, float]] = {}
    for path in sorted(folder.glob(EVENTS)):
        for event in map(event_pb2.Event.FromString, _records(path)):
            for value in event.summary.value if event.step <= step and _is_measured(event) else ():
                if value.WhichOneof("value") == "simple_value":
                    found.setdefault(event.step, {})[value.tag] = value.simple_value
    return dict(sorted(found.items()))


def _missing(events: Sequence[Any], rows: Sequence[Mapping[str, str]], wall_time: float) -> list[Any]:
    """Return an event for each cell of the rows that no event holds."""
    from tensorboard.compat.proto import event_pb2
    from torch.utils.tensorboard.summary import scalar

    present = {(event.step, value.tag) for event in events for value in event.summary.value}
    cells = [(int(row["step"]), tag, value) for row in rows for tag, value in row.items() if tag != "step"]
    return [
        event_pb2.Event(wall_time=wall_time, step=step, summary=scalar(tag, float(value)))
        for step, tag, value in cells
        if (step, tag) not in present
    ]


def _records(path: Path) -> Iterator[bytes]:
    """Yield a file's events, serialised, up to the first damaged one."""
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader

    yield from RawEventFileLoader(str(path)).Load()


def _is_measured(event: Any) -> bool:
    return event.HasField("summary") and not any(value.tag.startswith(HPARAMS) for value in event.summary.value)
