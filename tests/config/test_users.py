"""The contracts hold for a user's own task, loss and ground truth; a run of them is trained, replayed and explained."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from mechlab.config.recipe import load_run
from mechlab.contracts import test_task_contract
from mechlab.contracts.registry import Registry
from mechlab.core.task import GroundTruth
from mechlab.jobs.execute import execute
from mechlab.kernels.path_kernels import path_kernel
from mechlab.record.run import Run
from mechlab.record.sources import defining, hashes

CHECKOUT = Path(__file__).resolve().parents[2]
USERS = CHECKOUT / "tests" / "config" / "users"


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    """The members of the user's package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(USERS)
        yield Registry([USERS / "conf"])


@pytest.mark.ci
def test_the_contracts_of_tasks_hold(registry: Registry, tmp_path: Path) -> None:
    contracts = vars(test_task_contract)
    given = {"registry": registry, "tmp_path": tmp_path}
    checked = 0
    for task in registry.names("task"):
        for name, contract in contracts.items():
            wanted = inspect.signature(contract).parameters if name.startswith("test_") else {}
            if "task" in wanted:
                contract(**{word: (given | {"task": task})[word] for word in wanted})
                checked += 1
    assert checked > 10


@pytest.mark.ci
def test_all_contracts_hold() -> None:
    """Those of models and yamls too."""
    environment = os.environ | {"PYTHONPATH": f"{CHECKOUT}{os.pathsep}{USERS}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "mechlab.contracts", "--contracts-dir", USERS / "conf", "-W", "error"]
    done = subprocess.run(list(map(str, command)), cwd=CHECKOUT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_a_run_with_a_loss_of_the_users_own(registry: Registry, tmp_path: Path) -> None:
    """It trains, its steps are computed again bit for bit, attribution accounts for them, and its code is hashed."""
    small = ["trainer.max_steps=12", "trainer.eval_examples=50", "model.hidden=4", "history=replay", "history.every=5"]
    overrides = ["task=own_signs", "model=rnn", f"paths.root={tmp_path}", *small]
    setup = registry.setup(*overrides)
    result = execute(setup)
    assert result["status"] == "done"
    run = load_run(setup.folder, allow_targets=registry.allow)
    batch = run.evaluation("test")
    losses = (1 - run.predict(batch.inputs).outputs * batch.targets)[:, 1:].clamp(min=0).square()
    assert result["metrics"]["test/loss"] == pytest.approx(float(losses.mean()), rel=1e-5)
    assert list(run.history.steps) == list(range(13)) and run.history.params(8).keys() == run.history.params(12).keys()
    found = path_kernel(run, batch[:2], "target", nodes=2)
    lines = found.data + found.residual  # Adam without decay or clipping; what is left is rounding
    assert np.abs(found.final - found.initial - lines).max() < 1e-3 * np.abs(found.final - found.initial).max()
    assert np.abs(found.residual).max() < 1e-2 * np.abs(found.data).max()
    assert_predicts_at_any_length(run)
    sources = json.loads((setup.folder / "provenance" / "sources.json").read_text())["sources"]
    assert {"OwnSigns", "OwnHinge", "RunningSum", "Loss"} <= set(sources)
    assert "OwnHinge" in hashes(defining(run.recipe))
    wider = registry.setup(*overrides, "task.loss.margin=2.0")
    assert wider.folder.name != setup.folder.name and wider.recipe.task.spec.loss.margin == 2.0


def assert_predicts_at_any_length(run: Run) -> None:
    found = run.predict(torch.tensor([[0.5, -1.0, 0.2, 1.0] * 5, [-0.5, 1.0, -0.2, 1.0] * 5])[..., None])
    assert found.outputs.shape == (2, 20, 1) and found.mask[:, 1:].all() and not found.mask[:, 0].any()
    assert found.targets[0, :4, 0].tolist() == [1, -1, -1, 1] and found.targets[1, :4, 0].tolist() == [-1, 1, 1, 1]
    right = (found.outputs >= 0) == (found.targets >= 0)
    torch.testing.assert_close(found.score["accuracy"], right[:, 1:, 0].float().mean(1))
    truth = run.task.ground_truth()
    assert isinstance(truth, GroundTruth) and truth.kind == "running sum"
