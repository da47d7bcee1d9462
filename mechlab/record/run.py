"""The typed view of a run directory: the only thing that an analysis receives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from mechlab.core import probe
from mechlab.core.errors import MechlabError, NoRule, NotRecorded, RunError
from mechlab.core.model import outputs_of
from mechlab.core.precision import in_precision
from mechlab.core.recipe import Recipe
from mechlab.core.task import Batch, Split, Task, TaskSpec
from mechlab.record import answers
from mechlab.record.artifacts import Artifacts
from mechlab.record.digests import check_file, read_digests
from mechlab.record.files import read_mapping, read_yaml
from mechlab.record.history import History, log_spaced
from mechlab.record.result import read_result
from mechlab.record.stages import STAGES, read_stages
from mechlab.record.status import read_status
from mechlab.record.tensors import load_checkpoint, load_tensors

if TYPE_CHECKING:
    import pandas as pd


class Prediction(NamedTuple):
    """A model's outputs on inputs, beside what the task's rule gives for the same inputs.

    Args:
        outputs: (B, T, outputs) for sequences, (B, outputs) for static tasks.
        targets: as in a Batch; None where the task has no rule.
        mask: which targets count; None where all do, or where the task has no rule.
        score: the task's metrics of each input (B,), NaN where none of its targets counts; None where the task has no
            rule.
    """

    outputs: Tensor
    targets: Tensor | None = None
    mask: Tensor | None = None
    score: dict[str, Tensor] | None = None


class Run:
    """One run at one moment of its training.

    Args:
        folder: the run directory.
        make_recipe: builds the run's recipe from its recorded configuration.
        at: the moment: "last", "best", or a recorded step.
        live: a model to look at instead of recorded weights (while training).
    """

    def __init__(
        self,
        folder: str | Path,
        make_recipe: Callable[[], Recipe],
        at: str | int = "last",
        live: nn.Module | None = None,
    ):
        self.folder = Path(folder)
        self.moment = at
        self._make_recipe = make_recipe
        self._live = live

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}, at={self.moment!r})"

    def at(self, moment: str | int) -> Run:
        """Return the same run at another moment: "last", "best", or a recorded step."""
        other = Run(self.folder, self._make_recipe, moment)
        shared = ("recipe", "history")  # costly to build
        other.__dict__.update({name: self.__dict__[name] for name in shared if name in self.__dict__})
        return other

    @property
    def is_live(self) -> bool:
        """Whether the model is one that is being trained, in place of recorded weights."""
        return self._live is not None

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe of the result: task, architecture, optimizer, plan, and the recorded stages of a curriculum."""
        recipe = self._make_recipe()
        if recipe.curriculum.next_length([]) is None:  # all stages follow from the configuration
            return recipe
        if (stages := read_stages(self.folder / "history")) is None:
            must, fix = "the stages of a curriculum must be recorded", "restore the file, or train the run again"
            raise RunError(must, got="no such file", key=str(self.folder / "history" / STAGES), fix=fix)
        return replace(recipe, stages=tuple(stages))

    @property
    def task(self) -> Task:
        """The task that was trained on."""
        return self.recipe.task

    @property
    def spec(self) -> TaskSpec:
        """The task's properties on which models depend."""
        return self.task.spec

    @property
    def seed(self) -> int:
        """The root seed."""
        return self.recipe.seed

    @property
    def config(self) -> dict[str, Any]:
        """The resolved configuration, as plain data."""
        return read_yaml(self.folder / "provenance" / "config.yaml")

    @property
    def status(self) -> dict[str, Any]:
        """The content of status.json."""
        return read_mapping(self.folder / "status.json")

    @property
    def metrics(self) -> pd.DataFrame:
        """Every logged metric against the optimiser step."""
        import pandas as pd

        check_file(self.folder, "metrics.csv")
        return pd.read_csv(self.folder / "metrics.csv")

    @property
    def results(self) -> dict[str, Any]:
        """The content of result.json: final metrics and findings."""
        return read_result(self.folder)

    @property
    def findings(self) -> dict[str, Any]:
        """Recorded findings about the end of training: by analysis, and by `<analysis>@<hash>` for findings with other
        parameters or another seed than the configured ones."""
        return answers.read_findings(self.folder)

    @cached_property
    def history(self) -> History:
        """The record of training, as far as it went at the first access."""
        return History(self.folder / "history", lambda: self.recipe)

    def artifacts(self, analysis: str) -> Artifacts:
        """Return what an analysis saved, given its name or the key of another finding in `findings`."""
        return Artifacts(self.folder / answers.FOLDER / analysis)

    def model(self) -> nn.Module:
        """Return the model at this run's moment, on the CPU and in evaluation mode."""
        if self._live is not None:
            return self._live
        weights = self.weights()
        try:
            model = self.recipe.model(weights)
        except RuntimeError as error:
            fix = "train the run again: its weights do not belong to the recorded configuration"
            raise RunError("the weights must fit the model", got=str(error), key=str(self.folder), fix=fix) from None
        return model.eval()

    def untrained(self) -> nn.Module:
        """Return the same architecture with fresh weights of the run's own init stream (neither solved nor taken from
        another run), in evaluation mode."""
        return self.recipe.architecture().eval()

    def evaluation(self, split: Split, n: int | None = None) -> Batch:
        """Return held-out examples on the CPU: all of a fixed split or seeded draws; the first n if given."""
        return self.recipe.source().evaluation(split, n)

    @torch.no_grad()
    def predict(self, inputs: Tensor) -> Prediction:
        """Run the model on inputs (B, ...) of the caller's own, on the CPU, and compare with the task's rule.

        Raises:
            ConfigError: the inputs do not have the shape, dtype or range of the task's.
        """
        self.task.check_inputs(inputs)
        index = torch.arange(len(inputs))
        inputs = in_precision(inputs.cpu(), self.recipe.dtype)
        outputs = outputs_of(self.model(), inputs)
        try:
            targets, mask = self.task.targets(inputs)
        except NoRule:
            return Prediction(outputs)
        return Prediction(outputs, targets, mask, self.task.score(outputs, Batch(inputs, targets, mask, index)))

    def cache(self, inputs: Tensor) -> dict[str, Tensor]:
        """Run the model and return its activations by place; see `core.probe.cache`."""
        return probe.cache(self.model(), inputs)

    def patch(self, inputs: Tensor, patches: Mapping[str, probe.Patch]) -> Tensor:
        """Run the model with activations replaced and return its outputs; see `core.probe.patch`."""
        return probe.patch(self.model(), inputs, patches)

    def weights(self) -> dict[str, Tensor]:
        """Return the recorded parameters and buffers at this run's moment, by name."""
        checkpoints = self.folder / "checkpoints"
        if isinstance(self.moment, int):
            return self.history.params(self.moment)
        if self.moment == "last":
            try:
                return load_tensors(checkpoints / "weights.safetensors")
            except RunError as error:
                if (weights := self.recorded_end()) is not None:
                    print(f"warning: {error.must}: {error.key}; the weights are read from the record of training")
                    return weights
                if (checkpoints / "weights.safetensors").exists():
                    raise
        path = checkpoints / f"{self.moment}.ckpt"
        if not path.exists():
            fix = "let the run finish (repeat its command), or choose a recorded step"
            raise RunError("the run must have this checkpoint", got=f"no {path.name}", key=str(self.folder), fix=fix)
        return _of_model(load_checkpoint(path)["state_dict"])

    def recorded_end(self) -> dict[str, Tensor] | None:
        """Return the final weights of a finished run without weights.safetensors: from the history if it is exact, else
        from last.ckpt; None if training has not ended or neither can be read."""
        ended = read_digests(self.folder) or read_status(self.folder)
        step = ended.get("steps", ended.get("step") if ended.get("status") == "done" else None)
        try:
            if step is not None and self.history.is_exact and step in self.history.stored:
                return self.history.params(step)
        except MechlabError:
            pass
        try:
            content = load_checkpoint(self.folder / "checkpoints" / "last.ckpt")
        except MechlabError:
            return None
        return _of_model(content["state_dict"]) if step == content["global_step"] else None


def _of_model(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix = "model."
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def spaced_steps(run: Run, count: int) -> list[int]:
    """Return about `count` of a run's recorded steps, none of them after its moment, evenly spaced in the logarithm of
    the step.

    Raises:
        NotRecorded: no such step was recorded.
    """
    moment = run.moment
    recorded = [step for step in run.history.steps if not isinstance(moment, int) or step <= moment]
    if not recorded:
        fix = "train with history=sparse, or analyse a later step"
        raise NotRecorded("some step must have been recorded", got="none", key=str(run.folder), fix=fix)
    wanted = log_spaced(count, recorded[-1])
    return sorted({min(recorded, key=lambda step: abs(step - target)) for target in wanted})
