"""Seconds that `python -m mechlab.train --cfg job` takes, against starting Python alone."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time


def main(arguments: argparse.Namespace) -> None:
    """Start both in turns and print the median seconds."""
    commands = {
        "--cfg job": [sys.executable, "-m", "mechlab.train", "--cfg", "job"],
        "python": [sys.executable, "-c", "pass"],
    }
    for name, command in commands.items():
        seconds = []
        for _ in range(arguments.repeats + 1):
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - start)
        print(f"{name}: median {statistics.median(seconds[1:]):.3f} s of {arguments.repeats}")
