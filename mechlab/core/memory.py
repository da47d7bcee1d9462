"""Memory that a training needs, compared with what is available before anything is allocated."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from mechlab.core.data import BLOCK
from mechlab.core.errors import ConfigError
from mechlab.core.precision import set_precision
from mechlab.core.recipe import Recipe
from mechlab.core.task import FiniteTask, TaskSpec


def check_memory(needed: float, what: str, key: str, fix: str) -> None:
    """Raise ConfigError if more bytes are needed than are available to this process.

    Args:
        needed: bytes.
        what: what needs them, for the message.
        key: the config keys that determine it.
        fix: how to need less.
    """
    if needed > (free := available()):
        must = f"{what} must fit into memory"
        raise ConfigError(must, got=f"{needed / 1e9:.3g} GB, of {free / 1e9:.3g} GB available", key=key, fix=fix)


def check_recipe(recipe: Recipe) -> None:
    """Raise ConfigError if the data, or the parameters with what training adds to them, cannot fit into memory."""
    if not isinstance(recipe.task, FiniteTask):
        drawn = max(BLOCK * (recipe.batch_size or 1), recipe.evaluation_size)
        what = f"{drawn} examples, as many as are drawn at once for training or evaluation,"
        keys = "task, trainer.batch_size, trainer.eval_examples"
        tasks = [recipe.task, *(recipe.task.at_length(length) for length in recipe.curriculum.lengths)]
        size = drawn * max(example_bytes(task.spec, recipe.dtype.itemsize) for task in tasks)
        check_memory(size, what, keys, "choose shorter or narrower examples, or fewer at once")
    if (trained := training_bytes(recipe)) is not None:
        what = "parameters, their gradients, the optimizer's state and a copy of the parameters"
        check_memory(trained, what, "model", "choose a smaller model")


def example_bytes(spec: TaskSpec, itemsize: int) -> int:
    """Return the bytes of one example's inputs and targets."""
    if spec.kind == "sequence":
        return itemsize * (spec.length or 1) * (spec.inputs + (1 if spec.loss.indices else spec.outputs))
    return itemsize * (math.prod(spec.shape) + spec.outputs)


def training_bytes(recipe: Recipe) -> int | None:
    """Return the bytes of parameters, buffers, gradients and optimizer state, and of another copy of the parameters;
    None for a model that cannot be built without memory, on torch's meta device."""
    try:
        blueprint = recipe.task.blueprint()
        with recipe.streams.globally("init"), torch.device("meta"):
            model = set_precision(recipe.make_model(blueprint), recipe.dtype)
    except Exception:  # constructors may read values, which meta tensors lack
        return None
    parameters = sum(parameter.nbytes for parameter in model.parameters())
    buffers = sum(buffer.nbytes for buffer in model.buffers())
    return 2 * (parameters + buffers) + round(parameters * (1 + _moments(recipe)))


def _moments(recipe: Recipe) -> float:
    """Return the size of the optimizer's state, relative to that of the parameters."""
    parameter = nn.Parameter(torch.zeros(1000))
    parameter.grad = torch.zeros(1000)
    optimizer = recipe.make_optimizer([parameter])
    optimizer.step()
    state = optimizer.state[parameter].values()
    return sum(value.nbytes for value in state if isinstance(value, Tensor)) / parameter.nbytes


def available() -> int:
    """Return the bytes available to this process: the machine's free memory within the limits of its control groups;
    all of its memory where the free part is unknown."""
    return min([_free(), *_limits()])


def _free() -> int:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        try:
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError, AttributeError):
            return sys.maxsize


def _limits() -> Iterator[int]:
    """Yield the limits of the control groups (of either version) that the process is in."""
    root = Path("/sys/fs/cgroup")
    try:
        groups = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()]
    except OSError:
        return
    for _, controllers, place in groups:
        if controllers not in ("", "memory"):
            continue
        base, name = (root, "memory.max") if controllers == "" else (root / "memory", "memory.limit_in_bytes")
        group = Path(place)
        for folder in (group, *group.parents):
            path = base / str(folder).lstrip("/") / name
            try:
                yield int(path.read_text(encoding="ascii"))
            except (OSError, ValueError):  # none there, or "max"
                continue
