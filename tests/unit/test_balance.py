"""Masses of data and weight decay: against a slow loop, with and without decay."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from figure_checks import check_figure
from recorded_trainings import recipe_of
from small_tasks import train

from mechlab.analyses.attribution.balance import Balance
from mechlab.core.schedule import Schedule
from mechlab.core.step import example_losses
from mechlab.record.artifacts import Artifacts

STEPS, DECAY, RATE = 20, 0.5, 0.02
COMPONENTS = {"heads": ("head*",), "decoder": ("decoder*",)}


def adamw(decay: float):
    return lambda parameters: torch.optim.AdamW(parameters, lr=RATE, weight_decay=decay)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(tmp_path_factory.mktemp("run"), recipe_of(adamw(DECAY), steps=STEPS, schedule=Schedule()))


def slow_scores(run, examples: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The data and decay scores (S, X, ...) of each tensor, with gradients in the middle of each step."""
    batch, model = run.evaluation("val", examples).to("cpu", torch.float64), run.model()
    names = [name for name, _ in model.named_parameters() if name not in model.unused]
    data, decay = {name: [] for name in names}, {name: [] for name in names}
    for step in range(STEPS):
        before, after = run.history.params(step), run.history.params(step + 1)
        model.load_state_dict({name: (before[name] + after[name]) / 2 for name in before})
        parameters = dict(model.named_parameters())
        rows = {name: [] for name in names}
        for k in range(examples):
            loss = example_losses(model(batch.inputs[k : k + 1]), batch[k : k + 1], run.spec).sum()
            for name, gradient in zip(
                names, torch.autograd.grad(-loss, [parameters[name] for name in names]), strict=True
            ):
                rows[name].append(gradient)
        for name in names:
            J, decayed = torch.stack(rows[name]), -RATE * DECAY * before[name]
            data[name].append((J * (after[name] - before[name] - decayed)).numpy())
            decay[name].append((J * decayed).numpy())
    return ({name: np.stack(v) for name, v in line.items()} for line in (data, decay))


def test_masses_are_those_of_a_slow_loop(run, tmp_path) -> None:
    out = Artifacts(tmp_path)
    balance = Balance(examples=3, nodes=1, tolerance=None, components=COMPONENTS, slice_steps=8, fewest=2, factor=100.0)
    found = balance.run(run, out, np.random.default_rng(0))
    steps, slices = out.table("steps"), out.table("slices")
    mass = lambda scores: np.abs(scores).reshape(len(scores), -1).sum(1).mean()  # noqa: E731
    members = {"heads": lambda name: name.startswith("head"), "decoder": lambda name: name.startswith("decoder")}
    members["all"] = lambda name: True
    tenths = {}  # slices of S // 10 = 2 steps, although slice_steps is 8
    for line, scores in zip(("data", "decay"), slow_scores(run, 3), strict=True):
        for end, chosen in (("start", slice(0, 2)), ("end", slice(18, 20))):
            tenths[line, end] = sum(mass(values[chosen].sum(0)) for values in scores.values())
        for group, contains in members.items():
            own = [values for name, values in scores.items() if contains(name)]
            expected = [sum(mass(values[step]) for values in own) for step in range(STEPS)]
            np.testing.assert_allclose(steps[f"{line}:{group}"], expected, rtol=1e-9)
            edges = [(0, 8), (8, 16), (16, 20)]
            expected = [sum(mass(values[a:b].sum(0)) for values in own) for a, b in edges]
            np.testing.assert_allclose(slices[f"{line}:{group}"], expected, rtol=1e-9)
    np.testing.assert_allclose(slices["difference:heads"], slices["data:heads"] - slices["decay:heads"])
    norms = [
        sum(value.square().sum() for name, value in run.history.params(step + 1).items() if "positional" not in name)
        for step in range(STEPS)
    ]
    np.testing.assert_allclose(steps["norm"], np.sqrt(norms), rtol=1e-9)
    for end in ("start", "end"):
        assert found.scalars[f"ratio_at_{end}"] == pytest.approx(tenths["data", end] / tenths["decay", end], rel=1e-9)
    assert found.claims["balanced"].holds and found.scalars["ratio_at_end"] > 0
    assert found.claims["balanced"].value == pytest.approx(found.scalars["ratio_at_end"], rel=0.5)
    figures = balance.figures(out)
    assert set(figures) == {"mass", "difference", "ratio"}
    for figure in figures.values():
        check_figure(figure)


@pytest.mark.ci
def test_no_claim_is_made_of_few_scalars(run, tmp_path) -> None:
    found = Balance(examples=3).run(run, Artifacts(tmp_path), np.random.default_rng(0))
    assert not found.claims and "fewer than 10" in found.notes["fewest"]
    found = Balance(examples=3, outputs="all", fewest=4).run(run, Artifacts(tmp_path / "all"), np.random.default_rng(0))
    assert not found.claims and "3 explained examples" in found.notes["fewest"]  # of several scalars each


def test_trainings_without_a_tenth_have_no_claim(tmp_path) -> None:
    short = train(tmp_path / "run", recipe_of(adamw(DECAY), steps=4))
    found = Balance(examples=3, fewest=2).run(short, Artifacts(tmp_path / "out"), np.random.default_rng(0))
    assert not found.claims and "no last tenth" in found.notes["steps"]


def test_without_decay_there_is_no_balance(tmp_path) -> None:
    recorded = train(tmp_path / "run", recipe_of(adamw(0.0), steps=4))
    out = Artifacts(tmp_path / "out")
    balance = Balance(examples=3, fewest=2)
    found = balance.run(recorded, out, np.random.default_rng(0))
    assert not found.claims and "no weight decay" in found.notes["no_decay"]
    assert out.table("steps")["data:all"].gt(0).all() and set(balance.figures(out)) == {"mass", "difference"}
