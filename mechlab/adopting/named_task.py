"""The task of an adopted network, by its name and settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mechlab.core.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from mechlab.core.task import TaskSpec


def named_task(given: str | dict[str, Any], example: str) -> tuple[str, dict[str, Any], TaskSpec]:
    """Return a task's name, its config node and its properties.

    Args:
        given: the name, or settings with the name as `name`.
        example: what to type where there is no name.

    Raises:
        ConfigError: there is no such task, or it refuses its settings.
    """
    from mechlab.config.build import prepare
    from mechlab.config.choices import choices
    from mechlab.core.task import Task
    from mechlab.record.files import read_yaml

    settings = {"name": given} if isinstance(given, str) else dict(given)
    name, known = settings.pop("name", None), choices("task")
    if name not in known:
        fix = did_you_mean(str(name), known) if name else example
        raise ConfigError("task must be the name of a task", got=name or "no name", key="task", fix=fix)
    written = read_yaml(known[name])
    node = {"_target_": written.get("task", written).get("_target_"), **settings}
    return name, node, prepare(node, "task", Task)().spec
