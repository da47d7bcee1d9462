"""Every command of the README works as written (training shortened by trainer=smoke)."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)


def lines(kind: str) -> list[str]:
    """Return the commands of all blocks of one kind, without comments."""
    text = "\n".join(block for name, block in BLOCKS if name == kind)
    return [line for line in (line.split("  #")[0].strip() for line in text.splitlines()) if line]


def shell(command: str, folder: Path) -> str:
    """Run a command as a user would, with this interpreter as `python`, and return what it printed."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    if "mechlab.train" in command and "trainer=smoke" not in command and "--" not in command:
        command += " trainer=smoke"
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_five_minutes_work_in_order_in_an_empty_folder(tmp_path: Path):
    for command in lines("bash"):
        if command.startswith("tensorboard"):
            assert "repeat_copy-rnn" in serve(command, tmp_path)
            continue
        printed = shell(command, tmp_path)
        if "mechlab.train" in command and "--" not in command:
            assert printed.rstrip().splitlines()[-1].startswith("run: runs/")
    script = tmp_path / "script.py"
    script.write_text("\n".join(block for name, block in BLOCKS if name == "python"))
    shell("python script.py", tmp_path)


def serve(command: str, folder: Path) -> str:
    """Start TensorBoard as the README has it, on a free port, and return its page."""
    words = [*shlex.split(command), "--port", "0", "--host", "127.0.0.1"]
    program = [sys.executable, "-m", "tensorboard.main", *words[1:]]
    with subprocess.Popen(program, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stderr:
                if match := re.search(r"http://127\.0\.0\.1:\d+", line):
                    for _ in range(50):
                        runs = urllib.request.urlopen(f"{match[0]}/data/runs", timeout=20).read().decode()
                        if "repeat_copy" in runs:
                            return runs
                        time.sleep(0.2)
                    break
        finally:
            process.terminate()
    raise AssertionError("TensorBoard must show the run")


def test_the_scaffold_commands_work_in_a_checkout(tmp_path: Path):
    checkout = tmp_path / "mechlab"
    for part in ("mechlab", "conf", "scripts", "tests/contracts"):
        shutil.copytree(ROOT / part, checkout / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout / name)
    for command in lines("scaffold"):
        shell(f"PYTHONPATH={checkout} {command}", checkout)


def test_the_set_up_commands_are_the_scripts():
    for command in lines("setup"):
        assert (ROOT / command.split()[1]).is_file()


def test_every_choice_of_the_groups_is_told():
    table = (ROOT / "README.md").read_text()
    for group in ("task", "model", "analysis", "optimizer", "trainer", "history", "debug", "experiment", "sweep"):
        for path in (ROOT / "conf" / group).glob("*.yaml"):
            assert f"`{path.stem}`" in table, f"the README must name {group}={path.stem}"
