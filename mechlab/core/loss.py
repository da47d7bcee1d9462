"""Losses: what outputs cost, given targets. A task names its loss in its spec."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mechlab.core.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Loss(ABC):
    """The loss of each target, and what follows from it. A subclass implements `elements`.

    Args:
        dtype: in which the loss is computed from the outputs; that of the outputs by default.

    Attributes:
        classes: whether outputs are scores of classes, one score for each class.
        indices: whether a target is the index of a class (B, ...) int64, instead of real numbers (B, ..., outputs).
        reduction: whether an example's loss is the mean or the sum over those of its targets that count.
    """

    dtype: Literal["float32", "float64"] | None = None

    classes: ClassVar[bool] = False
    indices: ClassVar[bool] = False
    reduction: ClassVar[Literal["mean", "sum"]] = "mean"

    @abstractmethod
    def elements(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each target: (B, ...) for outputs and targets of classes, (B, ..., outputs) for numbers.

        An example's losses depend on its own outputs and targets only, and are differentiable in the outputs.
        """

    def examples(self, outputs: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss (B,) of each example, over the targets that count; see Batch for the shapes."""
        losses = self.elements(*self._cast(outputs, targets))
        return per_example(losses, mask, self.reduction)

    def mean(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean () of the examples' losses where every target counts."""
        return self.examples(outputs, targets).mean()

    def right(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return which targets are met, as bool in the shape of `elements`: by default those of the same sign, with
        sgn(0) = +1."""
        return (outputs >= 0) == (targets >= 0)

    def scalars(self, outputs: Tensor) -> Tensor:
        """Return the scalars of outputs (..., outputs) that attribution explains: log-probabilities where the loss has
        them, and the outputs themselves by default."""
        return outputs

    def output_shape(self, targets: Tensor, outputs: int) -> tuple[int, ...]:
        """Return the shape of the outputs, of size `outputs` each, that targets require."""
        return (*targets.shape, outputs) if self.indices else tuple(targets.shape)

    def no_targets(self, shape: tuple[int, ...], outputs: int, dtype: torch.dtype) -> Tensor:
        """Return zeros in place of targets, for examples (and steps) of a shape, where outputs alone matter."""
        return torch.zeros(shape, dtype=torch.int64) if self.indices else torch.zeros(*shape, outputs, dtype=dtype)

    def _cast(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        if self.dtype is None:
            return outputs, targets
        dtype = getattr(torch, self.dtype)
        return outputs.to(dtype), targets.to(dtype) if targets.is_floating_point() else targets


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """(output - target)^2."""

    def elements(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the squared errors (B, ..., outputs)."""
        return (outputs - targets).square()

    def mean(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean of all squared errors ()."""
        return F.mse_loss(*self._cast(outputs, targets))


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """-log softmax(outputs)[target], in nats, for targets that are class indices."""

    classes = True
    indices = True

    def elements(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return minus the log-probability (B, ...) of each target."""
        losses = F.cross_entropy(outputs.flatten(0, -2), targets.flatten(), reduction="none")
        return losses.view(targets.shape)

    def mean(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return minus the mean log-probability of the targets ()."""
        outputs, targets = self._cast(outputs, targets)
        return F.cross_entropy(outputs.flatten(0, -2), targets.flatten())

    def right(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return where the class with the highest score is the target, (B, ...)."""
        return outputs.argmax(-1) == targets

    def scalars(self, outputs: Tensor) -> Tensor:
        """Return the log-probabilities (..., C) of the classes."""
        return outputs.log_softmax(-1)


@dataclass(frozen=True)
class SoftCrossEntropy(Loss):
    """-sum_c target[c] log softmax(outputs)[c], in nats, for targets (B, ..., C) that are distributions of classes."""

    classes = True

    def elements(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the cross entropy (B, ...) of each distribution."""
        return -(targets * outputs.log_softmax(-1)).sum(-1)

    def right(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return where the class with the highest score is the most probable one, (B, ...)."""
        return outputs.argmax(-1) == targets.argmax(-1)

    def scalars(self, outputs: Tensor) -> Tensor:
        """Return the log-probabilities (..., C) of the classes."""
        return outputs.log_softmax(-1)


@dataclass(frozen=True)
class BernoulliLoss(Loss):
    """-t log p - (1 - t) log(1 - p) with p = sigmoid(output), in nats, for targets t in [0, 1]."""

    def elements(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the binary cross entropies (B, ..., outputs)."""
        return F.binary_cross_entropy_with_logits(outputs, targets, reduction="none")

    def right(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return where p and the target are on the same side of 1/2, (B, ..., outputs)."""
        return (outputs >= 0) == (targets >= 0.5)

    def scalars(self, outputs: Tensor) -> Tensor:
        """Return log p (..., outputs)."""
        return F.logsigmoid(outputs)


@dataclass(frozen=True)
class SigmoidSquaredError(Loss):
    """(sigmoid(output) - target)^2, for targets in [0, 1].

    Args:
        reduction: of an example's targets. With "sum" a batch's loss is still the mean over its examples; where a
            source sums over the batch too, its gradient is larger by the batch size.
    """

    reduction: Literal["mean", "sum"] = "sum"  # type: ignore[misc]  # here a field

    def elements(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the squared errors (B, ..., outputs) of the probabilities."""
        return (outputs.sigmoid() - targets).square()

    def right(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return where probability and target are on the same side of 1/2, (B, ..., outputs)."""
        return (outputs >= 0) == (targets >= 0.5)


@dataclass(frozen=True)
class LogSquaredError(Loss):
    """1/2 log(1 + (output - target)^2), the Cauchy loss of scale 1, for targets that are whole numbers.

    Source: the recurrent networks of "Opening the AI black box: program synthesis via mechanistic interpretability",
    arXiv 2402.05110.
    """

    def elements(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the losses (B, ..., outputs)."""
        return (outputs - targets).square().log1p() / 2

    def right(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return where the rounded output is the target, (B, ..., outputs)."""
        return outputs.round() == targets


SHORT_NAMES = {"mse": MeanSquaredError(), "cross_entropy": CrossEntropy()}


def loss_of(named: Loss | str) -> Loss:
    """Return the loss that a spec names: a Loss, or the short name of one, "mse" or "cross_entropy".

    Raises:
        ConfigError: there is no such loss.
    """
    if isinstance(named, Loss):
        return named
    if named not in SHORT_NAMES:
        raise ConfigError(
            "a spec must name a Loss, or one of mse and cross_entropy",
            got=repr(named),
            key="loss",
            fix=did_you_mean(str(named), SHORT_NAMES),
        )
    return SHORT_NAMES[named]


def per_example(values: Tensor, mask: Tensor | None, reduction: Literal["mean", "sum"] = "mean") -> Tensor:
    """Return the mean or sum (B,) of values (B, ...) over everything but the examples, at the steps that count."""
    if reduction == "sum":
        if mask is not None:
            values = values * mask.to(values.dtype).view(*mask.shape, *(1,) * (values.ndim - mask.ndim))
        return values.flatten(1).sum(1) if values.ndim > 1 else values
    if mask is None:
        return values.flatten(1).mean(1) if values.ndim > 1 else values
    weight = mask.to(values.dtype)
    if values.ndim == 3:
        values = values.mean(-1)
    return (values * weight).sum(1) / weight.sum(1)
