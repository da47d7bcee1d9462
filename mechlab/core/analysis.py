"""The interface of analyses of a run, and their findings."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from mechlab.core.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.core.recipe import Recipe
    from mechlab.core.task import GroundTruth, Task
    from mechlab.record.artifacts import Artifacts
    from mechlab.record.run import Run


@dataclass(frozen=True)
class Needs:
    """The requirements of an analysis on a run.

    Args:
        kind: kind of task and model, "sequence" or "static"; None for either.
        ground_truth: kinds of ground truth that make sense (any of them), e.g. ("automaton",); empty for none needed.
        history: least recording of training: none < sparse < replay < full.
        model: what the model's class must have, by attribute, e.g. ("clean",); empty for any model.
        task: what the task must have, by attribute, e.g. ("families",); empty for any task.
    """

    kind: Literal["sequence", "static"] | None = None
    ground_truth: tuple[str, ...] = ()
    history: Literal["none", "sparse", "replay", "full"] = "none"
    model: tuple[str, ...] = ()
    task: tuple[str, ...] = ()


@dataclass(frozen=True)
class Claim:
    """A falsifiable statement with its score. A claim whose value is NaN does not hold.

    Args:
        statement: one sentence, with the threshold in it.
        value: the measured number.
        threshold: what it is compared with.
        holds: whether the claim is true of this run.
        kind: "exact" if proved on all cases, "statistical" if measured on a sample.
        null: the value that chance or a control gives, if there is one.
        interval: the lower and the upper end of an interval for the value, if it has one; the statement names what the
            interval is over. The claim then holds only if the end that is worse for it does.
    """

    statement: str
    value: float
    threshold: float
    holds: bool
    kind: Literal["exact", "statistical"]
    null: float | None = None
    interval: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if math.isnan(self.value):
            object.__setattr__(self, "holds", False)


@dataclass(frozen=True)
class Finding:
    """The result of an analysis: numbers, scored claims and notes.

    Args:
        scalars: numbers by name; commands print the first two, and all on request.
        claims: by slug.
        notes: sentences for the reader by slug, such as why a claim is not made.
    """

    scalars: Mapping[str, float]
    claims: Mapping[str, Claim] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)

    def with_first(self, names: Sequence[str]) -> Finding:
        """Return the finding with these scalars, where it has them, before all others."""
        first = {name: self.scalars[name] for name in names if name in self.scalars}
        return replace(self, scalars={**first, **self.scalars})

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for result.json; notes only where there are some."""
        claims = {}
        for slug, claim in self.claims.items():
            ends = None if claim.interval is None else [float(end) for end in claim.interval]
            plain = {"value": float(claim.value), "holds": bool(claim.holds), "interval": ends}
            claims[slug] = {**asdict(claim), **plain}
        notes = {"notes": dict(self.notes)} if self.notes else {}
        return {"scalars": {name: float(value) for name, value in self.scalars.items()}, "claims": claims, **notes}


class Analysis(ABC):
    """An analysis of a run. Subclasses take their parameters in the constructor and store them unchanged.

    The same object serves at the end of a run, while training (as a callback) and post hoc over checkpoints: `run` sees
    only a Run, whose `model()` has the weights of the moment of training that is analysed.
    """

    needs: ClassVar[Needs] = Needs()
    version: ClassVar[int] = 1
    headline: ClassVar[tuple[str, ...]] = ()  # scalars to print first, most important first
    other_model: ClassVar[str] = "choose another model"  # what to type where the model lacks what is needed

    @classmethod
    def without_files(cls, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a configuration with what files hold in place of their paths; see
        `Task.without_files`."""
        return dict(arguments)

    @abstractmethod
    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Save arrays and tables into `out`, and return scalars and claims."""

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw figures by name from the saved artifacts alone; none by default."""
        return {}

    def animations(self, out: Artifacts) -> dict[str, bytes]:
        """Draw moving pictures (GIF) by name from the saved artifacts alone; none by default. They are drawn where
        a finding is saved, not for TensorBoard."""
        return {}

    def check(self, name: str, task_name: str, task: Task, key: str, model: Any = None) -> None:
        """Raise ConfigError, naming the config key, if the analysis makes no sense for the task, or for the model's
        class where it is given."""
        check_needs(self.needs, name, task_name, task, key, model, self.other_model)

    def check_recipe(self, name: str, recipe: Recipe, key: str) -> None:  # noqa: B027 (overridden where it is needed)
        """Raise ConfigError, before training starts, if the analysis cannot run on what a recipe trains.

        By default it runs on every recipe.
        """

    def gradient_evaluations(self, recipe: Recipe) -> float | None:
        """Return about how many gradients of a single example's loss the analysis evaluates, by which its time is
        announced before training; None where that is not known."""
        return None


def kinds_of(truth: GroundTruth | None) -> tuple[str, ...]:
    """Return the kind of a ground truth and, where it has an attribute `special`, the more special kinds in it."""
    return () if truth is None else (truth.kind, *getattr(truth, "special", ()))


def check_needs(
    needs: Needs,
    name: str,
    task_name: str,
    task: Task,
    key: str,
    model: Any = None,
    other_model: str = "choose another model",
) -> None:
    """Raise ConfigError, naming the config key, if a task, or a model's class, is not what an analysis needs.

    Args:
        needs: its requirements.
        name: the analysis.
        task_name: the task's name.
        task: the task.
        key: the config key of the analysis.
        model: the model's class, or None if it is not known.
        other_model: what to type where the model lacks what is needed.
    """
    must = None
    if needs.kind is not None and task.spec.kind != needs.kind:
        must, got = f"a {needs.kind} task", f"a {task.spec.kind} task"
    elif needs.ground_truth:
        kinds = kinds_of(task.ground_truth())
        if not set(kinds) & set(needs.ground_truth):
            must = "a task whose ground truth is " + " or ".join(
                f"an {k}" if k[0] in "aeiou" else f"a {k}" for k in needs.ground_truth
            )
            got = f"a ground truth of kind {kinds[0]!r}" if kinds else "one without a ground truth"
    if must is None and (lacking := [word for word in needs.task if not hasattr(task, word)]):
        words = " and ".join(f"{word}()" for word in lacking)
        must, got = f"a task that has {words}", f"{type(task).__name__} has not"
    if must is not None:
        raise ConfigError(
            f"analysis={name} needs {must}, and task={task_name} is not one",
            got=f"task={task_name}: {got}",
            key=key,
            fix=f"leave {name} out of {key.partition('.')[0]}=[...], or choose another task",
        )
    lacking = [word for word in needs.model if model is not None and not hasattr(model, word)]
    if lacking:
        raise ConfigError(
            f"analysis={name} needs a model that has {' and '.join(lacking)}()",
            got=f"{model.__name__}, which has not",
            key=key,
            fix=other_model,
        )
