"""Rebuild the notebooks of the documentation: execute docs/notebooks/NAME.py and write NAME.ipynb, cleaned.

python scripts/notebooks.py              # all; some minutes of processor time
python scripts/notebooks.py automata     # one
python scripts/notebooks.py --text       # take over changed text between cells of unchanged code, without executing

The .py file is the source; `python -m jupytext --sync docs/notebooks/NAME.ipynb` carries edits of the .ipynb back.
Each notebook runs in an empty folder, with this checkout and the interpreter that runs this script.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "notebooks"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
LANGUAGE = {"file_extension": ".py", "mimetype": "text/x-python", "name": "python", "pygments_lexer": "ipython3"}
LONGEST = 1800  # seconds that a cell may take


def main() -> None:
    """Execute the named notebooks, or all of them."""
    names = sorted(path.stem for path in FOLDER.glob("*.py"))
    parser = argparse.ArgumentParser(description="Execute the notebooks of the documentation and save their outputs.")
    parser.add_argument("names", nargs="*", default=names, help=f"notebooks: {', '.join(names)} (default: all)")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--check", action="store_true", help="execute without writing")
    kind.add_argument("--text", action="store_true", help="take over changed text alone, without executing")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.names) - set(names)):
        parser.error(f"no such notebook: {', '.join(unknown)}; there are {', '.join(names)}")
    for name in arguments.names:
        source = FOLDER / f"{name}.py"
        if arguments.text:
            write(with_outputs(source), source.with_suffix(".ipynb"))
            continue
        print(f"executing {name}", flush=True)
        executed = execute(source)
        if not arguments.check:
            write(executed, source.with_suffix(".ipynb"))


def execute(source: Path) -> Any:
    """Return the notebook of a .py file with its outputs, executed in an empty folder.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raised an error.
    """
    import jupytext
    from jupyter_client import AsyncKernelManager
    from nbclient import NotebookClient

    notebook = jupytext.read(source)
    notebook.metadata = {"kernelspec": KERNEL}
    with tempfile.TemporaryDirectory() as folder:
        _isolate(Path(folder))
        work = Path(folder) / "work"
        work.mkdir()
        socket = str(Path(folder) / "kernel")
        kernel = AsyncKernelManager(kernel_name=KERNEL["name"], transport="ipc", ip=socket)  # no port is opened
        resources = {"metadata": {"path": str(work)}}
        settings = {"timeout": LONGEST, "startup_timeout": LONGEST, "record_timing": False, "coalesce_streams": True}
        NotebookClient(notebook, kernel, resources=resources, **settings).execute()
    return cleaned(notebook, source.stem)


def with_outputs(source: Path) -> Any:
    """Return the notebook of a .py file with the outputs that its .ipynb has; it exits where cells of code differ."""
    import jupytext
    import nbformat

    notebook, written = jupytext.read(source), nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    code, executed = ([cell for cell in each.cells if cell.cell_type == "code"] for each in (notebook, written))
    if [cell.source for cell in code] != [cell.source for cell in executed]:
        sys.exit(f"{source.stem}: its code has changed; execute it with python scripts/notebooks.py {source.stem}")
    for cell, other in zip(code, executed, strict=True):
        cell.outputs, cell.execution_count = other.outputs, other.execution_count
    return cleaned(notebook, source.stem)


def cleaned(notebook: Any, name: str) -> Any:
    """Return the notebook with metadata and cell ids that depend on nothing but its name and cells."""
    notebook.metadata = {"kernelspec": KERNEL, "language_info": LANGUAGE}
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells):
        cell["id"], cell["metadata"] = f"{name}-{number}", {}
    return notebook


def write(notebook: Any, path: Path) -> None:
    """Write a notebook beside its source."""
    import nbformat

    nbformat.validate(notebook)
    path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    print(f"wrote {path.relative_to(ROOT)}, {path.stat().st_size / 1000:.0f} kB", flush=True)


def _isolate(folder: Path) -> None:
    """Set the environment of kernels: this interpreter and checkout, one thread, and no settings of the user."""
    search = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    os.environ |= {
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_CONFIG_DIR": str(folder / "jupyter"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_PLATFORM_DIRS": "1",
        "OMP_NUM_THREADS": "1",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": search,
    }


if __name__ == "__main__":
    main()
