"""Make a run out of weights that were trained by another program, for every analysis.

python -m mechlab.adopt format=rnn_automaton path=weights.pt automaton=automaton.json cell=gru
python -m mechlab.adopt format=path_history path=FOLDER
python -m mechlab.adopt format=rnn_binding path=weights.pt task=linear_binding task.id=T3
python -m mechlab.adopt format=group_network path=weights.pt group=S5 seed=2 frac_train=.4
python -m mechlab.adopt format=enn path=FOLDER input_shape=[28,28] task=orientation
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mechlab.core.constraints import ConstraintError, check, describe, hints_of
from mechlab.core.errors import ConfigError, MechlabError, did_you_mean

if TYPE_CHECKING:
    from mechlab.adopting.adopted_network import AdoptedNetwork
    from mechlab.record.run import Run

NAME = "name"  # of a section's choice, among its settings
HELP = """\
usage: python -m mechlab.adopt format=NAME path=FILE OPTION=VALUE ... [paths.root=DIR] [name=NAME]

Make a run out of weights that were trained by another program. Repeating the command reports the existing run.

  format=NAME     the format of the files, see below
  path=FILE       the file of the weights, or their folder
  paths.root=DIR  the folder of all runs; runs by default
  name=NAME       the folder of the run directory; <task>-<model> by default
"""


def main() -> None:
    """The program `python -m mechlab.adopt`."""
    words = sys.argv[1:]
    try:
        if not words or {"-h", "--help"} & set(words):
            print(help_text(), end="")
            return
        run = adopt(**parse(words))
    except MechlabError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    print(f"run: {run.folder}", flush=True)


def adopt(format: str, path: str | Path, root: str | Path = "runs", name: str | None = None, **options: Any) -> Run:
    """Return a run made out of weights that were trained by another program; its directory is written if it is new.

    Args:
        format: the format of the files: the name of a module in `mechlab.adopting.formats`.
        path: the file of the weights, or their folder.
        root: the folder of all runs.
        name: the folder of the run directory; `<task>-<model>` by default.
        options: those of the format; `python -m mechlab.adopt --help` lists them.

    Raises:
        ConfigError: there is no such format or option, or the files are invalid; nothing is written.
    """
    from mechlab.adopting.adoption import Adoption

    reader = formats().get(format)
    if reader is None:
        raise ConfigError(f"there is no format {format!r}", key="format", fix=did_you_mean(format, formats()))
    adopted = reader(Path(path), **_checked(reader, options))
    more = {"paths.root": None if str(root) == "runs" else root, "name": name}
    words = _words({"format": format, "path": path, **options, **more})
    return Adoption(adopted, format, words, Path(root), name).write()


def formats() -> dict[str, Callable[..., AdoptedNetwork]]:
    """Return the reader of each format: each function in `mechlab.adopting.formats` that has the name of its module."""
    package = importlib.import_module("mechlab.adopting.formats")
    readers = {}
    for module in pkgutil.iter_modules(package.__path__):
        reader = getattr(importlib.import_module(f"mechlab.adopting.formats.{module.name}"), module.name, None)
        if inspect.isfunction(reader):
            readers[module.name] = reader
    return readers


def help_text() -> str:
    """Return the text of `--help`: usage, formats and their options."""
    texts = []
    for name, reader in formats().items():
        about = inspect.getdoc(reader).partition("Raises:")[0].rstrip().replace("\n", "\n  ")
        texts.append(f"\nformat={name}\n  {about}\n")
    return HELP + "".join(texts)


def parse(words: Sequence[str]) -> dict[str, Any]:
    """Return the arguments of `adopt` for the words of a command line, or raise ConfigError.

    `task=NAME task.KEY=VALUE` is one mapping, with the name as `name`.

    >>> parse(["format=f", "path=w.pt", "paths.root=elsewhere", "task=copy", "task.d=5"])
    {'format': 'f', 'path': 'w.pt', 'root': 'elsewhere', 'task': {'name': 'copy', 'd': 5}}
    """
    import yaml

    arguments: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not value:
            raise ConfigError(
                "each argument must be key=value", got=word, fix="--help lists the formats and their options"
            )
        key = "root" if key == "paths.root" else key
        section, dot, rest = key.partition(".")
        if dot and isinstance(chosen := arguments.get(section), str):
            arguments[section] = {NAME: chosen}
        place, last = (arguments.setdefault(section, {}), rest) if dot else (arguments, key)
        if not dot and isinstance(arguments.get(key), dict):
            place, last = arguments[key], NAME
        if last in place:
            raise ConfigError("a key must be given once", got=word, key=key)
        try:
            place[last] = yaml.safe_load(value) if dot else value
        except yaml.YAMLError:
            place[last] = value
    for key in ("format", "path"):
        if key not in arguments:
            fix = f"{key}=FILE" if key == "path" else f"format={' or format='.join(formats())}"
            raise ConfigError(f"{key} must be given", key=key, fix=fix)
    return arguments


def _checked(reader: Callable[..., AdoptedNetwork], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a format's options, checked and converted to their type hints."""
    parameters, hints = dict(list(inspect.signature(reader).parameters.items())[1:]), hints_of(reader)
    checked = {}
    for key, value in options.items():
        if key not in parameters:
            known = [*parameters, "name", "root"]
            raise ConfigError(f"{reader.__name__} has no option {key!r}", key=key, fix=did_you_mean(key, known))
        try:
            checked[key] = _converted(str(value) if isinstance(value, Path) else value, hints.get(key, object))
        except ConstraintError as error:
            fix = (
                did_you_mean(value, error.must.removeprefix("one of ").split(", ")) if "one of" in error.must else None
            )
            raise ConfigError(f"{key} must be {error.must}", got=repr(error.got), key=key, fix=fix) from None
    for key, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty and key not in checked:
            must = f"{reader.__name__} needs {key}: {describe(hints.get(key, object))}"
            raise ConfigError(must, key=key, fix=f"{key}=VALUE")
    return checked


def _converted(value: Any, hint: Any) -> Any:
    """Return the value of an option, checked; a text that its hint refuses, as the number or list that it is."""
    import yaml

    try:
        return check(value, hint)
    except ConstraintError:
        if not isinstance(value, str):
            raise
        try:
            written = yaml.safe_load(value)
        except yaml.YAMLError:
            written = None
        if isinstance(written, bool) or not isinstance(written, int | float | list):
            raise
    return check(written, hint)


def _words(options: Mapping[str, Any]) -> list[str]:
    """Return the command-line words of these options."""
    words = []
    for key, value in options.items():
        if isinstance(value, Mapping):
            words += [f"{key}{'' if name == NAME else f'.{name}'}={_word(item)}" for name, item in value.items()]
        elif value is not None:
            words.append(f"{key}={_word(value)}")
    return words


def _word(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"[{','.join(map(str, value))}]" if isinstance(value, list | tuple) else str(value)


if __name__ == "__main__":
    main()
