"""Influence functions with the Gauss-Newton matrix in an eigenvalue-corrected Kronecker factorisation (EK-FAC).

The Gauss-Newton matrix of the mean training loss is the mean over examples of E[g g^T], where g is the gradient of
<e, outputs> and the random vector e has the Hessian of the example's loss in the outputs as its covariance. For a
linear layer, g is a matrix sum_t d_t a_t^T of the layer's inputs a_t and the derivatives d_t in its outputs. With the
eigenvectors U of E[d d^T] and V of E[a a^T], the matrix is approximated by

    (U x V) diag(E[(U^T g V)^2]) (U x V)^T

within the layer, and by zero between layers. An embedding has one-hot inputs, whose eigenvectors are the unit vectors;
parameters outside of linear, convolution and embedding layers have a diagonal matrix.

Source: Grosse et al., arXiv 2308.03296; George et al., arXiv 1806.03884.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.func import grad, jacrev, vmap

from mechlab.core.loss import CrossEntropy, Loss
from mechlab.core.task import Batch
from mechlab.kernels.contraction import scattered_rows
from mechlab.kernels.explained import Explained, Outputs
from mechlab.kernels.first_order import all_examples
from mechlab.kernels.functional_model import FunctionalModel
from mechlab.kernels.ghost import Captured, Ghost
from mechlab.kernels.inner import InnerProducts, works
from mechlab.kernels.path_kernels import explained_batch, trajectory_of

if TYPE_CHECKING:
    from mechlab.kernels.recorded import RecordedTraining
    from mechlab.kernels.trajectory import Trajectory

TOGETHER = 16  # examples whose gradients outside of layers are computed together
VECTORS = 1000  # random vectors from which the Gauss-Newton matrix is estimated, at least


def influence(
    run_or_history: RecordedTraining | Trajectory,
    inputs: Batch | Tensor,
    outputs: Outputs = "target",
    dtype: torch.dtype | None = None,
    *,
    damping: float = 0.1,
    samples: int | None = None,
    seed: int = 0,
    data: Batch | None = None,
    targets: Tensor | None = None,
    memory: int = 2**30,
    device: str = "cpu",
) -> np.ndarray:
    """Return the influence (X, C, N) of each training example on each scalar at the end of training.

    It is -1 / N <gradient of q, (G + d)^-1 gradient of k's loss> with the Gauss-Newton matrix G in EK-FAC. Removing
    example k changes q by minus its influence, if training has converged and its loss is convex.

    Args:
        damping: d in each layer, relative to the layer's mean eigenvalue.
        samples: random vectors e for each training example.
        seed: of the random vectors.
        data: training examples; all by default.
        (others): see `path_kernel`.

    Raises:
        ConfigError: an argument is wrong for `path_kernel`.
    """
    trajectory = trajectory_of(run_or_history, dtype, device)
    functional = trajectory.functional
    explained = Explained(functional, explained_batch(trajectory, inputs, targets, outputs), outputs)
    theta, batch = trajectory.state(trajectory.steps).theta, all_examples(trajectory, data)
    samples = -(-VECTORS // len(batch)) if samples is None else samples
    curvature = gauss_newton(functional, theta, batch, samples, seed, memory)
    directions = solved(curvature, explained.gradients(theta), damping)
    inner = InnerProducts(functional, limit=memory)
    products, _ = inner(inner.choose(theta, batch, len(directions)), theta, batch, directions)
    return (-products.double() / len(batch)).cpu().unflatten(0, explained.shape).numpy()


@dataclass(frozen=True)
class Block:
    """The Gauss-Newton matrix of one layer, or of all parameters outside of layers.

    Args:
        places: (out, in) of the parameters on the flat axis.
        left, right: eigenvectors (out, out) and (in, in) in columns; None for unit vectors.
        values: (out, in) eigenvalues.
    """

    places: Tensor
    left: Tensor | None
    right: Tensor | None
    values: Tensor

    def solved(self, directions: Tensor, damping: float) -> Tensor:
        """Return (G + damping mean eigenvalue)^-1 times directions (Q, out, in)."""
        added = damping * self.values.mean()
        rotated = _rotated(directions, self.left, self.right)
        scaled = rotated / (self.values + added).clamp_min(torch.finfo(directions.dtype).tiny)
        return _rotated(scaled, *(None if vectors is None else vectors.mT for vectors in (self.left, self.right)))


def gauss_newton(
    functional: FunctionalModel, theta: Tensor, data: Batch, samples: int = 1, seed: int = 0, limit: int = 2**30
) -> list[Block]:
    """Return the blocks of the Gauss-Newton matrix of the mean loss of N examples, in EK-FAC.

    Args:
        functional: the model and its loss.
        theta: (P,) parameters.
        data: the examples.
        samples: random vectors e for each example.
        seed: of the random vectors, which are the same for the eigenvectors and for the eigenvalues.
        limit: bytes that a block of work may take.
    """
    ghost, layout = Ghost(functional), functional.layout
    parts = InnerProducts(functional, limit=limit).parts(theta, data, 2 * layout.size)
    covariances: dict[str, tuple[Tensor | float, Tensor | float]] = {}
    for _, _, captured in _captures(ghost, theta, parts, samples, seed):
        for name, given, delta in _with_bias(ghost, captured):
            left, right = covariances.get(name, (0.0, 0.0))
            covariances[name] = left + _covariance(given), right + _covariance(delta)
    vectors = {name: (_eigenvectors(given), _eigenvectors(delta)) for name, (given, delta) in covariances.items()}
    values: dict[str, Tensor | float] = dict.fromkeys(vectors, 0.0)
    others, rest = [], 0.0
    for part, noise, captured in _captures(ghost, theta, parts, samples, seed):
        for name, given, delta in _with_bias(ghost, captured):
            values[name] = values[name] + _squares(given, delta, *vectors[name], len(ghost.places(name)))
        if others := captured.others:
            rest = rest + _other_squares(functional, theta, part, noise, others)
    number = len(data) * samples
    blocks = [
        Block(ghost.places(name), *((None, right) if left is None else (right, left)), values[name] / number)
        for name, (left, right) in vectors.items()
    ]
    if others:
        place = torch.cat([torch.arange(layout.size, device=theta.device)[layout.places[name]] for name in others])
        blocks.append(Block(place[:, None], None, None, rest[:, None] / number))
    return blocks


def solved(blocks: list[Block], directions: Tensor, damping: float) -> Tensor:
    """Return (G + d)^-1 times directions (Q, P), with d = damping times the mean eigenvalue of each block."""
    result = torch.zeros_like(directions)
    for block in blocks:
        result[:, block.places] = block.solved(directions[:, block.places], damping)
    return result


def uniform_shape(loss: Loss, outputs: Tensor) -> tuple[int, ...]:
    """Return the shape (B, ...) of the uniform numbers that `output_noise` takes for these outputs."""
    return tuple(outputs.shape[:-1] if type(loss) is CrossEntropy else outputs.flatten(1).shape)


def output_noise(loss: Loss, outputs: Tensor, batch: Batch, uniform: Tensor) -> Tensor:
    """Return random vectors, in the shape of the outputs (B, ...), whose covariance for each example is the Hessian of
    its loss in its outputs, without directions of negative curvature.

    Args:
        loss: of the task.
        outputs: (B, ...) of a model.
        batch: the examples.
        uniform: independent numbers in [0, 1), in the shape of `uniform_shape`.
    """
    if type(loss) is CrossEntropy:  # of the classes' distribution: e = p - onehot(class drawn from p)
        p = outputs.softmax(-1)
        ends = p.double().cumsum(-1)
        drawn = (ends <= uniform[..., None] * ends[..., -1:]).sum(-1, keepdim=True).clamp(max=p.shape[-1] - 1)
        noise = p.scatter_add(-1, drawn, -torch.ones_like(drawn, dtype=p.dtype))
        if p.ndim == 2:
            return noise
        counted = torch.ones_like(p[..., 0]) if batch.mask is None else batch.mask.to(p.dtype)
        return noise * (counted / counted.sum(1, keepdim=True).sqrt())[..., None]

    def one(output: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
        return loss.examples(output.view(outputs[:1].shape), target[None], None if mask is None else mask[None])[0]

    axes = (0, 0, None if batch.mask is None else 0)
    hessians = vmap(jacrev(jacrev(one)), axes)(outputs.flatten(1), batch.targets, batch.mask)  # (B, D, D)
    sizes, directions = torch.linalg.eigh(hessians)
    signs = 2 * (uniform < 0.5).to(sizes) - 1
    return (directions @ (sizes.clamp_min(0).sqrt() * signs)[..., None])[..., 0].view(outputs.shape)


def _captures(
    ghost: Ghost, theta: Tensor, parts: list[Batch], samples: int, seed: int
) -> Iterator[tuple[Batch, Tensor, Captured]]:
    """Yield examples, their random vectors (B, ...) and the backward pass of these. The vectors are the same for any
    cut into parts, since numbers are drawn an example after another, and on any device."""
    functional, rng = ghost.functional, np.random.default_rng(seed)
    loss = functional.spec.loss
    for part in parts:
        with torch.no_grad():
            outputs = functional.outputs(functional.layout.split(theta), part)
        number, *each = uniform_shape(loss, outputs)
        uniform = torch.from_numpy(rng.random((number, samples, *each))).to(theta.device)
        for sample in range(samples):
            noise = output_noise(loss, outputs, part, uniform[:, sample])
            yield part, noise, ghost.capture(theta, part, partial(_projected, functional, noise), False)


def _projected(functional: FunctionalModel, noise: Tensor, parameters: dict[str, Tensor], batch: Batch) -> Tensor:
    """Return <e, outputs> (B,) of each example."""
    return (functional.outputs(parameters, batch) * noise).flatten(1).sum(1)


def _with_bias(ghost: Ghost, captured: Captured) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield each layer's name, its inputs (B, T, in), with 1 appended for a bias, or ids (B, T), and derivatives."""
    for name, given, delta in captured.layers:
        if given.is_floating_point() and ghost.places(name).shape[1] > given.shape[2]:
            given = torch.cat([given, torch.ones_like(given[..., :1])], -1)
        yield name, given, delta


def _covariance(factor: Tensor) -> Tensor | float:
    """Return the sum over examples and positions of products (d, d) of vectors (B, T, d); 0 for ids."""
    rows = factor.flatten(0, 1)
    return rows.T @ rows if factor.is_floating_point() else 0.0


def _eigenvectors(matrix: Tensor | float) -> Tensor | None:
    return torch.linalg.eigh(matrix.double())[1].to(matrix) if isinstance(matrix, Tensor) else None


def _squares(given: Tensor, delta: Tensor, of_given: Tensor | None, of_delta: Tensor, rows: int) -> Tensor:
    """Return the sum over examples of the squares (out, in) of their gradients in the eigenvectors."""
    delta = delta @ of_delta
    if of_given is None:
        return scattered_rows(given, delta, rows).square().sum(0)
    given = given @ of_given
    if given.shape[1] == 1:
        return delta[:, 0].square().T @ given[:, 0].square()
    return (delta.mT @ given).square().sum(0)


def _other_squares(functional: FunctionalModel, theta: Tensor, batch: Batch, noise: Tensor, names: list[str]) -> Tensor:
    """Return the sum over examples of the squares (size,) of their gradients in the named tensors."""
    parameters, total = functional.layout.split(theta), 0.0
    moved = {name: parameters[name] for name in names}

    def one(inputs: Tensor, targets: Tensor, mask: Tensor | None, noise: Tensor) -> dict[str, Tensor]:
        example = Batch(inputs[None], targets[None], None if mask is None else mask[None], batch.index[:1])
        return grad(lambda p: _projected(functional, noise[None], parameters | p, example)[0])(moved)

    def by_rows(rows: slice) -> dict[str, Tensor]:
        part, axes = batch[rows], (0, 0, None if batch.mask is None else 0, 0)
        return vmap(one, axes)(part.inputs, part.targets, part.mask, noise[rows])

    def together(rows: slice) -> dict[str, Tensor]:
        return jacrev(lambda p: _projected(functional, noise[rows], parameters | p, batch[rows]))(moved)

    gradients = by_rows if works(lambda: by_rows(slice(0, 1))) else together
    for start in range(0, len(batch), TOGETHER):
        found = gradients(slice(start, start + TOGETHER))
        total = total + torch.cat([found[name].flatten(1) for name in names], 1).square().sum(0)
    return total


def _rotated(matrices: Tensor, left: Tensor | None, right: Tensor | None) -> Tensor:
    """Return left^T M right for matrices (Q, out, in)."""
    matrices = matrices if left is None else left.mT @ matrices
    return matrices if right is None else matrices @ right
