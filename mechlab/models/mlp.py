"""A multi-layer perceptron."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from mechlab.core.constraints import Size, between
from mechlab.core.model import StaticModel
from mechlab.core.task import TaskSpec

_ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh, "gelu": nn.functional.gelu}


class MLP(StaticModel):
    """Hidden layers with an activation, and a linear read-out.

    Real inputs are flattened. Tokens are looked up in one embedding table for each position, whose rows are then
    concatenated (the network with two embeddings of Stander et al., arXiv 2312.06581, where inputs are pairs). Rows of
    a table have length 1 on average before training.

    Args:
        spec: of a static task.
        hidden: units of each hidden layer.
        layers: hidden layers.
        embedding: width of an embedding table; not used for real inputs.
        activation: of the hidden layers.
        bias: True for biases in the layers and the read-out.

    Attributes:
        embeddings: the tables (V, embedding), one for each position; empty for real inputs.
        layers: the hidden linear maps.
        readout: the last linear map.
    """

    def __init__(
        self,
        spec: TaskSpec,
        hidden: Size = 128,
        layers: Annotated[int, between(1, 1000)] = 1,
        embedding: Size = 128,
        activation: Literal["relu", "tanh", "gelu"] = "relu",
        bias: bool = True,
    ):
        super().__init__(spec)
        size = math.prod(spec.shape)
        self.embeddings = nn.ModuleList(nn.Embedding(spec.inputs, embedding) for _ in range(size if spec.tokens else 0))
        for table in self.embeddings:
            nn.init.normal_(table.weight, std=embedding**-0.5)
        widths = [size * embedding if spec.tokens else size] + [hidden] * layers
        self.layers = nn.ModuleList(nn.Linear(widths[i], hidden, bias) for i in range(layers))
        self.readout = nn.Linear(hidden, spec.outputs, bias)
        self.activation = activation

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs (B, *shape) to outputs (B, outputs)."""
        return self.readout(self.hidden(inputs))

    def hidden(self, inputs: Tensor) -> Tensor:
        """Map inputs (B, *shape) to the last hidden layer's activations (B, hidden)."""
        return _ACTIVATIONS[self.activation](self.preactivations(inputs))

    def preactivations(self, inputs: Tensor) -> Tensor:
        """Map inputs (B, *shape) to what the last hidden layer's activation reads (B, hidden)."""
        hidden = inputs.flatten(1)
        if self.spec.tokens:
            hidden = torch.cat([table(hidden[:, i]) for i, table in enumerate(self.embeddings)], -1)
        *earlier, last = self.layers
        for layer in earlier:
            hidden = _ACTIVATIONS[self.activation](layer(hidden))
        return last(hidden)

    def unembedding(self) -> Tensor:
        """Return the linear map (hidden, outputs) from the last hidden layer to the outputs, without its bias."""
        return self.readout.weight.T

    def skip(self, inputs: Tensor) -> Tensor:
        """Return a column of ones (B, 1), whose weights are the output bias."""
        return self.readout.weight.new_ones(len(inputs), 1)

    def skip_unembedding(self) -> Tensor:
        """Return the output bias (1, outputs)."""
        bias = self.readout.bias
        return self.readout.weight.new_zeros(1, len(self.readout.weight)) if bias is None else bias[None]

    def effective_embeddings(self) -> tuple[Tensor, ...]:
        """Return a table (V, hidden) for each position, whose rows the first layer adds up, and adds its bias to; none
        for real inputs."""
        blocks = self.layers[0].weight.T.chunk(max(1, len(self.embeddings)))
        return tuple(table.weight @ block for table, block in zip(self.embeddings, blocks, strict=False))
