"""A run about to be made out of somebody else's weights: checked, put into order, and written as training would."""

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

from mechlab.adopting.adopted import Adopted, Training
from mechlab.adopting.adopted_history import Replayed, write_history
from mechlab.adopting.class_order import Matched, match_classes
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
from mechlab.core.task import Task
from mechlab.jobs import console
from mechlab.record import answers
from mechlab.record.digests import write_digests
from mechlab.record.files import write_json, write_text, writing
from mechlab.record.lock import Held, RunLock
from mechlab.record.run import Run
from mechlab.record.sources import defining
from mechlab.record.status import read_status
from mechlab.record.tensors import save_tensors

OPTIMIZER = {"_target_": "torch.optim.Adam", "lr": 1e-3}  # a recipe has one; nothing is trained with it
SEED = 0
WORSE = 0.2  # by which the given order of classes may fit worse than another one before it is told


class Adoption:
    """Builds task and model, and puts the output classes into the order of the task.

    Args:
        adopted: what a format's reader handed over.
        format: the format's name.
        words: the command line that adopts it, as words after `python -m mechlab.adopt`.
        root: the folder that holds all runs.
        name: the folder of the run's siblings; `<task>-<model>` by default.

    Attributes:
        folder: the run directory; its name hashes task, model and weights (all of them, if training was recorded),
            whatever files they came from.
        matched: how the outputs match the classes; None where outputs are no classes.

    Raises:
        ConfigError: something does not fit together; nothing has been written.
    """

    def __init__(self, adopted: Adopted, format: str, words: Sequence[str], root: Path, name: str | None = None):
        self.adopted, self.format, self.words = adopted, format, list(words)
        self.values = _configuration(adopted, root, name or adopted.name)
        self.recipe = self._recipe()
        self.weights = dict(adopted.weights)
        self.matched = self._match() if adopted.outputs else None
        digest = _digest(self.weights) if adopted.training is None else adopted.training.digest
        self.run_id = identity(self.values, self.values["history"]["kind"], digest)
        self.folder = root / self.values["name"] / f"{self.run_id}-s{SEED}"

    def write(self) -> Run:
        """Write the run directory, or find that it is there already; tell what was found, and open it."""
        for note in self.adopted.notes:
            print(f"note: {note}")
        try:
            with RunLock(self.folder) as lock, writing(self.folder):
                if _is_done(self.folder):
                    print(f"adopted already, so it is left as it is: {self.folder}")
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
        """Build the recipe; what will lie in the run directory lies elsewhere for as long as that takes."""
        config = typed(TrainConfig, self.values)
        torch.set_num_threads(config.trainer.threads)
        with tempfile.TemporaryDirectory() as aside:
            self._write_data(Path(aside))
            config.task = in_folder(config.task, "task", aside)
            return make_recipe(config)

    def _write_data(self, folder: Path) -> None:
        """Write the file that the task reads in the run directory, if there is one."""
        if self.adopted.training is not None:
            name, tensors = self.adopted.training.data
            save_tensors(folder / name, tensors)

    def _match(self) -> Matched:
        spec = self.recipe.task.spec
        found = match_classes(self._model(), self.recipe.source().evaluation("val"), spec)
        if self.adopted.infer:
            print(
                f"classes: {found}" + ("" if found.as_given else "; the outputs are put into the order of the classes")
            )
            if not found.clear:
                print("warning: the order of the classes is ambiguous: another one fits nearly as well")
            self.weights |= {name: self.weights[name][found.rows] for name in self.adopted.outputs}
        elif found.clear and found.fit - found.given > WORSE:
            print(f"warning: the given order of the classes fits {found.given:.4f}; try classes=infer, since {found}")
        return found

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
        """The recorded optimiser steps."""
        return 0 if self.adopted.training is None else len(self.adopted.training.rates)

    def _write_history(self) -> Replayed | None:
        """Write the history, if training was recorded, and tell what does not fit in it."""
        if self.adopted.training is None:
            return None
        replayed = write_history(self.folder / "history", self.recipe, self.adopted.training)
        size = sum(path.stat().st_size for path in (self.folder / "history").iterdir())
        print(f"history: full, {self._steps} steps, {size / 1e6:.1f} MB; {replayed}")
        for warning in replayed.warnings():
            print(f"warning: {warning}")
        return replayed

    def _write_metrics(self, metrics: dict[str, float], training: Sequence[Mapping[str, float]]) -> None:
        """Write the metrics of the end, and those of the batch of each recorded step."""
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

    def _record(self, replayed: Replayed | None) -> dict[str, Any]:
        """Return where the weights come from, in what order inputs and outputs are, and what came of the replay."""
        spec = self.recipe.task.spec
        asked = "infer" if self.adopted.infer else "given"
        return {
            "format": self.format,
            "options": self.words,
            "files": {role: _file(path) for role, path in self.adopted.files.items()},
            "alphabet": list(spec.vocabulary),
            "classes": list(spec.classes),
            "class_order": None if self.matched is None else {"asked": asked, **self.matched.as_dict()},
            "replay": None if replayed is None else replayed.as_dict(),
            "notes": list(self.adopted.notes),
        }


def _configuration(adopted: Adopted, root: Path, name: str) -> dict[str, Any]:
    """Return the configuration that a run of mechlab's own would have."""
    if not re.fullmatch(r"[\w.+-]*\w", name):
        raise ConfigError("name must be letters, digits and -_.+ only: it is a folder", got=name, key="name")
    values = defaults(TrainConfig)
    double = any(weight.dtype == torch.float64 for weight in adopted.weights.values())
    found = {
        **values,
        "name": name,
        "seed": SEED,
        "paths": {"root": str(root)},
        "trainer": {**values["trainer"], "max_steps": 1, "precision": 64 if double else 32},
        "history": {**values["history"], "kind": "none"},
        "task": prepare(dict(adopted.task), "task", Task).identity(),
        "model": prepare(dict(adopted.model), "model", (SequenceModel, StaticModel), context=1).identity(),
        "optimizer": dict(OPTIMIZER),
    }
    return found if adopted.training is None else found | _trained(adopted.training, found)


def _trained(training: Training, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of the configuration that tell how the weights came about."""
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
