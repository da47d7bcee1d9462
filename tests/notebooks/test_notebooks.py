"""The notebooks of the documentation: pairs in step, outputs without errors or traces of a machine, and executable."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "notebooks"
NAMES = ["attribution", "automata", "binding", "distilling", "groups"]
LARGEST = 400_000  # bytes of a notebook
MACHINE = re.compile(r"/(home|root|tmp|work|Users|mnt)/|[A-Z]:\\\\|site-packages|runs/_multirun")

each = pytest.mark.parametrize("name", NAMES)


def notebook(name: str) -> dict:
    return json.loads((FOLDER / f"{name}.ipynb").read_text())


def source_cells(name: str) -> list[tuple[str, str]]:
    """Return kind and text of the cells of the .py file."""
    cells = []
    for text in re.split(r"^# %%", (FOLDER / f"{name}.py").read_text(), flags=re.MULTILINE)[1:]:
        head, _, body = text.partition("\n")
        body = body.strip("\n")
        if "[markdown]" in head or "language=" in head:
            body = "\n".join(line.removeprefix("#").removeprefix(" ") for line in body.splitlines())
        if language := re.search(r'language="(\w+)"', head):
            body = f"%%{language[1]}\n{body}"
        cells.append(("markdown" if "[markdown]" in head else "code", body))
    return cells


def test_every_notebook_is_a_pair():
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == NAMES
    assert sorted(path.stem for path in FOLDER.glob("*.py")) == NAMES


@each
def test_the_pair_is_in_step(name: str):
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in notebook(name)["cells"]]
    assert cells == source_cells(name), f"python scripts/notebooks.py {name} executes and writes the notebook"


@each
def test_the_notebook_says_nothing_of_a_machine_or_of_times(name: str):
    whole = notebook(name)
    assert whole["metadata"]["kernelspec"]["name"] == "python3"
    assert (
        set(whole["metadata"]) == {"kernelspec", "language_info"}
        and "version" not in whole["metadata"]["language_info"]
    )
    assert all(cell["metadata"] == {} for cell in whole["cells"])
    texts = [json.dumps({**output, "data": texts_of(output)}) for output in outputs_of(whole)]
    assert not [text for text in texts if MACHINE.search(text)]
    assert (FOLDER / f"{name}.ipynb").stat().st_size < LARGEST


@each
def test_every_cell_was_executed_in_order_without_an_error_or_a_warning(name: str):
    code = [cell for cell in notebook(name)["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    for output in outputs_of(notebook(name)):
        assert output["output_type"] != "error"
        assert output.get("name") != "stderr", "".join(output["text"])


@each
def test_there_are_figures(name: str):
    images = [
        output["data"]["image/png"] for output in outputs_of(notebook(name)) if "image/png" in output.get("data", {})
    ]
    assert len(images) >= 3
    assert all(base64.b64decode("".join(image)).startswith(b"\x89PNG") for image in images)


@pytest.mark.ci
@each
def test_the_notebook_executes_in_an_empty_folder(name: str):
    """In a process of its own, whose warnings are not those of the tests."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONWARNINGS"}
    command = [sys.executable, str(ROOT / "scripts" / "notebooks.py"), "--check", name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def outputs_of(whole: dict) -> list[dict]:
    return [output for cell in whole["cells"] if cell["cell_type"] == "code" for output in cell["outputs"]]


def texts_of(output: dict) -> dict:
    return {kind: value for kind, value in output.get("data", {}).items() if not kind.startswith("image/")}
