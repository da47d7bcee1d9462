"""Exchange of components between a model and itself at earlier steps."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from fake_run import FakeTraining
from figure_checks import check_figure, texts_of
from recorded_trainings import recipe_of
from small_tasks import Points, small_recipe, train
from torch import nn

from mechlab.analyses.attribution.swap import Swap
from mechlab.core.errors import ConfigError, NotRecorded
from mechlab.core.task import Batch, FiniteTask, TaskSpec
from mechlab.plotting.swap import confusion_figure
from mechlab.record import long_work
from mechlab.record.artifacts import Artifacts
from mechlab.statistics.paired import paired_interval

CLASSES = 10
PAIRS = [(0, 1), (1, 1), (1, 0), (2, 2)]


class Copy(FiniteTask):
    """Name the class of a one-hot vector, of which there are 20 of each class."""

    def __init__(self):
        self.spec = TaskSpec(inputs=CLASSES, outputs=CLASSES, kind="static", loss="cross_entropy", shape=(CLASSES,))

    def examples(self, split):
        classes = torch.arange(200) // 2 % CLASSES
        return Batch(torch.eye(CLASSES)[classes], classes, None, torch.arange(200))


class TwoMaps(nn.Module):
    def __init__(self, first, second):
        super().__init__()
        self.first, self.second = nn.Linear(CLASSES, CLASSES, bias=False), nn.Linear(CLASSES, CLASSES, bias=False)
        with torch.no_grad():
            self.first.weight.copy_(first)
            self.second.weight.copy_(second)

    def forward(self, inputs):
        return self.second(self.first(inputs))


RIGHT = 5 * torch.eye(CLASSES)


def noise(seed):
    return torch.randn(CLASSES, CLASSES, generator=torch.Generator().manual_seed(seed))


@dataclass
class Planted(FakeTraining):
    @property
    def history(self):
        params = lambda step: copy.deepcopy(self.models[step].state_dict())  # noqa: E731
        return SimpleNamespace(steps=sorted(self.models), stored=sorted(self.models), params=params)


@pytest.fixture
def swapped(tmp_path):
    """Return a function that exchanges the maps of a training that ends with two right ones; its earlier steps, 0 and
    10, had the given pairs of maps."""

    def get(*maps, **options):
        models = {10 * i: TwoMaps(*pair).eval() for i, pair in enumerate([*maps, (RIGHT, RIGHT)])}
        recipe = replace(small_recipe(Copy()), make_model=lambda spec: TwoMaps(RIGHT, RIGHT), dtype=torch.float32)
        last = models[max(models)]
        run = Planted(Copy(), last, last, models=models, recipe=recipe, folder=tmp_path)
        return Swap(**options).run(run, Artifacts(tmp_path), rng())

    return get


def rng():
    return np.random.default_rng(0)


def test_a_component_that_alone_was_missing_completes_the_model(swapped, tmp_path):
    cycle = RIGHT.roll(1, 0)
    found = swapped((noise(0), noise(1)), (RIGHT, cycle))
    claim = found.claims["completes"]
    assert claim.holds and claim.value == 1 and claim.null < 0.6 and "(second)" in claim.statement
    assert found.scalars["largest_gain_step"] == 10 and found.scalars["final_accuracy"] == 1
    table = Artifacts(tmp_path).table("swaps").set_index(["step", "component", "swap"])
    assert table.loc[(10, "second", "final_into_step"), "accuracy"] == 1
    assert table.loc[(10, "first", "final_into_step"), "accuracy"] == 0
    assert table.loc[(10, "first", "step_into_final"), "accuracy"] == 1
    assert found.claims["all_needed"].holds


def test_no_component_completes_a_model_of_random_maps(swapped):
    found = swapped((noise(0), noise(1)), (noise(2), noise(3)))
    assert not found.claims["completes"].holds


def test_a_component_that_training_left_alone_is_not_needed(swapped):
    claim = swapped((RIGHT, noise(1)), (RIGHT, noise(2))).claims["all_needed"]
    assert not claim.holds and claim.value == 0 and "(least with first," in claim.statement


def test_no_claim_is_made_of_few_examples(swapped):
    found = swapped((noise(0), noise(1)), examples=198)
    assert not found.claims and "198 examples" in found.notes["fewest"]


def test_a_control_that_only_loses_is_explained(swapped):
    """The model of step 0 is right already, so a random order of a component's entries can only make it worse."""
    claim = swapped((RIGHT, RIGHT)).claims["completes"]
    assert not claim.holds and claim.value == 0 and claim.null < 0 and "makes that model worse" in claim.statement


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    optimizer = lambda parameters: torch.optim.AdamW(parameters, lr=0.02, weight_decay=0.5)  # noqa: E731
    return train(tmp_path_factory.mktemp("run"), recipe_of(optimizer, steps=8))


def by_hand(receiver, donor, names, batch):
    """Accuracy and divergence of a model with some parameters of another one, an example at a time."""
    mixed = copy.deepcopy(receiver)
    with torch.no_grad():
        for name in names:
            mixed.get_parameter(name).copy_(donor.get_parameter(name))
        right, divergence = [], []
        for inputs, target in zip(batch.inputs, batch.targets, strict=True):
            before, after = (model(inputs[None])[0].softmax(-1) for model in (receiver, mixed))
            right.append(float(after.argmax() == target))
            divergence.append(sum(float(p * torch.log(p / q)) for p, q in zip(before, after, strict=True)))
    return np.mean(right), np.mean(divergence)


def test_each_exchange_is_that_of_copied_parameters(run, tmp_path):
    out = Artifacts(tmp_path)
    groups = {"outer": ("input_emb.*", "decoder.*"), "middle": ("linear*",)}
    found = Swap(steps=(0, 3, 8), components=groups, confusion=(3,)).run(run, out, rng())
    last, batch, table = run.model(), run.evaluation("val"), out.table("swaps")
    assert len(table) == 3 * 2 * 2 and found.scalars["steps"] == 3
    for row in table.itertuples():
        names = [
            name for name, _ in last.named_parameters() if name.startswith("linear") == (row.component == "middle")
        ]
        names = [name for name in names if row.component == "middle" or name.startswith(("input_emb", "decoder"))]
        own = run.at(row.step).model()
        pair = (own, last) if row.swap == "final_into_step" else (last, own)
        accuracy, divergence = by_hand(*pair, names, batch)
        assert row.accuracy == pytest.approx(accuracy) and row.kl == pytest.approx(divergence, abs=1e-9)
    at_end = table[table["step"] == 8]
    assert not at_end[["change", "kl"]].to_numpy().any()
    counts = out.table("confusion")
    assert set(counts["component"]) == {"none", "outer", "middle"} and set(counts["step"]) == {3}
    own = run.at(3).model()(batch.inputs).argmax(-1)
    none = counts[counts["component"] == "none"]
    for target, predicted, count in none[["target", "predicted", "count"]].itertuples(index=False):
        assert count == int(((batch.targets == target) & (own == predicted)).sum())
    assert none["count"].sum() == len(batch)


def test_the_published_groups_are_those_of_the_transformer(run, tmp_path):
    Swap(components="published", steps=2).run(run, Artifacts(tmp_path), rng())
    assert len(set(Artifacts(tmp_path).table("swaps")["component"])) == 5


def test_interrupted_work_goes_on(run, tmp_path, monkeypatch):
    whole = Swap(steps=4).run(run, Artifacts(tmp_path / "whole"), rng())
    monkeypatch.setattr(long_work, "SAVE_EVERY", 0.0)
    save = long_work.save_tensors

    def interrupted(path, tensors):
        save(path, tensors)
        raise KeyboardInterrupt

    monkeypatch.setattr(long_work, "save_tensors", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Swap(steps=4).run(run, Artifacts(tmp_path / "resumed"), rng())
    monkeypatch.setattr(long_work, "save_tensors", save)
    assert Swap(steps=4).run(run, Artifacts(tmp_path / "resumed"), rng()) == whole
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "resumed" / path.name).read_bytes(), path.name


def test_what_cannot_be_exchanged_is_refused_before_training():
    with pytest.raises(ConfigError, match="accuracy"):
        Swap().check_recipe("swap", small_recipe(Points()), "analysis.swap")
    recipe = recipe_of(torch.optim.SGD, steps=8)
    for options, key in (
        ({"components": {"a": ("linaer1.*",)}}, "components"),
        ({"steps": (0, 9)}, "steps"),
        ({"confusion": (3, 9)}, "confusion"),
    ):
        with pytest.raises(ConfigError) as caught:
            Swap(**options).check_recipe("swap", recipe, "analysis.swap")
        assert caught.value.key == f"analysis.swap.{key}"
    with pytest.raises(ConfigError, match="steps of training"):
        Swap().check_recipe("swap", replace(recipe, max_steps=0), "analysis.swap")
    Swap(steps=(0, 8)).check_recipe("swap", recipe, "analysis.swap")


def test_a_record_of_one_step_is_too_short(swapped):
    with pytest.raises(NotRecorded, match="before the end"):
        swapped()


@pytest.mark.ci
def test_figures_name_components_and_steps(run, tmp_path):
    out = Artifacts(tmp_path)
    Swap(steps=3, confusion=1).run(run, out, rng())
    figures = Swap().figures(out)
    assert set(figures) == {"swaps", "confusion_4"}
    assert {"input_emb", "decoder"} <= {text.get_text() for text in texts_of(figures["swaps"])}
    for figure in figures.values():
        check_figure(figure)


@pytest.mark.ci
@pytest.mark.parametrize("components", [1, 6, 12])
def test_each_component_has_its_confusion_matrix(components):
    names = ["none", *(f"layers.{i}.self_attention" for i in range(components))]
    rows = [{"step": 400, "component": n, "target": t, "predicted": p, "count": t + p} for n in names for t, p in PAIRS]
    figure = confusion_figure(pd.DataFrame(rows))
    check_figure(figure)
    assert sum(len(axis.images) for axis in figure.axes if axis.get_title(loc="left")) == components + 1


def test_the_interval_of_paired_differences_covers_the_mean():
    """Of 2,000 samples of 60 pairs, at least 93 % of the intervals hold the true mean; equal pairs have a width."""
    rng = np.random.default_rng(0)
    samples = rng.choice([-1.0, 0.0, 1.0], p=[0.1, 0.5, 0.4], size=(2000, 60))
    held = [low <= 0.3 <= high for low, high in map(paired_interval, samples)]
    assert np.mean(held) > 0.93
    low, high = paired_interval(np.zeros(100))
    assert low < 0 < high and high - low < 0.1
