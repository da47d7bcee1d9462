"""A causal transformer, whose state is the cache of its inputs."""

from __future__ import annotations

import math
from typing import Annotated, NoReturn

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mechlab.core.constraints import Size, between
from mechlab.core.errors import ConfigError
from mechlab.core.model import SequenceModel, Trace
from mechlab.core.task import TaskSpec
from mechlab.models.deferred import Deferred


class Absent:
    """A method of the base class that a class does not have."""

    def __get__(self, instance: object, owner: type) -> NoReturn:
        raise AttributeError(f"{owner.__name__} has no such method")


class CausalTransformer(SequenceModel):
    """A pre-norm transformer with causal self-attention and sinusoidal positions, to compare recurrent networks with.

    The flat state is the inputs read so far (context, inputs), zero where none is, and their number. Its transition
    only writes, so the model has no `jacobian` and no `jvp`.

    Args:
        spec: the task's specification.
        width: of the residual stream.
        layers: number of layers.
        heads: number of heads, which divide the width.
        context: longest sequence in steps; by default that of the task.

    Raises:
        ConfigError: the heads do not divide the width.
    """

    jacobian = jvp = Absent()

    def __init__(
        self,
        spec: TaskSpec,
        width: Annotated[int, between(2, 1_000_000)] = 64,
        layers: Annotated[int, between(1, 1000)] = 2,
        heads: Annotated[int, between(1, 1000)] = 4,
        context: Size | None = None,
    ):
        super().__init__(spec)
        if width % (2 * heads):
            got, fix = f"{heads} for width {width}", f"model.width={2 * heads * max(1, round(width / heads / 2))}"
            raise ConfigError("twice model.heads must divide model.width", got=got, key="model.heads", fix=fix)
        self.width, self.context = width, context or spec.length
        self.encoder = nn.Linear(spec.inputs, width)
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.readout = nn.Linear(width, spec.outputs)

    def initial_state(self, batch: int) -> Tensor:
        """Return zeros (batch, context * inputs + 1)."""
        return self.readout.weight.new_zeros(batch, self.context * self.spec.inputs + 1)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read x (B, inputs) in state (B, S); return the output (B, outputs) and the next state (B, S). A full cache
        stays as it is."""
        cache, number = state[:, :-1].unflatten(-1, (self.context, -1)), state[:, -1:]
        here = (torch.arange(self.context, device=x.device) == number.round()).to(x.dtype)[..., None]  # (B, context, 1)
        cache = cache * (1 - here) + here * x[:, None]
        outputs = (here * self._outputs(cache)).sum(1)
        return outputs, torch.cat([cache.flatten(1), number + 1], 1)

    def forward(self, x: Tensor, last: int | None = None) -> Trace:
        """Read sequences x (B, T, inputs), all steps at once; the outputs are those of the `last` steps.

        Raises:
            ConfigError: the sequences are longer than the context.
        """
        return self._continued(x, 0, self.initial_state(len(x)), last)

    def resume(self, x: Tensor, state: Tensor, last: int | None = None) -> Trace:
        """Continue from states (B, S) over inputs x (B, T, inputs), all steps at once where as many inputs were read in
        each state; the outputs are those of the `last` steps (all by default).

        Raises:
            ConfigError: the sequences become longer than the context.
        """
        numbers = state[:, -1].round()
        if (numbers != numbers[0]).any():
            return super().resume(x, state, last)
        number = int(numbers[0])
        cache = state[:, :-1].unflatten(-1, (self.context, -1))[:, :number]
        return self._continued(torch.cat([cache, x], 1), number, state, last)

    def _continued(self, x: Tensor, number: int, state: Tensor, last: int | None) -> Trace:
        """Return the trace of sequences x (B, number + T, inputs) after the state that holds their first `number`."""
        if x.shape[1] > self.context:
            must = f"sequences must have at most model.context = {self.context} steps"
            raise ConfigError(must, got=x.shape[1], key="model.context", fix=f"train with model.context={x.shape[1]}")
        outputs = self._outputs(x)[:, number:][:, -(last or 0) :]
        return Trace(outputs, state, Deferred(lambda: tuple(part[:, number:] for part in self._caches(x))))

    def _outputs(self, x: Tensor) -> Tensor:
        stream = self.encoder(x) + positions(x.shape[1], self.width).to(x)
        for block in self.blocks:
            stream = block(stream)
        return self.readout(self.norm(stream))

    def _caches(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the caches (B, T, context * inputs) and the number of inputs (B, T, 1) after each step."""
        T = x.shape[1]
        read = torch.ones(T, self.context, device=x.device, dtype=x.dtype).tril()  # (T, context)
        padded = F.pad(x, (0, 0, 0, self.context - T))
        numbers = torch.arange(1, T + 1, device=x.device).to(x).expand(len(x), T)
        return (padded[:, None] * read[..., None]).flatten(2), numbers[..., None]


class _Block(nn.Module):
    """Attention and a perceptron, each after a layer norm and added to the stream."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.attend = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.perceptron = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, stream: Tensor) -> Tensor:
        parts = self.attend(self.norms[0](stream)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(*parts, is_causal=True)  # (B, heads, T, width / heads)
        stream = stream + self.mix(mixed.transpose(1, 2).flatten(2))
        return stream + self.perceptron(self.norms[1](stream))


def positions(length: int, width: int) -> Tensor:
    """Return the sinusoidal encoding (length, width) of positions (Vaswani et al., arXiv 1706.03762)."""
    angles = torch.arange(length)[:, None] * torch.exp(-math.log(10_000) * torch.arange(0, width, 2) / width)
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)
