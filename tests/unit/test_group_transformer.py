"""The transformer for groups against attention over all tokens and positions, as TransformerLens computes it."""

import math

import pytest
import torch
from torch.func import functional_call, grad, jvp, vmap

from mechlab.core.errors import ConfigError
from mechlab.core.forward_mode import load_forward_mode
from mechlab.core.task import TaskSpec
from mechlab.groups.network import PairNetwork
from mechlab.models.group_transformer import GroupTransformer
from mechlab.tasks.group import GroupProduct

NAMES = {
    "W_E": (121, 128),
    "W_pos": (3, 128),
    "W_Q": (4, 128, 32),
    "W_K": (4, 128, 32),
    "W_V": (4, 128, 32),
    "W_O": (4, 32, 128),
    "W_in": (128, 512),
    "W_out": (512, 128),
    "W_U": (128, 120),
}


def dense(w, pairs):
    """Residual stream, hidden activations and logits (B, 3, ...) at all positions, with queries, keys and values of all
    of them and a causal mask."""
    tokens = torch.cat([pairs, torch.full((len(pairs), 1), len(w["W_E"]) - 1)], 1)
    x = w["W_E"][tokens] + w["W_pos"]
    q, k, v = (torch.einsum("btd,hde->bhte", x, w[name]) for name in ("W_Q", "W_K", "W_V"))
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    scores = scores.masked_fill(torch.ones(3, 3).triu(1).bool(), -1e5)
    residual = x + torch.einsum("bhte,hed->btd", scores.softmax(-1) @ v, w["W_O"])
    hidden = torch.relu(residual @ w["W_in"])
    return residual, hidden, (residual + hidden @ w["W_out"]) @ w["W_U"]


@pytest.fixture(scope="module")
def task():
    return GroupProduct("C7")


@pytest.fixture(scope="module")
def model(task):
    return GroupTransformer(task.spec, width=12, heads=3, head_width=5, hidden=20, seed=4).double()


@pytest.fixture(scope="module")
def weights(model):
    return {name: 3 * value.detach() for name, value in model.named_parameters()}  # attention far from uniform


def test_the_function_is_that_of_attention_over_all_tokens(task, model, weights):
    pairs = task.examples("test").inputs
    residual, hidden, logits = (part[:, -1] for part in dense(weights, pairs))
    torch.testing.assert_close(functional_call(model, weights, pairs), logits, rtol=1e-10, atol=1e-12)
    scaled = GroupTransformer(task.spec, width=12, heads=3, head_width=5, hidden=20).double()
    scaled.load_state_dict(weights)
    torch.testing.assert_close(scaled.skip(pairs), residual, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(scaled.hidden(pairs), hidden, rtol=1e-10, atol=1e-12)
    all_pairs = torch.cartesian_prod(torch.arange(7), torch.arange(7))
    whole = dense(weights, all_pairs)[2][:, -1]
    network = PairNetwork.of_model(scaled, task.of)
    torch.testing.assert_close(network.logits(torch.arange(7)).flatten(0, 1), whole, rtol=1e-10, atol=1e-12)


def test_the_gradient_is_that_of_attention_over_all_tokens(task, model, weights):
    pairs, products = task.examples("train").inputs, task.examples("train").targets

    def loss(function):
        return lambda w: torch.nn.functional.cross_entropy(function(w), products)

    ours = grad(loss(lambda w: functional_call(model, w, pairs)))(weights)
    expected = grad(loss(lambda w: dense(w, pairs)[2][:, -1]))(weights)
    for name, value in expected.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-9, atol=1e-12)
        assert value.abs().max() > 1e-6, name


def test_transforms_of_functions_apply(task, model, weights):
    """Derivatives along a direction and maps over networks and examples, which attribution uses."""
    pairs = task.examples("train").inputs
    tangent = {name: torch.full_like(value, 0.1) for name, value in weights.items()}
    load_forward_mode()
    outputs, ours = jvp(lambda w: functional_call(model, w, pairs), (weights,), (tangent,))
    expected = jvp(lambda w: dense(w, pairs)[2][:, -1], (weights,), (tangent,))[1]
    torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-12)
    alone = vmap(lambda pair: functional_call(model, weights, pair[None])[0])(pairs)
    torch.testing.assert_close(alone, outputs, rtol=1e-10, atol=1e-12)
    two = {name: torch.stack([value, value + 0.1]) for name, value in weights.items()}
    both = vmap(lambda w: functional_call(model, w, pairs))(two)
    torch.testing.assert_close(both[0], outputs, rtol=1e-10, atol=1e-12)


def test_the_published_network_has_the_published_parameters():
    model = GroupTransformer(GroupProduct("S5").spec, seed=1)
    assert {name: tuple(value.shape) for name, value in model.named_parameters()} == NAMES
    torch.manual_seed(1)
    for name, shape in NAMES.items():
        drawn = torch.nn.init.normal_(torch.empty(shape), std=0.8 / math.sqrt(128))
        assert torch.equal(model.get_parameter(name), drawn), name


def test_inputs_that_are_not_two_tokens_are_refused():
    spec = TaskSpec(inputs=7, outputs=7, kind="static", loss="cross_entropy", shape=(4,), tokens=True)
    with pytest.raises(ConfigError, match="two tokens"):
        GroupTransformer(spec)
