"""The files of a new member: where they go, and their text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Place:
    """The files' place of a new member.

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
        option = f"--contracts-dir {_shown(self.conf)} " if self.own else ""
        return f"python -m mechlab.contracts {option}-k {self.name}"


@dataclass(frozen=True)
class Template:
    """The text of a new member; NAME, CLASS and MODULE in it are replaced.

    Args:
        folder: of the package.
        group: the config group.
        code: of the class.
        yaml: of its configuration.
        train: the overrides of `mechlab.train` that use the member.
    """

    folder: str
    group: str
    code: str
    yaml: str
    train: str

    def write(self, place: Place) -> None:
        """Write both files, and print the next commands.

        Raises:
            FileExistsError: one of them is there already; nothing is written.
        """
        files = {
            place.package / self.folder / f"{place.name}.py": self.code,
            place.conf / self.group / f"{place.name}.yaml": self.yaml,
        }
        for path in files:
            if path.exists():
                raise FileExistsError(path)
        words = {"NAME": place.name, "CLASS": place.class_name, "MODULE": f"{place.module}.{self.folder}.{place.name}"}
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_filled(text, words), encoding="utf-8")
            print(f"wrote {_shown(path)}")
        for package in (place.package, place.package / self.folder):
            if not (package / "__init__.py").exists():
                (package / "__init__.py").write_text(f'"""{package.name.capitalize()}."""\n', encoding="utf-8")
        print("next:")
        print("  edit   both files; they work as they are")
        print(f"  test   {place.contracts()}")
        print(f"  train  {place.train(_filled(self.train, words))}")


def _filled(text: str, words: dict[str, str]) -> str:
    return re.sub(r"\b(NAME|CLASS|MODULE)\b", lambda match: words[match[1]], text)


def _shown(path: Path) -> Path:
    """Return a path relative to the working directory if it is inside."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
