"""The record of training against a plain loop of updates, and against the equations that attribution builds on."""

import copy
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_tasks import OPTIMIZERS, Echo, Points, Ragged, small_recipe, train

from mechlab.core.errors import ConfigError, NotRecorded
from mechlab.core.state import optimizer_tensors
from mechlab.core.step import aligned_outputs, batch_loss
from mechlab.models.mlp import MLP
from mechlab.record.history import History, log_spaced
from mechlab.record.recorder import Recorder, check_size
from mechlab.record.shards import cut, write_shard

STEPS = 30
CASES = {**{name: (Ragged, name) for name in OPTIMIZERS}, "endless": (Echo, "adamw"), "static": (Points, "momentum")}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a function from a case to its run, trained once, with a full record."""
    runs = {}

    def get(case):
        if case not in runs:
            task, optimizer = CASES[case]
            runs[case] = train(tmp_path_factory.mktemp(case), small_recipe(task(), optimizer, STEPS))
        return runs[case]

    return get


def equal(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def plain_loop(recipe):
    """What the record should hold, from nothing but repeated updates: one entry for each step, and the end."""
    model = recipe.model()
    optimizer, source = recipe.optimizer(model), recipe.source()
    for step in range(recipe.max_steps + 1):
        yield copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer_tensors(model, optimizer))
        if step < recipe.max_steps:
            recipe.update(model, optimizer, source, step)


@pytest.mark.parametrize("case", CASES)
def test_a_full_record_is_that_of_a_plain_loop(run, case):
    history, recipe = run(case).history, run(case).recipe
    assert history.steps == list(range(STEPS + 1))
    base = OPTIMIZERS[CASES[case][1]].keywords
    for step, (params, moments) in enumerate(plain_loop(recipe)):
        assert equal(history.params(step), params), step
        assert equal(history.optimizer(step), moments), step
        assert history.batch_indices(step).tolist() == recipe.source().batch(step).index.tolist()
        if step < STEPS:
            factor = recipe.schedule.factor(step, STEPS)
            assert history.rates(step) == (base["lr"] * factor, base.get("weight_decay", 0.0))


def test_the_rates_in_force_differ_from_step_to_step(run):
    rates = [run("adamw").history.rates(step)[0] for step in range(STEPS)]
    assert len(set(rates)) > STEPS // 2


def test_the_record_alone_explains_every_adamw_step(run):
    """theta_{s+1} - theta_s = -eta lambda theta_s - eta / (1 - beta1^{s+1}) D m_{s+1}; m, v follow from the batch."""
    history, recipe = run("adamw").history, run("adamw").recipe
    betas, eps, examples = (0.9, 0.98), 1e-8, recipe.task.examples("train")
    for s in range(STEPS):
        before, after = history.params(s), history.params(s + 1)
        ours, theirs = history.optimizer(s), history.optimizer(s + 1)
        rate, decay = history.rates(s)
        model = recipe.model()
        model.load_state_dict(before)
        batch = examples[history.batch_indices(s)]  # all of their steps, not only those that count
        loss = batch_loss(aligned_outputs(model, batch, recipe.task.spec), batch, recipe.task.spec)
        loss.backward()
        gradients = {name: p.grad.double() for name, p in model.named_parameters()}
        norm = torch.cat([g.flatten() for g in gradients.values()]).norm()
        for name, g in gradients.items():
            g = g * min(1.0, recipe.clip / (float(norm) + 1e-6))
            m = betas[0] * ours.get(f"exp_avg/{name}", 0) + (1 - betas[0]) * g
            v = betas[1] * ours.get(f"exp_avg_sq/{name}", 0) + (1 - betas[1]) * g**2
            torch.testing.assert_close(theirs[f"exp_avg/{name}"].double(), m, rtol=2e-4, atol=1e-7)
            torch.testing.assert_close(theirs[f"exp_avg_sq/{name}"].double(), v, rtol=2e-4, atol=1e-9)
            m, v = theirs[f"exp_avg/{name}"].double(), theirs[f"exp_avg_sq/{name}"].double()
            D = 1 / ((v / (1 - betas[1] ** (s + 1))).sqrt() + eps)
            step = -rate * decay * before[name].double() - rate / (1 - betas[0] ** (s + 1)) * D * m
            torch.testing.assert_close(after[name].double() - before[name].double(), step, rtol=1e-4, atol=5e-7)


@pytest.mark.parametrize("case", CASES)
def test_replay_from_any_recorded_step_gives_the_next_bit_by_bit(run, case):
    history, recipe = run(case).history, run(case).recipe
    source = recipe.source()
    model = recipe.model()
    optimizer = recipe.optimizer(model)
    for step in [*range(STEPS - 1, -1, -1)]:  # backwards, so that nothing is left over from the step before
        history.restore(step, model, optimizer)
        recipe.update(model, optimizer, source, step)
        assert equal(model.state_dict(), history.params(step + 1)), step
        assert equal(optimizer_tensors(model, optimizer), history.optimizer(step + 1)), step


def test_restoring_leaves_the_record_alone(run):
    """What is restored is a copy: training on from it does not reach into what is read later."""
    history, recipe = run("adamw").history, run("adamw").recipe
    before = history.optimizer(10)
    model = recipe.model()
    optimizer = recipe.optimizer(model)
    history.restore(10, model, optimizer)
    for step in range(10, 15):
        recipe.update(model, optimizer, recipe.source(), step)
    assert equal(history.optimizer(10), before)


def test_a_sparse_record_holds_the_same_as_a_full_one_at_fewer_steps(run, tmp_path):
    full, sparse = run("adamw").history, train(tmp_path, run("adamw").recipe, "sparse", points=6).history
    assert sparse.steps == log_spaced(6, STEPS)
    for step in sparse.steps:
        assert equal(sparse.params(step), full.params(step))
        assert equal(sparse.optimizer(step), full.optimizer(step))
        assert torch.equal(sparse.batch_indices(step), full.batch_indices(step))
        assert sparse.rates(step) == full.rates(step)


def test_without_a_record_nothing_is_written(run, tmp_path):
    assert train(tmp_path, run("adamw").recipe, "none").history.steps == []
    assert not (tmp_path / "history").exists()


def test_a_step_that_was_not_recorded_is_refused_with_those_that_were(run, tmp_path):
    with pytest.raises(NotRecorded, match="step 31; recorded are 0 to 30"):
        run("adamw").history.params(31)
    write_shard(tmp_path, [0, 3, 9], {"params/a": torch.zeros(3)})
    with pytest.raises(NotRecorded, match="step 4; recorded are 0, 3, 9"):
        History(tmp_path).params(4)


def shards_of(folder, lengths, stride):
    """Write shards of so many steps each; the record of step s holds s."""
    steps = [stride * i for i in range(sum(lengths))]
    for length in lengths:
        mine, steps = steps[:length], steps[length:]
        write_shard(folder, mine, {"params/a": torch.tensor(mine)[:, None], "rates": torch.ones(length, 2)})


@settings(max_examples=40)
@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4), stride=st.integers(1, 4), at=st.integers(0, 90))
def test_cut_keeps_what_comes_before_a_step_and_nothing_else(tmp_path_factory, lengths, stride, at):
    folder = tmp_path_factory.mktemp("history")
    shards_of(folder, lengths, stride)
    whole = History(folder).steps
    for _ in range(2):  # a second time changes nothing
        cut(folder, at)
        history = History(folder)
        assert history.steps == [step for step in whole if step < at]
        assert all(history.params(step)["a"].tolist() == [step] for step in history.steps)
    write_shard(folder, [at], {"params/a": torch.tensor([[at]]), "rates": torch.ones(1, 2)})  # training goes on
    assert History(folder).params(at)["a"].tolist() == [at]


@given(points=st.integers(2, 60), last=st.integers(0, 10**6))
def test_log_spaced_steps(points, last):
    """Increasing, from 0 to the last, no more than asked for, and evenly spaced in log(1 + step) up to rounding."""
    steps = log_spaced(points, last)
    assert steps == sorted(set(steps)) and steps[0] == 0 and steps[-1] == last
    assert len(steps) <= points
    ratio = (1 + last) ** (1 / (points - 1))
    for a, b in pairwise(steps):
        assert (b + 0.5) <= ratio * (a + 1.5) + 1e-6 * b or b - a == 1


def test_log_spaced_by_hand():
    assert log_spaced(4, 999) == [0, 9, 99, 999]
    assert log_spaced(8, 127) == [0, 1, 3, 7, 15, 31, 63, 127]
    assert log_spaced(100, 5) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("case", ["adamw", "momentum", "sgd"])
def test_the_size_that_is_announced_is_the_size_on_disk(case, tmp_path):
    """Within two percent, of a record in which the tensors outweigh the headers."""
    recipe = small_recipe(Points(), case, steps=200, batch_size=4)
    wide = replace(recipe, make_model=partial(MLP, hidden=200))
    recorder = Recorder(tmp_path / "history", "full", wide, 6)
    train(tmp_path, wide)
    on_disk = sum(path.stat().st_size for path in (tmp_path / "history").iterdir())
    assert on_disk == pytest.approx(recorder.planned_bytes(), rel=0.02)
    assert f"{recorder.planned_bytes() / 1e6:.1f} MB" in check_size(recorder, 2.0)


def test_a_record_over_the_limit_is_refused_before_training(tmp_path):
    recipe = small_recipe(Points(), steps=1000)
    recorder = Recorder(tmp_path / "history", "full", recipe, 6)
    limit = recorder.planned_bytes() / 1e9
    assert check_size(recorder, 1.01 * limit) is not None
    with pytest.raises(ConfigError, match="limit_gb") as caught:
        check_size(recorder, 0.99 * limit)
    assert "history=sparse" in caught.value.fix and not (tmp_path / "history").exists()
    assert check_size(Recorder(tmp_path / "history", "none", recipe, 6), 1e-9) is None
