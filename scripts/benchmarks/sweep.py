"""Seconds per job that each launcher adds to trainings of about a second, and how they fall with --chunk."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main(arguments: argparse.Namespace) -> None:
    """Run the same jobs in every way and print what each adds to a job.

    From the processor seconds that it takes (wall time by processors in use) those of
    training are subtracted, so that the printed overhead is that of starting, claiming, evaluating and recording.
    """
    steps = ["trainer.max_steps=150", "trainer.steps_per_epoch=150", "analysis=[]"]
    grid = ["task=repeat_copy", "model=rnn", f"seed=range({arguments.jobs})", *steps]
    planned = ["mechlab.sweep", "plan", *grid]
    ways = {
        "train -m": [["mechlab.train", "-m", *grid]],
        "train -m hydra/launcher=joblib": [["mechlab.train", "-m", "hydra/launcher=joblib", *grid]],
        **{
            f"sweep run --chunk {n}": [planned, ["mechlab.sweep", "run", "ID", "--chunk", str(n)]] for n in (1, 2, 4, 8)
        },
    }
    for name, programs in ways.items():
        wall, trained = _seconds_of_sweep(programs)
        chunk = int(name.rsplit(" ", 1)[-1]) if "--chunk" in name else 1
        processes = 1 if name == "train -m" else -(-arguments.jobs // chunk)
        processors = min(len(os.sched_getaffinity(0)), processes)
        overhead = (wall * processors - trained) / arguments.jobs
        print(
            f"{name:31} {wall:6.1f} s, training {trained / arguments.jobs:.2f} s, overhead {overhead:.2f} s a job",
            flush=True,
        )


def _seconds_of_sweep(programs: list[list[str]]) -> tuple[float, float]:
    """Run programs in an empty folder; return their wall seconds and the seconds of training in the runs they made."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "OMP_NUM_THREADS": "1"}
    start, printed = time.perf_counter(), ""
    with tempfile.TemporaryDirectory() as folder:
        for words in programs:
            sweep_id = printed.rsplit("/", 1)[-1].strip()
            command = [sys.executable, "-m", *(sweep_id if word == "ID" else word for word in words)]
            done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
            printed = done.stdout
        wall = time.perf_counter() - start
        return wall, sum(json.loads(path.read_text())["seconds"] for path in Path(folder).glob("runs/*/*/status.json"))
