"""Trials of analyses: each is asked of tiny runs of every model, and of every task."""

from __future__ import annotations

import functools
import json
import math
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

from omegaconf import OmegaConf

from mechlab.config.recipe import load_run, stored_config
from mechlab.contracts.registry import Registry
from mechlab.contracts.sizes import ASKED_FIRST, SETTINGS, STEPS, TINY
from mechlab.core.analysis import Finding, Needs, check_needs
from mechlab.core.errors import ConfigError
from mechlab.core.recipe import Recipe
from mechlab.core.seeding import Streams
from mechlab.core.set_analysis import SetAnalysis
from mechlab.jobs.analyses import check_analysis
from mechlab.jobs.execute import execute
from mechlab.jobs.prepare import Setup
from mechlab.jobs.sets import check_run
from mechlab.record import sets
from mechlab.record.artifacts import Artifacts

Outcome = Literal["works", "kind", "ground truth", "not supported", "crash", "not tried"]
TRIES = 2  # tasks, at most, on which a model is not supported, before it is reported so
ASKED = ("model", "task")
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


@dataclass(frozen=True)
class Cell:
    """An analysis, and the task and model of the runs that it is asked of.

    Args:
        subject: "model" or "task": which of the two tables of the matrix has the cell.
        analysis: the analysis.
        task: the task.
        model: the model.
        settings: further overrides of the training, separated by spaces.
    """

    subject: str
    analysis: str
    task: str
    model: str
    settings: str = ""

    @property
    def pair(self) -> tuple[str, str, str]:
        """What decides the runs: task, model and settings."""
        return self.task, self.model, self.settings


@dataclass(frozen=True)
class Result:
    """The outcome of a cell.

    Args:
        outcome: "works"; for a refusal what does not fit: "kind", "ground truth" or "not supported"; "crash" for an
            error that is no refusal.
        reason: the rule of the refusal in one sentence, "" for a cell that works.
        stage: how far the cell came: 0 the kind of task does not fit, 1 its ground truth, 2 the model, 3 works. Of
            the cells of several tasks one that came furthest is reported.
    """

    outcome: Outcome
    reason: str = ""
    stage: int = 2


class Trials:
    """Trials of cells on tiny runs, each of which is trained once.

    Args:
        registry: the members.
        folder: where the runs go.
    """

    def __init__(self, registry: Registry, folder: Path):
        self.registry, self.folder = registry, folder
        self.tracebacks: dict[Cell, str] = {}
        self._results: dict[tuple[str, ...], Result] = {}

    @functools.cached_property
    def analyses(self) -> list[str]:
        """All analyses, of a run and of a set of runs."""
        return [*self.registry.names("analysis"), *self.registry.names("set_analysis")]

    def subjects(self) -> Iterator[tuple[str, str, str]]:
        """Yield ("model" or "task", its name, analysis) for each cell of the two tables."""
        for subject in ASKED:
            for name in self.registry.names(subject):
                for analysis in self.analyses:
                    yield subject, name, analysis

    def candidates(self, subject: str, name: str, analysis: str) -> list[Cell]:
        """Return the cells of which the best outcome is reported: of a model all tasks that it reads, those first on
        which a trial is fastest; of a task its default model, or one that has what the analysis needs."""
        if subject == "task":
            pairs = [(name, self._model_for(name, analysis))]
        else:
            pairs = [(task, name) for task in sorted(self._tasks_for(name), key=lambda task: _position(task, analysis))]
        return [Cell(subject, analysis, *pair, _settings(analysis, *pair)) for pair in pairs]

    def find(self, subject: str, name: str, analysis: str) -> tuple[Cell, Result]:
        """Return the cell that is reported of a model or task and an analysis, and its outcome."""
        results = []
        for cell in self.candidates(subject, name, analysis):
            result = self.result(cell)
            results.append((cell, result))
            outcomes = [result.outcome for _, result in results]
            if {"works", "crash"} & set(outcomes) or outcomes.count("not supported") == TRIES:
                break
        return max(results, key=lambda pair: pair[1].stage)

    def find_refused(self, subject: str, name: str, analysis: str) -> tuple[Cell, Result] | None:
        """Return what `find` does where the needs of the analysis decide, without a run; None elsewhere."""
        results = []
        for cell in self.candidates(subject, name, analysis):
            if (result := self._unmet(cell)) is None:
                return None
            results.append((cell, result))
        return max(results, key=lambda pair: pair[1].stage)

    def result(self, cell: Cell) -> Result:
        """Return the outcome of a cell. An error of whatever kind is recorded, and counts as a defect."""
        key = (cell.analysis, *cell.pair)
        if key not in self._results:
            try:
                self._results[key] = self.refusal(cell) or self.attempt(cell)
            except Exception as error:
                self.tracebacks[cell] = traceback.format_exc()
                first = str(error).partition("\n")[0]
                self._results[key] = Result("crash", f"{type(error).__name__}: {first}", 3)
        return self._results[key]

    def refusal(self, cell: Cell) -> Result | None:
        """Return how the analysis refuses the task or model before training; None if it does not."""
        if (unmet := self._unmet(cell)) is not None:
            return unmet
        for name, needs in self._needs(cell.analysis):
            analysis = self._analysis(name)
            try:
                if not isinstance(analysis, SetAnalysis):
                    analysis.check_recipe(name, self.recipe(*cell.pair), f"analysis.{name}")
            except ConfigError as error:
                return Result(_of_model(error.must, needs, cell.model), error.must)
        return None

    def _unmet(self, cell: Cell) -> Result | None:
        """Return what the needs of the analysis refuse of the classes of task and model; None if nothing."""
        task = self.registry.shared_task(cell.task)
        model = self._class(cell.model)
        for name, needs in self._needs(cell.analysis):
            analysis, key = self._analysis(name), f"analysis.{name}"
            check = functools.partial(check_needs, needs) if isinstance(analysis, SetAnalysis) else analysis.check
            try:
                check(name, cell.task, task, key)
            except ConfigError as error:
                of_kind = needs.kind not in (None, task.spec.kind)
                return Result(*(("kind", error.must, 0) if of_kind else ("ground truth", error.must, 1)))
            try:
                check(name, cell.task, task, key, model)
            except ConfigError as error:
                return Result(_of_model(error.must, needs, cell.model, model), error.must)
        return None

    def attempt(self, cell: Cell) -> Result:
        """Ask the analysis of runs, which are trained if need be."""
        try:
            finding = self._finding(cell)
        except ConfigError as error:
            self.tracebacks[cell] = traceback.format_exc()
            return Result("not supported", error.must)
        wrong = [name for name, value in finding.scalars.items() if not math.isfinite(value)]
        wrong += [slug for slug, claim in finding.claims.items() if not math.isfinite(claim.value)]
        return Result("crash", f"not finite: {', '.join(wrong)}", 3) if wrong else Result("works", stage=3)

    def _finding(self, cell: Cell) -> Finding:
        from matplotlib import pyplot

        analysis = self._analysis(cell.analysis)
        rng = Streams(0).numpy("analysis", cell.analysis)
        with tempfile.TemporaryDirectory() as folder:
            out = Artifacts(Path(folder))
            if isinstance(analysis, SetAnalysis):
                runs = [load_run(path) for path in self._set_of_runs(cell, analysis)]
                analysis.check(cell.analysis, {sets.run_name(run.folder): stored_config(run.folder) for run in runs})
                for run in runs:
                    check_run(cell.analysis, analysis, run)
                finding = analysis.run(runs, out, rng)
            else:
                setup = self._setup(*cell.pair)
                check_analysis(analysis, cell.analysis, cell.task, setup.recipe, f"analysis.{cell.analysis}")
                finding = analysis.run(load_run(self._trained(setup)), out, rng)
            analysis.figures(out)
            pyplot.close("all")
        return finding

    def _set_of_runs(self, cell: Cell, analysis: SetAnalysis) -> list[Path]:
        """Return as many runs as the analysis needs, with the findings that it reads."""
        attached, folders = tuple(analysis.needs.analyses), []
        varied = [key for key in analysis.needs.varies if key != "seed"]
        for number in range(analysis.needs.runs):
            setup = self._setup(*cell.pair)
            more = [f"{key}={OmegaConf.select(OmegaConf.create(setup.values), key) + number}" for key in varied]
            settings = " ".join([cell.settings, *more]).strip()
            folders.append(self._trained(self._setup(cell.task, cell.model, settings, number, attached)))
        return folders

    def recipe(self, task: str, model: str, settings: str) -> Recipe:
        """Return the recipe of the runs of a pair."""
        return self._setup(task, model, settings).recipe

    @functools.lru_cache(maxsize=64)  # noqa: B019 (as long as the trials last)
    def _setup(self, task: str, model: str, settings: str, seed: int = 0, attached: tuple[str, ...] = ()) -> Setup:
        training = [f"trainer.max_steps={STEPS}", "trainer.steps_per_epoch=2", "trainer.eval_examples=60"]
        batch = OmegaConf.select(self._default(task), "trainer.batch_size")
        training += ["trainer.batch_size=16"] if batch is not None else []
        sizes = [*self._sizes("task", task), *self._sizes("model", model)]
        sizes += [word for name in attached for word in self._sizes("analysis", name)]
        chosen = [f"task={task}", f"model={model}", f"analysis=[{','.join(attached)}]", "trainer=smoke", "history=full"]
        root = self.folder / ("-".join(attached) or "plain")
        return self.registry.setup(
            *chosen, *training, *sizes, *settings.split(), f"seed={seed}", f"paths.root={root}", "optimizer.lr=1e-3"
        )

    def _trained(self, setup: Setup) -> Path:
        if not (setup.folder / "result.json").is_file():
            with patch.object(Artifacts, "save_figure"):  # figures are drawn, and not written, which takes longest
                execute(setup)
        return setup.folder

    @functools.cache  # noqa: B019
    def _default(self, task: str) -> Any:
        return self.registry.compose(f"task={task}", "analysis=[]")

    @functools.cache  # noqa: B019
    def _tiny(self, group: str, name: str) -> dict[str, Any]:
        """Return the sizes of a member that are smaller than those of its yaml."""
        given = self.registry.node(group, name)
        default = OmegaConf.to_container(
            self.registry.compose(f"{group}=[{name}]" if group == "analysis" else f"{group}={name}")[group]
        )
        default = default[name] if group == "analysis" else default
        shrunk = {key: value for key, value in given.items() if key in default and value != default[key]}
        shrunk = {key: value for key, value in shrunk.items() if not str(default[key]).startswith("${")}
        return {**shrunk, **TINY.get(f"{group}/{name}", {})}

    def _sizes(self, group: str, name: str) -> list[str]:
        key = self.registry.key(group, name)
        return [f"{key}.{word}={json.dumps(value)}" for word, value in self._tiny(group, name).items()]

    @functools.cache  # noqa: B019
    def _tasks_for(self, model: str) -> list[str]:
        return self.registry.tasks_for(model)

    @functools.cache  # noqa: B019
    def _class(self, model: str) -> type:
        return self.registry.prepared("model", model).target

    @functools.cache  # noqa: B019
    def _analysis(self, name: str) -> Any:
        return self.registry.prepared("analysis", name, **TINY.get(f"analysis/{name}", {}))()

    def _needs(self, analysis: str) -> list[tuple[str, Needs]]:
        """Return what an analysis needs, by name; one of a set also what the analyses need whose answers it reads."""
        needs = self._analysis(analysis).needs
        if not isinstance(self._analysis(analysis), SetAnalysis):
            return [(analysis, needs)]
        return [(analysis, needs.each), *((name, self._analysis(name).needs) for name in needs.analyses)]

    def _model_for(self, task: str, analysis: str) -> str:
        """Return the default model of a task, or the first that reads it and has what an analysis needs."""
        default = self._default(task).name.rpartition("-")[2]
        words = [word for _, needs in self._needs(analysis) for word in needs.model]
        names = [default, *self.registry.partners("model")]
        for name in names:
            if all(hasattr(self._class(name), word) for word in words) and task in self._tasks_for(name):
                return name
        return default


def _settings(analysis: str, task: str, model: str) -> str:
    """Return the overrides with which an analysis can be asked of a task and a model."""
    return " ".join(SETTINGS[analysis, name] for name in (task, model) if (analysis, name) in SETTINGS)


def _position(task: str, analysis: str) -> tuple[int, str]:
    """Return the place of a task among those on which an analysis is tried."""
    return (ASKED_FIRST.index(task) if task in ASKED_FIRST else len(ASKED_FIRST)), task


def _of_model(rule: str, needs: Needs, name: str, model: type | None = None) -> Outcome:
    """Return whether an analysis has no meaning for a model, or the model's way of computing is not supported."""
    lacking = [word for word in needs.model if model is not None and not hasattr(model, word)]
    if set(lacking) & {"clean"}:  # only a network that is built from an automaton was right before its training
        return "kind"
    if any(name in WITHOUT_MEANING.get(word, ()) for word in lacking):
        return "kind"
    return "kind" if any(words in rule for words in OF_ANOTHER_KIND) else "not supported"


def as_row(cell: Cell, result: Result) -> Sequence[str]:
    """Return the values of a row of the recorded matrix."""
    return [*astuple(cell), result.outcome, result.reason]
