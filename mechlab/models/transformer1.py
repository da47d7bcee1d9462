"""A transformer of one layer whose heads share one matrix for queries, keys and values."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn

from mechlab.core.constraints import Size, between
from mechlab.core.errors import ConfigError
from mechlab.core.model import StaticModel
from mechlab.core.stacked import Stacked
from mechlab.core.task import TaskSpec


class Transformer1(StaticModel):
    """The one-layer transformer of ExPLAIND, with its output at the last token.

    With h_t = sqrt(d) E[token t], head i has one matrix E_i for queries, keys and values and one output matrix O_i,
    both without bias:

        z_t = E_i h_t,   head_i = sum_t softmax_t(z_t . z_T / sqrt(w)) z_t,   o = sum_i O_i head_i,
        out = o + relu(W_2 relu(W_1 o + b_1) + b_2),   output = log softmax(D out),

    where T is the last token and w the width of a head. There is no mask, no layer norm, no dropout, and no residual
    connection around the attention. Outputs are log-probabilities (logits D out if the task is a regression): the cross
    entropy of log-probabilities is that of the logits. The outputs at other tokens are not computed.

    Weights start as torch's layers do: normal with standard deviation 1 in the embedding, uniform in +-1/sqrt(fan in)
    elsewhere. Parameters have the names of the published code.

    Args:
        spec: of a static task on tokens.
        width: d, of the embedding.
        heads: number of heads; it divides the width.
        hidden: units of the hidden layer of the perceptron.
        positions: rows of the published positional table, a parameter that is declared but not used; 0 leaves it out.

    Raises:
        ConfigError: the heads do not divide the width.

    Source: "ExPLAIND", arXiv 2505.20076, and its published code.
    """

    reads: ClassVar = "tokens"

    def __init__(
        self,
        spec: TaskSpec,
        width: Size = 64,
        heads: Annotated[int, between(1, 1000)] = 4,
        hidden: Size = 512,
        positions: Annotated[int, between(0, 1_000_000)] = 10,
    ):
        super().__init__(spec)
        if width % heads:
            must = "the heads must divide the width"
            got, fix = f"width={width} and heads={heads}", f"model.width={heads * max(1, round(width / heads))}"
            raise ConfigError(must, got=got, key="model.heads", fix=fix)
        self.heads = heads
        self.input_emb = nn.Embedding(spec.inputs, width)
        if positions:
            self.positional_encoding = _Positions(positions, width)
            self.unused = ("positional_encoding.pe",)
        for i in range(1, heads + 1):
            self.add_module(f"head{i}_encoder", nn.Linear(width, width // heads, bias=False))
            self.add_module(f"head{i}_decoder", nn.Linear(width // heads, width, bias=False))
        self.encoders = Stacked([getattr(self, f"head{i}_encoder") for i in range(1, heads + 1)], 0)
        self.decoders = Stacked([getattr(self, f"head{i}_decoder") for i in range(1, heads + 1)], 1)
        self.linear1 = nn.Linear(width, hidden)
        self.linear2 = nn.Linear(hidden, width)
        self.decoder = nn.Linear(width, spec.outputs, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map tokens (B, T) to log-probabilities (B, outputs)."""
        skip = self.skip(inputs)
        logits = self.decoder(skip + torch.relu(self._preactivations(skip)))
        return logits.log_softmax(-1) if self.spec.loss.classes else logits

    def hidden(self, inputs: Tensor) -> Tensor:
        """Map tokens (B, T) to the activations of the perceptron's last layer (B, d)."""
        return torch.relu(self.preactivations(inputs))

    def preactivations(self, inputs: Tensor) -> Tensor:
        """Map tokens (B, T) to what the activation function of the perceptron's last layer reads (B, d)."""
        return self._preactivations(self.skip(inputs))

    def skip(self, inputs: Tensor) -> Tensor:
        """Map tokens (B, T) to the residual stream (B, d) that the unembedding reads beside the perceptron's output."""
        return self.attended(self.input_emb(inputs) * math.sqrt(self.input_emb.embedding_dim))

    def unembedding(self) -> Tensor:
        """Return the map of the perceptron's output to logits (d, outputs)."""
        return self.decoder.weight.T

    def skip_unembedding(self) -> Tensor:
        """Return the map of the residual stream to logits (d, outputs)."""
        return self.decoder.weight.T

    def _preactivations(self, skip: Tensor) -> Tensor:
        return self.linear2(torch.relu(self.linear1(skip)))

    def attended(self, embedded: Tensor) -> Tensor:
        """Map embeddings (B, T, d) to the sum of the heads' outputs at the last token (B, d)."""
        z = self.encoders(embedded).unflatten(-1, (self.heads, -1))  # (B, T, heads, w)
        scores = (z * z[:, -1:]).sum(-1) / math.sqrt(z.shape[-1])  # (B, T, heads), of the last token's query
        mixed = (scores.softmax(1)[..., None] * z).sum(1)  # (B, heads, w)
        return self.decoders(mixed.flatten(1))


class _Positions(nn.Module):
    """The published positional table (1, positions, d), which is not used."""

    def __init__(self, positions: int, width: int):
        super().__init__()
        self.pe = nn.Parameter(torch.zeros(1, positions, width))
