"""Small runs of several tasks, and everything that a run leaves behind as plain data, so that runs can be compared."""

from __future__ import annotations

import csv
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from faults import Fault
from torch import Tensor
from warm_process import command

from mechlab.config.recipe import load_run
from mechlab.record.events import metric_of
from mechlab.record.files import read_json
from mechlab.record.history import History
from mechlab.record.tensors import load_tensors

Uninterrupted = Callable[[str], dict[str, Any]]  # from a task to the record of its uninterrupted run
STEPS = 70
# Nothing divides anything: chunks are cut by log, checkpoint and epoch boundaries, and the last epoch is not whole.
TRAINER = (
    f"trainer.max_steps={STEPS}",
    "trainer.steps_per_epoch=17",
    "trainer.chunk=5",
    "trainer.log_every=6",
    "trainer.checkpoint_every=8",
    "trainer.eval_examples=50",
    "history=full",
)
COPY = ("task=repeat_copy", "task.d=2", "task.s=2", "task.repeats=2", "model=rnn", "model.hidden=16")
TASKS = {
    "repeat_copy": (*COPY, "~analysis.spectrum"),  # figures take longer than the training
    "repeat_copy and spectrum": COPY,
    "tomita": (
        "task=tomita",
        "task.words=500",
        "task.val_words=60",
        "task.test_words=60",
        "task.max_length=8",
        "trainer.batch_size=32",
        "model=gru",
        "model.hidden=8",
        "analysis.ambiguity.n_init=1",
        "+callbacks=ambiguity",
        "callbacks.ambiguity.analysis.n_init=1",
        "callbacks.ambiguity.analysis.curve=[]",
    ),
    "modular_addition": ("task=modular_addition", "task.p=7", "model=mlp", "model.hidden=16", "model.embedding=8"),
    "replay": (
        "task=modular_addition",
        "task.p=7",
        "task.tokens=expression",
        "model=transformer1",
        "model.width=8",
        "model.hidden=16",
        "history.kind=replay",
        "history.every=9",
    ),
}


def arguments(task: str) -> tuple[str, ...]:
    """Return the command line of a task's small run."""
    return (*TASKS[task], *TRAINER)


def run_folder(folder: Path) -> Path:
    """Return the one run directory under `folder`."""
    found = [path for path in folder.glob("runs/*/*") if path.is_dir() and not path.parent.name.startswith("_")]
    assert len(found) == 1, f"expected one run, found {found}"
    return found[0]


def status(folder: Path) -> dict[str, Any]:
    """Return the status of the one run under `folder`."""
    return json.loads((run_folder(folder) / "status.json").read_text())


def record(folder: Path) -> dict[str, Any]:
    """Return all that decides or shows the result of the one run under `folder`: tensors as bytes, curves as lists."""
    run = run_folder(folder)
    last = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    best = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    return {
        "status": status(folder)["status"],
        "weights": _bits(load_tensors(run / "checkpoints" / "weights.safetensors")),
        "last": _bits(last["state_dict"]) | _bits(_flat(last["optimizer_states"])),
        "best": _bits(best["state_dict"]),
        "history": history_record(run),
        "metrics": (run / "metrics.csv").read_text(),
        "events": events(run),
        "curves": curves(run),
        "result": json.loads((run / "result.json").read_text()),
        "findings": {path.parent.name: read_json(path) for path in sorted(run.glob("analyses/*/finding.json"))},
        "litter": sorted(str(path) for path in run.rglob(".*") if path.name != ".lock"),
    }


def history_record(run: Path) -> dict[int, Any]:
    """Return the recorded history by step; steps that are not stored are computed, which checks them."""
    history = History(run / "history", lambda: load_run(run).recipe)
    assert history.steps == sorted(set(history.steps)), f"steps recorded twice: {history.steps}"
    if history.about["kind"] == "replay":
        assert history.stored == [*range(0, STEPS, 9), STEPS]
    found = {}
    for step in history.steps:
        tensors = {**history.params(step), **{f"optimizer/{k}": v for k, v in history.optimizer(step).items()}}
        found[step] = _bits(tensors) | {"ids": history.batch_indices(step).tolist(), "rates": history.rates(step)}
        found[step]["digest"] = history.digest(step)
    return found


def events(run: Path) -> list[tuple[int, str, float | None]]:
    """Return (step, tag, value) of every event in every file under tb/, in order; the value of scalars only."""
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto import event_pb2
    from tensorboard.util.tensor_util import make_ndarray

    found = []
    for path in sorted((run / "tb").iterdir()):
        for raw in RawEventFileLoader(str(path)).Load():
            event = event_pb2.Event.FromString(raw)
            for value in event.summary.value:
                kind = value.WhichOneof("value")
                number = value.simple_value if kind == "simple_value" else None
                if kind == "tensor" and value.tensor.dtype == 1:
                    number = float(make_ndarray(value.tensor))
                found.append((event.step, value.tag, number))
    return sorted(found, key=lambda entry: (entry[0], entry[1]))


def curves(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Return the scalar curves that TensorBoard shows, by metric."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(run / "tb"), size_guidance={"scalars": 0}).Reload()
    shown = {tag: [(entry.step, entry.value) for entry in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}
    return {metric_of(tag): curve for tag, curve in shown.items()}


def check_record(found: dict[str, Any]) -> None:
    """Assert that a finished run's record is whole in itself: every step once in every place."""
    assert found["status"] == "done"
    assert found["litter"] == []
    assert list(found["history"]) == list(range(STEPS + 1))
    rows = list(csv.DictReader(found["metrics"].splitlines()))
    steps = [int(row["step"]) for row in rows]
    logged, epochs = {*range(6, STEPS + 1, 6), STEPS}, {17, 34, 51, 68, STEPS}
    assert steps == sorted(logged | epochs)
    assert {int(row["step"]) for row in rows if row["train/loss"]} == logged
    assert {int(row["step"]) for row in rows if row["val/loss"]} == epochs
    check_places(found)


def check_places(found: dict[str, Any]) -> None:
    """Assert that every number is once in TensorBoard, and there as in metrics.csv."""
    rows = list(csv.DictReader(found["metrics"].splitlines()))
    places = [(step, tag) for step, tag, _ in found["events"]]
    assert len(places) == len(set(places)), f"events twice: {[place for place in places if places.count(place) > 1]}"
    for tag, curve in found["curves"].items():
        wanted = [(int(row["step"]), float(row[tag])) for row in rows if row.get(tag)]
        assert [step for step, _ in curve] == [step for step, _ in wanted], tag
        assert all(abs(a - b) <= 1e-6 * max(1, abs(b)) for (_, a), (_, b) in zip(curve, wanted, strict=True)), tag


def check_same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Assert that two finished runs left the same record, bit for bit."""
    check_record(found)
    for name in wanted:
        assert found[name] == wanted[name], f"{name} differs from the uninterrupted run's"


def killed(task: str, fault: Fault, folder: Path) -> None:
    """Start a task's run with a fault that kills it."""
    done = command("train", *arguments(task), folder=folder, before=fault)
    assert done.exit == -signal.SIGKILL, f"it should have been killed: {fault}\n{done.text}"


def finishes_like(wanted: dict[str, Any], task: str, folder: Path) -> str:
    """Repeat a task's command, assert that the run now has the record of the uninterrupted one, return the output."""
    done = command("train", *arguments(task), folder=folder)
    assert done.exit == 0, done.text
    check_same(record(folder), wanted)
    return done.out


def _bits(tensors: dict[str, Any]) -> dict[str, Any]:
    return {
        name: (str(value.dtype), tuple(value.shape), value.numpy().tobytes()) if isinstance(value, Tensor) else value
        for name, value in tensors.items()
    }


def _flat(value: Any, prefix: str = "optimizer") -> dict[str, Any]:
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return {name: leaf for key, item in pairs for name, leaf in _flat(item, f"{prefix}.{key}").items()}
    return {prefix: value}
