"""Exact path kernels: the contributions of training examples, parameters and steps to a network's outputs.

The change of an explained scalar q over training is the sum over optimiser steps of <J_s, theta_{s+1} - theta_s>, with
the gradient J_s of q averaged along the step. Each step is a sum of earlier gradients, so that its inner product is a
sum of contributions of examples, weight decay and clipping. One adjoint vector U for each scalar, computed backwards
over the steps, gives them without momentum buffers for single examples:

    A_s = into (weight * J_s) + carry A_{s+1},   U_s = gain A_s + direct (weight * J_s),
    influence of k += -<gradient of example k's loss at theta_s, U_s> / B_s   for every k in batch s.

Source: "ExPLAIND", arXiv 2505.20076; Bell et al., arXiv 2308.00824. The second moments of Adam are taken as given: an
influence is a term of an exact decomposition and not a derivative; for that see `metagradient`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from mechlab.core.errors import ConfigError
from mechlab.core.task import Batch
from mechlab.kernels.backward import PathKernelBackward
from mechlab.kernels.decomposition import PathKernelDecomposition, PathKernelSettings
from mechlab.kernels.explained import Explained, Outputs, takes_batch
from mechlab.kernels.quadrature import Quadrature
from mechlab.kernels.trajectory import Trajectory

if TYPE_CHECKING:
    from mechlab.kernels.recorded import RecordedTraining

Progress = Callable[[int, int], None]


def path_kernel(
    run_or_history: RecordedTraining | Trajectory,
    inputs: Batch | Tensor,
    outputs: Outputs = "all",
    rule: Literal["midpoint"] = "midpoint",
    nodes: int = 20,
    dtype: torch.dtype | None = None,
    *,
    targets: Tensor | None = None,
    tolerance: float | None = None,
    most_nodes: int = 64,
    secant: bool = False,
    form: Literal["auto", "jvp", "gemm", "ghost"] = "auto",
    memory: int = 2**30,
    scores: bool = True,
    groups: Mapping[str, Sequence[str] | Tensor] | None = None,
    bins: Sequence[int] = (),
    view: Literal["gradient", "path"] = "gradient",
    steps_by_tensor: bool = False,
    steps: Sequence[tuple[int, int]] | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> PathKernelDecomposition:
    """Decompose the change of explained scalars over training, by training example, parameter and step.

    Args:
        run_or_history: a run with a record of every step (history=full or replay), or a Trajectory.
        inputs: the X explained inputs, a Batch with their targets, or a tensor (X, ...) with `targets` beside it.
        outputs: the C explained scalars of each input: "all" (log-probabilities of all classes), "target" (of the own
            class), "margin" (its log-odds), "loss" (one scalar, the mean over all inputs), all in nats, or a function
            of the model's outputs; see Explained.
        rule, nodes, tolerance, most_nodes, secant: see Quadrature.
        dtype: of the arithmetic; by default that of training.
        targets: of `inputs` where these are a tensor.
        form, scores, groups, bins, view, steps_by_tensor, steps: see PathKernelSettings.
        memory: bytes that a block of work may take.
        device: of the arithmetic.
        progress: called with (done, total) after every step.

    Returns:
        Influences (X, C, N) of the N training examples, the parts of decay, clipping and of both remainders (X, C), and
        the same by step, tensor and parameter; see PathKernelDecomposition.

    Raises:
        NotRecorded: a step is missing.
        ConfigError: the model, optimizer or precision is not supported, or an argument is wrong.

    Source: "ExPLAIND", arXiv 2505.20076, computed by a backward pass.
    """
    quadrature = Quadrature(rule, nodes, tolerance, most_nodes, secant)
    trajectory = trajectory_of(run_or_history, dtype, device)
    explained = Explained(trajectory.functional, explained_batch(trajectory, inputs, targets, outputs), outputs)
    settings = PathKernelSettings(quadrature, form, memory, scores, groups, bins, view, steps_by_tensor, steps)
    backward = PathKernelBackward(trajectory, explained, settings)
    for done, total in backward:
        if progress is not None:
            progress(done, total)
    return backward.result()


def trajectory_of(
    run_or_history: RecordedTraining | Trajectory, dtype: torch.dtype | None, device: str = "cpu"
) -> Trajectory:
    """Return the trajectory of a recorded training, or the given trajectory, which has a dtype already."""
    if not isinstance(run_or_history, Trajectory):
        return Trajectory.of_run(run_or_history, dtype, device)
    if dtype is not None and run_or_history.functional.dtype != dtype:
        got = f"{dtype} for a trajectory in {run_or_history.functional.dtype}"
        raise ConfigError("dtype must be that of the trajectory", got=got, key="dtype", fix="build it with this dtype")
    return run_or_history


def explained_batch(trajectory: Trajectory, inputs: Batch | Tensor, targets: Tensor | None, outputs: Outputs) -> Batch:
    """Return the explained inputs as a batch; targets that are not used are zeros."""
    functional = trajectory.functional
    if isinstance(inputs, Batch):
        return functional.placed(inputs)
    if targets is None:
        if takes_batch(outputs) or (outputs != "all" and isinstance(outputs, str)):
            name = f"outputs={outputs}" if isinstance(outputs, str) else "a function of outputs and batch"
            raise ConfigError(f"{name} needs targets", got="inputs alone", key="targets", fix="targets=...")
        if functional.spec.kind == "sequence":
            fix = "give a Batch, or the targets of the explained steps"
            raise ConfigError(
                "sequences need targets, which mark the explained steps", got="inputs alone", key="targets", fix=fix
            )
        targets = functional.spec.loss.no_targets((len(inputs),), functional.spec.outputs, functional.dtype)
    return functional.placed(Batch(inputs, targets, None, torch.arange(len(inputs))))
