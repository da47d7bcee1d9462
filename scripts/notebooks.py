"""Rebuild the notebooks of the documentation: execute docs/notebooks/NAME.py and write NAME.ipynb, cleaned.

python scripts/notebooks.py              # all; some minutes of processor time
python scripts/notebooks.py automata     # one

The .py file is the source: an edit of the .ipynb is carried back by `python -m jupytext --sync docs/notebooks/NAME.ipynb`. Each
notebook runs in an empty folder, with this checkout and the interpreter that runs this script.
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
    parser.add_argument("--check", action="store_true", help="execute without writing")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.names) - set(names)):
        parser.error(f"no such notebook: {', '.join(unknown)}; there are {', '.join(names)}")
    for name in arguments.names:
        print(f"executing {name}", flush=True)
        executed = execute(FOLDER / f"{name}.py")
        if not arguments.check:
            write(executed, FOLDER / f"{name}.ipynb")


def execute(source: Path) -> Any:
    """Return the notebook of a .py file with its outputs, executed in an empty folder.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raised an error.
    """
    import jupytext
    from nbclient import NotebookClient

    notebook = jupytext.read(source)
    notebook.metadata = {"kernelspec": KERNEL}
    with tempfile.TemporaryDirectory() as folder:
        _isolate(Path(folder))
        work = Path(folder) / "work"
        work.mkdir()
        NotebookClient(
            notebook,
            kernel_name=KERNEL["name"],
            timeout=LONGEST,
            record_timing=False,
            resources={"metadata": {"path": str(work)}},
        ).execute()
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
        "JUPYTER_PLATFORM_DIRS": "1",
        "MPLCONFIGDIR": os.environ.get("MPLCONFIGDIR", str(folder / "matplotlib")),
        "OMP_NUM_THREADS": "1",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": search,
    }


if __name__ == "__main__":
    main()
