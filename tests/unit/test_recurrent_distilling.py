"""Programs of networks of the benchmark's architecture, and networks that have none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from mechlab.automata.mips_rules import RULES
from mechlab.core.errors import ConfigError
from mechlab.distill import distill_rnn
from mechlab.distill.certificate import DistillError
from mechlab.distill.recurrent.distilling import check_learned
from mechlab.distill.recurrent.observed import observe
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
    assert program.certificate.network_lengths[0] == (10, 1000, 0)
    assert len(program.registers) == len(transition)
    assert (program.origin, program.certificate.read_out) == ("states", "affine")


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


@dataclass(frozen=True)
class LongRuns:
    """The rule: by how much the present run of ones is longer than `least`."""

    least: int = 9
    low: int = 0
    high: int = 1
    channels: int = 1

    def targets(self, inputs: np.ndarray) -> np.ndarray:
        runs, last = np.zeros_like(inputs), np.zeros_like(inputs[:, 0])
        for t in range(inputs.shape[1]):
            last = (last + 1) * inputs[:, t]
            runs[:, t] = last
        return np.maximum(runs - self.least, 0)


@dataclass(frozen=True)
class RunsTask:
    rule: LongRuns = LongRuns()
    length: int = 10

    def integers(self, n: int, length: int, rng: np.random.Generator) -> np.ndarray:
        return rng.integers(0, 2, (n, length, 1))


@pytest.mark.ci
def test_a_shorter_program_with_rare_mismatches_is_not_preferred() -> None:
    task = RunsTask()
    spec = Mips("parity").spec
    model = MLPRNN(spec, hidden=1, transition_width=1, readout_width=1, transition_depth=2, readout_depth=2).double()
    maps = [([[1.0, 1000.0]], -999.0), ([[1.0]], 0.0), ([[1.0]], -9.0), ([[1.0]], 0.0)]  # relu(h + 1 - 1000 (1 - x))
    with torch.no_grad():
        for layer, (weight, bias) in zip([*model.transition, *model.readout], maps, strict=True):
            layer.weight.copy_(torch.tensor(weight))
            layer.bias.fill_(bias)
    program = distill_rnn(model, task, samples=1000)
    assert program.status == "lossless"  # "return 0" is wrong on one of 1,024 words
    assert program(np.ones((10, 1), int))[:, 0].tolist() == [0] * 9 + [1]
    certificate = program.certificate
    assert certificate is not None and certificate.origin == "outputs"  # ten ones in ten letters are also a run,
    assert certificate.network_lengths[1] == (
        100,
        100,
        100,
    )  # but the network does not count ones, as longer words show


def test_untrained_networks_are_refused_by_the_comparison_with_constants_only() -> None:
    task = Mips("parity")
    model = MLPRNN(task.spec, hidden=2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    with pytest.raises(DistillError, match="constant outputs"):
        distill_rnn(model, task, samples=1000)
    program = distill_rnn(model, task, samples=1000, require_learned=False)
    assert (program.registers, str(program.outputs[0]), program.origin) == ((), "0", "outputs")


@pytest.mark.parametrize("length", [1, 2])
def test_constant_targets_are_named(length: int) -> None:
    task = Mips("bit_palindromes", length=length)
    observed = observe(MLPRNN(task.spec), task, 500)
    with pytest.raises(DistillError, match="the targets are constant at this length"):
        check_learned(observed, task)


@pytest.mark.parametrize("samples", [0, 1])
def test_few_samples_are_refused(samples: int) -> None:
    with pytest.raises(ConfigError, match="samples"):
        distill_rnn(MLPRNN(Mips("sum").spec), Mips("sum"), samples=samples)
