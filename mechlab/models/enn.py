"""Essence networks: three layers of threshold units, fitted as separators of subconcepts."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mechlab.core.constraints import Size, between
from mechlab.core.errors import ConfigError
from mechlab.core.loss import BernoulliLoss, SigmoidSquaredError
from mechlab.core.model import StaticModel
from mechlab.core.task import Batch, TaskSpec
from mechlab.distill.bitwise import Fit, bitwise_network, consistent_inputs, shared_inputs, windows
from mechlab.distill.essence import essence_network, merged_network
from mechlab.distill.separators import Kind
from mechlab.distill.subconcepts import clustered, merged
from mechlab.models.threshold_network import affine, signs


class ENN(StaticModel):
    """outputs = sign(sign(x D) S) C, where x, and the signs, end in a 1 for the biases, and sign(0) = 0.

    Solved before training: units of D separate pairs of subconcepts of different concepts, units of S a subconcept from
    all samples of other concepts, units of C concepts. Concepts are the classes, or the two values of a binary output
    (a task with several has a small network for each), or the distinct targets where targets are other numbers, which C
    then approximates by least squares. Training from there uses the derivative of tanh(z / |w|) in place of that of the
    sign, for a unit with weights w.

    Real inputs are flattened; tokens become one-hot vectors, one after the other.

    Args:
        spec: of a static task.
        subconcepts: "each" sample is one; "given" by the method `subconcepts` of the task, which maps a
            batch to labels (B,), or to groups and labels (B, 2), of which only labels of one group are compared by D;
            clusters of each concept, by "k_means" or "agglomerative" clustering; or "merge": as few as
            are linearly separable in pairs, and no units that are not needed.
        clusters: of each concept; None for the least number that is separable. Only for clustering.
        separator: "margin" for the largest margin, rounded to few levels; "mean_difference", exact for whole numbers;
            or "lda", Fisher's discriminant.
        inputs_per_output: a binary output reads the smallest set of at most so many two-valued inputs of which it is a
            function on the examples, and all inputs if there is none.
        shared: True if all cells of a ring have the same units, moved along the ring, so that the examples of one cell
            are examples of all. For as many outputs as inputs.
        window: width of the window that each cell of a ring or torus reads, with shared units; odd. None for the
            smallest set of inputs.
        levels: positive steps of the grid to which the weights of a unit are rounded in the forward pass, while
            training changes what is rounded; None for no rounding.

    Attributes:
        D, S, C: the layers (n_in + 1, n_out), biases in the last rows.

    Raises:
        ConfigError: options do not fit each other or the task.

    Source: Blazek and Lin, "Explainable neural networks that simulate reasoning", Nature Computational Science 1
    (2021).
    """

    def __init__(
        self,
        spec: TaskSpec,
        subconcepts: Literal["each", "given", "k_means", "agglomerative", "merge"] = "merge",
        clusters: Size | None = None,
        separator: Kind = "margin",
        inputs_per_output: Annotated[int, between(0, 20)] = 3,
        shared: bool = False,
        window: Annotated[int, between(1, 9)] | None = None,
        levels: Size | None = None,
    ):
        super().__init__(spec)
        self.subconcepts, self.clusters, self.separator = subconcepts, clusters, separator
        self.inputs_per_output, self.shared, self.window, self.levels = inputs_per_output, shared, window, levels
        size = math.prod(spec.shape) * (spec.inputs if spec.tokens else 1)
        self._check(size)
        widths = size, 2 * spec.outputs, spec.outputs, spec.outputs
        self.D, self.S, self.C = (_normal(*pair) for pair in pairwise(widths))

    def _check(self, size: int) -> None:
        if self.subconcepts == "given" and self.spec.subconcepts is None:
            must, fix = "the task must give subconcepts", "model.subconcepts=merge"
            raise ConfigError(must, got="a task without subconcepts", key="model.subconcepts", fix=fix)
        if self.window is not None and self.window % 2 == 0:
            must, fix = "model.window must be odd, so that a cell has a middle", f"model.window={self.window + 1}"
            raise ConfigError(must, got=self.window, key="model.window", fix=fix)
        cells = not self.spec.loss.classes and size == self.spec.outputs
        got = f"inputs of shape {self.spec.shape} and {self.spec.outputs} outputs"
        if self.window is not None and not (cells and self.window <= min(self._torus())):
            must = "the task of model.window must map cells of a ring or torus to cells, at least window of them a side"
            raise ConfigError(must, got=got, key="model.window", fix="model.window=null")
        if self.shared and self.window is None and not (cells and len(self._torus()) == 1):
            must, fix = (
                "the task of model.shared must map cells of a ring to cells",
                "model.shared=false, or model.window=3",
            )
            raise ConfigError(must, got=got, key="model.shared", fix=fix)

    def _torus(self) -> tuple[int, ...]:
        return tuple(length for length in self.spec.shape if length > 1) or (1,)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs (B, *shape) to outputs (B, outputs)."""
        return affine(self.hidden(inputs), self._weights(self.C))

    def hidden(self, inputs: Tensor) -> Tensor:
        """Map inputs (B, *shape) to the signs of the units of S (B, n)."""
        return signs(self._differences(inputs), self._weights(self.S))

    def preactivations(self, inputs: Tensor) -> Tensor:
        """Map inputs (B, *shape) to the inputs of the sign function (B, n) in S."""
        return affine(self._differences(inputs), self._weights(self.S))

    def _differences(self, inputs: Tensor) -> Tensor:
        """Return the signs of the units of D."""
        return signs(_features(inputs, self.spec).to(self.D.dtype), self._weights(self.D))

    def unembedding(self) -> Tensor:
        """Return the linear map (n, outputs) of the units of S to the outputs, without its bias."""
        return self._weights(self.C)[:-1]

    def skip(self, inputs: Tensor) -> Tensor:
        """Return a column of ones (B, 1), whose weights are the output bias."""
        return self.C.new_ones(len(inputs), 1)

    def skip_unembedding(self) -> Tensor:
        """Return the output bias (1, outputs)."""
        return self._weights(self.C)[-1:]

    def layers(self) -> list[np.ndarray]:
        """Return D, S and C as the forward pass uses them, (n_in + 1, n_out) in float64."""
        layers = (self._weights(layer) for layer in (self.D, self.S, self.C))
        return [layer.detach().cpu().double().numpy() for layer in layers]

    @torch.no_grad()
    def solve(self, examples: Batch, rng: torch.Generator) -> None:
        """Set the layers to separators of the examples, computed in double precision.

        Raises:
            ConfigError: subconcepts have samples of several concepts, or there are too many.
        """
        points = _features(examples.inputs, self.spec).cpu().double().numpy()
        seeded = np.random.default_rng(int(torch.randint(2**31, (), generator=rng, device=rng.device)))
        bits = self._bits(examples.targets)
        if bits is not None:
            layers = bitwise_network(points, bits, self._reads(points, bits), self._fit(seeded))
        elif self.spec.loss.indices:
            layers = self._fit(seeded, examples, self.spec.outputs)(points, examples.targets.cpu().numpy())
        else:
            values, concepts = np.unique(examples.targets.cpu().double().numpy(), axis=0, return_inverse=True)
            if self.spec.loss.classes:  # which shifts of all outputs do not change
                values = values - values.mean(1, keepdims=True)
            layers = self._fit(seeded, examples, values[concepts])(points, concepts)
        for parameter, layer in zip((self.D, self.S, self.C), layers, strict=True):
            parameter.data = torch.as_tensor(layer + 0.0).to(parameter)

    def _bits(self, targets: Tensor) -> np.ndarray | None:
        """Return binary targets (N, outputs) as 0 and 1; None if targets are classes or other numbers."""
        zero = 0 if isinstance(self.spec.loss, BernoulliLoss | SigmoidSquaredError) else -1
        if self.spec.loss.classes or not ((targets == 1) | (targets == zero)).all():
            return None
        return (targets == 1).flatten(1).long().cpu().numpy()

    def _reads(self, points: np.ndarray, bits: np.ndarray) -> np.ndarray | list:
        """Return the inputs of each binary output."""
        if self.window is not None:
            return windows(self._torus(), self.window)
        everything = tuple(range(points.shape[1]))
        if (np.sort(points, 0)[[0, -1]][:, None] == points).any(0).all():  # two values at most
            search = shared_inputs if self.shared else consistent_inputs
            return search(points, bits, self.inputs_per_output)
        return [everything] * bits.shape[1]

    def _fit(self, rng: np.random.Generator, examples: Batch | None = None, outputs: Any = None) -> Fit:
        """Return the function from points and concepts to layers."""
        if self.subconcepts == "merge" and not isinstance(outputs, np.ndarray):
            return partial(merged_network, kind=self.separator, outputs=outputs)

        def fit(points: np.ndarray, concepts: np.ndarray) -> list[np.ndarray]:
            labels, groups = self._labels(points, concepts, rng, examples)
            return essence_network(points, concepts, labels, self.separator, groups, outputs)

        return fit

    def _labels(
        self, points: np.ndarray, concepts: np.ndarray, rng: np.random.Generator, examples: Batch | None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the subconcept of each sample, and its group if there are groups."""
        if self.subconcepts == "given":
            return self._given(concepts, examples)
        if self.subconcepts == "each":
            return np.arange(len(points)), None
        if self.subconcepts == "merge":
            return merged(points, concepts), None
        return clustered(points, concepts, self.subconcepts, self.clusters, rng), None

    def _given(self, concepts: np.ndarray, examples: Batch | None) -> tuple[np.ndarray, np.ndarray | None]:
        if examples is None:
            must, fix = "given subconcepts must be those of classes or scores", "model.subconcepts=merge"
            raise ConfigError(must, got="binary outputs", key="model.subconcepts", fix=fix)
        labels = self.spec.subconcepts(examples).cpu().numpy()
        groups, labels = (None, labels) if labels.ndim == 1 else labels.T
        if len(np.unique(labels)) < len(np.unique(np.stack([labels, concepts]), axis=1).T):
            must, fix = "samples of a subconcept must have equal targets", "correct the task's subconcepts"
            raise ConfigError(must, got="different ones", key="model.subconcepts", fix=fix)
        return labels, groups

    def _weights(self, layer: Tensor) -> Tensor:
        """Return a layer, its units rounded to their grids if there are any."""
        if self.levels is None:
            return layer
        step = layer.detach()[:-1].abs().amax(0) / self.levels
        rounded = torch.where(step > 0, (layer.detach() / step).round() * step, layer.detach())
        return rounded + (layer - layer.detach())


def _features(inputs: Tensor, spec: TaskSpec) -> Tensor:
    """Return inputs (B, *shape) as vectors (B, n), tokens as one-hot vectors."""
    return (F.one_hot(inputs, spec.inputs) if spec.tokens else inputs).flatten(1)


def _normal(inputs: int, outputs: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(inputs + 1, outputs) / (inputs + 1) ** 0.5)
