"""Hashes of sources: edits of what a class is made of change them, and nothing else does."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from small_tasks import Points, small_recipe

from mechlab.core.recipe import Recipe
from mechlab.models.gru import GRU
from mechlab.record import modules, sources
from mechlab.record.lock import RunLock
from mechlab.record.sources import changed, defining, files, hashes, listed
from mechlab.tasks.tomita import Tomita

TASK = '''"""A task."""

import math
from typing import Annotated

import lab_tools
from lab_tools import Base, half as halved
from lab_rates import *

SCALE = 3
TABLE = {}
TABLE["a"] = 1
UNUSED = 4


def helper(x):
    """Double."""
    return 2 * x  # twice


class Ladder(Base):
    """A task."""

    size: Annotated[int, SCALE] = 5

    def run(self, x: int) -> float:
        """Run."""
        from lab_tools import late

        if x < 0:
            raise lab_tools.Refused("below 0")
        return helper(x) * halved(SCALE) + TABLE["a"] + late(x) + lab_tools.deep.DEPTH + math.sqrt(rate(x))
'''
TOOLS = """import lab_tools.deep


class Root:
    def add(self, x):
        return x + 1


class Base(Root):
    pass


class Refused(ValueError):
    pass


def half(x):
    return x / 2


def late(x):
    return x


def unrelated(x):
    return x
"""
LAB = {
    "lab_task.py": TASK,
    "lab_tools/__init__.py": TOOLS,
    "lab_tools/deep.py": "DEPTH = 1\n",
    "lab_rates.py": "def rate(x):\n    return FIRST * x\n\n\nFIRST = 0.1\n",
}
NAMES = ["Base", "DEPTH", "FIRST", "Ladder", "Root", "SCALE", "TABLE", "half", "helper", "late", "rate"]
Hashes = Callable[..., dict[str, str]]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hashes]:
    """Return a function that writes the user's files with some text replaced, and returns the hashes of a class."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def forget() -> None:
        for cache in (modules.read_module, modules.is_installed, modules._spec, sources._definition):
            cache.cache_clear()
        importlib.invalidate_caches()
        for name in [name for name in sys.modules if name.startswith("lab_")]:
            del sys.modules[name]

    def get(file: str = "", old: str = "", new: str = "", module: str = "lab_task", **more: str) -> dict[str, str]:
        for name, text in {**LAB, **{f"{name}.py": text for name, text in more.items()}}.items():
            if name == file:
                assert old in text
                text = text.replace(old, new)
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        forget()
        return hashes([importlib.import_module(module).Ladder])

    yield get
    forget()


def test_everything_that_a_class_refers_to_has_a_hash(lab: Hashes) -> None:
    assert list(lab()) == NAMES


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("lab_task.py", '"""A task."""', '"""Another sentence."""'),
        ("lab_task.py", '    """Double."""\n', ""),
        ("lab_task.py", "  # twice", "  # times two"),
        ("lab_task.py", "2 * x", "(2\n            * x)"),
        ("lab_task.py", "x: int) -> float", "x: 'int') -> 'float'"),
        ("lab_task.py", "UNUSED = 4", "UNUSED = 5"),
        ("lab_task.py", "SCALE = 3\nTABLE = {}", "TABLE = {}\nSCALE = 3"),
        ("lab_tools/__init__.py", "class Base(Root):\n    pass", 'class Base(Root):\n    """The base."""'),
        ("lab_tools/__init__.py", "class Refused(ValueError)", "class Refused(RuntimeError)"),
        ("lab_tools/__init__.py", "def unrelated(x):\n    return x", "def unrelated(x):\n    return -x"),
    ],
)
def test_what_does_not_define_a_class_changes_nothing(lab: Hashes, file: str, old: str, new: str) -> None:
    assert lab(file, old, new) == lab()


@pytest.mark.parametrize(
    ("file", "old", "new", "names"),
    [
        ("lab_task.py", "2 * x", "3 * x", ["helper"]),
        ("lab_task.py", "SCALE = 3", "SCALE = 4", ["SCALE"]),
        ("lab_task.py", 'TABLE["a"] = 1', 'TABLE["a"] = 2', ["TABLE"]),
        ("lab_task.py", 'TABLE["a"] = 1', "TABLE.update(a=1)", ["TABLE"]),
        ("lab_task.py", "x < 0", "x <= 0", ["Ladder"]),
        ("lab_task.py", "size: Annotated[int, SCALE] = 5", "size: Annotated[float, SCALE] = 5", ["Ladder"]),
        ("lab_task.py", "import math", "import cmath as math", ["Ladder"]),
        ("lab_tools/__init__.py", "x + 1", "x + 2", ["Root"]),
        ("lab_tools/__init__.py", "x / 2", "x / 3", ["half"]),
        ("lab_tools/__init__.py", "def late(x):\n    return x", "def late(x):\n    return -x", ["late"]),
        ("lab_tools/deep.py", "1", "2", ["DEPTH"]),
        ("lab_rates.py", "FIRST * x", "FIRST + x", ["rate"]),
        ("lab_rates.py", "0.1", "0.2", ["FIRST"]),
    ],
)
def test_an_edit_changes_the_hash_of_what_is_edited(
    lab: Hashes, file: str, old: str, new: str, names: list[str]
) -> None:
    assert changed(lab(), lab(file, old, new)) == names


def test_a_class_may_move_to_another_file(lab: Hashes) -> None:
    before = lab()
    head, _, tail = TASK.partition("class Ladder")
    imports = head.partition("SCALE")[0]
    apart = f"{imports}from lab_parts import SCALE, TABLE, helper\n\n\nclass Ladder{tail}"
    assert lab(module="lab_moved", lab_moved=apart, lab_parts=head) == before
    nearer = {
        "lab_moved": TASK.replace("lab_tools import late", "lab_late import late"),
        "lab_late": "def late(x): return x",
    }
    assert lab(module="lab_moved", **nearer) == before


def test_an_installed_package_is_followed_where_it_is_allowed(
    lab: Hashes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / "lab_installed.py").write_text("def gain(x):\n    return x\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site-packages"))
    found = lab("lab_task.py", "2 * x", "lab_installed.gain(x)", lab_task="import lab_installed\n" + TASK)
    ladder = sys.modules["lab_task"].Ladder
    assert "gain" not in found and "gain" in hashes([ladder, "lab_installed", "torch"])


def test_two_definitions_of_one_name_share_a_hash(lab: Hashes) -> None:
    before = lab()
    second = lab("lab_tools/deep.py", "DEPTH = 1", "def helper():\n    return 5\n\n\nDEPTH = helper()")
    assert changed(before, second) == ["DEPTH", "helper"]
    assert changed(
        second, lab("lab_tools/deep.py", "DEPTH = 1", "def helper():\n    return 6\n\n\nDEPTH = helper()")
    ) == ["helper"]


def test_files_are_those_that_hold_a_definition(lab: Hashes, tmp_path: Path) -> None:
    lab()
    wanted = {"lab_rates": "lab_rates.py", "lab_task": "lab_task.py", "lab_tools": "lab_tools/__init__.py"}
    found = files([sys.modules["lab_task"].Ladder])
    assert found == {name: tmp_path / path for name, path in wanted.items()} | {
        "lab_tools.deep": tmp_path / "lab_tools" / "deep.py"
    }


def test_a_run_of_mechlab_is_defined_by_task_model_and_update() -> None:
    found = hashes([Recipe, Tomita, GRU, torch.optim.RMSprop])
    assert {"Tomita", "Regular", "tomita", "Automaton", "GRU", "Recurrent", "update", "Source", "BatchPlan"} <= set(
        found
    )
    assert {"Streams", "seed_of", "BLOCK"} <= set(found)
    assert not {"RMSprop", "ConfigError", "Run", "hashes"} & set(found)


def test_a_recipe_is_defined_by_its_classes_too() -> None:
    found = hashes(defining(small_recipe(Points())))
    assert {"Points", "MLP", "Schedule", "Recipe"} <= set(found)


def test_each_file_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many classes of it are hashed, and however often."""
    for cache in (modules.read_module, sources._definition):
        cache.cache_clear()
    parse, parsed = ast.parse, []

    def counted(text: Any, *arguments: Any, **options: Any) -> ast.AST:
        parsed.append(text)
        return parse(text, *arguments, **options)

    monkeypatch.setattr(modules.ast, "parse", counted)
    hashes([Recipe, Tomita, GRU])
    files = [text for text in parsed if isinstance(text, bytes)]
    assert len(files) == len(set(files)) > 10
    hashes([Recipe, Tomita, GRU])
    assert [text for text in parsed if isinstance(text, bytes)] == files


def test_an_object_without_a_source_has_a_hash_of_its_code() -> None:
    def made(body: str) -> Any:
        space: dict[str, Any] = {"__name__": "nowhere"}
        exec(f"class Typed:\n    def run(self):\n        return {body}", space)
        return space["Typed"]

    first, second, again = (hashes([made(body)])["Typed"] for body in ("1 + len({1, 2})", "2", "1 + len({1, 2})"))
    assert first == again != second and first.startswith("compiled-")
    assert hashes([type("Empty", (), {"__module__": "nowhere"})]) == {"Empty": "unknown"}


def test_a_source_that_cannot_be_read_is_no_error(lab: Hashes, tmp_path: Path) -> None:
    lab()
    ladder = sys.modules["lab_task"].Ladder
    (tmp_path / "lab_task.py").write_text("class Ladder(:\n")
    modules.read_module.cache_clear()
    assert hashes([ladder])["Ladder"].startswith("compiled-")


def test_deep_expressions_and_long_numbers_are_no_error(lab: Hashes) -> None:
    deep = "x = " + "+".join(["1"] * 900) + "\n    y = 0x" + "f" * 5000
    assert changed(lab(), lab("lab_task.py", "return 2 * x", f"{deep}\n    return 2 * x")) == ["helper"]


def test_hashes_are_alike_in_every_process() -> None:
    code = (
        "from mechlab.record.sources import hashes; from mechlab.record.lock import RunLock; print(hashes([RunLock]))"
    )
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment)
        assert done.stdout.strip() == str(hashes([RunLock])), done.stderr


def test_a_sentence_lists_a_handful_of_names() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed(list("abcdefg")) == "a, b, c, d, e and 2 more"
