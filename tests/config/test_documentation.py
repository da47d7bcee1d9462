"""The README and the pages of docs: their commands and scripts work as written, in a folder of each page's own.

Commands of `bash` blocks are run in order, training shortened by trainer=smoke (experiments set their own number of
steps). Blocks with a title are files that the reader types; the `python` blocks without one are one script at the end.
Commands of `sh` blocks, which take minutes, and those within a text must compose.
"""

from __future__ import annotations

import glob
import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import hydra
import pytest
from documentation import ROOT, blocks, commands_not_run, pages, pages_with
from warm_process import command

from mechlab import adopt, runs, sweep
from mechlab.config.choices import config_dir
from mechlab.config.grid import expand
from mechlab.config.launch import register
from mechlab.config.schema import TrainConfig, typed
from mechlab.reporting import request

PATIENCE = 1800.0  # seconds: experiments set their own number of steps, and pages have those of a minute
GROUPS = (
    "task",
    "model",
    "analysis",
    "optimizer",
    "trainer",
    "history",
    "debug",
    "experiment",
    "sweep",
    "size",
    "published",
)


def shell(line: str, folder: Path, path: str = "") -> str:
    """Run a line as a user would, with this interpreter as `python`, and return what it printed."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{path or ROOT}"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def quickly(line: str, folder: Path) -> str:
    """Run a command of mechlab in a process forked from a warm one, and return what it printed.

    The words are those that a shell makes of the line; its first start as a program of its own is tested elsewhere.
    """
    words = shlex.split(line)
    names = [sorted(glob.glob(word, root_dir=folder)) if "*" in word and "=" not in word else [word] for word in words]
    _python, _m, module, *arguments = [word for found in names for word in found]
    if module == "mechlab.train" and "trainer=smoke" not in arguments:
        arguments.append("trainer=smoke")
    done = command(module.removeprefix("mechlab."), *arguments, folder=folder, patience=PATIENCE)
    differ = "mechlab.runs diff" in line and done.exit == 1  # as that of diff: the runs differ
    assert done.exit == 0 or differ, f"{line}\n{done.text}"
    return done.out


def follow(line: str, folder: Path) -> None:
    """Do what a line of a page says."""
    program = re.match(r"python -m mechlab\.(\w+)", line)
    if line.startswith("tensorboard"):
        serve(line, folder)
    elif program is None or program[1] == "contracts" or re.search(r"--(help|cfg|config-dir)\b", line):
        shell(line, folder)
    else:  # a package of the reader's own is imported from the working directory by a program of its own alone
        printed = quickly(line, folder)
        if program[1] == "train" and " -m " not in line.removeprefix("python -m"):
            assert printed.rstrip().splitlines()[-1].startswith("run: runs/"), printed


def serve(line: str, folder: Path) -> None:
    """Start TensorBoard as a page has it, on a free port, and see that it shows a run."""
    words = [*shlex.split(line), "--port", "0", "--host", "127.0.0.1"]
    program = [sys.executable, "-m", "tensorboard.main", *words[1:]]
    with subprocess.Popen(program, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        try:
            for printed in process.stderr:
                if match := re.search(r"http://127\.0\.0\.1:\d+", printed):
                    for _ in range(50):
                        if urllib.request.urlopen(f"{match[0]}/data/runs", timeout=20).read().decode() != "[]":
                            return
                        time.sleep(0.2)
                    break
        finally:
            process.kill()  # asked to stop, TensorBoard may wait for its data server for ever
    raise AssertionError("TensorBoard must show the run")


@pytest.mark.ci
@pytest.mark.parametrize("page", pages_with(("bash", "python")))
def test_what_a_page_says_works_in_order_in_an_empty_folder(page: str, tmp_path: Path):
    script = ""
    for block in blocks(pages()[page]):
        if block.title:
            file = tmp_path / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text)
        elif block.kind == "python":
            script += block.text
        elif block.kind == "bash":
            for line in block.lines:
                follow(line, tmp_path)
    if script:
        (tmp_path / "script.py").write_text(script)
        shell("python script.py", tmp_path)


@pytest.mark.ci
@pytest.mark.parametrize("page", pages_with(("scaffold",)))
def test_the_scaffold_commands_work_in_a_checkout(page: str, tmp_path: Path):
    checkout = tmp_path / "mechlab"
    for part in ("mechlab", "conf", "scripts"):
        shutil.copytree(ROOT / part, checkout / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout / name)
    for block in blocks(pages()[page]):
        if block.kind == "scaffold":
            for line in block.lines:
                shell(line, checkout, path=str(checkout))


@pytest.mark.parametrize(("page", "line"), commands_not_run())
def test_a_command_that_takes_minutes_composes(page: str, line: str):
    """Its keys exist: nothing is trained. RUN, GLOB and FILE stand for paths."""
    program, *arguments = shlex.split(line.removeprefix("mechlab."), comments=True)
    if program == "sweep":
        parsed = sweep._parser().parse_args(arguments)
        arguments = [word for word in parsed.words if "=" in word]
    if "--config-dir" in arguments:
        pytest.skip("of a reader's own configuration")
    if program in ("train", "sweep"):
        given = [word for word in arguments if word != "-m" and "interval(" not in word]
        for job in itertools.islice(expand(given), 2):
            typed(TrainConfig, job.values)
    elif program == "analyze":
        register([config_dir()])
        with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
            hydra.compose("analyze", arguments)
    elif program == "adopt":
        assert adopt.parse(arguments)["format"] in adopt.formats()
    elif program == "runs":
        runs._parser().parse_args(arguments)
    elif program == "report":
        request.parse(arguments)
    else:
        raise AssertionError(f"{page}: no check of {line}")


@pytest.mark.parametrize("page", pages())
def test_experiments_and_sweeps_that_are_named_exist(page: str):
    for group, name in re.findall(r"\b(experiment|sweep)=([a-z][a-z0-9_]*)", pages()[page].read_text()):
        assert (ROOT / "conf" / group / f"{name}.yaml").is_file(), f"{page} names {group}={name}"


def test_the_set_up_commands_are_the_scripts():
    lines = [line for block in blocks(ROOT / "README.md") if block.kind == "setup" for line in block.lines]
    assert {"bash scripts/demo.sh", "bash scripts/test.sh"} <= {*lines}
    assert all((ROOT / line.split()[1]).is_file() for line in lines)


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_every_choice_of_the_groups_is_on_the_page_of_choices():
    page = (ROOT / "docs" / "choices.md").read_text()
    for group in GROUPS:
        for path in (ROOT / "conf" / group).glob("*.yaml"):
            assert f"`{path.stem}`" in page, f"docs/choices.md must name {group}={path.stem}"


@pytest.mark.parametrize("page", pages())
def test_every_figure_and_page_that_is_linked_exists(page: str):
    path = pages()[page]
    text = path.read_text()
    for link in [*re.findall(r"\]\(([^)#:]+)\)", text), *re.findall(r'(?:src|href)="([^"#:]+)"', text)]:
        assert (path.parent / link).exists(), f"{page} links to {link}"
