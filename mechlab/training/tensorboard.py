"""TensorBoard events of one run: one curve per metric, however often the run was interrupted."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from pytorch_lightning.loggers import TensorBoardLogger

from mechlab.record.events import EVENTS, cut_events, metric_of, tag_of


class RunTensorBoard(TensorBoardLogger):
    """Writes a run's events into `<run>/tb`.

    Args:
        folder: the run directory.
        resume_at: optimiser step that training resumes from; later events are removed, and events of that step are not
            written twice.
        rows: the rows of metrics.csv up to that step; missing scalars are taken from them.
    """

    def __init__(self, folder: Path, resume_at: int = 0, rows: Sequence[Mapping[str, str]] = ()):
        super().__init__(save_dir=str(folder), name="", version="tb", default_hp_metric=False)
        _silence_writers()
        self.folder, self._resume_at = folder / "tb", resume_at
        retained = cut_events(self.folder, resume_at, rows)
        at_resume = (value for event in retained if event.step == resume_at for value in event.summary.value)
        self._present = {metric_of(value.tag) for value in at_resume}
        self.figures = sum(value.HasField("image") for event in retained for value in event.summary.value)
        if resume_at:
            self._forget_beyond(resume_at)

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Write scalars at an optimiser step."""
        written = {name for name in metrics if self._written(name, step)}
        super().log_metrics({tag_of(name): value for name, value in metrics.items() if name not in written}, step)

    def log_figure(self, analysis: str, name: str, figure: Figure, step: int) -> None:
        """Write a figure of an analysis at an optimiser step."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        tag = f"{analysis}/figures/{name}"  # TensorBoard cannot show a scalar and a figure under one tag
        if not self._written(tag, step):
            FigureCanvasAgg(figure)  # add_figure draws on the figure's canvas
            self.experiment.add_figure(tag_of(tag), figure, step, close=False)
            self.figures += 1

    def log_final(self, hyperparameters: Mapping[str, Any]) -> None:
        """Write the hyper-parameters that the HParams page shows beside the last value of every scalar.

        Without the summary of an experiment the page shows the hyper-parameters of all runs; else those of one run.
        """
        from torch.utils.tensorboard.summary import hparams

        _experiment, start, end = hparams(dict(hyperparameters), {})
        for summary in (start, end):
            self.experiment.file_writer.add_summary(summary)
        self.experiment.close()

    def log_hyperparams(self, *_arguments: Any, **_options: Any) -> None:
        """Hyper-parameters are written once, at the end, together with the metrics; see `log_final`."""

    def save(self) -> None:
        """Flush buffered events to the file."""
        self.experiment.flush()

    def sync(self) -> None:
        """Flush buffered events and sync the files to disk."""
        self.save()
        for path in self.folder.glob(EVENTS):
            with open(path, "rb") as file:
                os.fsync(file.fileno())

    def finalize(self, status: str) -> None:
        """Flush buffered events; the file stays open for the analyses after training."""
        self.save()

    def _forget_beyond(self, step: int) -> None:
        """Write the event that makes a running TensorBoard discard what it has read beyond an optimiser step."""
        from tensorboard.compat.proto import event_pb2

        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self.experiment.file_writer.add_event(event_pb2.Event(session_log=start), step=step + 1)

    def _written(self, tag: str, step: int | None) -> bool:
        return step == self._resume_at and tag in self._present


def _silence_writers() -> None:
    """Suppress tracebacks of the writer threads: the next write raises their errors, such as a full disk, again."""
    before = threading.excepthook
    if getattr(before, "silences_writers", False):
        return

    def hook(failure: threading.ExceptHookArgs) -> None:
        if not (isinstance(failure.exc_value, OSError) and type(failure.thread).__module__.startswith("tensorboard.")):
            before(failure)

    hook.silences_writers = True  # type: ignore[attr-defined]
    threading.excepthook = hook
