"""Metagradients: the derivative of a network's outputs in the weight of each training example.

The weight w_k multiplies example k's loss in every batch that holds it, and batches keep their denominators. Training
is a function of the weights, and reverse-mode differentiation through its updates gives all N derivatives in one
backward pass, at the weights of the recorded training, 1 by default. With the adjoints t of the parameters, a of the
momentum and c of the second moment after a step, d = 1 / (sqrt(v / correction) + epsilon), r = rate / (1 -
beta1^(s+1)), e the gradient that enters the optimizer and g the batch's mean weighted gradient, one step of Adam is

    a += -r d t,   c += -r b d'(v) t,   e' = (1 - beta1) a + 2 (1 - beta2) e c,   a <- beta1 a,   c <- beta2 c,

and one of SGD, with nesterov's terms in brackets,

    a += -rate [momentum] t,   e' = (1 - dampening) a [- rate t],   a <- momentum a.

Then t <- (1 - rate decay) t for decoupled decay, t <- t + decay e' for coupled decay, g' is e' through clipping, and

    t += H g',   derivative of k += <gradient of example k's loss, g'> / B   for every k in the batch,

with the Hessian H of the batch's mean weighted loss. Source: reverse-mode differentiation of training as in Maclaurin
et al., arXiv 1502.03492, and MAGIC, arXiv 2504.16430.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.func import grad

from mechlab.core.errors import ConfigError
from mechlab.core.task import Batch
from mechlab.core.update_equations import AdamEquations, SGDEquations
from mechlab.kernels.attention import twice_differentiable_attention
from mechlab.kernels.denormals import without_denormals
from mechlab.kernels.explained import Explained, Outputs
from mechlab.kernels.functional_model import FunctionalModel
from mechlab.kernels.inner import InnerProducts
from mechlab.kernels.path_kernels import Progress, explained_batch, trajectory_of
from mechlab.kernels.trajectory import Step, Trajectory

if TYPE_CHECKING:
    from mechlab.kernels.recorded import RecordedTraining


@dataclass(frozen=True)
class MetagradientDerivatives:
    """Derivatives of X x C explained scalars in the weights of N training examples.

    Args:
        derivative: (X, C, N). Removing example k changes a scalar by minus its derivative, to first order.
        by_step: (S, X, C) the part of each step, summed over its batch.
        final: (X, C) the scalars at the end of training.
    """

    derivative: np.ndarray
    by_step: np.ndarray
    final: np.ndarray


class MetagradientBackward:
    """The backward pass of metagradients, one step at a time, whose state can be saved and restored.

    Iteration computes a step and yields (done, total).

    Args:
        trajectory: the recorded training.
        explained: the explained scalars.
        limit: bytes that a block of work may take.
        weights: (N,) of the training examples in the recorded training, by id; 1 by default.
    """

    def __init__(self, trajectory: Trajectory, explained: Explained, limit: int = 2**30, weights: Tensor | None = None):
        self.trajectory, self.explained, self.limit = trajectory, explained, limit
        functional = trajectory.functional
        self.weights = None if weights is None else weights.to(functional.device, functional.dtype)
        self._inner = InnerProducts(functional, limit=limit)
        X, C = explained.shape
        self.position = trajectory.steps - 1
        theta = trajectory.state(trajectory.steps).theta
        self._theta = explained.gradients(theta)  # (Q, P), adjoint of the parameters
        self._momentum = torch.zeros_like(self._theta)
        self._second = torch.zeros_like(self._theta) if trajectory.rule.second_moment else None
        self._derivative = theta.new_zeros(X * C, trajectory.examples, dtype=torch.float64)
        self._by_step = theta.new_zeros(trajectory.steps, X * C, dtype=torch.float64)
        self._final = explained.values(theta).double()

    @property
    def done(self) -> int:
        """Number of finished steps."""
        return self.total - 1 - self.position

    @property
    def total(self) -> int:
        """Number of steps."""
        return self.trajectory.steps

    def __iter__(self) -> Iterator[tuple[int, int]]:
        while self.position >= 0:
            self._step(self.trajectory.step(self.position))
            self.position -= 1
            yield self.done, self.total

    def state(self) -> dict[str, Tensor]:
        """Return the intermediate results by name, for `restore`."""
        second = {} if self._second is None else {"second": self._second}
        sums = {"derivative": self._derivative, "by_step": self._by_step}
        place = torch.tensor([self.position])
        return {"place": place, "theta": self._theta, "momentum": self._momentum, **second, **sums}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a state that `state` returned for the same arguments.

        Raises:
            ConfigError: the state is of other arguments.
        """
        local = self.state()
        if {n: v.shape for n, v in local.items()} != {n: v.shape for n, v in state.items()}:
            raise ConfigError("the saved state must be of the same arguments", fix="remove it and begin anew")
        restored = {name: value.to(local[name]).clone() for name, value in state.items()}
        self.position = int(restored["place"])
        self._theta, self._momentum, self._second = restored["theta"], restored["momentum"], restored.get("second")
        self._derivative, self._by_step = restored["derivative"], restored["by_step"]
        self.trajectory.forget()

    def result(self) -> MetagradientDerivatives:
        """Return the derivatives; all steps must be finished."""
        X, C = self.explained.shape
        by_step, derivative = self._by_step.view(-1, X, C), self._derivative.view(X, C, -1)
        return MetagradientDerivatives(*(part.cpu().numpy() for part in (derivative, by_step, self._final)))

    @property
    def of_initial(self) -> Tensor:
        """The derivatives (Q, P) of the scalars in the initial parameters; all steps must be finished."""
        return self._theta

    def _gradient(self, theta: Tensor, batch: Batch, weights: Tensor | None) -> Tensor:
        """Return the gradient (P,) of the weighted sum of a batch's losses."""
        if weights is None:
            return self._inner.sum_of_gradients(theta, batch)
        functional, layout = self.trajectory.functional, self.trajectory.functional.layout
        parts = self._inner.parts(theta, batch, 1)
        weighted = grad(lambda parameters, part, weight: (weight * functional.losses(parameters, part)).sum())
        pairs = zip(parts, weights.split(list(map(len, parts))), strict=True)
        return sum(layout.join(weighted(layout.split(theta), part, weight)) for part, weight in pairs)

    def _adjoints(self) -> list[Tensor]:
        return [self._theta, self._momentum] + ([] if self._second is None else [self._second])

    def _step(self, step: Step) -> None:
        trajectory, theta, B = self.trajectory, step.before.theta, len(step.batch)
        weights = None if self.weights is None else self.weights[step.batch.index]
        gradient = self._gradient(theta, step.batch, weights) / B
        factor, entering = trajectory.gradients(step, gradient)
        entering_adjoint = (
            self._through_adam(step, entering)
            if isinstance(trajectory.rule, AdamEquations)
            else self._through_sgd(step)
        )
        if trajectory.rule.decoupled:
            self._theta *= 1 - step.rate * step.decay
        else:
            self._theta += step.decay * entering_adjoint
        if factor < 1:
            entering_adjoint = _through_clipping(entering_adjoint, gradient, factor, trajectory.clip)
        products, curved = second_order(
            trajectory.functional, theta, step.batch, without_denormals(entering_adjoint), self.limit, weights
        )
        self._theta += curved / B
        for adjoint in self._adjoints():
            without_denormals(adjoint)
        products = (products / B).double()
        self._derivative.index_add_(1, step.batch.index, products)
        self._by_step[step.index] = products.sum(1)

    def _through_adam(self, step: Step, entering: Tensor) -> Tensor:
        """Propagate the adjoints through the update of the moments; return that (Q, P) of the entering gradient."""
        rule: AdamEquations = self.trajectory.rule
        second = rule.second(step.before.second, entering)
        recursion = rule.recursion(step.index, step.rate, step.decay, second)
        momentum, _ = recursion.step(step.before.momentum, entering, step.before.theta)
        size = step.rate / (1 - rule.beta1 ** (step.index + 1))
        self._momentum -= recursion.weight * self._theta
        self._second -= size * momentum * rule.slope(step.index, second) * self._theta
        entering_adjoint = recursion.gain * self._momentum + 2 * (1 - rule.beta2) * entering * self._second
        self._momentum *= rule.beta1
        self._second *= rule.beta2
        return entering_adjoint

    def _through_sgd(self, step: Step) -> Tensor:
        """Propagate the adjoint through the update of the momentum; return that (Q, P) of the entering gradient."""
        rule: SGDEquations = self.trajectory.rule
        recursion = rule.recursion(step.index, step.rate, step.decay)
        of_change = -step.rate * self._theta
        self._momentum += recursion.into * of_change
        entering_adjoint = recursion.gain * self._momentum + recursion.direct * of_change
        self._momentum *= recursion.carry
        return entering_adjoint


def metagradient(
    run_or_history: RecordedTraining | Trajectory,
    inputs: Batch | Tensor,
    outputs: Outputs = "target",
    dtype: torch.dtype | None = None,
    *,
    targets: Tensor | None = None,
    memory: int = 2**30,
    device: str = "cpu",
    progress: Progress | None = None,
) -> MetagradientDerivatives:
    """Return the exact derivatives of explained scalars in the weight of each training example.

    The arguments are those of `path_kernel`. The adjoints of all scalars, 3 X C P numbers, are in memory together.

    Raises:
        NotRecorded: a step is missing.
        ConfigError: the model, optimizer or precision is not supported, or an argument is wrong.

    Source: Maclaurin et al., arXiv 1502.03492, and MAGIC, arXiv 2504.16430; equations at the head of the module.
    """
    trajectory = trajectory_of(run_or_history, dtype, device)
    explained = Explained(trajectory.functional, explained_batch(trajectory, inputs, targets, outputs), outputs)
    backward = MetagradientBackward(trajectory, explained, memory)
    for done, total in backward:
        if progress is not None:
            progress(done, total)
    return backward.result()


def second_order(
    functional: FunctionalModel,
    theta: Tensor,
    batch: Batch,
    directions: Tensor,
    limit: int = 2**30,
    weights: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return inner products of the examples' gradients with directions, and Hessian-vector products of their loss.

    Args:
        directions: (Q, P).
        limit: bytes that the work may take.
        weights: (B,) of the losses; 1 by default.

    Returns:
        The inner products (Q, B) of the gradient of each example's unweighted loss with each direction, and the
        products (Q, P) of the Hessian of the weighted sum of losses with the directions: the gradient of that sum, a
        function of parameters and weights, differentiated in reverse mode.
    """
    layout, inner = functional.layout, InnerProducts(functional, limit=limit // 4)
    weights = theta.new_ones(len(batch)) if weights is None else weights
    parts = inner.parts(theta, batch, 0)
    at_once = max(1, limit // 4 // (len(parts[0]) * inner.activation_bytes(theta, batch)))
    products, curved = [], torch.zeros_like(directions)
    for part, weight in zip(parts, weights.split(list(map(len, parts))), strict=True):
        parameters = {name: value.detach().requires_grad_() for name, value in layout.split(theta).items()}
        variables = [*parameters.values(), weight := weight.detach().clone().requires_grad_()]
        with twice_differentiable_attention():
            total = (weight * functional.losses(parameters, part)).sum()
        gradients = torch.autograd.grad(total, variables[:-1], create_graph=True)
        gradient = layout.join(dict(zip(parameters, gradients, strict=True)))
        options = {"is_grads_batched": True, "retain_graph": True, "materialize_grads": True}
        blocks = [torch.autograd.grad(gradient, variables, some, **options) for some in directions.split(at_once)]
        *moved, product = map(torch.cat, zip(*blocks, strict=True))
        curved += layout.join(dict(zip(parameters, moved, strict=True)), 1)
        products.append(product)
    return torch.cat(products, 1), curved


def blocks_of(explained: Explained, limit: int) -> list[Explained]:
    """Return the explained scalars in blocks whose adjoints fit the limit in bytes; one block where rows depend on each
    other."""
    functional, (X, C) = explained.functional, explained.shape
    vectors = 6 * C  # three adjoints and their updates
    rows = max(1, limit // (vectors * functional.layout.size * functional.dtype.itemsize))
    return [explained.rows(i, min(i + rows, X)) for i in range(0, X, rows)] if explained.apart else [explained]


def _through_clipping(entering_adjoint: Tensor, gradient: Tensor, factor: float, limit: float) -> Tensor:
    """Return the adjoint (Q, P) of a gradient g, given that of g limit / (|g| + 1e-6)."""
    norm = gradient.norm()
    along = entering_adjoint @ gradient
    return factor * entering_adjoint - (limit / ((norm + 1e-6).square() * norm)) * along[:, None] * gradient
