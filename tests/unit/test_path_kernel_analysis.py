"""The analyses of attribution on a recorded run: what they save, and that interrupted work goes on."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from recorded_trainings import Noisy, recipe_of
from small_tasks import train

from mechlab.analyses.attribution.components import components_of
from mechlab.analyses.attribution.explained_examples import ExplainedExamples
from mechlab.analyses.attribution.tables import own_class, top_examples
from mechlab.analyses.datamodeling import Datamodeling
from mechlab.analyses.metagradient import Metagradient
from mechlab.analyses.path_kernel import PathKernel
from mechlab.config.build import prepare
from mechlab.config.configured import configured_parameters
from mechlab.core.analysis import Analysis
from mechlab.core.errors import ConfigError
from mechlab.record import long_work
from mechlab.record.artifacts import Artifacts
from mechlab.record.long_work import carry_out
from mechlab.tasks.digits import Digits


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    optimizer = lambda parameters: torch.optim.AdamW(parameters, lr=0.02, weight_decay=0.5)  # noqa: E731
    return train(tmp_path_factory.mktemp("run"), recipe_of(optimizer, steps=8))


def pixels(spec):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, spec.outputs))


class Counting:
    """Work that is interrupted at a step, once: by an exception, or by a signal."""

    def __init__(self, breaks_at: int | None = None, number: int | None = None):
        self.at, self.total, self.breaks_at, self.number = 0, 6, breaks_at, number
        self.began_at = 0

    def __iter__(self):
        while self.at < self.total:
            if self.at == self.breaks_at and self.number is None:
                raise KeyboardInterrupt
            if self.at == self.breaks_at:
                signal.raise_signal(self.number)
            self.at += 1
            yield self.at, self.total

    def state(self):
        return {"at": torch.tensor(self.at)}

    def restore(self, state):
        if "at" not in state:
            raise ConfigError("the saved state must belong to the same analysis")
        self.at = self.began_at = int(state["at"])


def test_interrupted_work_is_resumed_and_leaves_nothing_behind(tmp_path, capsys):
    kept = tmp_path / "work" / "counting.safetensors"
    with pytest.raises(KeyboardInterrupt):
        carry_out(Counting(breaks_at=4), "counting", kept, save_every=0)
    again = Counting()
    carry_out(again, "counting", kept, save_every=0)
    assert again.began_at == 4 and again.at == 6
    assert not kept.parent.exists()
    assert "counting: resumes from" in capsys.readouterr().out


class Stopped(BaseException):
    """Raised by a handler, as training does."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
@pytest.mark.parametrize("handled", [True, False])
def test_a_stopping_signal_saves_the_finished_step_and_is_passed_on(tmp_path, number, handled):
    """To the handler that was there, which may raise or return; without one the process ends with status 143."""
    kept, default = tmp_path / "counting.safetensors", signal.SIG_DFL
    default = signal.default_int_handler if number == signal.SIGINT else default
    expected = Stopped if handled else KeyboardInterrupt if number == signal.SIGINT else SystemExit

    def stop(number, frame):
        raise Stopped

    handler = stop if handled else default
    before = signal.signal(number, handler)
    try:
        with pytest.raises(expected):
            carry_out(Counting(breaks_at=4, number=number), "counting", kept)
        assert signal.getsignal(number) is handler
        again = Counting()
        carry_out(again, "counting", kept)
        assert again.began_at == 5 and not kept.exists()
        signal.signal(number, lambda number, frame: None)
        through = Counting(breaks_at=4, number=number)
        carry_out(through, "counting", kept)
        assert through.at == through.total and not kept.exists()
    finally:
        signal.signal(number, before)


def test_a_state_of_other_work_is_not_taken_up(tmp_path, capsys):
    kept = tmp_path / "counting.safetensors"
    long_work.save_tensors(kept, {"other": torch.zeros(1)})
    work = Counting()
    carry_out(work, "counting", kept)
    assert work.began_at == 0 and "counting: starts from the beginning" in capsys.readouterr().out


@pytest.mark.ci
@pytest.mark.parametrize("name", ["path_kernel", "metagradient"])
def test_an_interrupted_analysis_ends_with_the_same_bits(run, tmp_path, monkeypatch, name):
    make = {
        "path_kernel": lambda: PathKernel(examples=3, scores=True, bins=2),
        "metagradient": lambda: Metagradient(examples=3),
    }[name]
    whole, resumed = Artifacts(tmp_path / "whole"), Artifacts(tmp_path / "resumed")
    found = make().run(run, whole, np.random.default_rng(0))
    monkeypatch.setattr(long_work, "SAVE_EVERY", 0.0)
    save, saved = long_work.save_tensors, []

    def interrupted(path, tensors):
        save(path, tensors)
        saved.append(path)
        if len(saved) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(long_work, "save_tensors", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make().run(run, resumed, np.random.default_rng(0))
    assert saved[0].exists()
    assert make().run(run, resumed, np.random.default_rng(0)) == found
    assert not saved[0].exists()
    for path in whole.folder.iterdir():
        assert path.read_bytes() == (resumed.folder / path.name).read_bytes(), path.name


def test_the_finding_is_about_the_account(run, tmp_path):
    out = Artifacts(tmp_path)
    found = PathKernel(examples=(0, 2), outputs="all", by_component=True).run(run, out, np.random.default_rng(0))
    assert found.claims["completeness"].holds and found.claims["updates"].holds
    shares = [found.scalars[f"{line}_share"] for line in ("data", "decay", "clipping", "residual", "arithmetic")]
    assert sum(shares) == pytest.approx(1)
    account = out.arrays("account")
    by_component = [value for name, value in account.items() if name.startswith("influence_by_group.")]
    np.testing.assert_allclose(sum(by_component), account["influence"], rtol=1e-6, atol=1e-9)
    examples = out.table("examples")
    targets = run.evaluation("val").targets[[0, 2]]
    best = examples[(examples["explained"] == 2) & (examples["kind"] == "helpful")].iloc[0]
    assert best["train"] == account["influence"][1, targets[1]].argmax()


def test_a_tolerance_that_is_not_met_makes_the_claim_fail(run, tmp_path):
    crude = PathKernel(examples=3, tolerance=None, residual=1e-9).run(
        run, Artifacts(tmp_path), np.random.default_rng(0)
    )
    assert not crude.claims["quadrature"].holds and crude.claims["completeness"].holds


def test_the_terms_are_in_a_table_with_their_signs(run, tmp_path):
    """Their sum is the movement, which a sentence spells out; sizes are what remains where signs cancel."""
    out = Artifacts(tmp_path)
    found = PathKernel(examples=3, outputs="all").run(run, out, np.random.default_rng(0))
    lines, account = out.table("lines").set_index("term"), out.arrays("account")
    assert lines.index.tolist() == ["movement", "data", "decay", "clipping", "residual", "arithmetic"]
    assert lines["sum"].iloc[1:].sum() == pytest.approx(lines.loc["movement", "sum"], rel=1e-9)
    assert lines["share"].iloc[1:].sum() == pytest.approx(1)
    assert lines.loc["data", "size"] == pytest.approx(np.abs(account["influence"].sum(-1)).mean())
    assert found.scalars["decay_sum"] == pytest.approx(account["decay"].mean())
    assert f"{account['decay'].mean():+.4g} (decay)" in found.notes["terms"]
    steps = out.table("steps")
    for name in ("data", "decay", "quadrature", "change"):
        total = {"data": account["influence"].sum(-1), "quadrature": account["residual"]}.get(name)
        total = account["final"] - account["initial"] if name == "change" else account[name] if total is None else total
        assert steps[f"{name}_sum"].sum() == pytest.approx(total.mean(), abs=1e-12)


def test_the_secant_has_both_residuals_and_the_claim_is_about_the_one_without(run, tmp_path):
    """The corrected residual is zero whatever the gradients are."""
    options = {"examples": 3, "tolerance": None, "residual": 1e-6}
    plain, secant = (
        PathKernel(**options, secant=on).run(run, Artifacts(tmp_path / str(on)), np.random.default_rng(0))
        for on in (False, True)
    )
    assert secant.scalars["residual_of_movement"] < 1e-9 and not secant.claims["quadrature"].holds
    assert secant.claims["quadrature"].value == pytest.approx(plain.scalars["residual_of_movement"], rel=1e-6)
    assert "before the correction by the secant" in secant.claims["quadrature"].statement


def test_chosen_steps_have_two_more_terms_and_a_bound(run, tmp_path):
    out = Artifacts(tmp_path)
    analysis = PathKernel(examples=3, steps=((1, 3), (5, 6)))
    found = analysis.run(run, out, np.random.default_rng(0))
    assert found.claims["completeness"].holds and found.claims["quadrature"].holds
    assert out.table("steps")["step"].tolist() == out.table("mass")["step"].tolist() == [1, 2, 5]
    assert out.table("lines")["term"].tolist()[-2:] == ["earlier", "rest"]
    whole = Artifacts(tmp_path / "whole")
    PathKernel(examples=3).run(run, whole, np.random.default_rng(0))
    change = np.abs(whole.arrays("steps")["by_step.change"])
    share = change[[1, 2, 5]].sum() / change.sum()
    assert share <= found.scalars["explained_share_at_most"] < 1
    assert "lines" in analysis.figures(out)
    for steps, message in {((3, 1),): "in order", ((0, 9),): "which has 8 steps"}.items():
        with pytest.raises(ConfigError, match=f"analysis=asked: steps must .*{message}") as caught:
            PathKernel(steps=steps).check_recipe("asked", run.recipe, "analysis.asked")
        assert caught.value.key == "analysis.asked.steps"


def test_scalars_that_belong_to_no_example_have_rows_of_their_own(run, tmp_path):
    out = Artifacts(tmp_path)
    analysis = PathKernel(examples=4, outputs=lambda outputs, batch: outputs.mean(0)[:3], tolerance=None)
    analysis.run(run, out, np.random.default_rng(0))
    assert out.arrays("own_class")["influence"].shape[0] == 3
    assert set(out.table("examples")["explained"]) == {"scalar 0", "scalar 1", "scalar 2"}
    assert "influence" in analysis.figures(out)


@pytest.mark.ci
def test_top_examples_of_images_are_saved_as_images(tmp_path):
    recipe = recipe_of(
        partial(torch.optim.SGD, lr=0.1), steps=2, batch_size=8, task=Digits(classes=(3, 8)), model=pixels
    )
    run, out = train(tmp_path / "run", recipe), Artifacts(tmp_path / "out")
    PathKernel(examples=2, top=2).run(run, out, np.random.default_rng(0))
    images, table = out.arrays("images"), out.table("examples")
    assert images["explained"].shape == (2, 8, 8) and len(images["train"]) == table["train"].nunique()
    train_images = run.task.examples("train").inputs
    np.testing.assert_allclose(images["train"][0], train_images[int(images["train_ids"][0])][0], rtol=1e-6)
    assert len(PathKernel().figures(out)["examples"].axes) == 2 * 11


def test_examples_that_do_not_exist_are_refused(run):
    with pytest.raises(ConfigError, match="must be below"):
        ExplainedExamples("val", (0, 999)).batch(run)


def test_functions_of_outputs_are_imported_as_targets_are():
    """By `prepare`, from allowed packages alone; an identity holds their path, an analysis the function."""
    node = {"_target_": "mechlab.analyses.path_kernel.PathKernel", "outputs": "torch.sum"}
    prepared = prepare(node, "analysis.path_kernel", Analysis, allow=["torch"])
    assert prepared().outputs is torch.sum and prepared.identity()["outputs"] == "torch.sum"
    named = prepare({**node, "outputs": "margin"}, "analysis.path_kernel", Analysis)
    assert named().outputs == named.identity()["outputs"] == "margin"
    for outputs, message in {
        "torch.sum": "must come from mechlab",
        "mechlab.core.no_such_thing": "there is no no_such_thing",
        "mechlab.record.run.Run": "must be a function",
        "no_such_name": "one of all, target, margin, loss, irreps or package.module.function",
        7: "one of all, target",
    }.items():
        with pytest.raises(ConfigError, match=message) as caught:
            prepare({**node, "outputs": outputs}, "analysis.path_kernel", Analysis)
        assert caught.value.key == "analysis.path_kernel.outputs"


def test_a_recorded_function_is_part_of_the_configured_parameters_and_not_imported(tmp_path):
    """The record does not decide what is imported; the answer to its own question is told from others all the same."""
    node = {"_target_": "mechlab.analyses.path_kernel.PathKernel", "outputs": "nowhere.to_be_found"}
    (tmp_path / "provenance").mkdir()
    (tmp_path / "provenance" / "config.yaml").write_text(json.dumps({"analysis": {"path_kernel": node}}))
    given = prepare({**node, "outputs": "margin"}, "analysis.path_kernel", Analysis)
    assert configured_parameters(tmp_path, "path_kernel", given)["outputs"] == "nowhere.to_be_found"


def first_output(outputs):
    return outputs[:, :1]


@pytest.mark.parametrize("make", [PathKernel, Metagradient, partial(Datamodeling, compared=("gradient_dot",))])
def test_what_cannot_be_attributed_is_refused_before_training(run, make):
    """The same check passes where there is nothing against it."""
    make(examples=(0, 2), outputs=first_output).check_recipe("asked", run.recipe, "analysis.asked")
    amsgrad = replace(run.recipe, make_optimizer=partial(torch.optim.AdamW, amsgrad=True))
    with_dropout = replace(run.recipe, make_model=lambda spec: Noisy(spec, torch.nn.Dropout(0.5)))
    with_statistics = replace(run.recipe, make_model=lambda spec: Noisy(spec, torch.nn.BatchNorm1d(spec.outputs)))
    for recipe, options, key in (
        (amsgrad, {}, "optimizer"),
        (with_dropout, {}, "model"),
        (with_statistics, {}, "model"),
        (run.recipe, {"examples": (999,)}, "analysis.asked.examples"),
        (run.recipe, {"outputs": torch.argmax}, "analysis.asked.outputs"),
        (run.recipe, {"outputs": lambda outputs: outputs.log() * 0}, "analysis.asked.outputs"),
    ):
        with pytest.raises(ConfigError, match="analysis=asked: ") as caught:
            make(**options).check_recipe("asked", recipe, "analysis.asked")
        assert caught.value.key == key and caught.value.fix.endswith("leave asked out of analysis=[...]")


def test_more_bins_than_steps_are_one_for_each(run, tmp_path):
    out = Artifacts(tmp_path)
    PathKernel(examples=2, bins=100).run(run, out, np.random.default_rng(0))
    account = out.arrays("account")
    assert len(account["influence_by_bin"]) == 8
    np.testing.assert_allclose(account["influence_by_bin"].sum(0), account["influence"], rtol=1e-12, atol=1e-15)


def test_the_top_examples_are_the_largest_and_smallest(run):
    batch = run.evaluation("val", 1)
    influence = np.arange(9.0)[None] - 4
    table = top_examples(run, batch, influence, 2)
    assert table["train"].tolist() == [8, 7, 0, 1]
    assert table["kind"].tolist() == ["helpful"] * 2 + ["harmful"] * 2
    x, _, y, _ = (int(token) for token in run.task.examples("train").inputs[8])  # without the symbols of all examples
    assert table["input"].iloc[0] == f"{x} {y}"
    assert table["label"].tolist() == run.task.examples("train").targets[[8, 7, 0, 1]].tolist()
    loss = top_examples(run, batch, influence, 2, less_is_better=True)  # what raises a loss harms
    assert loss["kind"].tolist() == ["harmful"] * 2 + ["helpful"] * 2
    stacked = np.stack([influence + c for c in range(7)], 1)
    assert own_class(stacked, batch, "all")[0, 0] == -4 + int(batch.targets[0])


def test_components_are_modules_or_tensors_or_similar_modules():
    shapes = {"a1.weight": (2, 3), "a1.bias": (2,), "a2.weight": (3, 2), "a2.bias": (3,), "scale": (1,)}
    modules = {"a1": ["a1.weight", "a1.bias"], "a2": ["a2.weight", "a2.bias"], "scale": ["scale"]}
    assert components_of(shapes, "module") == modules
    assert components_of(shapes, "tensor") == {name: [name] for name in shapes}
    assert components_of(shapes, "similar") == modules  # other shapes
    heads = {
        "head1.up": (2, 2),
        "head2.up": (2, 2),
        "block1.w": (1,),
        "block2.w": (1,),
        "block3.w": (2,),
        "block4.w": (2,),
    }
    similar = components_of(heads, "similar")
    assert similar.pop("head*") == ["head1.up", "head2.up"]
    assert similar == {f"block{i}": [f"block{i}.w"] for i in (1, 2, 3, 4)}  # two sets would have one name


class Doubled(torch.autograd.Function):
    """Twice a tensor, with a rule for differentiating backwards and none for forwards, as fused layers have."""

    @staticmethod
    def forward(values):
        return 2 * values

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient

    @staticmethod
    def vmap(info, dims, values):
        return 2 * values, dims[0]


class Fused(torch.nn.Module):
    def forward(self, values):
        return Doubled.apply(values)


def test_layers_that_torch_cannot_differentiate_forwards_are_refused_before_training(run):
    """Such as those with a backward pass of their own; metagradients need no forward mode."""
    fused = replace(run.recipe, make_model=lambda spec: Noisy(spec, Fused()))
    for analysis in (PathKernel(), Metagradient(), Datamodeling(compared=("metagradient",))):
        analysis.check_recipe("asked", fused, "analysis.asked")
    with pytest.raises(ConfigError, match="torch must be able to differentiate the model") as caught:
        PathKernel(form="jvp").check_recipe("asked", fused, "analysis.asked")
    assert "analysis.asked.dtype=float64" in caught.value.fix
    PathKernel(form="jvp").check_recipe("asked", run.recipe, "analysis.asked")
