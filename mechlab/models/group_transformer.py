"""The one-layer transformer that is trained to multiply in a group."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mechlab.core.constraints import Seed, Size, between
from mechlab.core.errors import ConfigError
from mechlab.core.model import StaticModel
from mechlab.core.task import TaskSpec


class GroupTransformer(StaticModel):
    """One layer of attention and of a perceptron over (a, b, =), without layer norm and biases, read at "=".

    With x_0 = W_E[a] + W_pos[0], x_1 = W_E[b] + W_pos[1], x_2 = W_E[=] + W_pos[2], and for each head i

        p_t = softmax_t(x_t W_K x_2 W_Q / sqrt(head_width)),   z_i = sum_t p_t x_t W_V,

        r = x_2 + sum_i z_i W_O,   hidden = relu(r W_in),   logits = (r + hidden W_out) W_U.

    The only query is that of the constant x_2, so that a token's attention score and value depend on the token and its
    position alone: both are computed once a step for each of the n tokens and looked up for the pairs. The outputs at
    the other positions are not computed. This is the same function at a fraction of the cost.

    Weights start as N(0, 0.64 / width), drawn in the order of the attributes, as TransformerLens 0.2.0 does.

    Args:
        spec: of a static classification of two tokens.
        width: d, of the residual stream.
        heads: number of heads.
        head_width: width of a head.
        hidden: h, units of the perceptron.
        seed: of the initial weights, as the published code draws them; None draws them from the run's own stream.

    Attributes:
        W_E: the embedding (n + 1, d); the last row is that of "=".
        W_pos: the positional embedding (3, d).
        W_Q, W_K, W_V: (heads, d, head_width).
        W_O: (heads, head_width, d).
        W_in: (d, h).
        W_out: (h, d).
        W_U: (d, n).

    Raises:
        ConfigError: the task's inputs are not two tokens.

    Source: Chughtai et al., "A Toy Model of Universality", arXiv 2302.03025, and its published code. Parameters have
    the names and shapes of TransformerLens.
    """

    reads: ClassVar = "tokens"

    def __init__(
        self,
        spec: TaskSpec,
        width: Size = 128,
        heads: Annotated[int, between(1, 1000)] = 4,
        head_width: Size = 32,
        hidden: Size = 512,
        seed: Seed | None = None,
    ):
        super().__init__(spec)
        if spec.shape != (2,):
            must, fix = "the inputs of a group_transformer must be two tokens", "choose task=group"
            raise ConfigError(must, got=f"inputs of shape {spec.shape}", key="model", fix=fix)
        rng = None if seed is None else torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(shape).normal_(0, 0.8 / math.sqrt(width), generator=rng))

        self.W_E, self.W_pos = normal(spec.inputs + 1, width), normal(3, width)
        self.W_Q, self.W_K, self.W_V = (normal(heads, width, head_width) for _ in range(3))
        self.W_O = normal(heads, head_width, width)
        self.W_in, self.W_out = normal(width, hidden), normal(hidden, width)
        self.W_U = normal(width, spec.outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map pairs of tokens (B, 2) to logits (B, outputs)."""
        skip = self.skip(inputs)
        return (skip + torch.relu(skip @ self.W_in) @ self.W_out) @ self.W_U

    def hidden(self, inputs: Tensor) -> Tensor:
        """Map pairs of tokens (B, 2) to the activations of the perceptron at "=" (B, h)."""
        return torch.relu(self.preactivations(inputs))

    def preactivations(self, inputs: Tensor) -> Tensor:
        """Map pairs of tokens (B, 2) to what the activation function of the perceptron reads at "=" (B, h)."""
        return self.skip(inputs) @ self.W_in

    def skip(self, inputs: Tensor) -> Tensor:
        """Map pairs of tokens (B, 2) to the residual stream r between attention and perceptron at "=" (B, d), which the
        unembedding reads beside the perceptron's output."""
        heads, _, head_width = self.W_Q.shape
        end = self.W_E[-1] + self.W_pos[2]
        scores = (self.W_K @ (end @ self.W_Q)[..., None])[..., 0] / math.sqrt(head_width)  # (heads, d)
        reads = torch.cat([scores.mT, self.W_V.movedim(0, 1).flatten(1)], 1)  # (d, heads + heads head_width)
        a, b = (F.embedding(inputs[:, i], (self.W_E[:-1] + self.W_pos[i]) @ reads) for i in (0, 1))
        parts = [part.split([heads, heads * head_width], -1) for part in (a, b, (end @ reads).expand_as(a))]
        attention = torch.stack([score for score, _ in parts]).softmax(0)[..., None]  # (3, B, heads, 1)
        z = sum(p * value.unflatten(-1, (heads, head_width)) for p, (_, value) in zip(attention, parts, strict=True))
        return end + z.flatten(1) @ self.W_O.flatten(0, 1)

    def effective_embeddings(self) -> tuple[Tensor, Tensor]:
        """Return the embeddings (n, d) of the tokens as left and as right factor, which are the same table."""
        return self.W_E[:-1], self.W_E[:-1]

    def unembedding(self) -> Tensor:
        """Return the map of hidden activations to logits, W_out W_U (h, outputs)."""
        return self.W_out @ self.W_U

    def skip_unembedding(self) -> Tensor:
        """Return the map of the residual stream to logits, W_U (d, outputs)."""
        return self.W_U
