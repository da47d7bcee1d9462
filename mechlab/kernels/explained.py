"""The explained scalars: functions of a model's outputs on some inputs, and their gradients."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.func import jacrev, jvp, vmap

from mechlab.core.errors import ConfigError, did_you_mean
from mechlab.core.forward_mode import load_forward_mode
from mechlab.core.step import example_losses
from mechlab.core.task import Batch
from mechlab.kernels.functional_model import FunctionalModel
from mechlab.kernels.ghost import Ghost
from mechlab.kernels.inner import works

OutputName = Literal["all", "target", "margin", "loss"]
Outputs = OutputName | Callable[[Tensor], Tensor] | Callable[[Tensor, Batch], Tensor]
NAMES = get_args(OutputName)


@dataclass(frozen=True)
class Explained:
    """X x C scalars q of a model's outputs.

    Args:
        functional: the model.
        batch: the inputs, with targets where the scalars need them.
        outputs: "all": each input's log-probability of every class, or what else the loss explains, see `Loss.scalars`;
            "target": minus each input's loss, the log-probability of its own class; "margin": the log-odds of its own
            class, log p - log(1 - p); "loss": the mean loss of all inputs, one scalar. Or a function from the outputs
            (B, ...), and from their Batch if it takes two arguments, to (B, C) or (B,) numbers that belong to the
            inputs, or to any number (K,) of others, or one number ().

    Raises:
        ConfigError: no input, an unknown name, or a function that does not return such numbers.

    Attributes:
        shape: (X, C), where X is 1 for one scalar and K for K scalars that do not belong to inputs.
        apart: whether row x depends on input x only.
        by_rows: whether torch can differentiate each row by itself, which is faster.
        factored: whether the gradients of rows are available in factored form, which is the fastest.
    """

    functional: FunctionalModel
    batch: Batch
    outputs: Outputs

    def __post_init__(self) -> None:
        if isinstance(self.outputs, str) and self.outputs not in NAMES:
            must = f"outputs must be one of {', '.join(NAMES)}, or a function"
            raise ConfigError(must, got=self.outputs, key="outputs", fix=did_you_mean(self.outputs, NAMES))
        if not len(self.batch):
            must, fix = "there must be at least one explained input", "one or more inputs"
            raise ConfigError(must, got="an empty batch", key="examples", fix=fix)
        loss = self.functional.spec.loss
        if self.outputs == "margin" and not loss.indices:
            must, got = "outputs=margin needs targets that are classes", type(loss).__name__
            raise ConfigError(must, got=got, key="outputs", fix="outputs=target")
        with torch.no_grad():
            parameters = dict(self.functional.model.named_parameters())
            values = self._of(parameters, self.batch)
            object.__setattr__(self, "shape", tuple(values.shape))
            object.__setattr__(self, "apart", self._is_apart(parameters, values))
        flat = self.functional.layout.join(parameters).detach()
        one = self.rows(0, 1) if self.apart else self
        object.__setattr__(self, "by_rows", self.apart and works(lambda: one._row_gradients(flat, 0)))
        two = self.batch[:2]
        factored = self.by_rows and Ghost(self.functional).covers(flat, self._repeated(two), self._each_scalar)
        object.__setattr__(self, "factored", factored)

    def rows(self, start: int, stop: int) -> Explained:
        """Return the scalars of some of the inputs alone."""
        return self.chosen(slice(start, stop))

    def chosen(self, rows: slice | Tensor) -> Explained:
        """Return the scalars of the inputs of a slice or with these indices alone."""
        part = object.__new__(Explained)
        for field in fields(self):
            object.__setattr__(part, field.name, getattr(self, field.name))
        object.__setattr__(part, "batch", self.batch[rows])
        object.__setattr__(part, "shape", (len(part.batch), self.shape[1]))
        object.__setattr__(part, "apart", True)
        object.__setattr__(part, "by_rows", getattr(self, "by_rows", True))
        object.__setattr__(part, "factored", getattr(self, "factored", False))
        return part

    def values(self, theta: Tensor) -> Tensor:
        """Return the scalars (X, C) at parameters theta (P,).

        Raises:
            ConfigError: one of them is not a finite number.
        """
        with torch.no_grad():
            values = self._of(self.functional.layout.split(theta), self.batch)
        if not (finite := values.isfinite()).all():
            row, column = (~finite).nonzero()[0].tolist()
            must = "the explained scalars must be finite numbers at every step of training"
            place = (
                f"{column} of explained input {row}" if len(values) == len(self.batch) else row * self.shape[1] + column
            )
            got = f"{values[row, column]:g} for scalar {place}"
            fix = "choose other outputs or other examples"
            raise ConfigError(must, got=got, key="outputs", fix=fix)
        return values

    def gradients(self, theta: Tensor, chunk: int = 0) -> Tensor:
        """Return the scalars' gradients (X C, P) at parameters theta (P,).

        Args:
            chunk: inputs that are differentiated at once; 0 for all.
        """
        if self.factored:
            return self.mean_gradients([theta], chunk)
        if self.by_rows:
            return self._row_gradients(theta, chunk)
        gradients = jacrev(lambda p: self._of(p, self.batch).flatten())(self.functional.layout.split(theta))
        return self.functional.layout.join(gradients, 1)

    def derivatives(self, theta: Tensor, direction: Tensor, forward: bool = True) -> Tensor:
        """Return the derivatives (X, C) of the scalars along a direction (P,) at parameters theta (P,).

        Args:
            forward: whether to differentiate forwards, which takes two forward passes for all scalars; torch has no
                rule for it for some layers.
        """
        if not forward:
            return (self.gradients(theta) @ direction).view(self.shape)
        load_forward_mode()
        layout = self.functional.layout
        tangents = layout.split(direction)
        return jvp(lambda p: self._of(p, self.batch), (layout.split(theta),), (tangents,))[1]

    def mean_gradients(self, thetas: Sequence[Tensor], chunk: int = 0, out: Tensor | None = None) -> Tensor:
        """Return the mean (X C, P) of the scalars' gradients at several parameters (P,), in `out` if it is given.

        Raises:
            ConfigError: there are no parameters to average over.
        """
        if not len(thetas):
            must, fix = "a mean of gradients needs at least one node", "nodes=1"
            raise ConfigError(must, got="no nodes", key="nodes", fix=fix)
        (X, C), n = self.shape, len(thetas)
        out = thetas[0].new_zeros(X * C, len(thetas[0])) if out is None else out
        if not self.factored:
            for i, theta in enumerate(thetas):
                out = out.copy_(self.gradients(theta, chunk)) if i == 0 else out.add_(self.gradients(theta, chunk))
            return out.div_(n) if n > 1 else out
        ghost = Ghost(self.functional)
        for start in range(0, X, chunk or X):
            part = self._repeated(self.batch[start : start + (chunk or X)])
            captured = [ghost.capture(theta, part, lambda p, b: self._each_scalar(p, b) / n, False) for theta in thetas]
            ghost.gradients(captured, out[start * C : start * C + len(part)])
        return out

    def _repeated(self, batch: Batch) -> Batch:
        """Return a batch that holds each input once for each of its scalars."""
        return batch[torch.arange(len(batch)).repeat_interleave(self.shape[1])]

    def _each_scalar(self, parameters: dict[str, Tensor], batch: Batch) -> Tensor:
        """Return one scalar for each input of a repeated batch: the first of the first input, its second, ..."""
        values = self._of(parameters, batch)
        columns = torch.arange(values.shape[1], device=values.device).repeat(len(values) // values.shape[1])
        return values.gather(1, columns[:, None])[:, 0]

    def gradients_at(self, thetas: Tensor, rows: list[int], chunk: int = 0) -> Tensor:
        """Return the gradients (R, C, P) of some rows' scalars, each at its own parameters thetas (R, P)."""
        if not self.by_rows:
            return self.gradients(thetas[0])[None]
        return self._row_gradients(thetas, chunk, self.batch[rows]).unflatten(0, (len(rows), -1))

    def values_at(self, thetas: Tensor, rows: list[int]) -> Tensor:
        """Return some rows' scalars (R, C), each at its own parameters thetas (R, P)."""
        batch = self.batch[rows]

        def row(parameters: dict[str, Tensor], *example: Tensor | None) -> Tensor:
            return self._of(parameters, _one(*example))[0]

        with torch.no_grad():
            return vmap(row, (0, *_axes(batch)))(self.functional.layout.split(thetas), *_columns(batch))

    def _row_gradients(self, theta: Tensor, chunk: int, batch: Batch | None = None) -> Tensor:
        """Return the gradients (R C, P) of rows at parameters (P,), or at (R, P) of their own."""
        batch = self.batch if batch is None else batch
        layout = self.functional.layout

        def row(parameters: dict[str, Tensor], *example: Tensor | None) -> dict[str, Tensor]:
            return jacrev(lambda p: self._of(p, _one(*example))[0])(parameters)

        rows = vmap(row, (None if theta.ndim == 1 else 0, *_axes(batch)), chunk_size=chunk or None)
        return layout.join(rows(layout.split(theta), *_columns(batch)), 2).flatten(0, 1)

    @cached_property
    def _function(self) -> Callable[[Tensor, Batch], Tensor]:
        """The user's function, as one of the outputs and the batch."""
        return self.outputs if takes_batch(self.outputs) else lambda outputs, _: self.outputs(outputs)

    def _of(self, parameters: dict[str, Tensor], batch: Batch) -> Tensor:
        outputs = self.functional.outputs(parameters, batch)
        if not isinstance(self.outputs, str):
            values = self._function(outputs, batch)
            _check_values(values)
            return values if values.ndim == 2 else values.reshape(-1, 1)
        if self.outputs == "all":
            return self.functional.spec.loss.scalars(outputs).flatten(1)
        if self.outputs == "margin":
            return _log_odds(outputs, batch)
        losses = example_losses(outputs, batch, self.functional.spec).to(outputs.dtype)
        return losses.mean()[None, None] if self.outputs == "loss" else -losses[:, None]

    def _is_apart(self, parameters: dict[str, Tensor], values: Tensor) -> bool:
        """Return whether each row is a function of its input alone: an input by itself then has the same row."""
        if isinstance(self.outputs, str):
            return self.outputs != "loss"
        if len(values) != len(self.batch):
            return False
        try:
            alone = [self._of(parameters, self.batch[row : row + 1]) for row in range(min(3, len(values)))]
        except Exception:  # such as an index beyond the single row: the function needs them all
            return False
        if any(row.shape != (1, *values.shape[1:]) for row in alone):
            return False
        shuffled = torch.arange(len(values)).roll(1)  # a function may depend on the places of its rows
        if not torch.allclose(self._of(parameters, self.batch[shuffled]), values[shuffled], rtol=1e-4, atol=1e-6):
            return False
        return torch.allclose(torch.cat(alone), values[: len(alone)], rtol=1e-4, atol=1e-6)


def counted_scalars(batch: Batch, scalars: int) -> Tensor:
    """Return which scalars (X, C) of each example's outputs, flattened, are of targets that count, as bool."""
    if batch.mask is None:
        return torch.ones(len(batch), scalars, dtype=torch.bool, device=batch.inputs.device)
    mask = batch.mask.flatten(1)
    return mask.repeat_interleave(scalars // mask.shape[1], 1)


def takes_batch(outputs: Outputs) -> bool:
    """Return whether a function of the outputs is one of two arguments, of which the second is the Batch."""
    if isinstance(outputs, str):
        return False
    try:
        parameters = inspect.signature(outputs).parameters.values()
    except (TypeError, ValueError):  # of a function written in C
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(each.kind in positional and each.default is each.empty for each in parameters) == 2


def _columns(batch: Batch) -> tuple[Tensor | None, ...]:
    return batch.inputs, batch.targets, batch.mask, batch.index


def _axes(batch: Batch) -> tuple[int | None, ...]:
    return tuple(None if column is None else 0 for column in _columns(batch))


def _one(*example: Tensor | None) -> Batch:
    """Return the batch of one example, given without its axis."""
    return Batch(*(None if column is None else column[None] for column in example))


def _check_values(values: object) -> None:
    """Raise ConfigError unless a user's function returned floating-point numbers (B, C), (K,) or ()."""
    fix = "return values.flatten(1) for several scalars of each input"
    if isinstance(values, Tensor):
        if values.ndim <= 2 and values.numel() and values.is_floating_point():
            return
        if not values.is_floating_point():
            fix = "return numbers that have gradients, such as logits"
        got = f"shape {tuple(values.shape)} of {str(values.dtype).removeprefix('torch.')}"
    else:
        got = type(values).__name__
    must = "a function of the outputs must return a tensor of one or more real numbers, with at most two axes"
    raise ConfigError(must, got=got, key="outputs", fix=fix)


def _log_odds(outputs: Tensor, batch: Batch) -> Tensor:
    """Return each example's mean log-odds (B, 1) of its own class, over the targets that count."""
    own = torch.nn.functional.one_hot(batch.targets, outputs.shape[-1]).bool()
    right = torch.where(own, outputs, torch.zeros_like(outputs)).sum(-1)
    odds = right - outputs.masked_fill(own, float("-inf")).logsumexp(-1)
    if odds.ndim == 1:
        return odds[:, None]
    weight = torch.ones_like(odds) if batch.mask is None else batch.mask.to(odds.dtype)
    return ((odds * weight).sum(1) / weight.sum(1))[:, None]
