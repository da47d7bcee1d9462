"""TensorBoard events of one run: one curve per metric, however often the run was interrupted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from pytorch_lightning.loggers import TensorBoardLogger

from mechlab.core.files import atomic

FIRST = "events.out.tfevents.0000000000.cut"
HPARAMS = "_hparams_/"  # what the tags of hyper-parameters begin with


class RunTensorBoard(TensorBoardLogger):
    """Writes a run's events into `<run>/tb`.

    Args:
        folder: the run directory.
        resume_at: optimiser step that training goes on from; events beyond it are removed, and those already there at
            that very step are not written twice.
    """

    def __init__(self, folder: Path, resume_at: int = 0):
        super().__init__(save_dir=str(folder), name="", version="tb", default_hp_metric=False)
        self._resume_at = resume_at
        self._present = cut_events(folder / "tb", resume_at)
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


def cut_events(folder: Path, step: int) -> set[str]:
    """Rewrite a folder's event files as one without events beyond optimiser step `step`; return the tags at that step.

    The new file sorts before all that later processes write, whatever their clocks say: TensorBoard reads in order.
    Hyper-parameters go as well: they stand at step 0, and the end of training writes them again. An event that is in
    two files is kept once: a process was killed here after writing the new file and before removing the old ones.
    """
    paths = sorted(folder.glob("events.out.tfevents.*"))
    if not paths:
        return set()
    from tensorboard.compat.proto import event_pb2
    from tensorboard.summary.writer.record_writer import RecordWriter

    records = dict.fromkeys(record for path in paths for record in _records(path))
    events = {record: event_pb2.Event.FromString(record) for record in records}
    kept = {record: event for record, event in events.items() if event.step <= step and _is_measured(event)}
    wall_time = min((event.wall_time for event in events.values()), default=0.0)
    version = event_pb2.Event(wall_time=wall_time, file_version="brain.Event:2")
    first = folder / FIRST
    with atomic(first) as path, open(path, "wb") as file:
        writer = RecordWriter(file)
        for record in [version.SerializeToString(), *kept]:
            writer.write(record)
        writer.flush()
    for path in paths:
        if path != first:
            os.unlink(path)
    values = (value for event in kept.values() if event.step == step for value in event.summary.value)
    return {value.tag for value in values}


def _records(path: Path) -> Iterator[bytes]:
    """Yield a file's events, serialised, up to the first damaged one."""
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader

    yield from RawEventFileLoader(str(path)).Load()


def _is_measured(event: Any) -> bool:
    return event.HasField("summary") and not any(value.tag.startswith(HPARAMS) for value in event.summary.value)
