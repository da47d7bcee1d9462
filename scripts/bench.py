"""Benchmarks: mechlab against a plain reference in the same process, as the ratio of speeds, on one thread.

python scripts/bench.py train
python scripts/bench.py cli
python scripts/bench.py sweep
python scripts/bench.py automata
python scripts/bench.py path_kernel
python scripts/bench.py attribution
python scripts/bench.py seeds
python scripts/bench.py binding
python scripts/bench.py groups
python scripts/bench.py distill
python scripts/bench.py datamodel
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
from pathlib import Path


def main() -> None:
    """Run the benchmark named on the command line: a module of `scripts/benchmarks`."""
    folder = Path(__file__).resolve().parent
    names = sorted(module.name for module in pkgutil.iter_modules([str(folder / "benchmarks")]))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=names)
    parser.add_argument("--repeats", type=int, default=5, help="counted turns (default: 5)")
    parser.add_argument(
        "--steps",
        type=int,
        help="steps per turn (default: 2000; binding: 500; groups: 20)",
    )
    parser.add_argument("--jobs", type=int, default=16, help="sweep: number of jobs (default: 16)")
    parser.add_argument("--seeds", type=int, default=8, help="seeds: runs that are trained together (default: 8)")
    parser.add_argument("--trials", type=int, default=20, help="distill: networks in each row (default: 20)")
    parser.add_argument("--accelerator", choices=["cpu", "gpu"], default="cpu", help="seeds: device (default: cpu)")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch and scikit-learn are imported
    sys.path[:0] = [str(folder), str(folder.parent)]
    importlib.import_module(f"benchmarks.{arguments.what}").main(arguments)


if __name__ == "__main__":
    main()
