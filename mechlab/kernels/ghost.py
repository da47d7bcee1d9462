"""Per-example gradients of linear, embedding and convolution layers in factored form.

The gradient of example k's loss in a linear layer's weight is sum_t delta_t a_t^T, with the layer's inputs a_t and the
loss's derivatives delta_t in its outputs at position t; its inner product with a direction U is sum_t delta_t^T U a_t.
An embedding gathers rows of U; a convolution is linear in the unfolded patches of its input.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mechlab.core.stacked import Stacked
from mechlab.core.task import Batch
from mechlab.kernels.contraction import multiplies_out, outer_products, row_products, scattered_rows
from mechlab.kernels.functional_model import FunctionalModel

Scalars = Callable[[dict[str, Tensor], Batch], Tensor]


@dataclass(frozen=True)
class Captured:
    """One backward pass over a batch.

    Args:
        layers: (layer's name, its inputs (B, T, ...), the derivatives of the losses in its outputs (B, T, out)).
        gradient: (P,) the sum of the losses' gradients, if it was requested.
        others: names of the parameters outside of captured layers.
    """

    layers: list[tuple[str, Tensor, Tensor]]
    gradient: Tensor | None
    others: list[str]


class Ghost:
    """Inner products with per-example gradients through hooks on a model's layers.

    Args:
        functional: the model and its loss. Parameters outside of linear, embedding and convolution layers, or of layers
            that are not called, need another form.
    """

    def __init__(self, functional: FunctionalModel):
        self.functional = functional

    @cached_property
    def _layers(self) -> dict[str, nn.Module]:
        """The layers that can be captured, by name: those that share their weights with no other module."""
        owners = defaultdict(list)
        for name, module in self.functional.model.named_modules(remove_duplicate=False):
            for key, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
                owners[id(parameter)].append((name, key))
        shared = {name for places in owners.values() if len(places) > 1 for name, _ in places}
        names = {id(module): name for name, module in self.functional.model.named_modules()}

        def fits(name: str, module: nn.Module) -> bool:
            if isinstance(module, Stacked):
                return all(fits(names.get(id(part), ""), part) and part.bias is None for part in module.layers)
            return name not in shared and _fits(module) and f"{name}.weight" in self.functional.layout.shapes

        return {name: module for name, module in self.functional.model.named_modules() if fits(name, module)}

    def capture(self, theta: Tensor, batch: Batch, function: Scalars | None = None, total: bool = True) -> Captured:
        """Run forward and backward once, and return the inputs of each layer and the derivatives in its outputs.

        Args:
            theta: (P,).
            function: from parameters and a batch to one scalar of each example (B,); the losses by default.
            total: whether to compute the sum of the gradients.
        """
        layout, calls = self.functional.layout, []
        parameters = {name: value.detach().requires_grad_() for name, value in layout.split(theta).items()}
        hooks = [
            module.register_forward_hook(lambda _, given, out, name=name: calls.append((name, given[0].detach(), out)))
            for name, module in self._layers.items()
        ]
        try:
            losses = (function or self.functional.losses)(parameters, batch)
        finally:
            for hook in hooks:
                hook.remove()
        usable = {name for name, _, _ in calls}
        usable -= {name for name, given, out in calls if len(given) != len(batch) or len(out) != len(batch)}
        calls = [call for call in calls if call[0] in usable]
        outputs = [out for _, _, out in calls]
        wanted = [*outputs, *(parameters.values() if total else ())]
        # the derivative in an output that no loss depends on, such as of a step without a target, is 0
        found = torch.autograd.grad(losses.sum(), wanted, materialize_grads=True) if wanted else ()
        deltas, gradients = found[: len(outputs)], found[len(outputs) :]
        layers = [
            (name, *_positions(self._layers[name], given, delta))
            for (name, given, _), delta in zip(calls, deltas, strict=True)
        ]
        held = {key for name in usable for key in self._parameters_of(name)}
        gradient = layout.join(dict(zip(parameters, gradients, strict=True))) if total else None
        return Captured(_merged(layers), gradient, [name for name in layout.names if name not in held])

    def contract(self, captured: Captured, directions: Tensor, limit: int = 2**30) -> Tensor:
        """Return the captured layers' part of the inner products (Q, B) with directions (Q, P)."""
        places, shapes = self.functional.layout.places, self.functional.layout.shapes
        total = 0.0
        for name, given, delta in captured.layers:
            module, weights = self._layers[name], self._weights(name)
            weight = [directions[:, places[key]].unflatten(1, shapes[key]) for key in weights]
            if isinstance(module, nn.Embedding):
                total = total + row_products(given, delta, weight[0], limit)
                continue
            whole = torch.cat(weight, 1 + module.axis) if isinstance(module, Stacked) else weight[0].flatten(2)
            total = total + outer_products(delta, given, whole, limit)
            if f"{name}.bias" in places:
                total = total + directions[:, places[f"{name}.bias"]] @ delta.sum(1).T
        return total

    def _weights(self, name: str) -> list[str]:
        """Return the names of the weights of a layer: one, or those of stacked layers."""
        module = self._layers[name]
        if not isinstance(module, Stacked):
            return [f"{name}.weight"]
        names = {id(part): key for key, part in self.functional.model.named_modules()}
        return [f"{names[id(part)]}.weight" for part in module.layers]

    def _parameters_of(self, name: str) -> list[str]:
        """Return the names of all parameters of a layer."""
        return [key for key in (*self._weights(name), f"{name}.bias") if key in self.functional.layout.places]

    def places(self, name: str) -> Tensor:
        """Return the places on the flat axis of a layer's weights (out, in), (rows, out) of an embedding, and of its
        bias as one more column."""
        layout, module = self.functional.layout, self._layers[name]
        numbered = layout.split(torch.arange(layout.size, device=self.functional.device))
        weights = [numbered[key].flatten(1) for key in self._weights(name)]
        bias = [numbered[key][:, None] for key in (f"{name}.bias",) if key in numbered]
        return torch.cat([torch.cat(weights, module.axis if isinstance(module, Stacked) else 0), *bias], 1)

    def gradients(self, captured: Sequence[Captured], out: Tensor) -> None:
        """Write the sum over captures of each example's gradient into out (B, P); all parameters must be captured."""
        assert not any(each.others for each in captured), "a layer was not called: its part of `out` is not written"
        places, shapes = self.functional.layout.places, self.functional.layout.shapes
        for calls in zip(*(each.layers for each in captured), strict=True):
            name, module = calls[0][0], self._layers[calls[0][0]]
            given, delta = (torch.cat([call[i] for call in calls], 1) for i in (1, 2))
            weights, bias = self._weights(name), f"{name}.bias"
            if isinstance(module, nn.Embedding):
                out[:, places[weights[0]]] = scattered_rows(given, delta, shapes[weights[0]][0]).flatten(1)
            elif isinstance(module, Stacked):
                whole = (delta.mT @ given).split([shapes[key][module.axis] for key in weights], 1 + module.axis)
                for key, part in zip(weights, whole, strict=True):
                    out[:, places[key]] = part.flatten(1)
            else:
                place = out[:, places[weights[0]]].unflatten(1, (delta.shape[2], given.shape[2]))
                torch.bmm(delta.mT, given, out=place)
            if bias in places:
                out[:, places[bias]] = delta.sum(1)

    def covers(self, theta: Tensor, batch: Batch, function: Scalars) -> bool:
        """Return whether the captured layers hold all parameters that a function depends on."""
        return not self.capture(theta, batch, function, False).others and self.agrees(theta, batch, function)

    def agrees(self, theta: Tensor, batch: Batch, function: Scalars | None = None) -> bool:
        """Return whether the factored gradients of these examples sum to the gradient of the batch. They do not where a
        layer's weight is also used outside of the layer."""
        layout = self.functional.layout
        captured = self.capture(theta, batch, function)
        rng = torch.Generator().manual_seed(0)
        directions = torch.randn(3, layout.size, generator=rng, dtype=torch.float64).to(theta)
        for name in captured.others:
            directions[:, layout.places[name]] = 0
        expected = directions @ captured.gradient
        found = self.contract(captured, directions).sum(1) if captured.layers else torch.zeros_like(expected)
        scale = captured.gradient.norm() * layout.size**0.5
        return bool(((found - expected).abs() <= 1e-4 * scale).all())

    @property
    def covered_size(self) -> int:
        """Number of scalar parameters in layers that can be captured."""
        sizes = {name: place.stop - place.start for name, place in self.functional.layout.places.items()}
        return sum(sizes[key] for key in {key for name in self._called for key in self._parameters_of(name)})

    def contraction_flops(self, directions: int) -> float:
        """Return the arithmetic of `contract` for one example."""
        total = 0.0
        for name, positions in self._called.items():
            size = sum(self.functional.layout.shapes[key].numel() for key in self._weights(name))
            if isinstance(self._layers[name], nn.Embedding):
                total += 2.0 * positions * directions * self._layers[name].embedding_dim
            elif multiplies_out(positions, directions):
                total += (2.0 * (positions + directions) + 60) * size
            else:
                total += 2.0 * positions * directions * size
        return total

    def forward_flops(self, theta: Tensor, example: Batch) -> float:
        """Return the arithmetic of a forward pass over one example, matrix products and elements of activations."""
        counter = FlopCounterMode(display=False)
        with torch.no_grad(), counter:
            self.functional.losses(self.functional.layout.split(theta), example)
        self._called = {}
        for name, given, _ in self.capture(theta, example).layers:
            self._called[name] = given.shape[1]
        self.convolution_flops = float(counter.get_flop_counts().get("Global", {}).get(torch.ops.aten.convolution, 0))
        return counter.get_total_flops() + 8.0 * self.activations(theta, example)

    def activations(self, theta: Tensor, example: Batch) -> int:
        """Return how many numbers the backward pass of one example stores."""
        key = tuple(example.inputs.shape[1:])
        counts = self.functional.__dict__.setdefault("_activations", {})
        if key not in counts:
            sizes: dict[int, int] = {}
            own = {value.data_ptr() for value in self.functional.layout.split(theta).values()}

            def count(value: Tensor) -> Tensor:
                if value.data_ptr() not in own:
                    sizes[value.data_ptr()] = value.numel()
                return value

            parameters = {n: v.detach().requires_grad_() for n, v in self.functional.layout.split(theta).items()}
            with torch.autograd.graph.saved_tensors_hooks(count, lambda value: value):
                self.functional.losses(parameters, example)
            counts[key] = max(sum(sizes.values()), 1)
        return counts[key]


def _fits(module: nn.Module) -> bool:
    if isinstance(module, nn.Conv2d):
        return module.groups == 1 and module.padding_mode == "zeros" and not isinstance(module.padding, str)
    if isinstance(module, nn.Embedding):
        return module.max_norm is None and not module.scale_grad_by_freq and module.padding_idx is None
    return type(module) is nn.Linear


def _positions(module: nn.Module, given: Tensor, delta: Tensor) -> tuple[Tensor, Tensor]:
    """Return a layer's inputs as (B, T, in), ids (B, T) for an embedding, and its derivatives as (B, T, out)."""
    if isinstance(module, nn.Conv2d):
        patches = F.unfold(given, module.kernel_size, module.dilation, module.padding, module.stride)
        return patches.mT, delta.flatten(2).mT
    if isinstance(module, nn.Embedding):
        return given.reshape(len(given), -1), delta.reshape(len(delta), -1, delta.shape[-1])
    shape = (len(given), -1)
    return given.reshape(*shape, given.shape[-1]), delta.reshape(*shape, delta.shape[-1])


def _merged(layers: list[tuple[str, Tensor, Tensor]]) -> list[tuple[str, Tensor, Tensor]]:
    """Concatenate the calls of each layer along the positions."""
    calls = defaultdict(list)
    for name, given, delta in layers:
        calls[name].append((given, delta))
    return [
        (name, torch.cat([g for g, _ in found], 1), torch.cat([d for _, d in found], 1))
        for name, found in calls.items()
    ]
