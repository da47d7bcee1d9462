"""The path-kernel prediction of outputs: the sum of their averaged gradients times the steps of a training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mechlab.core.errors import ConfigError
from mechlab.kernels.explained import Explained
from mechlab.kernels.inner import InnerProducts, works
from mechlab.kernels.line import rounding
from mechlab.kernels.quadrature import Quadrature, allowed_residual
from mechlab.kernels.trajectory import Trajectory

STATISTICS = (
    *("nodes", "change_mean", "predicted_mean"),
    *(f"{kind}_{name}" for kind in ("single", "running") for name in ("mean", "max", "sd")),
)
Compare = Callable[[Tensor, Tensor], Sequence[float | Tensor]]


@dataclass(frozen=True)
class Predicted:
    """The path-kernel prediction of X x C scalars, and how far it is from the model.

    Args:
        initial, final: (X, C) the model's scalars before and after training.
        predicted: (X, C) initial scalars and all terms of the decomposition but the residual of the quadrature.
        by_step: name -> (S,). `nodes` of the quadrature, the mean over inputs; `change_mean` and `predicted_mean`,
            mean absolute true and predicted change of the scalars; mean, largest and standard
            deviation of the difference of model and prediction: `single_*` for the change along the step alone,
            `running_*` after the step; and the results of the comparison by their names.
    """

    initial: np.ndarray
    final: np.ndarray
    predicted: np.ndarray
    by_step: Mapping[str, np.ndarray]


class PredictionForward:
    """The forward pass over a trajectory that predicts the explained scalars, for `carry_out`.

    The change of a scalar along a step is predicted by <J, step> with its gradient J averaged along the step: the sum
    of all terms of its decomposition (influences, decay, clipping, rounding) but the residual of the quadrature. The
    inner product is a derivative along the step, so that no gradient is stored and none of the training loss is needed.
    Source: the kernel prediction of Eichin et al., arXiv 2505.20076.

    Args:
        trajectory: the recorded training.
        explained: the explained scalars.
        quadrature: with a tolerance, the parts of a step are cut into three until it is met, for each input alone.
        compare: called after each step with the model's scalars and the predicted ones (X, C); returns numbers.
        names: of these numbers.
        limit: bytes that a block of work may take.
        counted: (X, C) bool, the scalars that the tolerance and the statistics are about; all of them if None.
    """

    def __init__(
        self,
        trajectory: Trajectory,
        explained: Explained,
        quadrature: Quadrature,
        compare: Compare | None = None,
        names: Sequence[str] = (),
        limit: int = 2**30,
        counted: Tensor | None = None,
    ):
        self.trajectory, self.explained, self.quadrature, self.limit = trajectory, explained, quadrature, limit
        self.compare, self.names = compare or (lambda model, predicted: ()), (*STATISTICS, *names)
        theta = trajectory.theta(0)
        self.counted = (
            torch.ones(explained.shape, dtype=torch.bool, device=theta.device) if counted is None else counted
        )
        sample = explained.rows(0, 1) if explained.apart else explained
        self._forward = works(lambda: sample.derivatives(theta, theta))
        each = InnerProducts(trajectory.functional).activation_bytes(theta, explained.batch)
        if not self._forward:
            each += 2 * explained.shape[1] * theta.numel() * theta.element_size()
        self._at_once = max(1, limit // each) if explained.apart else explained.shape[0]
        self.position = 0
        self._numbers = torch.zeros(trajectory.steps, len(self.names), dtype=torch.float64)
        self._theta, self._values = theta, self._scalars(explained, theta)
        self._initial = self._values
        self._predicted = self._values.double()

    def __iter__(self) -> Iterator[tuple[int, int]]:
        while self.position < self.trajectory.steps:
            self._step()
            yield self.position, self.trajectory.steps

    def state(self) -> dict[str, Tensor]:
        """Return the intermediate results by name, for `restore`."""
        return {"position": torch.tensor(self.position), "numbers": self._numbers, "predicted": self._predicted}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a state that `state` returned for the same arguments.

        Raises:
            ConfigError: the state is of other arguments.
        """
        expected = {name: value.shape for name, value in self.state().items()}
        if {name: value.shape for name, value in state.items()} != expected:
            raise ConfigError("the saved state must be of the same arguments", fix="remove it and begin anew")
        self.position, self._numbers = int(state["position"]), state["numbers"].clone()
        self._predicted = state["predicted"].to(self._predicted).clone()
        self._theta = self.trajectory.theta(self.position)
        self._values = self._scalars(self.explained, self._theta)

    def result(self) -> Predicted:
        """Return the prediction; all steps must be finished."""
        arrays = (value.double().cpu().numpy() for value in (self._initial, self._values, self._predicted))
        return Predicted(*arrays, dict(zip(self.names, self._numbers.T.numpy(), strict=True)))

    def _step(self) -> None:
        end = self.trajectory.theta(self.position + 1)
        values = self._scalars(self.explained, end)
        change = (values - self._values).double()
        seen = self._numbers[: self.position, self.names.index("change_mean")]
        typical = float(seen.mean()) if len(seen) else 0.0
        along, nodes = self._along(end, change, typical)
        self._predicted = self._predicted + along
        self._theta, self._values = end, values
        single, running = change - along, values.double() - self._predicted
        sizes = [each[self.counted].abs().mean() for each in (change, along)]
        for error in (single[self.counted], running[self.counted]):
            sizes += [error.abs().mean(), error.abs().max(), error.std(correction=0)]
        row = [nodes, *sizes, *self.compare(values.double(), self._predicted)]
        self._numbers[self.position] = torch.stack(
            [torch.as_tensor(value, dtype=torch.float64, device=end.device) for value in row]
        )
        self.position += 1

    def _along(self, end: Tensor, change: Tensor, typical: float) -> tuple[Tensor, float]:
        """Return the predicted changes (X, C) along a step, and the mean number of nodes of an input."""
        how, step, X = self.quadrature, end - self._theta, len(change)
        count = how.nodes
        slopes = self._slopes(self.explained, step, [(i + 0.5) / count for i in range(count)])
        along, nodes = slopes / count, float(count)
        if how.tolerance is None:
            return along, nodes
        allowed = max(allowed_residual(how.tolerance, change[self.counted], typical), rounding(self._values))
        rows = torch.arange(X, device=change.device)
        while len(rows) and 3 * count <= how.most:
            poor = ((change[rows] - along[rows]) * self.counted[rows]).abs().flatten(1).amax(1) > allowed
            if not self.explained.apart:
                poor = poor.any().expand(len(poor))
            rows, slopes = rows[poor], slopes[poor]
            if not len(rows):
                break
            part = self.explained.chosen(rows) if self.explained.apart else self.explained
            shares = [(i + offset) / count for i in range(count) for offset in (1 / 6, 5 / 6)]
            slopes = slopes + self._slopes(part, step, shares)
            nodes += 2 * count * len(rows) / X
            count *= 3
            along[rows] = slopes / count
        return along, nodes

    def _slopes(self, explained: Explained, step: Tensor, shares: Sequence[float]) -> Tensor:
        """Return the sum (X, C) over places on a step of the scalars' derivatives along it."""
        return sum(
            self._by_parts(
                explained, lambda part, theta=theta: part.derivatives(theta, step, self._forward).detach()
            ).double()
            for theta in (torch.add(self._theta, step, alpha=share) for share in shares)
        )

    def _scalars(self, explained: Explained, theta: Tensor) -> Tensor:
        return self._by_parts(explained, lambda part: part.values(theta))

    def _by_parts(self, explained: Explained, function: Callable[[Explained], Tensor]) -> Tensor:
        """Return a function's rows for inputs, computed for as many of them at once as fit the limit."""
        X = explained.shape[0]
        if self._at_once >= X or not explained.apart:
            return function(explained)
        starts = range(0, X, self._at_once)
        return torch.cat([function(explained.rows(start, min(start + self._at_once, X))) for start in starts])
