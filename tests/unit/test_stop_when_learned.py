"""When training ends early: by the validation split alone, or by the training split as well."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from small_tasks import small_recipe

from mechlab.core.task import Batch, FiniteTask, TaskSpec
from mechlab.models.mlp import MLP
from mechlab.record.recorder import Recorder
from mechlab.record.run import Run
from mechlab.training.fit import FitSettings, fit


class Contradictory(FiniteTask):
    """Ten equal inputs, of which `wrong` are of another class than the rest when training."""

    def __init__(self, wrong):
        self.wrong = wrong
        self.spec = TaskSpec(inputs=2, outputs=2, kind="static", loss="cross_entropy", shape=(2,))

    def examples(self, split):
        targets = torch.zeros(10, dtype=torch.int64)
        if split == "train":
            targets[: self.wrong] = 1
        return Batch(torch.ones(10, 2), targets, None, torch.arange(10))


def trained(folder, wrong, **settings):
    recipe = small_recipe(Contradictory(wrong), steps=60, steps_per_epoch=5, batch_size=None, clip=None)
    recipe = replace(recipe, make_model=partial(MLP, hidden=4))
    fit(folder, recipe, Recorder(folder / "history", "full", recipe, 6), FitSettings(chunk=4, **settings), {})
    return Run(folder, lambda: recipe).history


@pytest.mark.parametrize(("wrong", "on", "ends"), [(3, "val", True), (3, "both", False), (0, "both", True)])
def test_both_waits_for_the_training_split(wrong, on, ends, tmp_path, capsys):
    history = trained(tmp_path, wrong, stop_at=1.0, stop_patience=2, stop_on=on)
    assert (history.steps[-1] < 60) == ends
    assert history.steps[-1] % 5 == 0
    splits = "training and validation" if on == "both" else "validation"
    line = f"training stops at step {history.steps[-1]} of 60: {splits} accuracy was at least 1 in 2 epochs in a row"
    assert (line in capsys.readouterr().out) == ends


def test_looking_at_the_training_split_changes_nothing(tmp_path):
    looked, plain = trained(tmp_path / "looked", 3, stop_at=1.0, stop_on="both"), trained(tmp_path / "plain", 3)
    assert all(torch.equal(value, plain.params(60)[name]) for name, value in looked.params(60).items())
