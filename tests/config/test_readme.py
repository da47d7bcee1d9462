"""Every command of the README and of the pages in docs works as written (training shortened by trainer=smoke); those in
blocks of kind `sh`, which take minutes, are not run here."""

from __future__ import annotations

import glob
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from warm_process import command

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = "\n".join(page.read_text() for page in PAGES)
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


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


def quickly(line: str, folder: Path) -> str:
    """Run a command of mechlab in a process forked from a warm one, and return what it printed.

    The words are those that a shell makes of the line; its first start as a program of its own is tested elsewhere.
    """
    words = shlex.split(line)
    names = [sorted(glob.glob(word, root_dir=folder)) if "*" in word and "=" not in word else [word] for word in words]
    _python, _m, module, *arguments = [word for words in names for word in words]
    if module == "mechlab.train" and "trainer=smoke" not in arguments:
        arguments.append("trainer=smoke")
    done = command(module.removeprefix("mechlab."), *arguments, folder=folder)
    assert done.exit == 0, f"{line}\n{done.text}"
    return done.out


@pytest.mark.ci
def test_the_five_minutes_work_in_order_in_an_empty_folder(tmp_path: Path):
    for line in lines("bash"):
        if line.startswith("tensorboard"):
            assert "repeat_copy-rnn" in serve(line, tmp_path)
            continue
        if "--" in line.split(" --chunk")[0]:  # --help and --cfg: what a program of its own prints without training
            shell(line, tmp_path)
            continue
        printed = quickly(line, tmp_path)
        if "mechlab.train" in line:
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
            process.kill()  # asked to stop, TensorBoard may wait for its data server for ever
    raise AssertionError("TensorBoard must show the run")


@pytest.mark.ci
def test_the_scaffold_commands_work_in_a_checkout(tmp_path: Path):
    checkout = tmp_path / "mechlab"
    for part in ("mechlab", "conf", "scripts"):
        shutil.copytree(ROOT / part, checkout / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout / name)
    for line in lines("scaffold"):
        shell(f"PYTHONPATH={checkout} {line}", checkout)


def test_the_set_up_commands_are_the_scripts():
    for line in lines("setup"):
        assert (ROOT / line.split()[1]).is_file()


def test_every_choice_of_the_groups_is_told():
    table = (ROOT / "README.md").read_text()
    for group in ("task", "model", "analysis", "optimizer", "trainer", "history", "debug", "experiment", "sweep"):
        for path in (ROOT / "conf" / group).glob("*.yaml"):
            assert f"`{path.stem}`" in table, f"the README must name {group}={path.stem}"


def test_every_figure_and_page_that_is_linked_exists():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"
