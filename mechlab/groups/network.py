"""Networks of pairs of group elements, as analyses read them: a few rows of pairs at a time."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mechlab.core.errors import ConfigError
from mechlab.groups.finite_group import Group

BLOCK, ROWS = 500_000, 6  # numbers of the largest tensor of a block, and rows at least: fastest
Rows = Callable[[Tensor], Tensor]  # maps elements a (R,) to a tensor (R, n, ...) of the pairs (a, b), all b


@dataclass(frozen=True, eq=False)
class PairNetwork:
    """A network that maps pairs (a, b) of the n elements of a group to n logits, one for each element c.

    Where the last layer is linear, with h hidden units and f further activations beside them (a skip path, or the
    constant 1 of a bias),

        logits(a, b) = hidden(a, b) @ unembedding + skip(a, b) @ skip_unembedding.

    No tensor of all n^3 logits is ever made: functions take elements a (R,) and return (R, n, ...), for all b.

    Args:
        group: of n elements.
        hidden: activations (R, n, h) that the unembedding reads; None for a network of which only outputs are known.
        unembedding: U (h, n), or None.
        embeddings: effective embeddings A and B, (n, h) each or of another width, or None.
        preactivations: what the nonlinearity of the hidden units reads (R, n, h), or None.
        skip: activations (R, n, f) that reach the logits beside the hidden units; None for none.
        skip_unembedding: (f, n), or None.
        outputs: logits (R, n, n) of a network without `hidden`.
        parameters: number and sum of squares of the parameters; of the given tables for a network of given weights.

    Raises:
        ConfigError: shapes do not fit the group.
    """

    group: Group
    hidden: Rows | None = None
    unembedding: Tensor | None = None
    embeddings: tuple[Tensor, Tensor] | None = None
    preactivations: Rows | None = None
    skip: Rows | None = None
    skip_unembedding: Tensor | None = None
    outputs: Rows | None = None
    parameters: tuple[int, float] = (0, float("nan"))

    def __post_init__(self) -> None:
        n = self.group.order
        if (self.hidden is None) == (self.outputs is None) or (self.hidden is None) != (self.unembedding is None):
            raise ValueError("a network of pairs has either hidden units with an unembedding, or outputs")
        for name, tensor in (("unembedding", self.unembedding), ("skip_unembedding", self.skip_unembedding)):
            if tensor is not None and (tensor.ndim != 2 or tensor.shape[1] != n):
                _refuse(f"{name} must have a column for each of the {n} elements", tensor, self.group)
        for name, table in zip(("embed_x", "embed_y"), self.embeddings or (), strict=False):
            if table.ndim != 2 or len(table) != n:
                _refuse(f"{name} must have a row for each of the {n} elements", table, self.group)

    @classmethod
    @torch.no_grad()
    def of_model(cls, model: nn.Module, group: Group, dtype: torch.dtype = torch.float64) -> PairNetwork:
        """Return the network of a model that maps pairs (N, 2) int64 to logits (N, n).

        The model's class says what is inside by methods, all of which are optional: `hidden(inputs)` (N, h) with
        `unembedding()` (h, n); `skip(inputs)` (N, f) with `skip_unembedding()` (f, n); `preactivations(inputs)` (N, h);
        `effective_embeddings()`, the pair (A, B); and, where the hidden units are a function of the rows A[a] and B[b]
        alone, `combine(x, y)`, that function.

        Args:
            model: the network; it is not changed.
            group: of n elements.
            dtype: of all arithmetic.
        """
        parameters = list(model.parameters())
        size = sum(p.numel() for p in parameters), float(sum(p.detach().double().square().sum() for p in parameters))
        if any(p.dtype != dtype for p in parameters):
            model = copy.deepcopy(model).to(dtype)
        model = model.eval()

        def rows_of(method: Callable[[Tensor], Tensor] | None) -> Rows | None:
            return None if method is None else lambda rows: _on_pairs(method, rows, group.order)

        def value(name: str) -> Any:
            return _detached(getattr(model, name)()) if hasattr(model, name) else None

        embeddings, unembedding = value("effective_embeddings"), value("unembedding")
        embeddings = embeddings if embeddings is not None and len(embeddings) == 2 else None
        shared: dict[str, Any] = {"embeddings": embeddings, "parameters": size}
        if not hasattr(model, "hidden") or unembedding is None:
            return cls(group, outputs=rows_of(model), **shared)
        hidden = rows_of(model.hidden)
        if embeddings is not None and hasattr(model, "combine"):
            hidden = _combined(model.combine, *embeddings)
        return cls(
            group,
            hidden,
            unembedding,
            preactivations=rows_of(getattr(model, "preactivations", None)),
            skip=rows_of(getattr(model, "skip", None)),
            skip_unembedding=value("skip_unembedding"),
            **shared,
        )

    @classmethod
    def of_weights(
        cls,
        hidden: Rows | np.ndarray | Tensor | Sequence[np.ndarray | Tensor],
        unembedding: np.ndarray | Tensor,
        group: Group,
        embed_x: np.ndarray | Tensor | None = None,
        embed_y: np.ndarray | Tensor | None = None,
        skip: np.ndarray | Tensor | Rows | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> PairNetwork:
        """Return the network with given weights or activations.

        Args:
            hidden: a pair of effective embeddings A and B (n, h) of the perceptron relu(A[a] + B[b]), or one array
                (2, n, h) of both; or the activations (n, n, h) or (n^2, h) of all pairs, in row-major order; or a
                function of elements a (R,) that returns (R, n, h).
            unembedding: U (h, n).
            group: of n elements.
            embed_x, embed_y: effective embeddings (n, any width), where `hidden` is not a pair of them.
            skip: logits (n, n, n) or (n^2, n) that are added to those of the hidden units, such as of a path beside
                them; a function of elements a (R,) that returns (R, n, n); or a bias (n,).
            dtype: of all arithmetic.

        Raises:
            ConfigError: shapes do not fit the group, one of embed_x and embed_y is missing, or a weight is not finite.
        """
        n = group.order
        unembedding = _table(unembedding, "unembed", group, dtype)
        if (embed_x is None) != (embed_y is None):
            missing = "embed_x" if embed_x is None else "embed_y"
            raise ConfigError("embed_x and embed_y must come together", got=f"no {missing}", key=missing)
        embeddings = None
        if embed_x is not None:
            embeddings = _table(embed_x, "embed_x", group, dtype), _table(embed_y, "embed_y", group, dtype)
        extra: dict[str, Any] = {}
        if _is_pair(hidden, n):
            x, y = (_table(table, "embeddings", group, dtype) for table in hidden)
            for table in (x, y):
                if table.shape != (n, len(unembedding)):
                    _refuse(f"both embeddings must have the shape ({n}, {len(unembedding)})", table, group)
            embeddings = embeddings or (x, y)
            extra["preactivations"] = _combined(torch.add, x, y)
            rows = _combined(_relu_of_sum, x, y)
        else:
            rows = _given(hidden, "hidden", (n, n, len(unembedding)), group, dtype)
        if skip is not None:
            extra["skip_unembedding"] = torch.eye(n, dtype=dtype)
            if not callable(skip) and np.ndim(skip) == 1:
                extra["skip_unembedding"] = _tensor(skip, dtype)[None]
                skip = np.broadcast_to(np.ones(1), (n, n, 1))
            extra["skip"] = _given(skip, "skip", (n, n, len(extra["skip_unembedding"])), group, dtype)
        tables = [table.double() for table in (unembedding, *(embeddings or ()))]
        size = sum(table.numel() for table in tables), sum(float(table.square().sum()) for table in tables)
        return cls(group, rows, unembedding, embeddings, parameters=size, **extra)

    @property
    def order(self) -> int:
        """The number n of elements of the group."""
        return self.group.order

    @property
    def squared_weights(self) -> float:
        """The sum of squares of all parameters."""
        return self.parameters[1]

    @torch.no_grad()
    def logits(self, rows: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Return the logits (R, n, n) of the pairs of some elements a (R,) with all b.

        Args:
            rows: the elements a.
            hidden: their activations (R, n, h), where the caller has them.
        """
        if self.hidden is None:
            return self.outputs(rows)
        logits = (self.hidden(rows) if hidden is None else hidden) @ self.unembedding
        return logits if self.skip is None else logits.add_(self.skip(rows) @ self.skip_unembedding)

    def blocks(self, numbers: int = BLOCK) -> Iterator[Tensor]:
        """Yield all elements a in blocks (R,), whose activations and logits have about so many numbers, or six rows."""
        width = max(self.order, 0 if self.unembedding is None else len(self.unembedding))
        rows = min(max(ROWS, numbers // (self.order * width)), self.order // 2)  # never all pairs at once
        yield from torch.arange(self.order).split(max(1, rows))


def _combined(combine: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> Rows:
    @torch.no_grad()
    def rows_of(rows: Tensor) -> Tensor:
        return combine(x[rows][:, None], y[None])

    return rows_of


def _relu_of_sum(x: Tensor, y: Tensor) -> Tensor:
    return (x + y).relu_()


@torch.no_grad()
def _on_pairs(method: Callable[[Tensor], Tensor], rows: Tensor, n: int) -> Tensor:
    pairs = torch.stack([rows.repeat_interleave(n), torch.arange(n).repeat(len(rows))], 1)
    return method(pairs).unflatten(0, (len(rows), n))


def _given(values: Any, name: str, shape: tuple[int, int, int], group: Group, dtype: torch.dtype) -> Rows:
    """Return the rows of given values (n, n, k) or (n^2, k), or of a function that computes them."""
    if callable(values):
        return lambda rows: _tensor(values(rows), dtype)
    values = values if isinstance(values, Tensor) else np.asarray(values)
    if math.prod(values.shape) != shape[0] * shape[1] * shape[2] or values.shape[-1] != shape[2]:
        _refuse(f"{name} must have the shape {shape}, or ({shape[0]} * {shape[1]}, {shape[2]})", values, group)
    values = values.reshape(shape)
    if isinstance(values, Tensor):
        return lambda rows: _tensor(values[rows], dtype)
    return lambda rows: _tensor(values[rows.numpy()], dtype)  # by a tensor of one row, numpy would drop the axis


def _is_pair(hidden: Any, n: int) -> bool:
    """Return whether these are the two effective embeddings, and not the activations of all pairs of n elements."""
    if isinstance(hidden, list | tuple):
        return len(hidden) == 2
    return n != 2 and not callable(hidden) and np.ndim(hidden) == 3 and len(hidden) == 2


def _tensor(values: Any, dtype: torch.dtype) -> Tensor:
    values = values if isinstance(values, Tensor) else torch.from_numpy(np.array(values))
    return values.detach().to("cpu", dtype)


def _table(values: Any, name: str, group: Group, dtype: torch.dtype) -> Tensor:
    table = _tensor(values, dtype)
    if table.ndim != 2:
        _refuse(f"{name} must have two axes", table, group)
    if not table.isfinite().all():
        raise ConfigError(f"{name} must be finite", got="NaN or infinity", key=name)
    return table


def _detached(value: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
    return value.detach() if isinstance(value, Tensor) else tuple(part.detach() for part in value)


def _refuse(must: str, got: Tensor | np.ndarray, group: Group) -> None:
    raise ConfigError(must, got=f"shape {tuple(got.shape)}", key=group.name, fix="give the weights of one network")
