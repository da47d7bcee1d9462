import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mechlab.core.seeding import Streams
from mechlab.core.step import update
from mechlab.core.task import TaskSpec
from mechlab.models.mlp import MLP
from mechlab.tasks.modular_addition import ModularAddition

PAIRS = TaskSpec(inputs=7, outputs=5, kind="static", loss="cross_entropy", shape=(2,), tokens=True)
IMAGES = TaskSpec(inputs=12, outputs=3, kind="static", loss="mse", shape=(1, 3, 4))


def by_hand(model, x):
    """One example at a time, from the equations."""
    activation = {"relu": torch.nn.ReLU(), "tanh": torch.nn.Tanh(), "gelu": torch.nn.GELU()}[model.activation]
    outputs = []
    for example in x:
        if model.spec.tokens:
            h = torch.cat([model.embeddings[i].weight[token] for i, token in enumerate(example.tolist())])
        else:
            h = example.reshape(-1)
        for layer in [*model.layers, model.readout]:
            h = layer.weight @ h + (0 if layer.bias is None else layer.bias)
            h = h if layer is model.readout else activation(h)
        outputs.append(h)
    return torch.stack(outputs)


@settings(max_examples=20)
@given(
    st.integers(1, 9), st.integers(1, 3), st.integers(1, 6), st.sampled_from(["relu", "tanh", "gelu"]), st.booleans()
)
def test_the_outputs_are_those_of_the_equations(hidden, layers, embedding, activation, bias):
    rng = Streams(0).torch("x")
    for spec in (PAIRS, IMAGES):
        model = MLP(spec, hidden, layers, embedding, activation, bias)
        x = torch.randint(7, (4, 2), generator=rng) if spec.tokens else torch.randn(4, 1, 3, 4, generator=rng)
        outputs = model(x)
        assert outputs.shape == (4, spec.outputs)
        torch.testing.assert_close(outputs, by_hand(model, x))


@pytest.mark.parametrize("bias", [True, False])
def test_the_parameters_are_counted_by_hand(bias):
    model = MLP(PAIRS, hidden=11, layers=2, embedding=4, bias=bias)
    expected = 2 * 7 * 4 + 8 * 11 + 11 * 11 + 11 * 5 + (11 + 11 + 5) * bias
    assert sum(parameter.numel() for parameter in model.parameters()) == expected
    images = MLP(IMAGES, hidden=11, embedding=4, bias=bias)
    assert sum(parameter.numel() for parameter in images.parameters()) == 12 * 11 + 11 * 3 + (11 + 3) * bias


def test_each_position_has_its_own_table():
    model = MLP(PAIRS)
    pairs = torch.tensor(list(itertools.permutations(range(7), 2)))
    assert len(model.embeddings) == 2 and not len(MLP(IMAGES).embeddings)
    assert not torch.allclose(model(pairs), model(pairs.flip(1)))


def test_rows_of_a_table_start_with_length_one():
    with Streams(0).globally("init"):
        table = MLP(PAIRS, embedding=4000).embeddings[0].weight
    torch.testing.assert_close(table.norm(dim=1), torch.ones(7), atol=0.1, rtol=0)


def test_it_learns_sums_by_heart():
    task = ModularAddition(7)
    with Streams(0).globally("init"):
        model = MLP(task.spec, hidden=32)
    optimizer, batch = torch.optim.AdamW(model.parameters(), lr=1e-2), task.examples("train")
    for _ in range(60):
        update(model, optimizer, batch, task.spec)
    assert float(task.score(model(batch.inputs), batch)["accuracy"].mean()) == 1
