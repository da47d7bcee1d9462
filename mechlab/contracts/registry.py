"""What the contract tests apply to: every yaml of the configuration, found by looking."""

from __future__ import annotations

import functools
import math
import re
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from mechlab.config.build import ALLOWED, Prepared, prepare, with_sample_files
from mechlab.config.choices import config_dir
from mechlab.config.identity import masked
from mechlab.config.launch import register, resolve
from mechlab.config.recipe import check_fit
from mechlab.core.analysis import Analysis, Needs, check_needs
from mechlab.core.constraints import hints_of
from mechlab.core.errors import ConfigError
from mechlab.core.model import SequenceModel, StaticModel
from mechlab.core.set_analysis import SetAnalysis
from mechlab.core.task import Task
from mechlab.jobs.prepare import Setup, prepare_run
from mechlab.record.run import Run

SMALL = {  # parameters that cost time, and noise, without which all seeds are alike
    "words": 1000,
    "val_words": 300,
    "test_words": 300,
    "hidden": 16,
    "states": 4,
    "memories": 16,
    "keys": 6,
    "values": 5,
    "width": 16,
    "n_init": 2,
    "noise": 0.1,
    "examples": 3,
    "subsets": 4,
    "fractions": [0.1],
    "leave_one_out": 2,
    "other_seeds": 0,
    "compared": ["tracin"],
    "resamples": 20,
    "retrainings": [4],
    "weightings": 2,
    "ceiling": 0,
    "points": 60,
    "dimensions": [2],
    "frames": 4,
    "tries": 1,
    "long_words": 100,
    "methods": ["k_means_8", "DBSCAN", "lr"],
}
PLAIN = ("gru", "mlp")  # models that are quick, and lack nothing
SECOND_NAMES = ("validation",)  # of members that are under test under their first name
BASES = {"task": Task, "model": (SequenceModel, StaticModel), "analysis": (Analysis, SetAnalysis)}
CONTEXT = {"task": 0, "model": 1, "analysis": 0}  # leading parameters that the framework fills in


class Registry:
    """The members of mechlab's configuration, and of further folders.

    Args:
        extra: further configuration folders. When there are some, only their members are under test; mechlab's own
            serve them as tasks and models. The packages that their `_target_`s name are trusted.
    """

    def __init__(self, extra: list[Path]):
        self.extra = extra
        self.folders = [config_dir(), *extra]
        self._files = Path(tempfile.mkdtemp(prefix="mechlab-"))  # in place of those that a user has
        weakref.finalize(self, shutil.rmtree, self._files, ignore_errors=True)
        texts = [path.read_text(encoding="utf-8") for folder in extra for path in folder.rglob("*.yaml")]
        packages = {name for text in texts for name in re.findall(r"_target_:\s*['\"]?(\w+)", text)}
        self.allow = sorted(packages - {prefix.split(".")[0] for prefix in ALLOWED})
        register(self.folders)

    def yamls(self) -> list[tuple[str, str]]:
        """Return (group, name) of everything under test, the callback that each analysis gives rise to among it."""
        found = [
            (path.parent.relative_to(folder).as_posix(), path.stem)
            for folder in self.extra or self.folders
            for path in sorted(folder.rglob("*.yaml"))
            if path.parent != folder
        ]
        return found + [("callbacks", name) for group, name in found if group == "analysis" and not self.is_set(name)]

    def names(self, group: str) -> list[str]:
        """Return the members of a group that are under test; those of "set_analysis" are of the group "analysis"."""
        if group in ("analysis", "set_analysis"):
            found = [name for found, name in self.yamls() if found == "analysis" and name not in SECOND_NAMES]
            return [name for name in found if self.is_set(name) == (group == "set_analysis")]
        return [name for found, name in self.yamls() if found == group]

    @functools.cache  # noqa: B019 (one registry for each session)
    def is_set(self, analysis: str) -> bool:
        """Return whether an analysis is one of sets of runs."""
        return issubclass(self.prepared("analysis", analysis).target, SetAnalysis)

    def partners(self, group: str) -> list[str]:
        """Return all members of a group, mechlab's own first."""
        return [path.stem for folder in self.folders for path in sorted(folder.glob(f"{group}/*.yaml"))]

    def compose(self, *overrides: str) -> DictConfig:
        """Compose the configuration of `mechlab.train` as the command line would, with small files in place of data
        that do not come with mechlab."""
        GlobalHydra.instance().clear()
        folders = ",".join(f"'file://{folder}'" for folder in self.extra)
        extra = [f"hydra.searchpath=[{folders}]", f"allow_targets=[{','.join(self.allow)}]"]
        with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
            cfg = hydra.compose("train", [*overrides, *extra], return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        with open_dict(cfg):
            del cfg["hydra"]
        task = OmegaConf.to_container(cfg.task)
        cfg.task.update(with_sample_files(task, "task", self._files, self.allow))
        return cfg

    def setup(self, *overrides: str) -> Setup:
        """Check and build what `mechlab.train` would train."""
        cfg = self.compose(*overrides)
        return prepare_run(resolve(cfg), masked(cfg))

    @functools.cache  # noqa: B019
    def node(self, group: str, name: str) -> dict[str, Any]:
        """Return the configuration of a task, model or analysis, small where it can be."""
        node = self._analyses()[name] if group == "analysis" else self.compose(f"{group}={name}")[group]
        values = OmegaConf.to_container(node, resolve=True)
        return values | {key: SMALL[key] for key in _shrunk(values)}

    @functools.cache  # noqa: B019
    def _analyses(self) -> DictConfig:
        """Compose all analyses at once: composing takes long."""
        return self.compose(f"analysis=[{','.join(self.partners('analysis'))}]").analysis

    def key(self, group: str, name: str) -> str:
        """Return the config key under which a member's parameters are."""
        return f"analysis.{name}" if group == "analysis" else group

    def prepared(self, group: str, name: str, /, **values: Any) -> Prepared:
        """Return a member's class with checked arguments, `values` in place of those of its yaml."""
        return prepare(self.node(group, name) | values, self.key(group, name), BASES[group], self.allow, CONTEXT[group])

    def small(self, group: str, name: str) -> list[str]:
        """Return the overrides that make a member small."""
        key = self.key(group, name)
        return [f"{key}.{word}={SMALL[word]}" for word in _shrunk(self.node(group, name))]

    @functools.cache  # noqa: B019
    def parameters(self, group: str, name: str) -> dict[str, Any]:
        """Return the hint of each parameter that the configuration may set."""
        target = self.prepared(group, name).target
        return dict(list(hints_of(target.__init__).items())[CONTEXT[group] :])

    def task(self, name: str) -> Task:
        """Build a task anew."""
        return self.prepared("task", name)()

    @functools.cache  # noqa: B019
    def shared_task(self, name: str) -> Task:
        """Build a task, or return the one that was built before."""
        return self.task(name)

    def analysis(self, name: str) -> Analysis | SetAnalysis:
        """Build an analysis anew."""
        return self.prepared("analysis", name)()

    def model_for(self, task: str, needed: tuple[str, ...] = ()) -> str:
        """Return the first model that has what is needed by attribute, and that reads what the task gives; where
        nothing is needed, whatever the task's ground truth."""
        partners = self.partners("model")
        for name in [*(name for name in PLAIN if name in partners), *partners]:
            target = self.prepared("model", name).target
            suits = all(hasattr(target, word) for word in needed) if needed else not target.ground_truth
            if suits and self.fits(name, task):
                return name
        raise LookupError(f"there is no model for {task}")

    def tasks_for(self, model: str) -> list[str]:
        """Return the tasks that the model can read and be constructed from."""
        return [name for name in self.partners("task") if self.fits(model, name)]

    def tasks_of_each_kind(self, model: str) -> list[str]:
        """Return the first task of each kind of input and loss that the model can read and be constructed from; of
        images the task with the smallest."""
        tasks: dict[tuple[Any, ...], str] = {}
        for name in sorted(self.tasks_for(model), key=self._pixels):
            tasks.setdefault((*self.inputs_of(name), type(self.shared_task(name).spec.loss)), name)
        return list(tasks.values())

    def inputs_of(self, task: str) -> tuple[str, bool, int]:
        """Return the kind of a task's inputs: kind of task, whether they are tokens, and number of their axes."""
        spec = self.shared_task(task).spec
        return spec.kind, spec.tokens, len(spec.shape)

    def _pixels(self, task: str) -> int:
        """Return the numbers in an image of a task; 0 for other inputs."""
        shape = self.shared_task(task).spec.shape
        return math.prod(shape) if len(shape) == 3 else 0

    @functools.cache  # noqa: B019
    def fits(self, model: str, task: str) -> bool:
        """Return whether the model accepts the task."""
        try:
            check_fit(self.prepared("model", model).target, self.shared_task(task), model)
        except ConfigError:
            return False
        return True

    def needs(self, analysis: str) -> list[Needs]:
        """Return what an analysis needs of a run; one of a set also what the analyses need whose answers it reads."""
        if not self.is_set(analysis):
            return [self.analysis(analysis).needs]
        needs = self.analysis(analysis).needs
        return [needs.each, *(self.analysis(name).needs for name in needs.analyses)]

    def attached(self, analysis: str) -> list[str]:
        """Return the analyses whose answers an analysis of a set reads, and itself."""
        return [*(self.analysis(analysis).needs.analyses if self.is_set(analysis) else ()), analysis]

    def task_of(self, analysis: str) -> str:
        """Return the first task for which the question makes sense."""
        needs = self.needs(analysis)
        for name in self.partners("task"):
            try:
                for needed in needs:
                    check_needs(needed, analysis, name, self.shared_task(name), self.key("analysis", analysis))
            except ConfigError:
                continue
            return name
        raise LookupError(f"there is no task of which {analysis} can be asked")

    def choices(self, group: str, name: str) -> list[str]:
        """Return the overrides that choose a member, with a task and model that go with it, all of them small."""
        task = {
            "task": lambda: name,
            "model": lambda: self.tasks_for(name)[0],
            "analysis": lambda: self.task_of(name),
            "callbacks": lambda: self.task_of(name) if name in self.partners("analysis") else None,
        }.get(group, lambda: None)()
        attached = self.attached(name) if group == "analysis" else []
        chosen = {"analysis": f"analysis=[{','.join(attached)}]", "callbacks": f"+callbacks={name}"}.get(
            group, f"{group}={name}"
        )
        if group == "size":  # of recurrent networks, by the task's automaton
            return ["task=automaton", "model=gru", chosen, *self.small("task", "automaton")]
        if task is None:
            return [chosen]
        asked = group in ("analysis", "callbacks") and name in self.partners("analysis")
        needed = tuple(word for needs in self.needs(name) for word in needs.model) if asked else ()
        model = name if group == "model" else self.model_for(task, needed)
        small = [*self.small("task", task), *self.small("model", model)]
        return list(dict.fromkeys([f"task={task}", f"model={model}", chosen, *small]))

    def trained(self, root: Path, analysis: str) -> Run:
        """Train the task of an analysis for a moment, as the command line would, and return the run."""
        from mechlab.config.recipe import load_run
        from mechlab.jobs.execute import execute

        sizes = [
            "trainer=smoke",
            "trainer.max_steps=20",
            "trainer.steps_per_epoch=10",
            *self.small("analysis", analysis),
            f"paths.root={root}",
        ]
        setup = self.setup(*self.choices("analysis", analysis), *sizes)
        execute(setup)
        return load_run(setup.folder, allow_targets=self.allow)

    def trained_set(self, root: Path, analysis: str, runs: int) -> list[Path]:
        """Train runs that an analysis of a set may be asked of, a few steps each, and return their directories.

        They differ in the seed, and in the whole numbers that must vary."""
        from mechlab.jobs.execute import execute

        needs = self.analysis(analysis).needs
        small = [word for name in needs.analyses for word in self.small("analysis", name)]
        steps = ["trainer=smoke", "trainer.max_steps=4", "trainer.steps_per_epoch=2"]
        common = [*self.choices("analysis", analysis), *steps, *small, f"paths.root={root}"]
        first = self.compose(*common)
        folders = []
        for number in range(runs):
            varied = [f"{key}={OmegaConf.select(first, key) + number}" for key in needs.varies if key != "seed"]
            setup = self.setup(*common, f"seed={number}", *varied)
            execute(setup)
            folders.append(setup.folder)
        return folders


def _shrunk(values: dict[str, Any]) -> list[str]:
    """Return the parameters that are made small: those of these names that hold a list where, and only where, the small
    value is one."""
    return [key for key in values if key in SMALL and isinstance(values[key], list) == isinstance(SMALL[key], list)]
