"""Recurrent networks whose weights compute a known function of integers, and runs of them without training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fake_run import FakeRun

from mechlab.analyses.distill.distill_rnn import DistillRNN
from mechlab.core.analysis import Finding
from mechlab.models.mlp_rnn import MLPRNN
from mechlab.record.artifacts import Artifacts
from mechlab.tasks.mips import Mips


def network(task: Mips, transition: list, readout: list) -> MLPRNN:
    """Return the network of affine maps (weights, biases), of f and then of g, in float64."""
    widths = {"transition_width": len(transition[0][1]), "readout_width": len(readout[0][1])}
    depths = {"transition_depth": len(transition), "readout_depth": len(readout)}
    model = MLPRNN(task.spec, hidden=len(transition[-1][1]), **widths, **depths).double()
    with torch.no_grad():
        for layers, maps in ((model.transition, transition), (model.readout, readout)):
            for layer, (weight, bias) in zip(layers, maps, strict=True):
                layer.weight.copy_(torch.tensor(weight))
                layer.bias.copy_(torch.tensor(bias))
    return model


def summing(task: Mips) -> MLPRNN:
    """Return a network whose output is the sum of all letters; the state's second component is a rotated part of it."""
    c, s = np.cos(0.7), np.sin(0.7)
    return network(task, [([[c * c, c * s, c], [c * s, s * s, s]], [0.0, 0.0])], [([[c, s]], [0.0])])


def alternating(task: Mips) -> MLPRNN:
    """Return a network of the parity of bits: |h - x| = relu(h - x) + relu(x - h)."""
    return network(task, [([[1.0, -1.0], [-1.0, 1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])], [([[1.0]], [0.0])])


def capped(task: Mips) -> MLPRNN:
    """Return a network whose output is min(x, 90): right about most letters below 100, and not about all."""
    return network(task, [([[0.0, 1.0]], [0.0])], [([[1.0], [1.0]], [0.0, -90.0]), ([[1.0, -1.0]], [0.0])])


def untrained(task: Mips, seed: int = 0) -> MLPRNN:
    """Return a network with random weights."""
    torch.manual_seed(seed)
    return MLPRNN(task.spec)


def silent(task: Mips) -> MLPRNN:
    """Return a network whose outputs are 0."""
    return network(
        task, [([[0.0] * (1 + task.rule.channels)], [0.0])], [([[0.0]] * task.rule.outputs, [0.0] * task.rule.outputs)]
    )


@dataclass
class RecordedRun(FakeRun):
    """A run with the finding of `distill_rnn` and its files, and metrics on the test split."""

    folder: Path = Path("nowhere")
    finding: Finding | None = None

    @property
    def results(self) -> dict[str, Any]:
        inputs = self.task.integers(200, self.task.length, np.random.default_rng(9))
        batch = torch.from_numpy(inputs.astype(np.float64))
        targets, _ = self.task.targets(batch)
        right = (self.trained.double()(batch).outputs.round() == targets).flatten(1)
        exact = {"test/accuracy": float(right.double().mean()), "test/exact": float(right.all(1).double().mean())}
        return {"metrics": exact, "findings": {"distill_rnn": self.finding.as_dict()}}

    @property
    def config(self) -> dict[str, Any]:
        return {"trainer": {"max_steps": 0}}

    def artifacts(self, name: str) -> Artifacts:
        return Artifacts(self.folder / "analyses" / name)


def distilled(folder: Path, task: Mips, model: MLPRNN, seed: int = 0) -> RecordedRun:
    """Return a run of a network that has been distilled; the outputs of its untrained network are 0."""
    run = RecordedRun(task, model, silent(task), seed, folder=folder / "mips-mlp_rnn" / f"{task.name}-s{seed}")
    out = run.artifacts("distill_rnn")
    out.folder.mkdir(parents=True)
    run.finding = DistillRNN(samples=5000).run(run, out, np.random.default_rng(0))
    return run
