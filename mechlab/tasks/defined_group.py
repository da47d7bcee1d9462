"""The groups that tasks take by name, from a file or from their configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mechlab.core.errors import ConfigError
from mechlab.groups import names
from mechlab.groups.finite_group import Group
from mechlab.groups.tables import from_definition, is_table, read_group, to_definition

TABLE = "table"


def defined_group(group: str, definition: Mapping[str, Any] | None) -> Group:
    """Return the group with a name, or that of a definition where the name is "table".

    Raises:
        ConfigError: there is no such group, or one of the two is missing.
    """
    if (group == TABLE) != (definition is not None):
        must = f"a definition must be given for task.group={TABLE}, and for no other group"
        got = f"task.group={group} {'without' if definition is None else 'with'} task.definition"
        fix = "give the multiplication table as a file, task.group=FILE.csv"
        raise ConfigError(must, got=got, key="task.definition", fix=fix)
    return names.group(group) if definition is None else from_definition(definition)


def group_without_files(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task's arguments with the definition of its group in place of the path of a file with the table.

    A run's identity and record thus hold what was in the file. A definition is put into its regular form. What cannot
    be read is left for the task to refuse.
    """
    group, definition = arguments.get("group"), arguments.get("definition")
    if not isinstance(group, str) or (group == TABLE) != (definition is not None):
        return dict(arguments)
    try:
        if definition is not None:
            return {**arguments, "definition": to_definition(from_definition(definition))}
        if is_table(group):
            return {**arguments, "group": TABLE, "definition": to_definition(read_group(group))}
    except ConfigError:
        pass
    return dict(arguments)
