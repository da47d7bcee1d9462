"""Refusals that the needs of an analysis decide, without a run."""

from __future__ import annotations

import functools

from matrix_table.cell import Cell, Outcome, Result
from matrix_table.choice import Choice
from mechlab.core.analysis import Needs, check_needs
from mechlab.core.errors import ConfigError
from mechlab.core.set_analysis import SetAnalysis

WITHOUT_MEANING = {  # models without what an analysis needs, in which there is nothing that the analysis could measure
    "jacobian": ("causal_transformer",),
    "hidden": ("linear", "program"),
    "preactivations": ("linear", "program"),
    "unembedding": ("linear", "program"),
}
OF_ANOTHER_KIND = (  # rules about the kind of a task's targets or of a model
    "needs a fixed set of examples with one class each",
    "needs targets that are classes",
    "needs a task whose targets are right or wrong",
)


def unmet(choice: Choice, cell: Cell) -> Result | None:
    """Return what the needs of the analysis refuse of the classes of task and model; None if nothing."""
    task = choice.registry.shared_task(cell.task)
    model = choice.model_class(cell.model)
    for name, needs in choice.needs(cell.analysis):
        analysis, key = choice.analysis(name), f"analysis.{name}"
        check = functools.partial(check_needs, needs) if isinstance(analysis, SetAnalysis) else analysis.check
        try:
            check(name, cell.task, task, key)
        except ConfigError as error:
            of_kind = needs.kind not in (None, task.spec.kind)
            return Result(*(("kind", error.must, 0) if of_kind else ("ground truth", error.must, 1)))
        try:
            check(name, cell.task, task, key, model)
        except ConfigError as error:
            return Result(of_model(error.must, needs, cell.model, model), error.must)
    return None


def of_model(rule: str, needs: Needs, name: str, model: type | None = None) -> Outcome:
    """Return whether an analysis has no meaning for a model, or the model's way of computing is not supported."""
    lacking = [word for word in needs.model if model is not None and not hasattr(model, word)]
    if set(lacking) & {"clean"}:  # only a network that is built from an automaton was right before its training
        return "kind"
    if any(name in WITHOUT_MEANING.get(word, ()) for word in lacking):
        return "kind"
    return "kind" if any(words in rule for words in OF_ANOTHER_KIND) else "not supported"
