"""The transformer against its equations, one example and one token at a time."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mechlab.core.errors import ConfigError
from mechlab.core.seeding import Streams
from mechlab.core.task import TaskSpec
from mechlab.models.transformer1 import Transformer1
from mechlab.tasks.modular_addition import ModularAddition

TOKENS = TaskSpec(inputs=7, outputs=7, kind="static", loss="cross_entropy", shape=(4,), tokens=True)
NAMES = {
    "input_emb.weight": (115, 64),
    "positional_encoding.pe": (1, 10, 64),
    **{f"head{i}_encoder.weight": (16, 64) for i in (1, 2, 3, 4)},
    **{f"head{i}_decoder.weight": (64, 16) for i in (1, 2, 3, 4)},
    "linear1.weight": (512, 64),
    "linear1.bias": (512,),
    "linear2.weight": (64, 512),
    "linear2.bias": (64,),
    "decoder.weight": (115, 64),
}


def softmax(values):
    weights = [math.exp(value - max(values)) for value in values]
    return [weight / sum(weights) for weight in weights]


def by_hand(model, tokens):
    """Log-probabilities for one example: attention of all tokens, from the equations; only the last one is used."""
    weights = {name: value.double() for name, value in model.state_dict().items()}
    d = weights["input_emb.weight"].shape[1]
    h = [weights["input_emb.weight"][token] * math.sqrt(d) for token in tokens]
    outputs = []
    for t in range(len(tokens)):
        o = torch.zeros(d, dtype=torch.float64)
        for i in range(1, model.heads + 1):
            z = [weights[f"head{i}_encoder.weight"] @ x for x in h]
            attention = softmax([float(z[t] @ key) / math.sqrt(len(key)) for key in z])
            head = sum(a * value for a, value in zip(attention, z, strict=True))
            o = o + weights[f"head{i}_decoder.weight"] @ head
        inner = (weights["linear1.weight"] @ o + weights["linear1.bias"]).clamp(min=0)
        out = o + (weights["linear2.weight"] @ inner + weights["linear2.bias"]).clamp(min=0)
        outputs.append(weights["decoder.weight"] @ out)
    logits = outputs[-1]
    return logits - logits.exp().sum().log()


def build(*args, **options):
    with Streams(3).globally("init"):
        return Transformer1(*args, **options)


@settings(max_examples=15)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 9), st.integers(1, 5))
def test_the_outputs_are_those_of_the_equations(heads, width, hidden, length):
    model = build(TOKENS, width=heads * width, heads=heads, hidden=hidden).double()
    tokens = torch.randint(7, (5, length), generator=Streams(0).torch("x"))
    expected = torch.stack([by_hand(model, row) for row in tokens.tolist()])
    torch.testing.assert_close(model(tokens), expected, rtol=1e-10, atol=1e-10)


def test_the_published_network_has_the_published_parameters():
    model = Transformer1(ModularAddition(113, "expression").spec)
    assert {name: tuple(value.shape) for name, value in model.named_parameters()} == NAMES
    assert sum(parameter.numel() for parameter in model.parameters()) == 89_664
    small = Transformer1(ModularAddition(13, "expression").spec, width=32, hidden=64)
    assert sum(parameter.numel() for parameter in small.parameters()) == 7_520


def test_outputs_are_log_probabilities_of_all_tokens():
    task = ModularAddition(5, "expression")
    outputs = build(task.spec)(task.examples("train").inputs)
    assert outputs.shape[1] == 7
    torch.testing.assert_close(outputs.exp().sum(1), torch.ones(len(outputs)))


def test_a_regression_has_plain_outputs():
    spec = TaskSpec(inputs=7, outputs=7, kind="static", loss="mse", shape=(4,), tokens=True)
    tokens = torch.randint(7, (3, 4), generator=Streams(0).torch("x"))
    torch.testing.assert_close(build(spec)(tokens).log_softmax(-1), build(TOKENS)(tokens))


def test_nothing_reads_the_positional_table():
    model, without = build(TOKENS), build(TOKENS, positions=0)
    assert model.unused == ("positional_encoding.pe",) and without.unused == ()
    tokens = torch.randint(7, (3, 4), generator=Streams(0).torch("x"))
    assert torch.equal(model(tokens), without(tokens))  # the same weights too: the table takes no random numbers
    model(tokens).sum().backward()
    assert model.positional_encoding.pe.grad is None


def test_the_order_of_the_tokens_before_the_last_does_not_matter():
    model = build(TOKENS).double()
    torch.testing.assert_close(model(torch.tensor([[1, 5, 2, 6]])), model(torch.tensor([[2, 1, 5, 6]])))
    assert not torch.allclose(model(torch.tensor([[1, 5, 2, 6]])), model(torch.tensor([[1, 5, 6, 2]])))


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ConfigError, match=r"divide the width[\s\S]*width=10 and heads=4") as caught:
        Transformer1(TOKENS, width=10)
    assert caught.value.key == "model.heads" and caught.value.fix == "model.width=8"


def test_gradients_are_those_of_the_formula_written_once():
    """Bit by bit: a residual stream that is computed twice adds its two gradients in another order."""
    task = ModularAddition(5, "expression")
    model, batch = build(task.spec, width=16, heads=2, hidden=24, positions=0), task.examples("train")
    found = torch.autograd.grad(model(batch.inputs).gather(1, batch.targets[:, None]).sum(), list(model.parameters()))
    o = model.attended(model.input_emb(batch.inputs) * math.sqrt(16))
    inner = torch.relu(model.linear2(torch.relu(model.linear1(o))))
    outputs = model.decoder(o + inner).log_softmax(-1)
    expected = torch.autograd.grad(outputs.gather(1, batch.targets[:, None]).sum(), list(model.parameters()))
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
