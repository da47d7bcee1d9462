"""The perceptron with two embeddings that is trained to multiply in a group."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mechlab.core.constraints import Seed, Size
from mechlab.core.errors import ConfigError
from mechlab.core.model import StaticModel
from mechlab.core.task import TaskSpec


class GroupMLP(StaticModel):
    """One hidden layer over the embeddings of two tokens, without biases:

        logits = relu([W_x[a], W_y[b]] W) W_U.

    The first layer acts on each embedding separately, [e_a, e_b] W = e_a W' + e_b W'', so that the two tables
    W_x W' and W_y W'' (n, hidden) are computed once a step and looked up, instead of a product for every pair: the same
    function at a quarter of the cost.

    Weights start as N(0, 1 / fan in), drawn in the order W_x, W_y, W, W_U.

    Args:
        spec: of a static classification of two tokens.
        hidden: h, units.
        embedding: width d of an embedding.
        variant: "relu"; "post_bias", which adds a bias after the activation, relu(.) + b; or "bilinear",
            logits = (W_x[a] * W_y[b]) W_U, the product of components, without W and hidden units of its own.
        seed: of the initial weights, as the published code draws them; None draws them from the run's own stream.

    Attributes:
        W_x, W_y: the embeddings (n, d).
        W: the first layer (2 d, h); not for bilinear.
        W_U: the unembedding (h, n); (d, n) for bilinear.
        b: the bias (h,) of post_bias.

    Raises:
        ConfigError: the task's inputs are not two tokens.

    Source: Chughtai et al., "A Toy Model of Universality", arXiv 2302.03025, and its published code.
    """

    reads = "tokens"

    def __init__(
        self,
        spec: TaskSpec,
        hidden: Size = 128,
        embedding: Size = 256,
        variant: Literal["relu", "post_bias", "bilinear"] = "relu",
        seed: Seed | None = None,
    ):
        super().__init__(spec)
        if spec.shape != (2,):
            must, fix = "the inputs of a group_mlp must be two tokens", "choose task=group"
            raise ConfigError(must, got=f"inputs of shape {spec.shape}", key="model", fix=fix)
        self.variant = variant
        rng = None if seed is None else torch.Generator().manual_seed(seed)
        self.W_x, self.W_y = (_normal((spec.inputs, embedding), embedding, rng) for _ in range(2))
        if variant == "bilinear":
            self.W_U = _normal((embedding, spec.outputs), embedding, rng)
        else:
            self.W = _normal((2 * embedding, hidden), 2 * embedding, rng)
            self.W_U = _normal((hidden, spec.outputs), hidden, rng)
        if variant == "post_bias":
            self.b = nn.Parameter(torch.zeros(hidden))

    def forward(self, inputs: Tensor) -> Tensor:
        """Map pairs of tokens (B, 2) to logits (B, outputs)."""
        return self.hidden(inputs) @ self.W_U

    def hidden(self, inputs: Tensor) -> Tensor:
        """Map pairs of tokens (B, 2) to what the unembedding reads (B, h)."""
        return self.combine(*(F.embedding(inputs[:, i], table) for i, table in enumerate(self.effective_embeddings())))

    def combine(self, x: Tensor, y: Tensor) -> Tensor:
        """Map rows (..., h) of the two effective embeddings to what the unembedding reads (..., h)."""
        if self.variant == "bilinear":
            return x * y
        hidden = torch.relu(x + y)
        return hidden + self.b if self.variant == "post_bias" else hidden

    def preactivations(self, inputs: Tensor) -> Tensor:
        """Map pairs of tokens (B, 2) to what the activation reads (B, h); to the hidden units of bilinear itself."""
        if self.variant == "bilinear":
            return self.hidden(inputs)
        x, y = self.effective_embeddings()
        return F.embedding(inputs[:, 0], x) + F.embedding(inputs[:, 1], y)

    def effective_embeddings(self) -> tuple[Tensor, Tensor]:
        """Return the two tables (n, h) whose rows are added (multiplied, for bilinear) before the activation."""
        if self.variant == "bilinear":
            return self.W_x, self.W_y
        left, right = self.W.chunk(2)
        return self.W_x @ left, self.W_y @ right

    def unembedding(self) -> Tensor:
        """Return the linear map (h, outputs) from the hidden units to the logits."""
        return self.W_U


def _normal(shape: tuple[int, int], fan_in: int, rng: torch.Generator | None) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape, generator=rng) / fan_in**0.5)
