"""Creation of a run directory from a network that was trained elsewhere."""

from __future__ import annotations

import contextlib
import hashlib
import re
import shlex
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mechlab.adopting.adopted_network import DATA, AdoptedNetwork, TrainingRecord
from mechlab.adopting.class_order import ClassMatch, match_classes
from mechlab.adopting.history_writer import ReplayErrors, write_history
from mechlab.config.build import in_folder, prepare
from mechlab.config.identity import identity
from mechlab.config.provenance import Origin, code_state, write_provenance
from mechlab.config.recipe import load_run, make_recipe
from mechlab.config.schema import TrainConfig, defaults, typed
from mechlab.core.errors import ConfigError, RunError
from mechlab.core.evaluation import evaluate
from mechlab.core.finite import check_loss
from mechlab.core.model import SequenceModel, StaticModel
from mechlab.core.recipe import Recipe
from mechlab.core.task import FiniteTask, Task
from mechlab.jobs import console
from mechlab.record import answers
from mechlab.record.digests import write_digests
from mechlab.record.files import write_json, write_text, writing
from mechlab.record.lock import Held, RunLock
from mechlab.record.run import Run
from mechlab.record.sources import defining
from mechlab.record.status import read_status
from mechlab.record.tensors import save_tensors

OPTIMIZER = {"_target_": "torch.optim.Adam", "lr": 1e-3}  # a recipe must have one; it is not used
SEED = 0
WORSE = 0.2  # tolerated deficit of the given order of classes against the best one, before a warning


class Adoption:
    """A network trained elsewhere, with the task and model of its run, and outputs in the order of the task's classes.

    Args:
        adopted: the network.
        format: the format's name.
        words: the arguments of the command line `python -m mechlab.adopt`.
        root: the folder that holds all runs.
        name: the folder of the run directory; `<task>-<model>` by default.

    Attributes:
        folder: the run directory; its name is a hash of task, model and weights (of all steps, if training was
            recorded), independent of the files' names.
        matched: the match of outputs and classes; None where outputs are not classes.

    Raises:
        ConfigError: network and task do not match; nothing is written.
    """

    def __init__(self, adopted: AdoptedNetwork, format: str, words: Sequence[str], root: Path, name: str | None = None):
        self.adopted, self.format, self.words = adopted, format, list(words)
        self.values = _configuration(adopted, root, name or adopted.name)
        self.recipe = self._recipe()
        self.weights = dict(adopted.weights)
        self.matched = self._match() if adopted.outputs else None
        digest = _digest(self.weights) if adopted.training is None else adopted.training.digest
        self.run_id = identity(self.values, self.values["history"]["kind"], digest)
        self.folder = root / self.values["name"] / f"{self.run_id}-s{SEED}"

    def write(self) -> Run:
        """Write the run directory unless it exists, print its metrics, and return the run."""
        for note in self.adopted.notes:
            print(f"note: {note}")
        try:
            with RunLock(self.folder) as lock, writing(self.folder):
                if _is_done(self.folder):
                    print(f"adopted already, left unchanged: {self.folder}")
                else:
                    self._fill(lock)
        except Held as held:
            print(held)
        run = load_run(self.folder)
        console.print_metrics(run.results["metrics"])
        print(f"next:\n  ask    python -m mechlab.analyze run={self.folder} analysis=NAME")
        print(f"  show   python -m mechlab.runs show {self.folder}")
        return run

    def _recipe(self) -> Recipe:
        """Return the recipe; the files of the run directory that it reads are in a temporary folder meanwhile."""
        config = typed(TrainConfig, self.values)
        torch.set_num_threads(config.trainer.threads)
        with tempfile.TemporaryDirectory() as temporary:
            self._write_data(Path(temporary))
            config.task = in_folder(config.task, "task", temporary)
            return make_recipe(config)

    def _write_data(self, folder: Path) -> None:
        """Write the task's data file in the run directory, if there is one."""
        if self.adopted.data:
            save_tensors(folder / DATA, self.adopted.data)

    def _match(self) -> ClassMatch:
        spec = self.recipe.task.spec
        match = match_classes(self._model(), self.recipe.source().evaluation("val"), spec)
        if self.adopted.infer:
            print(
                f"classes: {match}" + ("" if match.as_given else "; the outputs are put into the order of the classes")
            )
            if not match.clear:
                print("warning: the order of the classes is ambiguous: another one fits nearly as well")
            self.weights |= {name: self.weights[name][match.rows] for name in self.adopted.outputs}
        elif match.clear and match.fit - match.given > WORSE:
            print(f"warning: the given order of the classes fits {match.given:.4f}; try classes=infer, since {match}")
        return match

    def _model(self) -> nn.Module:
        return self.recipe.model(self.weights).eval()

    def _fill(self, lock: RunLock) -> None:
        started = time.monotonic()
        lock.status("running")
        try:
            command = shlex.join(["python", "-m", "mechlab.adopt", *self.words])
            origin = Origin(None, *code_state([self.folder.parents[1]]), command=command)
            write_provenance(self.folder, self.values, origin, defining=defining(self.recipe))
            self._write_data(self.folder)
            replayed = self._write_history()
            write_json(self.folder / "provenance" / "adoption.json", self._record(replayed))
            save_tensors(self.folder / "checkpoints" / "weights.safetensors", self.weights, {"step": self._steps})
            self._write_metrics(self._measured(), [] if replayed is None else replayed.metrics)
        except BaseException as error:
            with contextlib.suppress(OSError, RunError):  # a status that cannot be written must not hide the reason
                lock.status("failed", reason=str(error) or type(error).__name__, traceback=traceback.format_exc())
            raise
        seconds = time.monotonic() - started
        write_digests(self.folder, self._steps, seconds)
        lock.status("done", step=self._steps, seconds=seconds)

    @property
    def _steps(self) -> int:
        """The number of recorded optimiser steps."""
        return 0 if self.adopted.training is None else len(self.adopted.training.rates)

    def _write_history(self) -> ReplayErrors | None:
        """Write the history, if training was recorded, and print its discrepancies."""
        if self.adopted.training is None:
            return None
        replayed = write_history(self.folder / "history", self.recipe, self.adopted.training)
        size = sum(path.stat().st_size for path in (self.folder / "history").iterdir())
        print(f"history: full, {self._steps} steps, {size / 1e6:.1f} MB; {replayed}")
        for warning in replayed.warnings():
            print(f"warning: {warning}")
        return replayed

    def _write_metrics(self, metrics: dict[str, float], training: Sequence[Mapping[str, float]]) -> None:
        """Write the final metrics, and those of the batch of each recorded step."""
        rows = [{"step": step, **row} for step, row in enumerate([*training, metrics])]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        lines = [",".join(repr(row[name]) if name in row else "" for name in columns) for row in rows]
        write_text(self.folder / "metrics.csv", "\n".join([",".join(columns), *lines, ""]))
        findings = {name: answers.summary(finding) for name, finding in answers.read_findings(self.folder).items()}
        result = {"run": str(self.folder), "status": "done", "seed": SEED, "metrics": {**metrics, "steps": self._steps}}
        write_json(self.folder / "result.json", {**result, "findings": findings})

    def _measured(self) -> dict[str, float]:
        """Return the metrics of the held-out splits, e.g. `test/accuracy`, as means over their examples."""
        model, metrics = self._model(), {}
        for split in ("val", "test"):
            batch = self.recipe.source().evaluation(split)
            means = evaluate(model, self.recipe.task, batch)
            metrics |= {f"{split}/{name}": value for name, value in means.items()}
            check_loss(metrics[f"{split}/loss"], split, self._steps, model, lambda batch=batch: batch)
        return metrics

    def _record(self, replayed: ReplayErrors | None) -> dict[str, Any]:
        """Return the origin of the weights, the order of inputs and outputs, and a summary of the replay errors."""
        spec = self.recipe.task.spec
        requested = "infer" if self.adopted.infer else "given"
        return {
            "format": self.format,
            "options": self.words,
            "files": {role: _file(path) for role, path in self.adopted.files.items()},
            "alphabet": list(spec.vocabulary),
            "classes": list(spec.classes),
            "class_order": None if self.matched is None else {"asked": requested, **self.matched.as_dict()},
            "replay": None if replayed is None else replayed.as_dict(),
            "notes": list(self.adopted.notes),
        }


def _configuration(adopted: AdoptedNetwork, root: Path, name: str) -> dict[str, Any]:
    """Return the configuration that a run trained by mechlab would have."""
    if not re.fullmatch(r"[\w.+-]*\w", name):
        raise ConfigError("name must be letters, digits and -_.+ only: it is a folder", got=name, key="name")
    values = defaults(TrainConfig)
    double = any(weight.dtype == torch.float64 for weight in adopted.weights.values())
    task = prepare(dict(adopted.task), "task", Task)
    epochs = {} if issubclass(task.target, FiniteTask) else {"steps_per_epoch": 1}  # endless data need a number
    configuration = {
        **values,
        "name": name,
        "seed": SEED,
        "paths": {"root": str(root)},
        "trainer": {**values["trainer"], "max_steps": 1, **epochs, "precision": 64 if double else 32},
        "history": {**values["history"], "kind": "none"},
        "task": task.identity(),
        "model": prepare(dict(adopted.model), "model", (SequenceModel, StaticModel), context=1).identity(),
        "optimizer": dict(OPTIMIZER),
    }
    return configuration if adopted.training is None else configuration | _trained(adopted.training, configuration)


def _trained(training: TrainingRecord, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of the configuration that describe the training."""
    steps = {"max_steps": len(training.rates), "batch_size": training.batch_size}
    return {
        "trainer": {**values["trainer"], **steps},
        "history": {**values["history"], "kind": "full"},
        "optimizer": prepare(dict(training.optimizer), "optimizer", torch.optim.Optimizer, context=1).identity(),
        "schedule": {**values["schedule"], **training.schedule},
    }


def _is_done(folder: Path) -> bool:
    parts = ("result.json", "provenance/config.yaml", "checkpoints/weights.safetensors")
    return read_status(folder)["status"] == "done" and all((folder / part).is_file() for part in parts)


def _digest(weights: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, weight in sorted(weights.items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)};".encode())
        digest.update(weight.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _file(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        return {"path": str(path.resolve()), "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
