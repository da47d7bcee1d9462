"""The automata that tasks take from a file or from their configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mechlab.automata.automaton import Automaton
from mechlab.automata.definition import from_definition, is_path, read_automaton, to_definition
from mechlab.automata.library import suggestion
from mechlab.automata.pushdown.pushdown import Pushdown
from mechlab.core.errors import ConfigError

FILE = "file"
_KINDS = {Automaton: "a DFA, Moore or Mealy machine", Pushdown: "a pushdown automaton"}
_TASKS = {Automaton: "automaton", Pushdown: "context_free"}
_FILES = {Automaton: "task.language=FILE.dot (or .json)", Pushdown: "task.grammar=FILE.json"}


def without_files(arguments: Mapping[str, Any], choice: str) -> dict[str, Any]:
    """Return a task's arguments with the automaton itself in place of the path of its file.

    A run's identity and record thus hold what was in the file. A definition is put into its regular form. What cannot
    be read is left for the task to refuse.

    Args:
        choice: the argument that is the path of the automaton's file, or "file" where the automaton is defined by
            `path` or `definition`.
    """
    chosen, path, definition = (arguments.get(name) for name in (choice, "path", "definition"))
    if isinstance(chosen, str) and is_path(chosen) and path is None and definition is None:
        chosen, path = FILE, chosen
    if chosen != FILE or (path is None) == (definition is None):
        return dict(arguments)
    try:
        automaton = read_automaton(path) if definition is None else from_definition(definition)
    except (OSError, ValueError, TypeError):
        return dict(arguments)
    return {**arguments, choice: FILE, "path": None, "definition": to_definition(automaton)}


def defined(
    kind: type[Automaton | Pushdown], choice: str, chosen: str, path: str | None, definition: dict[str, Any] | None
) -> Any:
    """Return the automaton that a path or a definition gives, or None where the task takes a named one.

    Args:
        kind: Automaton or Pushdown.
        choice, chosen: the name of the argument that selects the automaton, and its value: a path, "file" or a name.
        path, definition: one of the two where the value is "file", else neither.

    Raises:
        ConfigError: both or none are given, or what is given is no automaton of the kind.
    """
    given = [name for name, value in (("path", path), ("definition", definition)) if value is not None]
    if len(given) != (chosen == FILE):
        raise ConfigError(
            f"an automaton is given as {_FILES[kind]}, or as task.{choice}=file with one of task.path, task.definition",
            got=f"task.{choice}={chosen} with " + (" and ".join(f"task.{name}" for name in given) or "neither"),
            key=f"task.{given[0] if given else 'path'}",
            fix=("set " + _FILES[kind], f"set task.{choice}=file, or leave out the other", "leave one out")[len(given)],
        )
    if is_path(chosen):
        key, path = choice, chosen
    elif given:
        (key,) = given
    else:
        return None
    try:
        automaton = read_automaton(path) if definition is None else from_definition(definition)
        _check(automaton, kind)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(
            f"{'a file' if definition is None else 'a definition'} must hold {_KINDS[kind]}",
            got=str(error),
            key=f"task.{key}",
            fix="give the path of a .dot or .json file; mechlab/automata/definition.py describes the latter",
        ) from error
    return automaton


def unknown_name(kind: type[Automaton | Pushdown], choice: str, chosen: str, names: tuple[str, ...]) -> ConfigError:
    """Return the error for a choice that is neither the path of a file nor one of the names."""
    return ConfigError(
        f"task.{choice} must be a name, or the file of {_KINDS[kind]}",
        got=chosen,
        key=f"task.{choice}",
        fix=f"{suggestion(chosen, names)}; or set {_FILES[kind]}",
    )


def _check(automaton: Automaton | Pushdown, kind: type) -> None:
    if not isinstance(automaton, kind):
        other = type(automaton)
        raise ValueError(f"it is {_KINDS[other]}, which task={_TASKS[other]} {_FILES[other]} takes")
    names = (*automaton.alphabet, *automaton.classes, *automaton.states)
    if bad := [name for name in names if "${" in name]:
        raise ValueError(f"names must not hold ${{, which a configuration takes for a reference. Got {bad[0]!r}.")
