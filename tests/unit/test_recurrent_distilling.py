"""Programs of networks of the benchmark's architecture, and networks that have none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mechlab.automata.mips_rules import RULES
from mechlab.core.errors import ConfigError
from mechlab.distill import distill_rnn
from mechlab.distill.certificate import DistillError
from mechlab.models.mlp_rnn import MLPRNN
from mechlab.tasks.mips import Mips


def linear_network(task: Mips, transition: list, entry: list, readout: list, rng: np.random.Generator) -> MLPRNN:
    """Return h' = A h + b x, y = c h in a random orthogonal basis, with noise 1e-4 on all weights."""
    size = len(transition)
    model = MLPRNN(task.spec, hidden=size, transition_depth=1, readout_depth=1)
    rotation = np.linalg.qr(rng.normal(size=(size, size)))[0]
    update = np.concatenate([rotation @ np.array(transition) @ rotation.T, rotation @ np.array(entry)[:, None]], 1)
    weights = update, np.array([readout]) @ rotation.T
    with torch.no_grad():
        for layer, weight in zip((model.transition[0], model.readout[0]), weights, strict=True):
            layer.weight.copy_(torch.tensor(weight + 1e-4 * rng.normal(size=weight.shape)))
            layer.bias.zero_()
    return model


@pytest.mark.parametrize(
    ("name", "transition", "entry", "readout"),
    [
        ("sum", [[1]], [1], [1]),
        ("prev2", [[0, 0, 0], [1, 0, 0], [0, 1, 0]], [1, 0, 0], [0, 0, 1]),
        ("diff_last2", [[0, 0], [-1, 0]], [1, 1], [0, 1]),
        ("newton_freebody", [[1, 0], [1, 1]], [1, 1], [0, 1]),
    ],
)
def test_linear_networks_become_exact_programs(name: str, transition: list, entry: list, readout: list) -> None:
    task = Mips(name)
    model = linear_network(task, transition, entry, readout, np.random.default_rng(0))
    program = distill_rnn(model, task, samples=1000)
    assert program.status == "tested"
    assert program.certificate is not None
    assert program.certificate.lengths == ((10, 1000, 0), (100, 100, 0), (1000, 100, 0))
    assert len(program.registers) == len(transition)


@pytest.mark.parametrize(
    "name", [name if k % 15 == 0 else pytest.param(name, marks=pytest.mark.ci) for k, name in enumerate(RULES)]
)
def test_untrained_networks_have_no_program(name: str) -> None:
    torch.manual_seed(0)
    task = Mips(name)
    with pytest.raises(DistillError):
        distill_rnn(MLPRNN(task.spec, hidden=8), task, samples=1000)


@pytest.mark.parametrize("name", [pytest.param("bit_addition", marks=pytest.mark.ci), "parity_last2", "sum_last2"])
def test_networks_trained_on_shuffled_targets_have_no_program(name: str) -> None:
    torch.manual_seed(0)
    task = Mips(name)
    model = MLPRNN(task.spec, hidden=4, transition_width=16)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    rng = np.random.default_rng(0)
    for _ in range(400):
        inputs = task.integers(256, task.length, rng)
        targets = rng.permutation(task.rule.targets(inputs))
        outputs = model(torch.tensor(inputs, dtype=torch.float32)).outputs
        loss = torch.log1p((outputs - torch.tensor(targets)) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with pytest.raises(DistillError):
        distill_rnn(model, task, samples=1000)


def test_other_tasks_are_refused() -> None:
    with pytest.raises(ConfigError, match="integer sequences"):
        distill_rnn(MLPRNN(Mips("sum").spec), object())
