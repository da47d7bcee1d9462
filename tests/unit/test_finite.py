"""A loss or a parameter that is not finite ends a run as failed, wherever it turns up; nothing sticks at a NaN."""

import math
from types import SimpleNamespace

import pytest
import torch
from small_tasks import Echo, Points, small_recipe, train
from torch import nn

from mechlab.core.analysis import Claim, Finding
from mechlab.core.errors import NotFinite
from mechlab.core.finite import check_loss, check_parameters
from mechlab.core.task import Batch
from mechlab.training.checkpoints import MONITOR, Checkpoints
from mechlab.training.fit import Fitted
from mechlab.training.metrics_csv import MetricsCSV


class Spoilt(Points):
    """Points with one number of a split that is not finite."""

    def __init__(self, split: str, part: str, value: float = math.nan):
        super().__init__()
        self.split, self.part, self.value = split, part, value

    def examples(self, split):
        batch = super().examples(split)
        if split == self.split:
            getattr(batch, self.part)[3, 1] = self.value
        return batch


class Scored(Points):
    """Points whose score of one example is not finite, as that of a logarithm can be."""

    def score(self, outputs, batch):
        return {**super().score(outputs, batch), "bits": outputs[:, 0] * math.nan}


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(("split", "name", "step"), [("val", "validation", 11), ("test", "test", 30)])
@pytest.mark.parametrize("part", ["inputs", "targets"])
def test_a_held_out_example_that_is_not_finite_fails_the_run(split, name, step, part, value, tmp_path):
    with pytest.raises(NotFinite) as caught:
        train(tmp_path, small_recipe(Spoilt(split, part, value)))
    assert caught.value.must.startswith(f"the {name} loss must be finite; it was ")
    assert caught.value.must.endswith(f" after {step} optimiser steps")
    assert caught.value.got == f"{part} of the {name} split that are not finite, first in example 3"
    assert not (tmp_path / "checkpoints" / "weights.safetensors").exists()


@pytest.mark.parametrize("task", [Points(), Echo()])
@pytest.mark.parametrize("repeat", [False, True])
def test_a_last_update_that_is_not_finite_fails_the_run(task, repeat, tmp_path, monkeypatch):
    made = small_recipe(task)
    update = type(made).update

    def breaks(self, model, optimizer, source, step, weights=None):
        found = update(self, model, optimizer, source, step, weights)
        if step == made.max_steps - 1:
            with torch.no_grad():
                model.readout.weight[0, 0] = math.inf
        return found

    monkeypatch.setattr(type(made), "update", breaks)
    for _ in range(1 + repeat):
        with pytest.raises(NotFinite, match="the validation loss must be finite; it was ") as caught:
            train(tmp_path, made)
        assert caught.value.must.endswith("after 30 optimiser steps")
        assert caught.value.got == "parameters that are not finite: readout.weight"
    assert not (tmp_path / "checkpoints" / "weights.safetensors").exists()


def test_parameters_are_checked_where_the_loss_cannot_show_it(tmp_path, monkeypatch):
    """An embedding of what no held-out example holds, for instance."""
    made = small_recipe(Points())

    def builds(self, weights=None):
        model = plain(self, weights)
        model.unseen = nn.Parameter(torch.tensor([1.0, math.nan]))
        return model

    plain = type(made).model
    monkeypatch.setattr(type(made), "model", builds)
    with pytest.raises(NotFinite) as caught:
        train(tmp_path, made, "none")
    assert caught.value.must == "parameters must be finite; after 30 optimiser steps they were not"
    assert caught.value.got == "unseen"
    assert not (tmp_path / "checkpoints" / "weights.safetensors").exists()


def test_what_is_not_trained_need_not_be_finite():
    model = nn.Linear(2, 2)
    model.register_buffer("mask", torch.tensor([0.0, -math.inf]))
    model.fixed = nn.Parameter(torch.tensor([math.nan]), requires_grad=False)
    check_parameters(model, 1)
    model.bias.data[0] = math.nan
    with pytest.raises(NotFinite) as caught:
        check_parameters(model, 1)
    assert caught.value.got == "bias"


def test_a_loss_that_overflows_is_told_apart():
    batch = Batch(torch.zeros(2, 2), torch.zeros(2, dtype=torch.int64), None, torch.arange(2))
    check_loss(1.0, "val", 3, nn.Linear(2, 2), lambda: 1 / 0)
    with pytest.raises(NotFinite, match="it was inf after 3 optimiser steps") as caught:
        check_loss(math.inf, "val", 3, nn.Linear(2, 2), lambda: batch)
    assert "overflow" in caught.value.got


def test_a_score_may_be_a_number_that_is_not_finite(tmp_path):
    run = train(tmp_path, small_recipe(Scored()))
    assert run.metrics["val/bits"].isna().all() and run.metrics["val/loss"].notna().any()
    assert (tmp_path / "checkpoints" / "weights.safetensors").exists()


@pytest.mark.parametrize("first", [math.nan, math.inf, None])
def test_the_best_checkpoint_does_not_stick_at_a_number_that_is_not_finite(first, tmp_path):
    checkpoints = Checkpoints(tmp_path, every=1000)
    checkpoints.best = first
    module = SimpleNamespace(
        global_step=5,
        resumed_at=None,
        recipe=SimpleNamespace(max_steps=100),
        watch=SimpleNamespace(received=None),
        state_dict=lambda: {"w": torch.zeros(1)},
    )
    for value, best in [(math.nan, first), (2.0, 2.0), (math.nan, 2.0), (3.0, 2.0), (1.0, 1.0)]:
        trainer = SimpleNamespace(callback_metrics={MONITOR: torch.tensor(value)}, should_stop=False)
        checkpoints.on_train_epoch_end(trainer, module)
        assert checkpoints.best is best or checkpoints.best == best
        assert (checkpoints._best_weights is None) == (best is first)


@pytest.mark.parametrize(("value", "holds"), [(0.5, True), (math.inf, True), (math.nan, False)])
def test_a_claim_whose_value_is_nan_does_not_hold(value, holds):
    claim = Claim("It holds.", value=value, threshold=0.0, holds=True, kind="exact")
    assert claim.holds is holds
    assert Finding({"x": value}, {"c": claim}).as_dict()["claims"]["c"]["holds"] is holds


def test_a_scalar_that_is_not_finite_does_not_stop_the_log(tmp_path):
    table = MetricsCSV(tmp_path / "metrics.csv")
    Fitted({}, 7, 0.0, None, (table,)).log("probe", {"a": 1.0, "b": None}, {})  # null in finding.json
    assert (tmp_path / "metrics.csv").read_text() == "step,probe/a\n7,1.0\n"
