"""The analyses that a configuration names: built, checked against task and model, and run if not up to date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mechlab.config.build import Prepared, prepare
from mechlab.config.configured import configured_parameters
from mechlab.core.analysis import Analysis, check_needs
from mechlab.core.errors import ConfigError
from mechlab.core.recipe import Recipe
from mechlab.core.set_analysis import SetAnalysis
from mechlab.jobs.run_analysis import is_up_to_date, run_analysis
from mechlab.record import answers
from mechlab.record.run import Run

if TYPE_CHECKING:
    from mechlab.jobs.prepare import Setup

PreparedAnalyses = dict[str, tuple[Prepared, Analysis]]  # each by name, with the checked arguments that built it
PreparedSets = dict[str, tuple[Prepared, SetAnalysis]]


def prepare_analyses(
    nodes: Mapping[str, Any], allow: Sequence[str], task_name: str, recipe: Recipe
) -> PreparedAnalyses:
    """Build the analyses of single runs by name and check that they can be run on what a recipe trains."""
    analyses = {}
    for name, node in nodes.items():
        prepared = prepare(node, f"analysis.{name}", (Analysis, SetAnalysis), allow)
        if issubclass(prepared.target, SetAnalysis):
            continue
        analysis = prepared()
        check_analysis(analysis, name, task_name, recipe, f"analysis.{name}")
        analyses[name] = (prepared, analysis)
    return analyses


def prepare_sets(nodes: Mapping[str, Any], allow: Sequence[str] = ()) -> PreparedSets:
    """Build the analyses of sets among those that a configuration names."""
    prepared = {name: prepare(node, f"analysis.{name}", (Analysis, SetAnalysis), allow) for name, node in nodes.items()}
    return {name: (one, one()) for name, one in prepared.items() if issubclass(one.target, SetAnalysis)}


def check_analysis(analysis: Analysis, name: str, task_name: str, recipe: Recipe, key: str) -> None:
    """Raise ConfigError, before any compute, if an analysis cannot be run on what a recipe trains."""
    analysis.check(name, task_name, recipe.task, key, model_class(recipe))
    analysis.check_recipe(name, recipe, key)


def check_sets(sets: PreparedSets, analyses: PreparedAnalyses, task_name: str, recipe: Recipe) -> None:
    """Raise ConfigError, before any compute, if an analysis of a set needs what a run of the recipe will not have."""
    for name, (_, of_set) in sets.items():
        key = f"analysis.{name}"
        check_needs(of_set.needs.each, name, task_name, recipe.task, key, model_class(recipe))
        missing = [needed for needed in of_set.needs.analyses if needed not in analyses]
        if missing:
            must = f"analysis={name} needs the findings of {', '.join(missing)} on each run"
            fix = f"analysis=[{','.join([*analyses, *missing, name])}]"
            raise ConfigError(must, got=f"analysis=[{','.join([*analyses, name])}]", key=key, fix=fix)


def model_class(recipe: Recipe) -> type | None:
    """Return the class of a recipe's models; None where `make_model` is a function."""
    return getattr(recipe.make_model, "target", None)


def run_missing_analyses(setup: Setup) -> None:
    """Run the analyses whose findings are missing, or from another version or other parameters."""
    run = Run(setup.folder, lambda: setup.recipe)
    for name, (prepared, analysis) in setup.analyses.items():
        identity, configured = prepared.identity(), _configured(setup, name)
        folder = answers.place(setup.folder, name, identity, configured, None)
        if not is_up_to_date(folder, analysis, identity):
            print(f"running analysis {folder.name}", flush=True)
            differs = answers.differences(identity, configured, None)
            run_analysis(name, analysis, run, identity, folder, differs=differs)


def answer_folder(setup: Setup, name: str) -> Path:
    """Return the folder of the answer about the end of training of one of the run's analyses."""
    return answers.place(setup.folder, name, setup.analyses[name][0].identity(), _configured(setup, name), None)


def _configured(setup: Setup, name: str) -> dict[str, Any]:
    return configured_parameters(setup.folder, name, setup.analyses[name][0], setup.config.allow_targets)
