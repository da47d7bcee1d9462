"""Gradients by input step: against finite differences, in a planted delay line, and where targets depend on inputs."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fake_run import FakeRun

from mechlab.analyses.input_gradients import InputGradients
from mechlab.binding.input_gradients import dependences, input_gradient_norms
from mechlab.core.errors import ConfigError
from mechlab.core.model import SequenceModel
from mechlab.models.gru import GRU
from mechlab.record.artifacts import Artifacts
from mechlab.tasks.copying_memory import CopyingMemory
from mechlab.tasks.linear_binding import LinearBinding
from mechlab.tasks.repeat_copy import RepeatCopy
from mechlab.tasks.tomita import Tomita


class DelayLine(SequenceModel):
    """Outputs half of the input of `lag` steps before."""

    def __init__(self, spec, lag):
        super().__init__(spec)
        self.lag = lag
        self.gain = torch.nn.Parameter(torch.tensor(0.5))

    def initial_state(self, batch):
        return self.gain.new_zeros(batch, self.lag * self.spec.inputs)

    def step(self, x, state):
        oldest, rest = state[:, : self.spec.inputs], state[:, self.spec.inputs :]
        return self.gain * oldest, torch.cat([rest, x], 1)


def drawn(task, n=5):
    return task.generate(n, "test", torch.Generator().manual_seed(0))


def only(batch, step):
    chosen = torch.zeros(batch.inputs.shape[:2], dtype=torch.bool)
    chosen[:, step] = True
    return chosen


@pytest.mark.parametrize("task", [CopyingMemory(symbols=3, s=2, delay=2), RepeatCopy(d=2, s=2, repeats=2)])
def test_norms_are_those_of_finite_differences(task):
    torch.manual_seed(0)
    model, batch, step, eps = GRU(task.spec, 4), drawn(task, n=2), task.spec.length - 1, 1e-6
    norms = input_gradient_norms(model, batch, task.spec, only(batch, step))
    double = model.double()

    def losses(inputs):
        outputs, targets = double(inputs).outputs[:, step], batch.targets[:, step]
        if targets.ndim == 1:
            return -outputs.log_softmax(-1)[torch.arange(2), targets]
        return (outputs - targets).square().mean(-1)

    inputs = batch.inputs.double()
    expected = torch.zeros(inputs.shape, dtype=torch.float64)
    for t in range(inputs.shape[1]):
        for channel in range(inputs.shape[2]):
            nudge = torch.zeros_like(inputs)
            nudge[:, t, channel] = eps
            expected[:, t, channel] = (losses(inputs + nudge) - losses(inputs - nudge)) / (2 * eps)
    np.testing.assert_allclose(norms.numpy(), expected.norm(dim=-1).detach().numpy(), atol=1e-8)


def test_a_delay_line_has_its_gradient_at_the_copied_step_alone(tmp_path):
    task = RepeatCopy(d=2, s=4, repeats=1)
    run = FakeRun(task, DelayLine(task.spec, 4), GRU(task.spec, 8))
    finding = InputGradients(step=6).run(run, Artifacts(tmp_path), np.random.default_rng(0))
    table = Artifacts(tmp_path).table("gradients")
    assert list(table["step"][table["norm"] > 0]) == list(table["step"][table["depends"] > 0]) == [2]
    assert finding.scalars["share"] == 1 and finding.scalars["uniform_share"] == 1 / 8
    assert finding.claims["share"].holds
    assert list(table["step"][table["input"]]) == [0, 1, 2, 3] and list(table["step"][table["target"]]) == [4, 5, 6, 7]


def test_the_claim_fails_in_networks_that_do_not_copy(tmp_path):
    """An untrained network, and a delay line of another length: of all its gradient none is where it belongs."""
    task = RepeatCopy(d=2, s=4, repeats=1)
    torch.manual_seed(0)
    for i, model in enumerate((GRU(task.spec, 8), DelayLine(task.spec, 5))):
        run = FakeRun(task, model, GRU(task.spec, 8))
        finding = InputGradients().run(run, Artifacts(tmp_path / str(i)), np.random.default_rng(0))
        assert not finding.claims["share"].holds
    assert finding.scalars["share"] == 0 and finding.scalars["peak_step"] == 2


def test_targets_depend_on_the_steps_of_the_rule():
    copying = CopyingMemory(symbols=8, s=3, delay=4)
    batch = drawn(copying, 20)
    for symbol in range(3):
        depends = dependences(lambda x: copying.targets(x)[0], batch.inputs, only(batch, 3 + 4 + symbol))
        assert depends.any(0).nonzero().flatten().tolist() == [symbol]
    assert not dependences(lambda x: copying.targets(x)[0], batch.inputs, only(batch, 2)).any()  # the filler
    rule = LinearBinding(id="T3", horizon=20)
    batch, cells = drawn(rule, 20), rule.choice.sources(20)[0]
    for k in (0, 7, 19):
        depends = dependences(lambda x: rule.targets(x)[0], batch.inputs, only(batch, 8 + k))
        assert set(depends.any(0).nonzero().flatten().tolist()) == set((cells[k] // 8).tolist())


def test_words_of_different_lengths_have_their_loss_at_their_ends(tmp_path):
    task = Tomita(5)  # both numbers of letters are even: every letter matters
    run = FakeRun(task, GRU(task.spec, 4), GRU(task.spec, 4))
    analysis = InputGradients(examples=40)
    batch = run.evaluation("test", 40)
    chosen, _ = analysis._chosen(batch)
    assert (chosen.sum(1) == 1).all() and (chosen.int().argmax(1) == batch.inputs.any(-1).sum(1) - 1).all()
    finding = analysis.run(run, Artifacts(tmp_path), np.random.default_rng(0))
    assert not finding.claims  # a uniform norm would have the share


def test_a_step_without_targets_is_refused():
    task = RepeatCopy(d=2, s=4, repeats=1)
    run = FakeRun(task, GRU(task.spec, 4), GRU(task.spec, 4))
    for step in (0, 8, -9):
        with pytest.raises(ConfigError, match="from 4 to 7"):
            InputGradients(step=step).run(run, None, np.random.default_rng(0))


def test_a_step_without_targets_is_refused_before_training():
    task = CopyingMemory(symbols=3, s=2, delay=2)
    recipe = SimpleNamespace(source=lambda: SimpleNamespace(evaluation=lambda split, n: drawn(task, n)))
    InputGradients(step=task.spec.length - 1).check_recipe("input_gradients", recipe, "analysis.input_gradients")
    with pytest.raises(ConfigError, match="must have a target") as caught:
        InputGradients(step=999).check_recipe("input_gradients", recipe, "analysis.input_gradients")
    assert caught.value.key == "analysis.input_gradients.step"
