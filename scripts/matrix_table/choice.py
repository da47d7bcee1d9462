"""The choice of cells: on which task a model is tried, and on which model a task."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from matrix_table.cell import Cell
from matrix_table.sizes import FIRST_TASKS, SETTINGS, TINY
from mechlab.contracts.registry import Registry
from mechlab.core.analysis import Needs
from mechlab.core.set_analysis import SetAnalysis

SUBJECTS = ("model", "task")


class Choice:
    """The cells of the two tables, and the members of the configuration that they name.

    Args:
        registry: the members.
    """

    def __init__(self, registry: Registry):
        self.registry = registry

    @functools.cached_property
    def analyses(self) -> list[str]:
        """All analyses, of a run and of a set of runs."""
        return [*self.registry.names("analysis"), *self.registry.names("set_analysis")]

    def subjects(self) -> Iterator[tuple[str, str, str]]:
        """Yield ("model" or "task", its name, analysis) for each cell of the two tables."""
        for subject in SUBJECTS:
            for name in self.registry.names(subject):
                for analysis in self.analyses:
                    yield subject, name, analysis

    def candidates(self, subject: str, name: str, analysis: str) -> list[Cell]:
        """Return the cells of which the best outcome is reported: of a model all tasks that it reads, those first on
        which a trial is fastest; of a task its default model, or one that has what the analysis needs."""
        if subject == "task":
            pairs = [(name, self._model_for(name, analysis))]
        else:
            pairs = [(task, name) for task in sorted(self._tasks_for(name), key=_position)]
        return [Cell(subject, analysis, *pair, _settings(analysis, *pair)) for pair in pairs]

    @functools.cache  # noqa: B019 (as long as the trials last)
    def model_class(self, model: str) -> type:
        """Return the class of a model."""
        return self.registry.prepared("model", model).target

    @functools.cache  # noqa: B019
    def analysis(self, name: str) -> Any:
        """Return an analysis of the size of a trial."""
        return self.registry.prepared("analysis", name, **TINY.get(f"analysis/{name}", {}))()

    @functools.cache  # noqa: B019
    def default(self, task: str) -> Any:
        """Return the configuration of the main job on a task."""
        return self.registry.compose(f"task={task}", "analysis=[]")

    def needs(self, analysis: str) -> list[tuple[str, Needs]]:
        """Return what an analysis needs, by name; one of a set also what the analyses need whose findings it reads."""
        needs = self.analysis(analysis).needs
        if not isinstance(self.analysis(analysis), SetAnalysis):
            return [(analysis, needs)]
        return [(analysis, needs.each), *((name, self.analysis(name).needs) for name in needs.analyses)]

    @functools.cache  # noqa: B019
    def _tasks_for(self, model: str) -> list[str]:
        return self.registry.tasks_for(model)

    def _model_for(self, task: str, analysis: str) -> str:
        """Return the default model of a task, or the first that reads it and has what an analysis needs."""
        default = self.default(task).name.rpartition("-")[2]
        words = [word for _, needs in self.needs(analysis) for word in needs.model]
        names = [default, *self.registry.partners("model")]
        for name in names:
            if all(hasattr(self.model_class(name), word) for word in words) and task in self._tasks_for(name):
                return name
        return default


def _settings(analysis: str, task: str, model: str) -> str:
    """Return the overrides with which an analysis can be run on a task and a model."""
    return " ".join(SETTINGS[analysis, name] for name in (task, model) if (analysis, name) in SETTINGS)


def _position(task: str) -> tuple[int, str]:
    """Return the place of a task among those on which a model is tried."""
    return (FIRST_TASKS.index(task) if task in FIRST_TASKS else len(FIRST_TASKS)), task
