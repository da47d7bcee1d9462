"""TensorBoard events of one run: one curve per metric, however often the run was interrupted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from pytorch_lightning.loggers import TensorBoardLogger

from mechlab.core.files import atomic


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

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Write scalars at an optimiser step."""
        super().log_metrics({tag: value for tag, value in metrics.items() if not self._written(tag, step)}, step)

    def log_figure(self, tag: str, figure: Figure, step: int) -> None:
        """Write a figure at an optimiser step."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        if not self._written(tag, step):
            FigureCanvasAgg(figure)  # add_figure draws on the canvas that the figure has
            self.experiment.add_figure(tag, figure, step, close=False)

    def log_final(self, hyperparameters: dict[str, Any], metrics: dict[str, float]) -> None:
        """Write what the HParams page shows; the metrics' values are those of their curves."""
        from torch.utils.tensorboard.summary import hparams

        if not self._present & {"_hparams_/session_start_info"}:
            for summary in hparams(hyperparameters, metrics):
                self.experiment.file_writer.add_summary(summary)
        self.experiment.flush()

    def log_hyperparams(self, *_arguments: Any, **_options: Any) -> None:
        """Hyper-parameters are written once, at the end, together with the metrics; see `log_final`."""

    def save(self) -> None:
        """Write out what is buffered."""
        self.experiment.flush()

    def _written(self, tag: str, step: int | None) -> bool:
        return step == self._resume_at and tag in self._present


def cut_events(folder: Path, step: int) -> set[str]:
    """Rewrite a folder's event files as one without events beyond optimiser step `step`; return the tags at that step.

    The new file starts with a session start at step 0, upon which a TensorBoard that is running forgets what it read.
    """
    paths = sorted(folder.glob("events.out.tfevents.*"))
    if not paths:
        return set()
    from tensorboard.compat.proto import event_pb2
    from tensorboard.summary.writer.record_writer import RecordWriter

    events = [event for path in paths for event in _events(path)]
    kept = [event for event in events if event.step <= step and event.HasField("summary")]
    wall_time = events[0].wall_time if events else 0.0
    version = event_pb2.Event(wall_time=wall_time, file_version="brain.Event:2")
    start = event_pb2.Event(wall_time=wall_time, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START))
    newest = paths[-1].with_name(f"{paths[-1].name}.r")  # sorts after the files that it replaces
    with atomic(newest) as path, open(path, "wb") as file:
        writer = RecordWriter(file)
        for event in [version, start, *kept]:
            writer.write(event.SerializeToString())
        writer.flush()
    for path in paths:
        os.unlink(path)
    values = (value for event in kept if event.step == step for value in event.summary.value)
    return {value.tag for value in values}


def _events(path: Path) -> Iterator[Any]:
    """Yield a file's events up to the first damaged one."""
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto import event_pb2

    for record in RawEventFileLoader(str(path)).Load():
        yield event_pb2.Event.FromString(record)
