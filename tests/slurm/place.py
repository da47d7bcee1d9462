"""A working directory from which sweeps are submitted, as a user's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from cluster import ask, wait_until

ROOT = Path(__file__).parents[2]
USERS = Path(__file__).parent / "users"
SMALL = (
    "task=tomita",
    "task.words=300",
    "task.val_words=50",
    "task.test_words=50",
    "model=gru",
    "model.hidden=8",
    "trainer=smoke",
    "analysis=[]",
)


def checkout(folder: Path) -> Path:
    """Copy the repository's code, so that nobody's edit changes it while the tests run."""
    ignored = shutil.ignore_patterns(".*", "__pycache__", "tests", "runs", "build", "dist", "cluster.sh")
    return shutil.copytree(ROOT, folder, ignore=ignored, dirs_exist_ok=True)


class Place:
    """A working directory with settings for the cluster.

    Args:
        folder: where it is.
        code: the repository whose mechlab is used.
    """

    def __init__(self, folder: Path, code: Path):
        self.folder, self.code = folder, code
        self._path = f"{code}:{USERS}"
        self.settings("--partition=low --time=10")

    def settings(self, options: str, python: str = sys.executable) -> None:
        """Write slurm/cluster.sh with these options for sbatch, and this Python for the jobs."""
        lines = [f'SBATCH_OPTIONS="{options}"', f"export PYTHONPATH={self._path}", f"MECHLAB_PYTHON={python}"]
        (self.folder / "slurm").mkdir(exist_ok=True)
        (self.folder / "slurm" / "cluster.sh").write_text("\n".join(lines) + "\n")

    def sbatch(self, *words: str) -> str:
        """Submit a sweep with `sbatch slurm/sweep.sh`; return the number of the job that plans it."""
        options = ("--parsable", "--partition=high", "--time=10")
        return ask("sbatch", *options, str(self.code / "slurm" / "sweep.sh"), *words, folder=self.folder).strip()

    def said(self, number: str) -> str:
        """Wait for the end of the job that plans a sweep, and return its log."""
        log = self.folder / f"slurm-{number}.out"
        wait_until(
            lambda: not ask("squeue", "--noheader", f"--jobs={number}", check=False), 90, lambda: f"job {number}"
        )
        return log.read_text()

    def mechlab(self, program: str, *words: str, check: bool = True) -> str:
        """Run a program of mechlab here, on this machine, and return what it prints."""
        command = (sys.executable, "-m", f"mechlab.{program}", *words)
        return ask(*command, folder=self.folder, environment={"PYTHONPATH": self._path}, check=check)

    def refused(self, program: str, *words: str) -> str:
        """Run a program that must end with status 1 and without a traceback, and return what it prints as errors."""
        command = (sys.executable, "-m", f"mechlab.{program}", *words)
        environment = os.environ | {"PYTHONPATH": self._path}
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 1 and "Traceback" not in done.stderr, f"{done.stdout}\n{done.stderr}"
        return done.stderr

    def job_statuses(self, sweep: str) -> list[str]:
        """Return the state of each job of a sweep, in the order of its manifest."""
        return [
            line.split()[0]
            for line in self.mechlab("sweep", "status", sweep).splitlines()
            if re.match(r"\w+ +runs/", line)
        ]

    def runs(self) -> dict[str, Path]:
        """Return the run directories by their names, e.g. tomita-gru/0123456789-s0."""
        found = self.folder.glob("runs/[a-z]*/*/status.json")
        return {f"{path.parts[-3]}/{path.parts[-2]}": path.parent for path in found}

    def logs(self) -> dict[str, str]:
        """Return the logs of all array elements by file name."""
        return {path.name: path.read_text() for path in sorted(self.folder.glob("runs/_sweeps/*/logs/*.log"))}

    def trained(self) -> list[str]:
        """Return the run of each start of a training that the logs tell of."""
        return re.findall(r"^training .* in \S*/runs/(\S+)$", "\n".join(self.logs().values()), re.MULTILINE)
