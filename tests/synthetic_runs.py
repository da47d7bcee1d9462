"""Run directories as training leaves them, made up in a moment: what reads many runs is tested and measured with them.

python tests/synthetic_runs.py FOLDER 500
"""

from __future__ import annotations

import functools
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

STEPS = range(10, 1010, 10)
SETTINGS = [("tomita", model, index) for index in range(1, 8) for model in ("rnn", "gru", "lstm")]
SETTINGS += [("repeat_copy", model, size) for size in (3, 5, 7) for model in ("rnn", "gru", "lstm")]
KEYS = {"tomita": "index", "repeat_copy": "s"}


def write_runs(root: Path, runs: int, seeds: int = 5) -> list[Path]:
    """Write so many run directories, with `seeds` of each setting, and return them."""
    return [write_run(root, *_setting(number // seeds), seed=number % seeds) for number in range(runs)]


def write_run(root: Path, task: str, model: str, size: int, hidden: int, seed: int, **result: Any) -> Path:
    """Write one finished run; `result` is added to result.json."""
    rng = np.random.default_rng([size, hidden, seed, len(task), len(model)])
    folder = root / f"{task}-{model}" / f"{size:02d}{hidden:08x}-s{seed}"
    sizes = [f"task.{KEYS[task]}={size}", f"model.hidden={hidden}"]
    overrides = json.dumps([f"task={task}", f"model={model}", *sizes, f"seed={seed}"])
    write(folder / "provenance" / "overrides.json", overrides)
    write(folder / "provenance" / "config.yaml", config(task, model, size, hidden, seed))
    packages = {"torch": "2.13.0+cpu", "mechlab": "0.1.0"}
    environment = {"command": "python -m mechlab.train", "commit": "0" * 40, "packages": packages}
    write(folder / "provenance" / "environment.json", json.dumps(environment))
    accuracy = 1 - 0.5 * np.exp(-np.array(STEPS) / rng.uniform(100, 300))
    rows = [f"{s},{0.7 * (1 - a)},{a},{0.8 * (1 - a)},{a - 0.01}" for s, a in zip(STEPS, accuracy, strict=True)]
    write(folder / "metrics.csv", "\n".join(["step,train/loss,train/accuracy,val/loss,val/accuracy", *rows, ""]))
    error = float(rng.uniform(0, 0.1))
    scalars = {f"scalar_{number}": float(rng.normal()) for number in range(8)} | {"error": error}
    claims = {
        "small": claim("The error is at most 0.05.", error, 0.05, error <= 0.05, 0.4),
        "exact": claim("The rank is that of the theory.", 42.0, 42, True, None),
    }
    metrics = {name: float(accuracy[-1]) for name in ("train/accuracy", "val/accuracy", "test/accuracy")}
    metrics |= {name: float(1 - accuracy[-1]) for name in ("train/loss", "val/loss", "test/loss")} | {"steps": 1000}
    found = {"probe": {"scalars": scalars, "claims": claims}}
    whole = {"run": str(folder), "status": "done", "seed": seed, "metrics": metrics, "findings": found, **result}
    write(folder / "result.json", json.dumps(whole))
    for name in ("plane", "curve"):
        write(folder / "analyses" / "probe" / f"{name}.png", figure(name))
    write_status(folder, "done", step=1000)
    return folder


def write_status(folder: Path, status: str, **details: Any) -> None:
    """Write status.json."""
    times = {"started": "2026-01-01T00:00:00+00:00", "updated": "2026-01-01T00:10:00+00:00", "host": "here", "pid": 1}
    write(folder / "status.json", json.dumps({"status": status, **times, **details}))


def claim(statement: str, value: float, threshold: float, holds: bool, null: float | None) -> dict[str, Any]:
    """Return a claim as result.json holds it."""
    claimed = {"statement": statement, "value": value, "threshold": threshold}
    return {**claimed, "holds": holds, "kind": "statistical", "null": null}


def config(task: str, model: str, size: int, hidden: int, seed: int) -> str:
    """Return a configuration about as long as real ones."""
    sections = {
        "trainer": {"max_steps": 1000, "batch_size": 64, "precision": 32, "log_every": 10, "max_time": None},
        "schedule": {"kind": "constant", "warmup": 0, "final": 0.0, "peak": 0.5},
        "history": {"kind": "sparse", "points": 25, "limit_gb": 2.0},
        "analysis": {"probe": {"_target_": "mechlab.analyses.probe.Probe", "threshold": 0.05}},
        "task": {"_target_": f"mechlab.tasks.{task}.Task", KEYS[task]: size, "words": 50000},
        "model": {"_target_": f"mechlab.models.{model}.Model", "hidden": hidden, "layers": 1, "bias": True},
        "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.001, "betas": [0.9, 0.999]},
    }
    return json.dumps({"name": f"{task}-{model}", "seed": seed, "paths": {"root": "runs"}, **sections}, indent=1)


@functools.cache
def figure(name: str) -> bytes:
    """Return a PNG of the size that analyses save."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(7, 3), layout="constrained")
    for axis in drawn.subplots(1, 2):
        axis.scatter(*np.random.default_rng(0).normal(size=(2, 800)), s=9, alpha=0.7)
        axis.set(title=name, xlabel="first component", ylabel="second component")
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png", dpi=200)
    return buffer.getvalue()


def write(path: Path, content: str | bytes) -> None:
    """Write a file and the folders that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def _setting(number: int) -> tuple[str, str, int, int]:
    turn, place = divmod(number, len(SETTINGS))
    return *SETTINGS[place], 16 * (turn + 1)


if __name__ == "__main__":
    write_runs(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 5)
