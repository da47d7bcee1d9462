"""Inner products of per-example gradients with directions, in three forms that never store all gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.func import grad, jvp, vmap

from mechlab.core.errors import ConfigError, did_you_mean
from mechlab.core.forward_mode import load_forward_mode
from mechlab.core.task import Batch
from mechlab.kernels.functional_model import FunctionalModel
from mechlab.kernels.ghost import Ghost

Form = Literal["jvp", "gemm", "ghost"]
FORMS = ("auto", *get_args(Form))


@dataclass(frozen=True)
class InnerProducts:
    """Computes <gradient of example k's loss, direction q> for all k of a batch and all q.

    Args:
        functional: the model and its loss.
        form: "jvp": the vector of losses differentiated along each direction; "gemm": per-example gradients, a chunk at
            a time, and one matrix product; "ghost": from layers' inputs and back-propagated errors; "auto": whichever
            needs the least arithmetic.
        limit: bytes that one block may take.

    Raises:
        ConfigError: an unknown form.
    """

    functional: FunctionalModel
    form: Literal["auto", "jvp", "gemm", "ghost"] = "auto"
    limit: int = 2**30

    def __post_init__(self) -> None:
        check_form(self.form)

    def choose(self, theta: Tensor, batch: Batch, directions: int) -> Form:
        """Return the form that is used for this many directions: a function of sizes alone, so it is repeatable."""
        if self.form != "auto":
            return self.form
        ghost = Ghost(self.functional)
        forward = ghost.forward_flops(theta, batch[:1])
        P, covered = self.functional.layout.size, ghost.covered_size
        product = 2.0 * directions  # per parameter and example, a matrix product runs at full speed
        write = 60.0  # a gradient that is written and read costs as much as this many operations
        grouped, unfolded = (
            9 * ghost.convolution_flops,
            5 * ghost.convolution_flops,
        )  # measured, for one example at a time
        costs = {
            "jvp": forward * (4 + 3 * directions),
            "gemm": 4 * forward + grouped + P * (product + write),
            "ghost": 4 * forward
            + unfolded
            + ghost.contraction_flops(directions)
            + (P - covered) * (product + write)
            + (0 if covered == P else 3 * forward),
        }
        if not works(lambda: example_gradients(self.functional, theta, batch[:2])):
            del costs["gemm"]
            if covered < P:  # parameters outside of layers need it
                del costs["ghost"]
        if "ghost" in costs and not ghost.agrees(theta, batch[:2]):
            del costs["ghost"]
        form = min(costs, key=costs.__getitem__)
        if form == "jvp" and len(costs) > 1 and not works(lambda: self._jvp(theta, batch[:2], theta[None])):
            del costs["jvp"]
            form = min(costs, key=costs.__getitem__)
        return form

    def __call__(self, form: Form, theta: Tensor, batch: Batch, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inner products (Q, B) with directions (Q, P), and the sum of the gradients (P,)."""
        check_form(form, get_args(Form))
        if form == "ghost":
            return self._ghost(theta, batch, directions)
        products = self._jvp(theta, batch, directions) if form == "jvp" else self._gemm(theta, batch, directions)
        return products, self.sum_of_gradients(theta, batch)

    def sum_of_gradients(self, theta: Tensor, batch: Batch) -> Tensor:
        """Return the sum over the batch of the losses' gradients (P,)."""
        return sum(self.functional.gradient(theta, part) for part in self.parts(theta, batch, 1))

    def parts(self, theta: Tensor, batch: Batch, floats: int) -> list[Batch]:
        """Cut a batch so that this many numbers for each example, beside its activations, fit the limit."""
        each = floats * theta.element_size() + self.activation_bytes(theta, batch)
        rows = max(1, int(self.limit // each))
        return [batch[start : start + rows] for start in range(0, len(batch), rows)]

    def activation_bytes(self, theta: Tensor, batch: Batch) -> int:
        """Return about how many bytes back-propagation through one example's loss takes."""
        return 3 * Ghost(self.functional).activations(theta, batch[:1]) * theta.element_size()

    def _jvp(self, theta: Tensor, batch: Batch, directions: Tensor, names: list[str] | None = None) -> Tensor:
        load_forward_mode()
        layout = self.functional.layout
        parameters = layout.split(theta)
        moved = {name: parameters[name] for name in names or layout.names}
        at_once = max(1, self.limit // (len(batch) * self.activation_bytes(theta, batch)))
        products = []
        for part in [batch] if at_once > 1 else self.parts(theta, batch, 0):

            def along(direction: Tensor, part: Batch = part) -> Tensor:
                tangents = {name: value for name, value in layout.split(direction).items() if name in moved}
                return jvp(lambda p: self.functional.losses(parameters | p, part), (moved,), (tangents,))[1]

            products.append(vmap(along, chunk_size=at_once)(directions))
        return torch.cat(products, 1)

    def _gemm(self, theta: Tensor, batch: Batch, directions: Tensor, names: list[str] | None = None) -> Tensor:
        names = names or self.functional.layout.names
        places = [self.functional.layout.places[name] for name in names]
        size = sum(place.stop - place.start for place in places)
        chosen = (
            directions
            if len(names) == len(self.functional.layout.names)
            else torch.cat([directions[:, place] for place in places], 1)
        )
        parts = self.parts(theta, batch, 2 * size)
        return torch.cat([chosen @ example_gradients(self.functional, theta, part, names).T for part in parts], 1)

    def _ghost(self, theta: Tensor, batch: Batch, directions: Tensor) -> tuple[Tensor, Tensor]:
        ghost = Ghost(self.functional)
        products, total = [], torch.zeros_like(theta)
        for part in self.parts(theta, batch, 0):
            captured = ghost.capture(theta, part)
            total += captured.gradient
            product = ghost.contract(captured, directions, self.limit)
            if captured.others:
                product += self._gemm(theta, part, directions, captured.others)
            products.append(product)
        return torch.cat(products, 1), total


def example_gradients(
    functional: FunctionalModel, theta: Tensor, batch: Batch, names: list[str] | None = None
) -> Tensor:
    """Return each example's gradient (B, size) with respect to the named tensors (all by default), side by side."""
    parameters = functional.layout.split(theta)
    names = names or functional.layout.names
    moved = {name: parameters[name] for name in names}

    def one(inputs: Tensor, targets: Tensor, mask: Tensor | None) -> dict[str, Tensor]:
        example = Batch(inputs[None], targets[None], None if mask is None else mask[None], batch.index[:1])
        return grad(lambda p: functional.losses(parameters | p, example)[0])(moved)

    found = vmap(one, (0, 0, None if batch.mask is None else 0))(batch.inputs, batch.targets, batch.mask)
    return torch.cat([found[name].reshape(len(batch), -1) for name in names], 1)


def check_form(form: str, known: Sequence[str] = FORMS) -> None:
    """Raise ConfigError unless this is a known form of the inner products."""
    if form not in known:
        must = f"form must be one of {', '.join(known)}"
        raise ConfigError(must, got=form, key="form", fix=did_you_mean(form, known))


def works(function: Callable[[], object]) -> bool:
    """Return whether torch can run a function; it cannot vectorise some fused recurrent layers over examples."""
    try:
        function()
    except RuntimeError:
        return False
    return True
