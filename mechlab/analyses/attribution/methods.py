"""Scores of training examples by each method of attribution, for analyses that compare them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mechlab.analyses.attribution.explained_examples import ExplainedExamples, Outputs
from mechlab.core.errors import ConfigError
from mechlab.core.recipe import Recipe
from mechlab.core.state import optimizer_tensors
from mechlab.core.task import Batch, FiniteTask, Split
from mechlab.record.long_work import carry_out
from mechlab.record.tensors import load_tensors, save_tensors

if TYPE_CHECKING:
    from mechlab.kernels.functional_model import FunctionalModel
    from mechlab.kernels.trajectory import Trajectory

METHODS = ("path_kernel", "metagradient", "tracin", "tracin_checkpoints", "gradient_dot")
OF_ALL_EXAMPLES = ("tracin_checkpoints", "gradient_dot")  # they look at every training example at once


def check_attribution(
    name: str,
    recipe: Recipe,
    examples: ExplainedExamples,
    outputs: Outputs,
    key: str,
    products: Callable[[FunctionalModel, Tensor, Batch], object] | None = None,
) -> None:
    """Raise ConfigError if outputs of what a recipe trains cannot be attributed to its training examples.

    That is so for models that draw random numbers or keep statistics while they train, for optimizers other than SGD,
    Adam and AdamW or with options such as amsgrad, for functions of the outputs that do not return finite numbers, and
    where torch cannot differentiate a layer as the analysis does (it has no forward mode for an LSTM in 32 bits).

    Args:
        name: of the analysis.
        recipe: what is going to be trained, or was.
        examples: the explained examples, two of which are tried.
        outputs: the explained scalars.
        key: the config key of the analysis.
        products: derivatives of the losses of a batch at parameters (P,), tried on two training examples.
    """
    from mechlab.kernels.explained import Explained
    from mechlab.kernels.trajectory import functional_model_of

    try:
        functional, _ = functional_model_of(recipe, examples.torch_dtype)
        batch = examples.batch(recipe.source())[:2]
        scalars = Explained(functional, functional.placed(batch), outputs)
        theta = functional.layout.join(dict(functional.model.named_parameters()))
        scalars.values(theta)
        try:
            if products is not None:
                products(functional, theta, functional.placed(recipe.source().batch(0)[:2]))
        except RuntimeError as error:
            must, fix = "torch must be able to differentiate the model as the analysis requires", "dtype=float64"
            raise ConfigError(must, got=str(error).splitlines()[0], key="dtype", fix=f"{key}.{fix}") from None
    except ConfigError as error:
        leave_out = f"leave {name} out of {key.partition('.')[0]}=[...]"
        raise ConfigError(
            f"analysis={name}: {error.must}",
            got=error.got,
            key=f"{key}.{error.key}" if error.key in ("outputs", "examples", "dtype") else error.key,
            fix=leave_out if error.fix is None else f"{error.fix}, or {leave_out}",
        ) from None


def second_derivatives(functional: FunctionalModel, theta: Tensor, batch: Batch) -> object:
    """Differentiate the losses of a batch twice, as metagradients do."""
    from mechlab.kernels.metagradients import second_order

    return second_order(functional, theta, batch, theta.expand(2, -1))


class Checkpointed:
    """Finished parts of a long work, in a folder that is there while the work is not done.

    Args:
        folder: where they are.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def __call__(self, name: str, compute: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Return the tensors of a part, computing and saving them if they are missing."""
        path = self.file(name)
        if not path.exists():
            save_tensors(path, {key: value.contiguous() for key, value in compute().items()})
        return load_tensors(path)

    def file(self, name: str) -> Path:
        """Return the file of a part."""
        return self.folder / f"{name}.safetensors"

    def clear(self) -> None:
        """Remove all parts."""
        for path in self.folder.glob("*.safetensors"):
            path.unlink()
        for folder in (self.folder, self.folder.parent):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


@dataclass(frozen=True)
class Attributions:
    """The settings of the methods of attribution.

    Args:
        outputs: the explained scalars, as `kernels.Explained` takes them.
        nodes, tolerance: of the quadrature of the path kernel.
        checkpoints: evenly spaced steps of TracIn at checkpoints.
        limit: bytes that a block of work may take.
    """

    outputs: Outputs
    nodes: int
    tolerance: float | None
    checkpoints: int
    limit: int

    def methods(self, chosen: tuple[str, ...], endless: bool) -> list[str]:
        """Return those of the chosen methods that are applicable; with data that is drawn without end, some are not.

        Raises:
            ConfigError: there is none.
        """
        applicable = [name for name in chosen if not (endless and name in OF_ALL_EXAMPLES)]
        if not applicable:
            must = "there must be a method to compare" + (" that is applicable to endless data" if endless else "")
            raise ConfigError(must, got=list(chosen), key="compared", fix="compared=[path_kernel, metagradient]")
        return applicable

    def scores(
        self, method: str, make: Callable[[], Trajectory], batch: Batch, parts: Checkpointed, name: str
    ) -> dict[str, Tensor]:
        """Return `scores` (Q, N) of training examples for each explained scalar, and of the path kernel the
        `error` and `residual` as shares. Finished parts are saved under a name; a trajectory is made if needed."""
        own = f"{name}-{method}"
        return parts(own, lambda: self._scores(method, make(), batch, parts, own))

    def _scores(
        self, method: str, trajectory: Trajectory, batch: Batch, parts: Checkpointed, name: str
    ) -> dict[str, Tensor]:
        from mechlab.kernels import gradient_dot, tracin

        if method == "path_kernel":
            return self._path_kernel(trajectory, batch, parts.file(f"{name}-part"))
        if method == "metagradient":
            return {"scores": self._metagradient(trajectory, batch, parts, name)}
        if method == "gradient_dot":
            scores = gradient_dot(trajectory, batch, self.outputs, memory=self.limit)
        else:
            spaced = np.linspace(0, trajectory.steps, self.checkpoints + 1)[1:].round().astype(int)
            looks = sorted(set(spaced.tolist())) if method == "tracin_checkpoints" else None
            scores = tracin(trajectory, batch, self.outputs, checkpoints=looks, memory=self.limit)
        return {"scores": torch.as_tensor(scores.reshape(-1, trajectory.examples))}

    def _path_kernel(self, trajectory: Trajectory, batch: Batch, part: Path) -> dict[str, Tensor]:
        from mechlab.kernels.backward import PathKernelBackward
        from mechlab.kernels.decomposition import PathKernelSettings
        from mechlab.kernels.explained import Explained
        from mechlab.kernels.quadrature import Quadrature

        explained = Explained(trajectory.functional, trajectory.functional.placed(batch), self.outputs)
        quadrature = Quadrature("midpoint", self.nodes, self.tolerance)
        backward = PathKernelBackward(
            trajectory, explained, PathKernelSettings(quadrature, limit=self.limit, scores=False)
        )
        carry_out(backward, "path_kernel", part)
        result = backward.result()
        lines = (result.data, result.decay, result.clipping, result.residual, result.arithmetic)
        size = max(sum(np.abs(line).mean() for line in lines), np.finfo(float).tiny)
        movement = max(np.abs(result.final - result.initial).mean(), np.finfo(float).tiny)
        return {
            "scores": torch.as_tensor(result.influence.reshape(-1, trajectory.examples)),
            "error": torch.tensor(float(np.abs(result.completeness).max() / size)),
            "residual": torch.tensor(float(np.abs(result.residual).mean() / movement)),
        }

    def _metagradient(self, trajectory: Trajectory, batch: Batch, parts: Checkpointed, name: str) -> Tensor:
        """Return the derivatives (Q, N), for blocks of explained examples whose adjoints fit the limit."""
        from mechlab.kernels.explained import Explained
        from mechlab.kernels.metagradients import MetagradientBackward

        functional = trajectory.functional
        explained = Explained(functional, functional.placed(batch), self.outputs)
        size = (
            6 * explained.shape[1] * functional.layout.size * functional.dtype.itemsize
        )  # three adjoints and their updates
        rows = max(1, self.limit // size) if explained.apart else len(batch)

        def block(start: int) -> dict[str, Tensor]:
            part = explained.rows(start, min(start + rows, len(batch))) if explained.apart else explained
            trajectory.forget()
            backward = MetagradientBackward(trajectory, part, self.limit)
            carry_out(backward, "metagradient", parts.file(f"{name}-{start}-part"))
            return {"scores": torch.as_tensor(backward.result().derivative.reshape(-1, trajectory.examples))}

        starts = range(0, len(batch), rows)
        return torch.cat([parts(f"{name}-{start}", lambda start=start: block(start))["scores"] for start in starts])


def trained(recipe: Recipe, steps: int, limit: int) -> Trajectory:
    """Train a recipe, alone where it is a member of an ensemble, and return the record of it, which is in memory.

    Raises:
        ConfigError: the record would take more bytes than the limit.
    """
    from mechlab.core.rules import rule_of
    from mechlab.kernels.trajectory import Arrays, Trajectory

    recipe = replace(recipe, member=None)
    model = recipe.model()
    size = (steps + 1) * 3 * sum(value.numel() * value.element_size() for value in model.parameters())
    if size > limit:
        must, got = "a record of every step in memory must fit memory_gb", f"{size / 1e9:.2g} GB"
        fix = "memory_gb=..., or other_seeds=0 and mislabelled=0, which need no further trainings that are recorded"
        raise ConfigError(must, got=got, key="memory_gb", fix=fix)
    optimizer, source = recipe.optimizer(model), recipe.source()
    params, states = [_copied(model.state_dict())], [_copied(optimizer_tensors(model, optimizer))]
    for _ in recipe.steps(model, optimizer, source, stop=steps):
        params.append(_copied(model.state_dict()))
        states.append(_copied(optimizer_tensors(model, optimizer)))
    learning_rates, decays = zip(*(recipe.rates(optimizer, step) for step in range(steps)), strict=True)
    batches = [source.batch(step).index for step in range(steps)]
    arrays = Arrays(params, batches, learning_rates, decays, states)
    data = recipe.task.examples("train").to("cpu", recipe.dtype)
    rule = rule_of(recipe.optimizer(model))
    augmented = source.batch if recipe.task.augments else None
    return Trajectory.of_arrays(model, recipe.task.spec, data, rule, arrays, recipe.clip, batch=augmented)


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in tensors.items()}


class Relabelled(FiniteTask):
    """Another task whose training examples have other targets.

    Args:
        task: that other one.
        targets: as those of its training examples.
    """

    def __init__(self, task: FiniteTask, targets: Tensor):
        self.task, self.targets, self.spec = task, targets, task.spec

    def examples(self, split: Split) -> Batch:
        """Return all examples of a split, in the order of their ids."""
        batch = self.task.examples(split)
        return replace(batch, targets=self.targets) if split == "train" else batch

    @property
    def augments(self) -> bool:
        """True if the other task augments its batches."""
        return self.task.augments

    def augment(self, batch: Batch, rng: torch.Generator) -> Batch:
        """Return the batch as the other task augments it."""
        return self.task.augment(batch, rng)

    def groups(self) -> Tensor | None:
        """Return the other task's groups."""
        return self.task.groups()

    def recorded_batches(self) -> Tensor | None:
        """Return the other task's batches."""
        return self.task.recorded_batches()

    def ground_truth(self) -> object:
        """Return the ground truth of the wrapped task, from which constructed models are built."""
        return self.task.ground_truth()
