"""Shared parts of new_task.py and new_analysis.py: paths, checks of the command line, and writing."""

from __future__ import annotations

import argparse
import keyword
import re
import sys
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Place:
    """The files' place of a new task or analysis.

    Args:
        name: its name, in snake case.
        package: the folder of the Python package.
        conf: the configuration folder.
        own: True if these are the user's own, False if mechlab's.
    """

    name: str
    package: Path
    conf: Path
    own: bool

    @property
    def class_name(self) -> str:
        """The name in camel case."""
        return "".join(word.capitalize() for word in self.name.split("_"))

    @property
    def module(self) -> str:
        """The dotted name of the package: its folder's, after those of the packages that it lies in."""
        words, folder = [self.package.name], self.package.parent
        while (folder / "__init__.py").exists():
            words, folder = [folder.name, *words], folder.parent
        return ".".join(words)

    def train(self, overrides: str) -> str:
        """Return the command that trains with these overrides."""
        if not self.own:
            return f"python -m mechlab.train {overrides}"
        allowed = f"allow_targets=[{self.module.split('.')[0]}]"
        return f"python -m mechlab.train --config-dir {_shown(self.conf)} {overrides} {allowed}"

    def contracts(self) -> str:
        """Return the command that runs the contract tests on the new member."""
        tests = _shown(CHECKOUT / "tests" / "contracts")
        option = f" --contracts-dir {_shown(self.conf)}" if self.own else ""
        return f"python -m pytest {tests}{option} -k {self.name}"


def ask_place(kind: str, flag: str | None = None, meaning: str = "") -> tuple[Place, bool]:
    """Return the place of a new task or analysis from the command line; exit if its arguments are invalid.

    Args:
        kind: task or analysis.
        flag: name of an option that chooses another kind of it, if there is one.
        meaning: of this option.

    Returns:
        The place, and True if the option was given.
    """
    parser = argparse.ArgumentParser(description=f"Write a new {kind}: a working example to edit, and its yaml.")
    parser.add_argument("name", metavar="NAME", help="in snake case, such as parity_check")
    parser.add_argument("--package", type=Path, metavar="DIR", help="folder of your own package, instead of mechlab's")
    parser.add_argument("--conf", type=Path, metavar="DIR", help="your own configuration folder, instead of mechlab's")
    if flag is not None:
        parser.add_argument(f"--{flag}", action="store_true", help=meaning)
    given = parser.parse_args()
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", given.name) or keyword.iskeyword(given.name):
        parser.error(f"NAME must be in snake case, such as parity_check, and no keyword. Got {given.name!r} instead.")
    if (given.package is None) != (given.conf is None):
        parser.error("--package and --conf go together: the yaml names the class, and both must be yours.")
    own = given.package is not None
    package = (given.package if own else CHECKOUT / "mechlab").resolve()
    if not package.name.isidentifier():
        parser.error(f"--package must be a folder that Python can import by its name. Got {package.name!r} instead.")
    place = Place(given.name, package, (given.conf if own else CHECKOUT / "conf").resolve(), own)
    return place, flag is not None and getattr(given, flag)


def write(place: Place, folder: str, group: str, code: str, yaml: str, train: str) -> None:
    """Write the code into a folder of the package and the yaml into a config group, and print the next commands.

    The texts may contain NAME, CLASS and MODULE.
    """
    files = {
        place.package / folder / f"{place.name}.py": code,
        place.conf / group / f"{place.name}.yaml": yaml,
    }
    for path in files:
        if path.exists():
            sys.exit(f"error: {path} exists, and is not overwritten\n  fix:   choose another name, or remove it")
    words = {"NAME": place.name, "CLASS": place.class_name, "MODULE": f"{place.module}.{folder}.{place.name}"}
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(re.sub(r"\b(NAME|CLASS|MODULE)\b", lambda match: words[match[1]], text), encoding="utf-8")
        print(f"wrote {_shown(path)}")
    for package in (place.package, place.package / folder):
        if not (package / "__init__.py").exists():
            (package / "__init__.py").write_text(f'"""{package.name.capitalize()}."""\n', encoding="utf-8")
    print("next:")
    print("  edit   both files; they work as they are")
    print(f"  test   {place.contracts()}")
    print(f"  train  {place.train(train)}")


def _shown(path: Path) -> Path:
    """Return a path relative to the working directory if it is inside."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
