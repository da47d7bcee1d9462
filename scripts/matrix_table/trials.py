"""Trials of analyses: each is run on tiny trained networks of every model, and of every task."""

from __future__ import annotations

import math
import tempfile
import traceback
from pathlib import Path

from matrix_table.cell import Cell, Result
from matrix_table.choice import Choice
from matrix_table.refusal import of_model, unmet
from matrix_table.runs import TinyRuns
from mechlab.config.recipe import load_run, stored_config
from mechlab.contracts.registry import Registry
from mechlab.core.analysis import Finding
from mechlab.core.errors import ConfigError
from mechlab.core.seeding import Streams
from mechlab.core.set_analysis import SetAnalysis
from mechlab.jobs.analyses import check_analysis
from mechlab.jobs.sets import check_run
from mechlab.record import sets
from mechlab.record.artifacts import Artifacts

TRIES = 2  # trained tasks, at most, on which a model is not supported, before it is reported so


class Trials:
    """Trials of cells on tiny runs, each of which is trained once.

    Args:
        registry: the members.
        folder: where the runs go.
    """

    def __init__(self, registry: Registry, folder: Path):
        self.folder = folder
        self.choice = Choice(registry)
        self.runs = TinyRuns(self.choice, folder)
        self.tracebacks: dict[Cell, str] = {}
        self._results: dict[tuple[str, ...], Result] = {}

    def find(self, subject: str, name: str, analysis: str) -> tuple[Cell, Result]:
        """Return the cell that is reported of a model or task and an analysis, and its outcome. A refusal before
        training is reported if no task of the model is accepted."""
        results, trained = [], 0
        for cell in self.choice.candidates(subject, name, analysis):
            result = self.result(cell)
            results.append((cell, result))
            trained += result.trained
            if result.outcome in ("works", "crash") or trained == TRIES:
                break
        return max(results, key=lambda pair: pair[1].stage)

    def find_refused(self, subject: str, name: str, analysis: str) -> tuple[Cell, Result] | None:
        """Return what `find` does where the needs of the analysis decide, without a run; None elsewhere."""
        results = []
        for cell in self.choice.candidates(subject, name, analysis):
            if (result := unmet(self.choice, cell)) is None:
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
        if (refused := unmet(self.choice, cell)) is not None:
            return refused
        for name, needs in self.choice.needs(cell.analysis):
            analysis = self.choice.analysis(name)
            try:
                if not isinstance(analysis, SetAnalysis):
                    analysis.check_recipe(name, self.runs.recipe(*cell.pair), f"analysis.{name}")
            except ConfigError as error:
                return Result(of_model(error.must, needs, cell.model), error.must)
        return None

    def attempt(self, cell: Cell) -> Result:
        """Run the analysis on runs, which are trained if need be."""
        try:
            finding = self._finding(cell)
        except ConfigError as error:
            self.tracebacks[cell] = traceback.format_exc()
            return Result("not supported", error.must, trained=True)
        wrong = [name for name, value in finding.scalars.items() if not math.isfinite(value)]
        wrong += [slug for slug, claim in finding.claims.items() if not math.isfinite(claim.value)]
        return Result("crash", f"not finite: {', '.join(wrong)}", 3) if wrong else Result("works", stage=3)

    def _finding(self, cell: Cell) -> Finding:
        from matplotlib import pyplot

        analysis = self.choice.analysis(cell.analysis)
        rng = Streams(0).numpy("analysis", cell.analysis)
        with tempfile.TemporaryDirectory() as folder:
            out = Artifacts(Path(folder))
            if isinstance(analysis, SetAnalysis):
                runs = [load_run(path) for path in self.runs.trained_set(cell, analysis)]
                analysis.check(cell.analysis, {sets.run_name(run.folder): stored_config(run.folder) for run in runs})
                for run in runs:
                    check_run(cell.analysis, analysis, run)
                finding = analysis.run(runs, out, rng)
            else:
                setup = self.runs.setup(*cell.pair)
                check_analysis(analysis, cell.analysis, cell.task, setup.recipe, f"analysis.{cell.analysis}")
                finding = analysis.run(load_run(self.runs.trained(setup)), out, rng)
            analysis.figures(out)
            pyplot.close("all")
        return finding
