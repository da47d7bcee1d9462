"""The top level of the configuration, with defaults, types and constraints in one place."""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from typing import Annotated, Any, Literal, get_type_hints

from mechlab.config.lightning_options import refused_key, refused_value
from mechlab.core.constraints import ConstraintError, Filled, Seed, above, at_least, between, check
from mechlab.core.curriculum import Curriculum
from mechlab.core.errors import ConfigError, WrongValue, did_you_mean
from mechlab.core.schedule import Schedule


def decides(default: Any) -> Any:
    """A field that decides the result bit for bit, and is therefore part of the run's identity."""
    return field(default=default, metadata={"decides": True})


def may_decide(default: Any) -> Any:
    """A field that decides only where it is set: at its default it is left out of the run's identity."""
    return field(default=default, metadata={"decides": True, "unless": default})


@dataclass
class TrainerConfig:
    """Duration, device and batches of training.

    Args:
        max_steps: optimiser steps in all; 0 for a model that is solved and not trained; null when max_epochs is given.
        max_epochs: epochs in all, instead of max_steps.
        max_time: DD:HH:MM:SS of training after which it ends early, counted over resumed parts; null for no limit.
        steps_per_epoch: optimiser steps between validations; null for one pass over a fixed set of examples.
        batch_size: examples per step; null for all of them at once.
        drop_last: leave out the last batch of an epoch where it is smaller than the others.
        eval_examples: held-out examples drawn of endless data.
        gradient_clip: largest norm of the whole gradient; null for no clipping.
        overfit: train on the first batch again and again, to see whether the model can learn at all.
        stop_at: accuracy at which training ends, once it is that high in `stop_patience` epochs in a row; or null.
        stop_on: whose accuracy that is: val, or both (train and val).
        seeds: a list, or a number N for the seeds seed, ..., seed + N - 1: the runs of these seeds are trained as one
            batched model. Each leaves a run directory of its own, with another id than if trained alone, since the
            last bits differ. It pays for tiny models on a CPU and for most on a GPU. Null for one run.
        accelerator: cpu or gpu.
        precision: 32 or 64 bits.
        threads: CPU threads of torch; tiny networks are fastest with one.
        chunk: optimiser steps per Lightning call, cut at every boundary.
        log_every: steps between logged training metrics.
        checkpoint_every: steps between checkpoints to resume from (and at least one a minute).
    """

    max_steps: Annotated[int, at_least(0)] | None = decides(2000)
    max_epochs: Annotated[int, at_least(1)] | None = decides(None)
    max_time: str | None = decides(None)
    steps_per_epoch: Annotated[int, at_least(1)] | None = decides(None)
    batch_size: Annotated[int, at_least(1)] | None = decides(64)
    drop_last: bool = may_decide(False)
    eval_examples: Annotated[int, at_least(1)] = decides(1000)
    gradient_clip: Annotated[float, above(0)] | None = decides(None)
    overfit: bool = decides(False)
    stop_at: Annotated[float, between(0, 1)] | None = decides(None)
    stop_patience: Annotated[int, at_least(1)] = decides(3)
    stop_on: Literal["val", "both"] = may_decide("val")
    seeds: Annotated[int, at_least(1)] | Annotated[tuple[Seed, ...], Filled()] | None = may_decide(None)
    accelerator: Literal["cpu", "gpu"] = decides("cpu")
    precision: Literal[32, 64] = decides(32)
    threads: Annotated[int, between(1, 1024)] = decides(1)
    chunk: Annotated[int, at_least(1)] = 50
    log_every: Annotated[int, at_least(1)] = 50
    checkpoint_every: Annotated[int, at_least(1)] = 2000


@dataclass
class HistoryConfig:
    """Settings of the record of training.

    Args:
        kind: none; sparse (chosen or log-spaced steps); replay (every step, most of them computed again when read);
            full (every step).
        points: about how many log-spaced steps a sparse history holds.
        per_decade: log-spaced steps of a sparse history between a step and its tenfold, instead of points; or null.
        steps: the steps of a sparse history, instead of points; the end of training is recorded too. Or null.
        every: steps between the stored states of a replay history; null for the root of the number of steps.
        optimizer: whether to record the optimizer's state and the batches; false for parameters and buffers alone, from
            which verification and attribution cannot start.
        dtype: float16 or float32, in which parameters and buffers are stored, rounded if they were trained in a wider
            one; null for that of training.
        limit_gb: training is refused when the history would be larger, in gigabytes (1e9 bytes).
    """

    kind: Literal["none", "sparse", "replay", "full"] = decides("sparse")
    points: Annotated[int, between(2, 1_000_000)] = decides(25)
    per_decade: Annotated[int, between(1, 100_000)] | None = may_decide(None)
    steps: tuple[Annotated[int, at_least(0)], ...] | None = may_decide(None)
    every: Annotated[int, at_least(1)] | None = may_decide(None)
    optimizer: bool = may_decide(True)
    dtype: Literal["float16", "float32"] | None = may_decide(None)
    limit_gb: Annotated[float, above(0)] = 2.0


@dataclass
class PathsConfig:
    """Folders: `root` holds all runs, relative to the working directory."""

    root: str = "runs"


@dataclass
class Expected:
    """The published number for a metric or for an analysis's scalar.

    Args:
        published: the number in print; null if there is none.
        corrected: the number after correcting the original's defects, or where none is in print that of theory or one
            that was measured with the original method; null if the published one stands.
        tolerance: largest absolute deviation from the corrected (else published) number that counts as a reproduction.
        source: where the numbers come from.
        quantity: what the number is, in words, with its unit and the size of the sample.
        correction: why the corrected number differs from the published one.
        reason: why the measured number differs from the corrected (else published) one, where it does.
    """

    published: float | None = None
    corrected: float | None = None
    tolerance: Annotated[float, at_least(0)] = 0.0
    source: str = ""
    quantity: str = ""
    correction: str = ""
    reason: str = ""

    @property
    def number(self) -> float | None:
        """The number to compare with."""
        return self.published if self.corrected is None else self.corrected

    def same_number(self, other: Expected) -> bool:
        """Return whether another one has the same numbers, whatever its words."""
        numbers = lambda value: (value.published, value.corrected, value.tolerance)  # noqa: E731
        return numbers(self) == numbers(other)


@dataclass
class TrainConfig:
    """Everything that `mechlab.train` reads.

    Args:
        name: `<task>-<model>`, the folder of the run's siblings.
        seed: the root seed of all randomness.
        objective: the metric that train returns to a sweeper.
        init_from: a run directory whose weights to start from.
        init_at: the moment of that run to take them from: last, best or a recorded step.
        init_parts: the parameters and buffers to take, by name, or by patterns such as `layers.*`; null for all.
        init_freeze: leave those parameters as they are: no gradient, no update, no weight decay.
        init_std: standard deviation of the normal distribution of mean 0 from which all parameters that are not taken
            from another run are drawn; null for the initialisation of the model itself.
        curriculum: growing lengths of the training data; see Curriculum.
        code: what to do with an interrupted run whose code has changed: check (refuse to go on) or accept.
        rerun: remove the record of the run, with any status, and train from step 0.
        analysis: analyses to run at the end, by name.
        callbacks: analyses to run while training, or Lightning callbacks, by name.
        loggers: further Lightning loggers, by name.
        published: tables of published numbers, for `expected` to choose from by interpolation.
        expected: published numbers to compare with, by metric or `<analysis>/<scalar>`; see Expected. Entries without a
            number, as for a language that nothing was published of, are left out.
        allow_targets: packages beyond mechlab whose classes a configuration may name.
    """

    name: str = "${hydra:runtime.choices.task}-${hydra:runtime.choices.model}"
    seed: Seed = 0
    objective: str = "val/loss"
    init_from: str | None = None
    init_at: Literal["last", "best"] | Annotated[int, at_least(0)] = "last"
    init_parts: Annotated[tuple[str, ...], Filled()] | None = None
    init_freeze: bool = False
    init_std: Annotated[float, above(0)] | None = None
    code: Literal["check", "accept"] = "check"
    rerun: bool = False
    allow_targets: list[str] = field(default_factory=list)
    paths: PathsConfig = field(default_factory=PathsConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    schedule: Schedule = field(default_factory=Schedule)
    curriculum: Curriculum = field(default_factory=Curriculum)
    history: HistoryConfig = field(default_factory=HistoryConfig)
    analysis: dict[str, Any] = field(default_factory=dict)
    callbacks: dict[str, Any] = field(default_factory=dict)
    loggers: dict[str, Any] = field(default_factory=dict)
    published: dict[str, Any] = field(default_factory=dict)
    expected: dict[str, Any] = field(default_factory=dict)
    task: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)


@dataclass
class AnalyzeConfig:
    """Everything that `mechlab.analyze` reads.

    Args:
        run: a run directory, a glob of them, or a list of globs.
        at: which moments: last, best, all (every recorded step), a recorded step, or a list of steps.
        seed: the root seed of the analysis's own randomness; null for the run's (0 for a set of runs).
        analysis: the analyses, by name; one of a set of runs is run once, on all runs together.
        allow_targets: packages beyond mechlab whose classes the run's record may name.
    """

    run: str | list[str] = "???"
    at: str | int | list[int] = "last"
    seed: Seed | None = None
    analysis: dict[str, Any] = field(default_factory=dict)
    allow_targets: list[str] = field(default_factory=list)


def defaults(schema: type) -> dict[str, Any]:
    """Return the schema's default values as plain data."""
    return asdict(schema())


def typed(schema: type, values: dict[str, Any], key: str = "") -> Any:
    """Return an instance of the schema with every value checked and converted.

    Raises:
        ConfigError: a key does not exist or a value is not what its field accepts; the message names the key.
    """
    hints = get_type_hints(schema, include_extras=True)
    names = {item.name for item in fields(schema)}
    for name in values:
        if name not in names and (refusal := refused_key(key + name)) is not None:
            raise ConfigError(f"{key}{name} is not offered: {refusal.reason}", key=key + name, fix=refusal.fix)
        if name not in names:
            raise ConfigError(
                f"{key + name} is not a key of the configuration", key=key + name, fix=did_you_mean(name, names)
            )
    checked = {}
    for name, value in values.items():
        hint = hints[name]
        if is_dataclass(hint):
            if not isinstance(value, dict):
                raise ConfigError(f"{key}{name} must be a mapping of its own keys", got=repr(value), key=key + name)
            checked[name] = typed(hint, value, f"{key}{name}.")
            continue
        try:
            checked[name] = check(value, hint)
        except ConstraintError as error:
            default = next(item.default for item in fields(schema) if item.name == name)
            shown = "null" if default is None else "[]" if default == () else default
            fix = None if default is MISSING else f"the default is {key}{name}={shown}"
            must = f"{key}{name} must be {error.must}"
            if (refusal := refused_value(key + name, error.got)) is not None:
                raise ConfigError(f"{must}; {refusal.reason}", got=error.got, key=key + name, fix=refusal.fix) from None
            raise WrongValue(must, got=repr(error.got), key=key + name, fix=fix) from None
    return schema(**checked)
