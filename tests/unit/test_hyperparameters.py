"""The hyper-parameters of TensorBoard's page: what a run was given, not its whole configuration."""

from __future__ import annotations

from types import SimpleNamespace

from mechlab.jobs.result import _hyperparameters
from mechlab.record.files import write_json

VALUES = {"task": {"index": 3}, "model": {"hidden": 8, "bias": True}, "optimizer": {"lr": 1e-3}, "init_from": None}


def test_what_was_given_is_shown_with_its_value(tmp_path):
    setup = SimpleNamespace(folder=tmp_path, values=VALUES, config=SimpleNamespace(name="tomita-gru", seed=4))
    assert _hyperparameters(setup) == {"task": "tomita", "model": "gru", "seed": 4}, "without a readable record"
    words = [
        "task=tomita",
        "experiment=quick",
        "seed=${number}",
        "optimizer.lr=1e-3",
        "++model.hidden=8",
        "init_from=null",
    ]
    words += [
        "paths.root=/tmp",
        "analysis=[a]",
        "hydra.verbose=true",
        "+callbacks=x",
        "~model.dropout",
        "+trainer@trainer=gpu",
    ]
    write_json(tmp_path / "provenance" / "overrides.json", words)
    given = {"experiment": "quick", "optimizer.lr": 0.001, "model.hidden": 8, "init_from": "null", "trainer": "gpu"}
    assert _hyperparameters(setup) == {"task": "tomita", "model": "gru", "seed": 4, "model.dropout": "removed", **given}
