"""Tiny runs, each of which is trained once."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from matrix_table.cell import Cell
from matrix_table.choice import Choice
from matrix_table.sizes import STEPS, TINY
from mechlab.core.recipe import Recipe
from mechlab.core.set_analysis import SetAnalysis
from mechlab.jobs.analyses import answer_folder
from mechlab.jobs.execute import execute
from mechlab.jobs.prepare import Setup
from mechlab.jobs.result import write_result
from mechlab.jobs.run_analysis import run_analysis
from mechlab.record import answers
from mechlab.record.run import Run


class TinyRuns:
    """Runs of few steps on small tasks with small models.

    Args:
        choice: the members that they are of.
        folder: where they go.
    """

    def __init__(self, choice: Choice, folder: Path):
        self.choice, self.registry, self.folder = choice, choice.registry, folder

    def recipe(self, task: str, model: str, settings: str) -> Recipe:
        """Return the recipe of the runs of a pair."""
        return self.setup(task, model, settings).recipe

    @functools.lru_cache(maxsize=64)  # noqa: B019 (as long as the trials last)
    def setup(self, task: str, model: str, settings: str, seed: int = 0, attached: tuple[str, ...] = ()) -> Setup:
        """Return a checked and built run, whose configuration names the attached analyses."""
        training = [f"trainer.max_steps={STEPS}", "trainer.steps_per_epoch=2", "trainer.eval_examples=64"]
        batch = OmegaConf.select(self.choice.default(task), "trainer.batch_size")
        training += ["trainer.batch_size=16"] if batch is not None else []
        sizes = [*self._sizes("task", task), *self._sizes("model", model)]
        sizes += [word for name in attached for word in self._sizes("analysis", name)]
        chosen = [f"task={task}", f"model={model}", f"analysis=[{','.join(attached)}]", "trainer=smoke", "history=full"]
        root = self.folder / ("-".join(attached) or "plain")
        return self.registry.setup(
            *chosen, *training, *sizes, *settings.split(), f"seed={seed}", f"paths.root={root}", "optimizer.lr=1e-3"
        )

    def trained(self, setup: Setup) -> Path:
        """Train a run, unless that was done, run its analyses without figures, and return its directory."""
        if not (setup.folder / "result.json").is_file():
            execute(replace(setup, analyses={}))
        run = Run(setup.folder, lambda: setup.recipe)
        for name, (prepared, analysis) in setup.analyses.items():
            folder = answer_folder(setup, name)
            if not (folder / answers.FINDING).is_file():
                run_analysis(name, analysis, run, prepared.identity(), folder, draws=False)
                write_result(setup)
        return setup.folder

    def trained_set(self, cell: Cell, analysis: SetAnalysis) -> list[Path]:
        """Return as many runs as the analysis needs, with the findings that it reads."""
        attached, folders = tuple(analysis.needs.analyses), []
        varied = [key for key in analysis.needs.varies if key != "seed"]
        for number in range(analysis.needs.runs):
            setup = self.setup(*cell.pair)
            more = [f"{key}={OmegaConf.select(OmegaConf.create(setup.values), key) + number}" for key in varied]
            settings = " ".join([cell.settings, *more]).strip()
            folders.append(self.trained(self.setup(cell.task, cell.model, settings, number, attached)))
        return folders

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
