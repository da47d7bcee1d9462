"""Who may import whom, read from the source."""

from __future__ import annotations

import ast
import functools
import importlib
import pkgutil
import subprocess
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import mechlab

PACKAGE = Path(mechlab.__file__).parent
ENTRY = "entry points"
MATHEMATICS = {"automata", "clustering", "groups", "kernels", "binding", "distill", "statistics"}
MAY_IMPORT = {  # which folders of ours each folder may import, besides itself
    "core": set(),
    "record": {"core", "plotting"},  # figures bear the name of the run
    "config": {"core", "record"},
    "training": {"core", "record"},
    "jobs": {"core", "record", "config", "training"},
    "tasks": {"core", "record", "automata", "groups", "binding"},  # examples may be kept in a run directory
    "models": {"core", "automata", "distill"},
    "analyses": {"core", "record", "plotting", *MATHEMATICS},
    "plotting": {"core"},
    "listing": {"core", "record", "jobs", "reporting"},
    "reporting": {"core", "record", "plotting", "statistics"},
    "adopting": {"core", "record", "config", "jobs", "automata", "distill"},
    "sweeps": {"core", "record", "config", "jobs"},
    "scaffold": set(),
    "contracts": {"core", "record", "config", "jobs", "reporting", ENTRY},
    **{folder: {"core", *MATHEMATICS} for folder in MATHEMATICS},
}
LIBRARIES = {"numpy", "scipy", "torch", "sklearn", "aalpy", "pysat", "sympy", "threadpoolctl"}  # of the mathematics
HEAVY = ("torch", "pytorch_lightning", "sklearn", "scipy", "pandas", "matplotlib", "tensorboard")


@dataclass(frozen=True)
class Import:
    """A module that a file imports: at its top level, or lazily inside a function, or only to name types."""

    module: str
    line: int
    lazy: bool
    types: bool = False

    @property
    def library(self) -> str:
        return self.module.split(".")[0]

    @property
    def folder(self) -> str | None:
        """The folder of ours that is imported, or None."""
        words = self.module.split(".")
        if words[0] != "mechlab" or len(words) == 1:
            return None
        return words[1] if (PACKAGE / words[1]).is_dir() else ENTRY


def folder_of(path: Path) -> str:
    words = path.relative_to(PACKAGE).parts
    return words[0] if len(words) > 1 else ENTRY


def imports_of(tree: ast.AST, lazy: bool = False, types: bool = False) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, lazy, types) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            submodules = [f"{node.module}.{alias.name}" for alias in node.names]
            names = submodules if node.module == "mechlab" else [node.module]
            yield from (Import(name, node.lineno, lazy, types) for name in names)
        else:
            only_for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            inside = lazy or only_for_types or isinstance(node, ast.FunctionDef | ast.Lambda)
            yield from imports_of(node, inside, types or only_for_types)


@dataclass(frozen=True)
class File:
    """A source file of the package: its path in it, folder, text, syntax tree and imports."""

    name: str
    folder: str
    text: str
    tree: ast.AST
    imports: list[Import]


def read(path: Path) -> File:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    return File(path.relative_to(PACKAGE).as_posix(), folder_of(path), text, tree, list(imports_of(tree)))


@functools.cache
def files() -> list[File]:
    return [read(path) for path in sorted(PACKAGE.rglob("*.py"))]


def in_folders(*folders: str) -> list[File]:
    found = [file for file in files() if file.folder in folders]
    assert found, folders
    return found


def test_every_folder_has_its_place():
    """A new folder must say here whom it may import."""
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert "core" in folders and folders <= set(MAY_IMPORT)


def test_a_file_imports_only_what_its_layer_may():
    for file in (file for file in files() if file.folder != ENTRY):
        allowed = MAY_IMPORT[file.folder] | {file.folder}
        ours = [found for found in file.imports if found.folder and not (file.folder == "core" and found.types)]
        assert not [(file.name, found.line, found.module) for found in ours if found.folder not in allowed]


def test_analyses_import_figures_only_when_they_draw():
    for file in in_folders("analyses"):
        assert not [(file.name, found.line) for found in file.imports if found.folder == "plotting" and not found.lazy]


def test_mathematics_uses_numerical_libraries_only():
    known = LIBRARIES | {"mechlab", *sys.stdlib_module_names}
    for file in in_folders(*MATHEMATICS):
        assert not [(file.name, found.line, found.module) for found in file.imports if found.library not in known]


def test_only_training_imports_lightning():
    for file in (file for file in files() if file.folder != "training"):
        lightning = ("pytorch_lightning", "lightning")
        assert not [(file.name, found.line) for found in file.imports if found.library in lightning]


def test_only_configuration_and_entry_points_import_hydra():
    for file in (file for file in files() if file.folder not in ("config", "contracts", ENTRY)):
        assert not [(file.name, found.line) for found in file.imports if found.library in ("hydra", "omegaconf")]


def test_nothing_is_pickled():
    """No pickle, no arrays of objects, and every checkpoint is read as plain weights."""
    pickling = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve"}
    for file in files():
        assert not pickling & {found.library for found in file.imports}, file.name
        assert "pickle." not in file.text, file.name
        for call in (node for node in ast.walk(file.tree) if isinstance(node, ast.Call)):
            options = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
            assert options.get("allow_pickle", "False") == "False", (file.name, call.lineno)
            if ast.unparse(call.func) == "torch.load":
                assert options.get("weights_only") == "True", (file.name, call.lineno)


PROGRAMS = ["mechlab", "mechlab.config.launch", "mechlab.train", "mechlab.report", "mechlab.adopt"]


@pytest.mark.parametrize("module", PROGRAMS)
def test_help_and_completion_wait_for_nothing_heavy(module):
    """Importing a program, as `--help` and tab completion do, imports neither torch nor anything else that is slow."""
    code = f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_no_name_hides_a_module():
    """`import mechlab.kernels.x` gives the module x: no package has a function or class of the same name."""
    for path in sorted(PACKAGE.rglob("__init__.py")):
        package = importlib.import_module(".".join(path.relative_to(PACKAGE.parent).parent.parts))
        names = [module.name for module in pkgutil.iter_modules(package.__path__)]
        hidden = [name for name in names if not isinstance(vars(package).get(name, sys), types.ModuleType)]
        assert not hidden, package.__name__
