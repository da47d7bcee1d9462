"""Restore what is missing or damaged in a run's record from the rest of it: one log from the other, recorded steps by
training them again, the final weights from the history. What was restored is printed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from mechlab.core.curriculum import Stage
from mechlab.core.errors import ReplayDiffers, RunError
from mechlab.core.state import digest, put_state
from mechlab.record.digests import (
    DIGESTS,
    ENVIRONMENT,
    METRICS,
    WEIGHTS,
    changed_files,
    read_digests,
    update_digests,
    write_digests,
)
from mechlab.record.events import read_scalars
from mechlab.record.files import TEMPORARY, read_json
from mechlab.record.history import ABOUT, History
from mechlab.record.recorder import Recorder
from mechlab.record.run import Run
from mechlab.record.segments import training_mode
from mechlab.record.stages import write_stages
from mechlab.record.tensors import load_checkpoint, load_tensors, open_tensors, save_tensors
from mechlab.training.checkpoints import ResumePoint
from mechlab.training.metrics_csv import MetricsCSV, read_rows, write_rows
from mechlab.training.tensorboard import RunTensorBoard

ANEW = "rerun=true"
RESUMABLE = ("last", "previous", "damaged")


def open_logs(folder: Path, point: ResumePoint | None) -> tuple[MetricsCSV, RunTensorBoard]:
    """Open metrics.csv and TensorBoard's events to go on from a checkpoint; one is restored from the other.

    Args:
        folder: the run directory.
        point: the checkpoint; None to begin.

    Raises:
        RunError: neither holds what had been logged when the checkpoint was written.
    """
    path, step, logged = folder / "metrics.csv", point.step if point else 0, point.logged if point else {}
    try:
        table = MetricsCSV(path, step, logged.get("metrics"))
    except RunError as error:
        _rewrite_metrics(folder, step, logged.get("metrics"), error)
        table = MetricsCSV(path, step)
    tensorboard = RunTensorBoard(folder, step, read_rows(path, step))
    if tensorboard.figures < (wanted := logged.get("figures", 0)):
        print(f"warning: {wanted - tensorboard.figures} figures are missing from the events of TensorBoard")
    return table, tensorboard


def _rewrite_metrics(folder: Path, step: int, state: Mapping[str, Any] | None, error: RunError) -> None:
    """Write metrics.csv from TensorBoard's scalars, or raise the error if they are not all there."""
    last = {} if state is None else state["last"]
    scalars = read_scalars(folder / "tb", step)
    rows = [{"step": str(at)} | {tag: repr(value) for tag, value in row.items()} for at, row in scalars.items()]
    if rows and rows[-1]["step"] == last.get("step"):  # what came after the checkpoint will come again
        rows[-1] = {name: value for name, value in rows[-1].items() if name in last}
    before = [row for row in rows if row["step"] != last.get("step")]
    whole = state is not None and sum(map(len, before)) == state["cells"]
    if not whole or (last and (len(rows) == len(before) or rows[-1].keys() != last.keys())):
        raise error
    write_rows(folder / "metrics.csv", [*before, dict(last)] if last else before)
    print(f"warning: {error.must}; it has been written again from TensorBoard's events, in single precision")


def mend_history(
    recorder: Recorder,
    stop: int,
    ended: bool,
    device: str,
    threads: int,
    end: Mapping[str, Tensor] | None = None,
    stages: Sequence[Stage] | None = None,
) -> None:
    """Train again the recorded steps below `stop` whose records are missing or damaged, and record them.

    Args:
        recorder: the recorder of the run.
        stop: optimiser steps done.
        ended: whether training ended there, so that the state at `stop` belongs to the record as well.
        device: where the run was trained.
        threads: CPU threads that it was trained with.
        end: parameters (and buffers) at `stop`, to compare with where no later step is recorded.
        stages: of the curriculum; those that are known before training by default.

    Raises:
        ReplayDiffers: the next state that is known is not what training again gives.
    """
    if recorder.kind == "none":
        return
    try:
        read_json(recorder.folder / ABOUT)
    except RunError as error:
        print(f"warning: {error.must}: {error.key}; it is written again, with what holds now")
        recorder.describe(device)
    damaged = {}
    for path in recorder.shards():
        try:
            open_tensors(path)
        except RunError as error:
            print(f"warning: {error.must}: {error.key}; its steps are trained again")
            damaged[path] = path.rename(path.with_name(f".{path.name}{TEMPORARY}"))
    try:
        _train_missing(recorder, stop, ended, device, threads, end, stages)
    except ReplayDiffers:
        for path, aside in damaged.items():
            aside.rename(path)
        raise
    for aside in damaged.values():
        aside.unlink()


def _train_missing(
    recorder: Recorder,
    stop: int,
    ended: bool,
    device: str,
    threads: int,
    end: Mapping[str, Tensor] | None,
    stages: Sequence[Stage] | None,
) -> None:
    states, hashes = recorder.missing(stop, ended)
    missing = sorted({*states, *hashes})
    if not missing:
        return
    print(f"{len(missing)} recorded steps are missing: training {missing[0]} to {missing[-1]} again", flush=True)
    recipe, history = recorder.recipe, History(recorder.folder)
    stored = history.stored
    starts = stored if history.is_exact and history.has_optimizer else []  # else from the beginning of training
    check = next((step for step in stored if step > missing[-1]), stop)
    with training_mode(threads, device):
        model, source = recipe.model().to(device), recipe.source(device, stages)
        optimizer = recipe.optimizer(model)
        done = 0
        for step in sorted({*missing, check}):
            start = max((before for before in starts if before <= step), default=0)
            if start > done and start != check:
                put_state(model, optimizer, history.params(start), history.optimizer(start))
                done = start
            for _ in recipe.steps(model, optimizer, source, start=done, stop=step):
                pass
            done = step
            if step in states:
                recorder.record_state(step, model, optimizer)
            if step in hashes:
                recorder.record_hash(step, model, optimizer)
        again = model.state_dict()
        known, again = (history.params(check), history.rounded(again)) if check in stored else (end, again)
        if known is not None and digest(again) != digest(known):
            must = "training again must give what is recorded, bit for bit"
            raise ReplayDiffers(must, got=f"other parameters at step {check}", key=str(recorder.folder), fix=ANEW)
    recorder.flush()


def restore(run: Run, recorder: Recorder, device: str, threads: int) -> None:
    """Restore what is missing or damaged in the record of a finished run, as far as the rest allows, and print what was
    done and what was not."""
    folder, recorded = run.folder, read_digests(run.folder)
    if recorded is None:
        _write_digests(run)
        return
    changed = changed_files(folder, recorded["files"])
    if WEIGHTS not in changed:
        _remove_damaged_checkpoints(folder / "checkpoints")
    if not changed:
        return
    steps, restored = recorded["steps"], set()
    if any(name.startswith("history/") for name in changed):
        end = None if WEIGHTS in changed else load_tensors(folder / WEIGHTS)
        stages = _recorded_stages(run)
        mend_history(recorder, steps, True, device, threads, end, stages)
        if stages is not None:
            write_stages(recorder.folder, stages)
        restored |= {name for name in changed if name.startswith("history/")}
        run = Run(folder, lambda: recorder.recipe)  # whose history is read anew
    if WEIGHTS in changed and (weights := run.recorded_end()) is not None:
        save_tensors(folder / WEIGHTS, weights, {"step": steps})
        restored.add(WEIGHTS)
    events_changed = any(name.startswith("tb/") for name in changed)
    if METRICS in changed and not events_changed:
        scalars = read_scalars(folder / "tb", steps)
        rows = [{"step": str(at)} | {tag: repr(value) for tag, value in row.items()} for at, row in scalars.items()]
        write_rows(folder / METRICS, rows)
        restored.add(METRICS)
    elif events_changed and METRICS not in changed:
        RunTensorBoard(folder, steps, read_rows(folder / METRICS, steps)).sync()
        restored |= {name for name in changed if name.startswith("tb/")}
    update_digests(folder, restored)
    for name in changed:
        print(f"warning: {name} was missing or damaged: {_outcome(name, restored)}")


def _recorded_stages(run: Run) -> list[Stage] | None:
    """Return the stages of a finished run's curriculum, or None without one; from its last checkpoint if their file is
    missing or damaged.

    Raises:
        RunError: neither can be read.
    """
    try:
        return None if run.recipe.stages is None else list(run.recipe.stages)
    except RunError as error:
        try:
            content = load_checkpoint(run.folder / "checkpoints" / "last.ckpt")
        except RunError:
            raise error from None
        return [(first, length) for first, length in content["curriculum"]["stages"]]


def _remove_damaged_checkpoints(folder: Path) -> None:
    """Remove checkpoints to resume from that cannot be read: a finished run does not need them."""
    for path in (folder / f"{name}.ckpt" for name in RESUMABLE):
        if not path.exists():
            continue
        try:
            load_checkpoint(path)
        except RunError as error:
            print(f"warning: {error.must}: {path}; it is removed, since a finished run does not need it")
            path.unlink()


def _outcome(name: str, restored: Collection[str]) -> str:
    if name not in restored:
        return f"not restored; to train anew: {ANEW}"
    return "its scalars are those of metrics.csv" if name.startswith("tb/") else "restored from the rest of the record"


def _write_digests(run: Run) -> None:
    """Write the digests of a finished run that are missing or damaged; a run from before there were any has none."""
    if "files" in read_json(run.folder / ENVIRONMENT):
        print(f"warning: {DIGESTS} is missing or damaged; it is written again for the files as they are")
        write_digests(run.folder, run.status["step"], run.status.get("seconds", 0.0))
