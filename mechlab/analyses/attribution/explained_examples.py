"""The examples whose outputs an analysis of attribution explains."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor

from mechlab.core.constraints import Filled, Interval, at_least
from mechlab.core.device import arithmetic_device
from mechlab.core.errors import ConfigError
from mechlab.core.task import Batch, Split, Task
from mechlab.kernels import explained

if TYPE_CHECKING:
    from mechlab.core.data import Source
    from mechlab.core.recipe import Recipe
    from mechlab.groups import Group
    from mechlab.kernels.trajectory import Trajectory
    from mechlab.record.run import Run

Examples = Annotated[int, at_least(1)] | Annotated[tuple[Annotated[int, at_least(0)], ...], Filled()]
Outputs = Literal[(*explained.NAMES, "irreps")] | Callable[..., Tensor]
Dtype = Literal["float32", "float64"] | None
Device = Literal["cpu", "cuda"] | None
Positive = Annotated[float, Interval(0, math.inf, open_low=True, open_high=True)]


@dataclass(frozen=True)
class ExplainedExamples:
    """The explained examples, and the precision and device of the arithmetic.

    Args:
        split: of the examples.
        examples: their number, from the first on, or their ids.
        dtype: "float32", "float64", or None for that of training.
        device: "cpu", "cuda", or None for that of the training, where there is one.
    """

    split: Split
    examples: Examples
    dtype: Dtype = None
    device: Device = None

    @property
    def torch_dtype(self) -> torch.dtype | None:
        """The dtype as torch names it."""
        return None if self.dtype is None else getattr(torch, self.dtype)

    def trajectory(self, run: Run) -> Trajectory:
        """Return the training of a run in this precision and on this device.

        Raises:
            NotRecorded, ReplayDiffers, ConfigError: as `Trajectory.of_run`; or there is no such device.
        """
        from mechlab.kernels.trajectory import Trajectory

        return Trajectory.of_run(run, self.torch_dtype, arithmetic_device(self.device, run.history.device))

    def batch(self, run: Run | Source) -> Batch:
        """Return the explained examples of a run or of a source of examples, cropped to the steps that count.

        Raises:
            ConfigError: there is no example of an id.
        """
        if isinstance(self.examples, int):
            return run.evaluation(self.split, self.examples).cropped()
        batch = run.evaluation(self.split)
        if beyond := [i for i in self.examples if i >= len(batch)]:
            must = f"ids of examples must be below {len(batch)}, the number of them in split={self.split}"
            raise ConfigError(must, got=beyond, key="examples", fix=f"ids from 0 to {len(batch) - 1}")
        return batch[torch.tensor(self.examples)].cropped()


def evaluations(recipe: Recipe, explained: ExplainedExamples, each: float, products: float = 0.0) -> float:
    """Return about how many gradients of a single example an analysis of a whole training evaluates.

    Args:
        each: gradients of an explained example in a step.
        products: the same of a training example, beside the one that recomputes the step.
    """
    number = len(explained.batch(recipe.source()))
    return recipe.max_steps * (recipe.examples_per_step * (1 + products) + number * each)


def scalars_of(outputs: Outputs, task: Task) -> explained.Outputs:
    """Return the explained scalars of a name or function; those of "irreps" depend on the task's group.

    Raises:
        ConfigError: "irreps" for a task whose ground truth is no group.
    """
    if outputs != "irreps":
        return outputs
    from mechlab.groups.logit_parts import LogitParts

    return LogitParts(group_of(task)).mean


def group_of(task: Task) -> Group:
    """Return the group whose multiplication is the task.

    Raises:
        ConfigError: the ground truth of the task is no group.
    """
    truth = task.ground_truth()
    if truth is None or truth.kind != "group":
        must, got = "outputs=irreps needs a task of products in a group", type(task).__name__
        raise ConfigError(must, got=got, key="outputs", fix="outputs=target, or task=group")
    return truth.group


def state_key(rng: np.random.Generator) -> str:
    """Return a hash of the state of a generator: parts of a computation with other draws are other parts."""
    return hashlib.sha256(repr(rng.bit_generator.state).encode()).hexdigest()[:8]


def checkpoint_key(analysis: Any, steps: int) -> str:
    """Return the name of the checkpoint of an analysis: a hash of its parameters and of the number of steps."""
    parts = [type(analysis).__name__, type(analysis).version, steps, vars(analysis)]
    text = json.dumps(parts, sort_keys=True, default=lambda function: f"{function.__module__}.{function.__qualname__}")
    return hashlib.sha256(text.encode()).hexdigest()[:12]
