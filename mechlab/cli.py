"""The console script `mechlab COMMAND ...`: the same programs as `python -m mechlab.COMMAND ...`."""

from __future__ import annotations

import importlib
import os
import sys

import mechlab
from mechlab.core.errors import did_you_mean

COMMANDS = {
    "train": "train a model on a task, record it, run the attached analyses",
    "analyze": "run analyses on recorded runs",
    "sweep": "plan, submit, run and watch sweeps",
    "report": "write one HTML page and tables about recorded runs",
    "adopt": "make a run out of somebody else's trained weights",
    "runs": "list, show, compare, verify and clean up runs",
    "new": "write a new task, model or analysis, to be edited",
    "contracts": "test your own tasks, models and analyses (needs pytest)",
}


def main() -> None:
    """Run the command named first on the command line."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        print("usage: mechlab COMMAND ...\n")
        for command, what in COMMANDS.items():
            print(f"  {command:9} {what}")
        print("\n`mechlab --version` prints the version.")
        return
    if name == "--version":
        print(f"mechlab {mechlab.__version__}")
        return
    if name not in COMMANDS:
        print(f"error: mechlab has no command {name!r}\n  fix:   {did_you_mean(name, COMMANDS)}", file=sys.stderr)
        sys.exit(2)
    sys.path.insert(0, os.getcwd())  # as `python -m` does, so that a user's own classes can be imported
    sys.argv = [f"mechlab {name}", *sys.argv[2:]]
    importlib.import_module(f"mechlab.{name}").main()
