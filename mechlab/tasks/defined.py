"""The automata that tasks take from a file or from their configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mechlab.automata.automaton import Automaton
from mechlab.automata.definition import from_definition, read_automaton, to_definition
from mechlab.automata.pushdown.pushdown import Pushdown
from mechlab.core.errors import ConfigError

FILE = "file"
_KINDS = {Automaton: "a DFA, Moore or Mealy machine", Pushdown: "a pushdown automaton"}
_TASKS = {Automaton: "automaton task.language=file", Pushdown: "context_free task.grammar=file"}


def without_files(arguments: Mapping[str, Any], choice: str) -> dict[str, Any]:
    """Return a task's arguments with the automaton itself in place of the path of its file.

    A run's identity and record thus hold what was in the file. A definition is put into its regular form. What cannot
    be read is left for the task to refuse.

    Args:
        choice: the argument that is "file" where the automaton is defined by `path` or `definition`.
    """
    path, definition = arguments.get("path"), arguments.get("definition")
    if arguments.get(choice) != FILE or (path is None) == (definition is None):
        return dict(arguments)
    try:
        automaton = read_automaton(path) if definition is None else from_definition(definition)
    except (OSError, ValueError, TypeError):
        return dict(arguments)
    return {**arguments, "path": None, "definition": to_definition(automaton)}


def defined(
    kind: type[Automaton | Pushdown], choice: str, chosen: str, path: str | None, definition: dict[str, Any] | None
) -> Any:
    """Return the automaton that a path or a definition gives, or None where the task takes another one.

    Args:
        kind: Automaton or Pushdown.
        choice, chosen: the name of the argument that selects the automaton, and its value.
        path, definition: one of the two where the value is "file", else neither.

    Raises:
        ConfigError: both or none are given, or what is given is no automaton of the kind.
    """
    given = [name for name, value in (("path", path), ("definition", definition)) if value is not None]
    if len(given) != (chosen == FILE):
        raise ConfigError(
            f"an automaton comes from a file or a definition, one of them, where task.{choice}=file, and only there",
            got=f"task.{choice}={chosen} with " + (" and ".join(f"task.{name}" for name in given) or "neither"),
            key=f"task.{given[0] if given else 'path'}",
            fix=f"set task.{choice}=file" if given and chosen != FILE else "set one of task.path and task.definition",
        )
    if not given:
        return None
    try:
        automaton = read_automaton(path) if definition is None else from_definition(definition)
        _check(automaton, kind)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(
            f"{'a file' if definition is None else 'a definition'} must hold {_KINDS[kind]}",
            got=str(error),
            key=f"task.{given[0]}",
            fix="give the path of a .dot or .json file; mechlab/automata/definition.py describes the latter",
        ) from error
    return automaton


def _check(automaton: Automaton | Pushdown, kind: type) -> None:
    if not isinstance(automaton, kind):
        raise ValueError(f"it is {_KINDS[type(automaton)]}, which task={_TASKS[type(automaton)]} takes")
    names = (*automaton.alphabet, *automaton.classes, *automaton.states)
    if bad := [name for name in names if "${" in name]:
        raise ValueError(f"names must not hold ${{, which a configuration takes for a reference. Got {bad[0]!r}.")
