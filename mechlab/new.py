"""Write a new task, model or analysis: a working example to edit, and its yaml.

python -m mechlab.new task parity_check
python -m mechlab.new model leaky --package mylab --conf conf
python -m mechlab.new analysis share_that_learned --set    of a set of runs, such as the seeds of one configuration
"""

from __future__ import annotations

import argparse
import keyword
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from mechlab.scaffold.analysis import ANALYSIS
from mechlab.scaffold.model import MODEL, STATIC_MODEL
from mechlab.scaffold.set_analysis import SET_ANALYSIS
from mechlab.scaffold.task import TASK
from mechlab.scaffold.template import PACKAGE, Place

KINDS = {"task": TASK, "model": MODEL, "analysis": ANALYSIS}
FLAGS = {  # by kind: an option that chooses another template
    "model": ("static", STATIC_MODEL, "a map from inputs to outputs, in place of a recurrent network"),
    "analysis": ("set", SET_ANALYSIS, "of a set of runs, such as the seeds of one configuration"),
}
CHECKOUT = not (PACKAGE / "conf").is_dir()  # an installed package has its configuration inside


def main(arguments: Sequence[str] | None = None) -> None:
    """The program `python -m mechlab.new`."""
    parser = argparse.ArgumentParser(prog="mechlab new", description=__doc__.splitlines()[0])
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    default = "mechlab's own" if CHECKOUT else "./{}"
    for kind in KINDS:
        text = f"write a new {kind}: a working example to edit, and its yaml"
        sub = kinds.add_parser(kind, help=text, description=text)
        sub.add_argument("name", metavar="NAME", help="in snake case, such as parity_check")
        folder = f"folder of your own package (default: {default.format('mylab')})"
        sub.add_argument("--package", type=Path, metavar="DIR", help=folder)
        folder = f"your own configuration folder (default: {default.format('conf')})"
        sub.add_argument("--conf", type=Path, metavar="DIR", help=folder)
        if kind in FLAGS:
            flag, _, meaning = FLAGS[kind]
            sub.add_argument(f"--{flag}", action="store_true", dest="flag", help=meaning)
    given = parser.parse_args(arguments)
    template = FLAGS[given.kind][1] if getattr(given, "flag", False) else KINDS[given.kind]
    try:
        template.write(_place(given, parser))
    except FileExistsError as error:
        sys.exit(f"error: {error} exists, and is not overwritten\n  fix:   choose another name, or remove it")


def _place(given: argparse.Namespace, parser: argparse.ArgumentParser) -> Place:
    """Return the place of the new member from the command line; exit if its arguments are invalid."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", given.name) or keyword.iskeyword(given.name):
        parser.error(f"NAME must be in snake case, such as parity_check, and no keyword. Got {given.name!r} instead.")
    if (given.package is None) != (given.conf is None):
        parser.error("--package and --conf go together: the yaml names the class, and both must be yours.")
    own = given.package is not None or not CHECKOUT
    package, conf = (Path("mylab"), Path("conf")) if own else (PACKAGE, PACKAGE.parent / "conf")
    package, conf = (given.package or package).resolve(), (given.conf or conf).resolve()
    if not package.name.isidentifier():
        parser.error(f"--package must be a folder that Python can import by its name. Got {package.name!r} instead.")
    return Place(given.name, package, conf, own)


if __name__ == "__main__":
    main()
