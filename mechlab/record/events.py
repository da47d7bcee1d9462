"""Event files of TensorBoard in a run's tb/ folder: those of training, and the curves of analyses over training."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mechlab.record.files import atomic

EVENTS = "events.out.tfevents.*"  # of training
FIRST = "events.out.tfevents.0000000000.cut"
HPARAMS = "_hparams_/"  # what the tags of hyper-parameters begin with
FIRST_GROUPS = ("train", "val")  # of metrics
LATER = "~"  # sorts after all letters


def tag_of(metric: str) -> str:
    """Return the tag of a metric or figure in TensorBoard.

    TensorBoard groups tags by their first word, sorts the groups by character code, and opens the first two: these must
    be train and val, so all others begin with ~.

    >>> tag_of("val/loss"), tag_of("ambiguity/weighted")
    ('val/loss', '~ambiguity/weighted')
    """
    plain = metric.partition("/")[0] in FIRST_GROUPS or metric.startswith((HPARAMS, LATER))
    return metric if plain else LATER + metric


def metric_of(tag: str) -> str:
    """Return the name of the metric of a tag, also of one that was written before tags had a ~."""
    return tag.removeprefix(LATER)


def cut_events(folder: Path, step: int, rows: Sequence[Mapping[str, str]] = ()) -> list[Any]:
    """Rewrite a folder's event files as one without events beyond optimiser step `step`; return the events in it.

    TensorBoard reads files in the order of their names; the new file sorts before those of later processes, with
    any clock. Hyper-parameters are removed as well: they are at step 0, and the end of training writes them again.
    An event in two files, as left by a process killed in between, is written once.

    Args:
        folder: the run's tb/ folder.
        step: the last optimiser step to keep.
        rows: the rows of metrics.csv up to that step; scalars without an event are taken from them, with a warning.
    """
    from tensorboard.compat.proto import event_pb2

    paths = sorted(folder.glob(EVENTS))
    events = [event_pb2.Event.FromString(record) for record in _tagged(_events(paths))]
    retained = [event for event in events if event.step <= step and _is_measured(event)]
    wall_time = min((event.wall_time for event in events), default=0.0)
    if missing := _missing(retained, rows, wall_time):
        print(f"warning: {len(missing)} scalars are missing from the events of TensorBoard; metrics.csv has them")
        retained = sorted([*retained, *missing], key=lambda event: event.step)
    if not retained and not paths:
        return []
    first = folder / FIRST
    _write(first, retained, wall_time)
    for path in paths:
        if path != first:
            os.unlink(path)
    return retained


def write_curves(folder: Path, analysis: str, points: Mapping[int, Mapping[str, float]]) -> Path | None:
    """Write the scalars of an analysis at recorded steps as `<analysis>/<scalar>`, without those that training has
    logged, in place of what was written of this analysis before.

    TensorBoard reads files in the order of their names and draws points in the order of reading: the file sorts before
    those of training, which hold the last point.

    Args:
        folder: the run's tb/ folder.
        analysis: the analysis, by which the file is named.
        points: finite scalars by optimiser step and name.

    Returns:
        The file; None where there is nothing to write.
    """
    tagged = [(step, {f"{analysis}/{name}": value for name, value in points[step].items()}) for step in sorted(points)]
    events = list(_events(sorted(folder.glob(EVENTS))))
    wall_time = max((event.wall_time for event in events), default=0.0)  # so that repeating it changes no bit
    curves = _missing(events, [{"step": step, **row} for step, row in tagged], wall_time)
    path = folder / f"curves.{analysis}.tfevents"
    if not curves:
        path.unlink(missing_ok=True)
        return None
    folder.mkdir(exist_ok=True)
    _write(path, curves, wall_time)
    return path


def read_scalars(folder: Path, step: int) -> dict[int, dict[str, float]]:
    """Return the scalars up to an optimiser step in a folder's readable events, by step and metric, in single
    precision."""
    scalars: dict[int, dict[str, float]] = {}
    for event in _events(sorted(folder.glob(EVENTS))):
        for value in event.summary.value if event.step <= step and _is_measured(event) else ():
            if value.WhichOneof("value") == "simple_value":
                scalars.setdefault(event.step, {})[metric_of(value.tag)] = value.simple_value
    return dict(sorted(scalars.items()))


def _tagged(events: Iterable[Any]) -> dict[bytes, None]:
    """Return different events, serialised, with the tags that they have today."""
    records: dict[bytes, None] = {}
    for event in events:
        for value in event.summary.value if event.HasField("summary") else ():
            value.tag = tag_of(value.tag)
        records[event.SerializeToString(deterministic=True)] = None
    return records


def _missing(events: Sequence[Any], rows: Sequence[Mapping[str, Any]], wall_time: float) -> list[Any]:
    """Return an event for each cell of the rows that no event holds."""
    from tensorboard.compat.proto import event_pb2
    from torch.utils.tensorboard.summary import scalar

    present = {(event.step, metric_of(value.tag)) for event in events for value in event.summary.value}
    cells = [(int(row["step"]), name, value) for row in rows for name, value in row.items() if name != "step"]
    return [
        event_pb2.Event(wall_time=wall_time, step=step, summary=scalar(tag_of(name), float(value)))
        for step, name, value in cells
        if (step, name) not in present
    ]


def _write(path: Path, events: Iterable[Any], wall_time: float) -> None:
    """Write a file of events, in the format whose steps may go back."""
    from tensorboard.compat.proto import event_pb2
    from tensorboard.summary.writer.record_writer import RecordWriter

    version = event_pb2.Event(wall_time=wall_time, file_version="brain.Event:2")
    with atomic(path) as temporary, open(temporary, "wb") as file:
        writer = RecordWriter(file)
        for event in [version, *events]:
            writer.write(event.SerializeToString())
        writer.flush()


def _events(paths: Sequence[Path]) -> Iterator[Any]:
    from tensorboard.compat.proto import event_pb2

    return (event_pb2.Event.FromString(record) for path in paths for record in _records(path))


def _records(path: Path) -> Iterator[bytes]:
    """Yield a file's events, serialised, up to the first damaged one."""
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader

    yield from RawEventFileLoader(str(path)).Load()


def _is_measured(event: Any) -> bool:
    return event.HasField("summary") and not any(value.tag.startswith(HPARAMS) for value in event.summary.value)
