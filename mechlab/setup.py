"""A run about to be made: everything that its configuration names, checked and built before any compute."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from mechlab.config.build import Prepared, prepare, without_files
from mechlab.config.configured import configured_parameters
from mechlab.config.identity import run_id
from mechlab.config.provenance import Origin, code_state, mend_provenance, write_provenance
from mechlab.config.recipe import initial_digest, make_recipe
from mechlab.config.schema import Expected, TrainConfig, typed
from mechlab.core import answers
from mechlab.core.analysis import Analysis
from mechlab.core.ask import answered, ask
from mechlab.core.claim import read_status
from mechlab.core.device import set_up_device
from mechlab.core.digests import METRICS, check_file, provenance_damages, read_digests, write_digests
from mechlab.core.errors import ConfigError, MechlabError, did_you_mean
from mechlab.core.files import remove_temporaries, write_json
from mechlab.core.history import LEVELS
from mechlab.core.memory import check_recipe
from mechlab.core.recipe import Recipe
from mechlab.core.result import read_result
from mechlab.core.run import Run
from mechlab.core.sources import defining
from mechlab.core.task import SPLITS
from mechlab.training.recorder import Recorder, check_size

if TYPE_CHECKING:
    from pytorch_lightning.callbacks import Callback
    from pytorch_lightning.loggers import Logger

    from mechlab.training.fit import FitSettings, Fitted


class Setup:
    """Checks and builds what a configuration names.

    Args:
        values: the configuration as plain data, interpolations resolved.
        cfg: the same as Hydra composed it, for the run's identity; None when `identity` is known.
        identity: the run's identity.
        origin: where the run comes from; this program's command line and code by default.

    Attributes:
        run_id: the run's identity.
        folder: the run directory.
        announcement: the size of the history to come, and what a constant guess scores.

    Raises:
        ConfigError: something is wrong or does not fit together; nothing has been written.
    """

    def __init__(
        self,
        values: dict[str, Any],
        cfg: DictConfig | None = None,
        identity: str | None = None,
        origin: Origin | None = None,
    ):
        import torch

        self.config = config = typed(TrainConfig, values)
        config.task = without_files(config.task, "task", config.allow_targets)
        self.values, self.origin = {**values, "task": config.task}, origin
        expected = {name: typed(Expected, node, f"expected.{name}.") for name, node in config.expected.items()}
        self.expected = {name: entry for name, entry in expected.items() if entry.number is not None}
        if not re.fullmatch(r"[\w.+-]*\w", config.name):
            raise ConfigError("name must be letters, digits and -_.+ only: it is a folder", got=config.name, key="name")
        torch.set_num_threads(config.trainer.threads)
        set_up_device(config.trainer.accelerator)
        _check_time(config.trainer.max_time)
        self.recipe = make_recipe(config)
        check_recipe(self.recipe)
        model = self.recipe.model()
        self._task_name = config.name.rpartition("-")[0]
        self.analyses = prepare_analyses(config.analysis, config.allow_targets, self._task_name, self.recipe)
        self.callbacks = self._callbacks()
        self.loggers = self._loggers()
        self._check_objective(model)
        kind = self._history_kind()
        changing = [name for name, callback in self.callbacks.items() if not asks(callback)]
        self.run_id = identity or run_id(cfg, kind, initial_digest(config.init_from), changing)
        self.folder = Path(config.paths.root) / config.name / f"{self.run_id}-s{config.seed}"
        self.recorder = Recorder(
            self.folder / "history", kind, self.recipe, config.history.points, config.history.every
        )
        size = check_size(self.recorder, config.history.limit_gb)
        guess = f"a constant guess has accuracy {self.recipe.task.chance():.3g}"
        self.announcement = guess if size is None else f"{size}; {guess}"

    def fit_settings(self) -> FitSettings:
        """Return how to fit, as the trainer's configuration says."""
        from mechlab.training.fit import FitSettings

        trainer = self.config.trainer
        names = FitSettings.__dataclass_fields__
        return FitSettings(**{name: getattr(trainer, name) for name in names})

    def write_provenance(self) -> None:
        """Record what the run is made of and where."""
        origin = self._origin()
        if is_begun(self.folder):
            mend_provenance(self.folder, self.values, origin, self.defining())
        write_provenance(self.folder, self.values, origin, is_begun(self.folder), self.defining())

    def _origin(self) -> Origin:
        if self.origin is not None:
            return self.origin
        overrides = list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []
        return Origin(overrides, *code_state([Path(self.config.paths.root)]))

    def defining(self) -> list[Any]:
        """Return what defines the result: the classes of the recipe, and of what may change or end training, and the
        names of the allowed packages, which these may refer to."""
        found = [*defining(self.recipe), *(type(item) for item in self.callbacks.values() if not asks(item))]
        found += self.config.allow_targets
        if self.config.trainer.stop_at is not None:
            from mechlab.training.callbacks import StopWhenLearned

            found.append(StopWhenLearned)
        return found

    def answer_missing(self) -> None:
        """Ask the analyses whose answers the run does not hold yet."""
        run = Run(self.folder, lambda: self.recipe)
        for name, (prepared, analysis) in self.analyses.items():
            identity, configured = prepared.identity(), self._configured(name)
            folder = answers.place(self.folder, name, identity, configured, None)
            if not answered(folder, analysis, identity):
                print(f"asking {folder.name}", flush=True)
                ask(name, analysis, run, identity, folder, differs=answers.differences(identity, configured, None))

    def _configured(self, name: str) -> dict[str, Any]:
        return configured_parameters(self.folder, name, self.analyses[name][0], self.config.allow_targets)

    def restore(self) -> None:
        """Restore what is missing or damaged in the record of the finished run, as far as the rest of it allows."""
        from mechlab.training.mend import restore

        remove_temporaries(self.folder)
        if provenance_damages(self.folder):
            mend_provenance(self.folder, self.values, self._origin(), self.defining())
        device = "cuda" if self.config.trainer.accelerator == "gpu" else "cpu"
        restore(Run(self.folder, lambda: self.recipe), self.recorder, device, self.config.trainer.threads)

    def finish(self, fitted: Fitted) -> None:
        """Write result.json, what TensorBoard shows of the finished run, and the digests of its files."""
        from mechlab.core.analysis import Artifacts

        findings = self.write_result({**fitted.metrics, "steps": fitted.steps})["findings"]
        for name, (prepared, analysis) in self.analyses.items():
            callback = self.callbacks.get(name)
            asked = hasattr(callback, "asks_at_end") and callback.asks_at_end(fitted.steps)
            if not asked:  # a callback of the same name has logged the end of training already
                folder = answers.place(self.folder, name, prepared.identity(), self._configured(name), None)
                fitted.log(folder.name, findings[folder.name]["scalars"], analysis.figures(Artifacts(folder)))
        fitted.log_hyperparameters({"name": self.config.name, "seed": self.config.seed, **self._hyperparameters()})
        write_digests(self.folder, fitted.steps, fitted.seconds)

    def _hyperparameters(self) -> dict[str, Any]:
        sections = {name: self.values[name] for name in ("task", "model", "optimizer", "trainer")}
        return {
            f"{section}.{key}": value if isinstance(value, bool | int | float | str) else str(value)
            for section, values in sections.items()
            for key, value in values.items()
            if key != "_target_"
        }

    def write_result(self, metrics: dict[str, float] | None = None) -> dict[str, Any]:
        """Bring result.json up to date with the answers that the run holds, and return its content.

        Args:
            metrics: the final metrics; by default those of the result that is there, or else of metrics.csv.
        """
        path = self.folder / "result.json"
        if metrics is None:
            metrics = self._recorded_metrics()
        damaged: list[MechlabError] = []
        read = answers.read_findings(self.folder, damaged)
        for error in damaged:
            print(f"warning: left out of the result: {error.must}: {error.key}")
        findings = {name: answers.summary(finding) for name, finding in read.items()}
        result = {
            "run": str(self.folder),
            "status": "done",
            "seed": self.config.seed,
            "metrics": metrics,
            "findings": findings,
        }
        if self.expected:
            result["expected"] = compare(self.expected, metrics, findings)
        if self._readable_result() != result:
            write_json(path, result)
        return result

    def _recorded_metrics(self) -> dict[str, float]:
        """Return the final metrics as result.json holds them; if it is missing or damaged, as metrics.csv does."""
        from mechlab.training.metrics_csv import final_metrics

        if (result := self._readable_result()) is not None:
            return result["metrics"]
        print("warning: result.json is missing or damaged; it is written again from metrics.csv")
        check_file(self.folder, METRICS)
        recorded = read_digests(self.folder) or {"steps": read_status(self.folder).get("step")}
        return {**final_metrics(self.folder / METRICS), "steps": recorded["steps"]}

    def _readable_result(self) -> dict[str, Any] | None:
        try:
            return read_result(self.folder)
        except MechlabError:
            return None

    def _callbacks(self) -> dict[str, Callback]:
        if not self.config.callbacks:
            return {}
        from pytorch_lightning.callbacks import Callback

        from mechlab.training.callbacks import AnalysisCallback

        callbacks = {}
        for name, node in self.config.callbacks.items():
            key = f"callbacks.{name}"
            callback = prepare(node, key, Callback, self.config.allow_targets)()
            if isinstance(callback, AnalysisCallback):
                check_analysis(callback.analysis, name, self._task_name, self.recipe, key)
            callbacks[name] = callback
        return callbacks

    def _loggers(self) -> list[Logger]:
        if not self.config.loggers:
            return []
        from pytorch_lightning.loggers import Logger

        loggers = []
        for name, node in self.config.loggers.items():
            loggers.append(prepare(node, f"loggers.{name}", Logger, self.config.allow_targets)())
        return loggers

    def _history_kind(self) -> str:
        """Return the least recording that the configuration and all attached analyses ask for."""
        attached = [analysis for _, analysis in self.analyses.values()]
        attached += [callback.analysis for callback in self.callbacks.values() if asks(callback)]
        asked = [self.config.history.kind, *(analysis.needs.history for analysis in attached)]
        return max(asked, key=LEVELS.index)

    def _check_objective(self, model: Any) -> None:
        """Raise ConfigError unless the objective names a metric that the run will have."""
        import torch

        from mechlab.core.model import outputs_of

        batch = self.recipe.source().evaluation("val", 2)
        with torch.no_grad():
            scores = self.recipe.task.score(outputs_of(model, batch.inputs), batch)
        names = {f"{split}/{name}" for split in SPLITS for name in ("loss", *scores)}
        if self.config.trainer.stop_at is not None and "val/accuracy" not in names:
            must = "trainer.stop_at needs a task that scores accuracy"
            raise ConfigError(
                must, got=f"scores: {', '.join(scores)}", key="trainer.stop_at", fix="trainer.stop_at=null"
            )
        objective = self.config.objective
        if objective not in names and objective.partition("/")[0] not in self.analyses:
            fix = did_you_mean(objective, names)
            raise ConfigError("objective must be a metric of the run", got=objective, key="objective", fix=fix)


def compare(
    expected: Mapping[str, Expected], metrics: Mapping[str, float], findings: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return expected numbers beside the measured ones, with the deviation and whether it is within the tolerance.

    A number that was not measured has neither deviation nor verdict.
    """
    scalars = {f"{name}/{key}": value for name, found in findings.items() for key, value in found["scalars"].items()}
    found = {}
    for name, number in expected.items():
        target = number.number
        measured = {**metrics, **scalars}.get(name)
        deviation = None if measured is None or target is None else measured - target
        within = None if deviation is None else abs(deviation) <= number.tolerance
        found[name] = {**asdict(number), "measured": measured, "deviation": deviation, "within": within}
    return found


def prepare_analyses(
    nodes: Mapping[str, Any], allow: Sequence[str], task_name: str, recipe: Recipe
) -> dict[str, tuple[Prepared, Analysis]]:
    """Build analyses by name and check that their questions make sense for task and model."""
    analyses = {}
    for name, node in nodes.items():
        prepared = prepare(node, f"analysis.{name}", Analysis, allow)
        analysis = prepared()
        check_analysis(analysis, name, task_name, recipe, f"analysis.{name}")
        analyses[name] = (prepared, analysis)
    return analyses


def check_analysis(analysis: Analysis, name: str, task_name: str, recipe: Recipe, key: str) -> None:
    """Raise ConfigError, before any compute, if an analysis cannot be asked of what a recipe trains."""
    analysis.check(name, task_name, recipe.task, key, model_class(recipe))
    analysis.check_recipe(name, recipe, key)


def model_class(recipe: Recipe) -> type | None:
    """Return the class of a recipe's models, or None where what makes them does not tell."""
    return getattr(recipe.make_model, "target", None)


def asks(callback: Callback) -> bool:
    """Return whether a callback asks an analysis, which leaves training as it is."""
    from mechlab.training.callbacks import AnalysisCallback

    return isinstance(callback, AnalysisCallback)


def is_begun(folder: Path) -> bool:
    """Return whether there is a checkpoint to go on from."""
    return any(folder.glob("checkpoints/*.ckpt"))


def _check_time(max_time: str | None) -> None:
    if max_time is not None and not re.fullmatch(r"\d{1,6}:\d\d:\d\d:\d\d", max_time):
        must, fix = "trainer.max_time must be DD:HH:MM:SS", "trainer.max_time=00:01:30:00 for 90 minutes"
        raise ConfigError(must, got=repr(max_time), key="trainer.max_time", fix=fix)
