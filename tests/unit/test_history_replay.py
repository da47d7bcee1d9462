"""A replay record against a full one of the same training: every tensor of every step, or a refusal."""

import shutil
from dataclasses import replace
from functools import partial

import pytest
import torch
from small_tasks import OPTIMIZERS, Echo, Points, Ragged, small_recipe, train
from torch import nn

from mechlab.core.errors import ConfigError, NotRecorded, ReplayDiffers, RunError
from mechlab.core.state import digest
from mechlab.core.update_equations import clip_factor
from mechlab.models.mlp import MLP
from mechlab.models.transformer1 import Transformer1
from mechlab.record import segments
from mechlab.record.files import read_json, write_json
from mechlab.record.history import History
from mechlab.record.recorder import Recorder, check_size
from mechlab.record.replay import HASH, first_difference, verify
from mechlab.record.run import Run
from mechlab.record.shards import write_shard
from mechlab.record.tensors import load_metadata, load_tensors
from mechlab.tasks.modular_addition import ModularAddition
from mechlab.training.fit import FitSettings, fit

STEPS, EVERY = 25, 7  # neither divides the other, nor the shards' and checkpoints' boundaries
STORED = [0, 7, 14, 21, 25]


class Noisy(MLP):
    """A network that draws random numbers and keeps a running statistic."""

    def __init__(self, spec):
        super().__init__(spec, hidden=4)
        self.norm, self.dropout = nn.BatchNorm1d(3), nn.Dropout(0.3)

    def forward(self, inputs):
        return super().forward(self.dropout(self.norm(inputs)))


def recipe_of(case):
    if case == "transformer":
        task = ModularAddition(5, "expression")
        make = partial(Transformer1, width=8, hidden=6)
        return replace(small_recipe(task, steps=STEPS, batch_size=None), make_model=make)
    if case == "noise":
        return replace(small_recipe(Points(), steps=STEPS, batch_size=4), make_model=Noisy)
    if case == "nesterov":
        optimizer = partial(torch.optim.SGD, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)
        return replace(small_recipe(Points(), steps=STEPS), make_optimizer=optimizer)
    task, optimizer, *double = case.split()
    dtype = torch.float64 if double else torch.float32
    return small_recipe({"points": Points, "ragged": Ragged, "echo": Echo}[task](), optimizer, STEPS, dtype=dtype)


def replay(folder, recipe, every=EVERY, **options):
    recorder = Recorder(folder / "history", "replay", recipe, 6, every)
    fit(folder, recipe, recorder, FitSettings(chunk=4, log_every=6, checkpoint_every=9, **options), {})
    return Run(folder, lambda: recipe)


CASES = [*(f"points {name}" for name in OPTIMIZERS), "ragged adamw 64", "echo adam", "transformer", "noise", "nesterov"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return a function from a case to its runs with a replay and with a full record."""
    made = {}

    def get(case="points adamw"):
        if case not in made:
            folder, recipe = tmp_path_factory.mktemp("runs"), recipe_of(case)
            made[case] = replay(folder / "replay", recipe), train(folder / "full", recipe)
        return made[case]

    return get


def state(history, step):
    return {**history.params(step), **history.optimizer(step)}


def other_recipe(recipe):
    """Another training with the same rates."""
    optimizer = partial(torch.optim.AdamW, lr=0.02, betas=(0.9, 0.98), weight_decay=0.5, eps=0.01)
    return replace(recipe, make_optimizer=optimizer)


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def copied(run, tmp_path, recipe=None):
    """Return a copy of a run that can be changed, read anew."""
    shutil.copytree(run.folder, tmp_path / "copy")
    return Run(tmp_path / "copy", lambda: recipe or run.recipe)


@pytest.mark.parametrize("case", CASES)
def test_every_step_is_that_of_a_full_record(runs, case):
    lean, full = (run.history for run in runs(case))
    assert lean.stored == STORED and lean.steps == full.steps == list(range(STEPS + 1))
    for step in [*reversed(range(STEPS + 1)), 3, 22, 3]:
        assert same(lean.params(step), full.params(step)), step
        assert same(lean.optimizer(step), full.optimizer(step)), step
        assert torch.equal(lean.batch_indices(step), full.batch_indices(step)), step
        assert lean.rates(step) == full.rates(step), step
        assert lean.digest(step) == digest(full.params(step)) and full.digest(step) is None


@pytest.mark.parametrize("order", [range(STEPS + 1), range(STEPS, -1, -1)], ids=["forwards", "backwards"])
def test_going_through_the_steps_makes_each_update_once(runs, order, monkeypatch):
    run, updates = runs()[0], []
    recipe, update = run.recipe, type(run.recipe).update
    monkeypatch.setattr(type(recipe), "update", lambda self, *args: updates.append(args[3]) or update(self, *args))
    history = History(run.folder / "history", lambda: recipe)
    for step in order:
        for nearby in (
            (step, min(step + 1, STEPS)) if order.step < 0 else (step,)
        ):  # a sweep reads both ends of an update
            state(history, nearby)
            history.batch_indices(nearby), history.rates(nearby)
    assert sorted(updates) == list(range(STEPS))


def test_what_is_read_is_a_copy(runs):
    history = runs()[0].history
    before = {name: value.clone() for name, value in history.params(9).items()}
    for value in history.params(9).values():
        value.zero_()
    assert same(history.params(9), before)


def test_reading_leaves_generators_threads_and_gradients_alone(runs):
    run = runs("noise")[0]
    torch.manual_seed(5)
    torch.set_num_threads(2)
    try:
        before = torch.get_rng_state()
        with torch.inference_mode():
            History(run.folder / "history", lambda: run.recipe).params(10)
            assert torch.is_inference_mode_enabled()
        assert torch.equal(torch.get_rng_state(), before) and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_a_run_looked_at_at_a_step_has_that_step_s_weights(runs):
    lean, full = runs()
    assert same(lean.at(12).model().state_dict(), full.history.params(12))


def test_a_run_that_ends_early_is_recorded_to_its_end(tmp_path):
    task = ModularAddition(3, "expression", n_val=1, n_train=4)
    recipe = replace(small_recipe(task, steps=90, batch_size=None, clip=None), make_model=partial(MLP, hidden=8))
    run = replay(tmp_path, recipe, stop_at=0.0, stop_patience=2)
    assert run.history.stored == [0, 7, 14, 21, 22] and run.history.steps == list(range(23))
    assert len(state(run.history, 20)) > 4


@pytest.mark.parametrize("stopped", [4, 10, 17])
def test_a_record_that_goes_on_is_the_same(runs, tmp_path, stopped):
    """Records beyond the checkpoint are cut, those before it are kept, wherever in a segment it lies."""
    lean, _ = runs()
    recipe = lean.recipe
    recorder = Recorder(tmp_path / "history", "replay", recipe, 6, EVERY)
    recorder.begin(0)
    model = recipe.model()
    optimizer, source = recipe.optimizer(model), recipe.source()
    for step in range(STEPS):
        if step == stopped:
            recorder.flush()
            saved = state_of(model, optimizer)
        recorder.record(step, model, optimizer)
        recipe.update(model, optimizer, source, step)
    recorder.flush()  # now it is killed
    partial_history = History(tmp_path / "history", lambda: recipe)
    assert partial_history.steps == list(range(STEPS)) and partial_history.stored == STORED[:-1]
    assert same(state(partial_history, STEPS - 1), state(lean.history, STEPS - 1))
    recorder = Recorder(tmp_path / "history", "replay", recipe, 6, EVERY)
    recorder.begin(stopped)
    segments.put_state(model, optimizer, *saved)
    for step in range(stopped, STEPS):
        recorder.record(step, model, optimizer)
        recipe.update(model, optimizer, source, step)
    recorder.finish(STEPS, model, optimizer)
    history = History(tmp_path / "history", lambda: recipe)
    assert history.stored == STORED
    assert all(same(state(history, step), state(lean.history, step)) for step in range(STEPS + 1))


def state_of(model, optimizer):
    copy = {name: value.clone() for name, value in model.state_dict().items()}
    return copy, {name: value.clone() for name, value in segments.optimizer_tensors(model, optimizer).items()}


def test_verification_compares_hashes_and_states(runs, tmp_path):
    run = runs()[0]
    verdict = verify(run, steps=STEPS)
    assert (verdict.differs_at, verdict.compared) == (None, list(range(1, STEPS + 1)))
    assert verify(run, start=14, steps=3).compared == [15, 16, 17]
    with pytest.raises(NotRecorded, match="start=3"):
        verify(run, start=3)
    other = copied(run, tmp_path, other_recipe(run.recipe))
    assert (verify(other).differs_at, verify(other).tensor) == (1, HASH)
    assert first_difference(*runs()) == (None, len(STORED))


def changed(path, name, change):
    tensors = load_tensors(path)
    change(tensors[name])
    write_shard(path.parent, load_metadata(path), tensors)


def test_a_changed_recipe_is_refused_with_the_step(runs, tmp_path):
    run = runs()[0]
    other = copied(run, tmp_path, other_recipe(run.recipe))
    with pytest.raises(ReplayDiffers, match=r"bit for bit[\s\S]*step 8 differs in its parameters[\s\S]*provenance"):
        other.history.params(10)
    assert same(other.history.params(14), run.history.params(14))  # what is stored is there all the same


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ({"update": "0123456789ab", "Gone": "0"}, "the code has changed since: Gone, update"),
        ({}, "the code is that of the training"),
        ("0123456789ab", "whether the code has changed since is not recorded"),  # as older records have it
        (None, "whether the code has changed since is not recorded"),
    ],
)
def test_changed_code_is_refused_and_told(runs, tmp_path, monkeypatch, code, told):
    """An optimiser update of another version: the refusal names the functions and classes that have changed."""
    run = copied(runs()[0], tmp_path)
    about = run.folder / "history" / "history.json"
    was = read_json(about)
    assert {"update", "Points", "MLP", "Recipe"} <= set(was["code"])
    write_json(about, was | {"code": was["code"] | code if isinstance(code, dict) else code})
    assert len(History(about.parent, lambda: run.recipe).params(3))  # other code that does the same is as good
    monkeypatch.setattr(
        "mechlab.core.recipe.update", lambda model, *_, **__: (next(model.parameters()).data.add_(1e-7), None)
    )
    with pytest.raises(ReplayDiffers, match=rf"step 1 differs.*; {told}\n"):
        History(about.parent, lambda: run.recipe).params(3)


@pytest.mark.parametrize(("step", "asked"), [(14, 15), (14, 13)])
@pytest.mark.parametrize("name", ["params/readout.weight", "optimizer/exp_avg_sq/readout.bias"])
def test_the_smallest_change_of_a_stored_state_is_refused(runs, tmp_path, name, step, asked):
    run = copied(runs()[0], tmp_path)

    def next_float(tensor):
        first = tensor[rows.index(step)].view(-1)[:1]
        first.copy_(torch.nextafter(first, torch.full_like(first, torch.inf)))

    [path] = [p for p in (run.folder / "history").glob("*.safetensors") if step in load_metadata(p)]
    rows = load_metadata(path)
    changed(path, name, next_float)
    with pytest.raises(ReplayDiffers, match=r"step 1[3-9]|step 2[01] differs"):
        run.history.params(asked)


def test_a_changed_or_missing_hash_is_refused(runs, tmp_path):
    run = copied(runs()[0], tmp_path)
    paths = sorted((run.folder / "history" / "trace").glob("*.safetensors"))
    assert len(paths) > 1
    changed(paths[0], "digest", lambda digests: digests[2].add_(1))
    with pytest.raises(ReplayDiffers, match="step 2 differs"):
        run.history.params(4)
    paths[0].unlink()
    with pytest.raises(RunError, match="hash for every step"):
        History(run.folder / "history", lambda: run.recipe).params(max(load_metadata(paths[1])[0], 10))


def test_the_folder_alone_gives_what_is_stored(runs):
    folder = runs()[0].folder / "history"
    assert History(folder).params(14) and History(folder).rates(15)
    with pytest.raises(NotRecorded, match=r"recipe is needed[\s\S]*0, 7, 14, 21, 25[\s\S]*load_run"):
        History(folder).params(15)
    with pytest.raises(NotRecorded, match="step 26; recorded are 0 to 25"):
        History(folder).params(26)


def test_an_unknown_format_is_refused(runs, tmp_path):
    run = copied(runs()[0], tmp_path)
    (run.folder / "history" / "history.json").write_text('{"kind": "replay", "version": 99}')
    with pytest.raises(RunError, match=r"of version 1[\s\S]*version 99"):
        _ = run.history


def test_another_device_is_refused(runs, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    run = copied(runs()[0], tmp_path)
    path = run.folder / "history" / "history.json"
    write_json(path, read_json(path) | {"device": "cuda"})
    with pytest.raises(ReplayDiffers, match="device of the training"):
        run.history.params(3)


def test_replays_have_as_many_threads_as_the_training(tmp_path, monkeypatch):
    torch.set_num_threads(2)
    try:
        run = replay(tmp_path, recipe_of("points adamw"))
    finally:
        torch.set_num_threads(1)
    seen, old = [], type(run.recipe).update
    monkeypatch.setattr(
        type(run.recipe), "update", lambda self, *args: seen.append(torch.get_num_threads()) or old(self, *args)
    )
    run.history.params(3)
    assert set(seen) == {2} and torch.get_num_threads() == 1


def test_the_grokking_run_takes_a_twentieth_of_the_disk(tmp_path):
    """The sizes that are announced are those on disk, and the project's largest record shrinks as it should."""
    recipe = replace(
        small_recipe(ModularAddition(113, "expression"), steps=1900, batch_size=None), make_model=Transformer1
    )
    full = Recorder(tmp_path / "full", "full", recipe, 6).planned_bytes()
    lean = Recorder(tmp_path / "lean", "replay", recipe, 6)
    assert lean.every == 44 and full > 40 * lean.planned_bytes()
    assert "a state every 44 steps" in check_size(lean, 2.0)
    with pytest.raises(ConfigError) as caught:
        check_size(lean, 0.001)
    assert "history.every" in caught.value.fix
    wide = replace(small_recipe(Points(), steps=60), make_model=partial(MLP, hidden=900))
    run = replay(tmp_path / "run", wide, every=2)
    on_disk = sum(path.stat().st_size for path in (run.folder / "history").rglob("*") if path.is_file())
    assert on_disk == pytest.approx(Recorder(tmp_path / "run", "replay", wide, 6, 2).planned_bytes(), rel=0.04)


@pytest.mark.parametrize("clip", [None, 0.05, 1e6])
def test_the_clip_factor_in_force_can_be_computed_again(clip):
    """The gradient that enters the optimizer is the batch's own gradient times the factor, bit for bit."""
    recipe = small_recipe(Points(), "sgd", clip=clip)
    model, other, source = recipe.model(), recipe.model(), recipe.source()
    recipe.update(model, recipe.optimizer(model), source, 0)
    replace(recipe, clip=None).update(other, recipe.optimizer(other), source, 0)
    gradients = [parameter.grad for parameter in other.parameters()]
    factor = clip_factor(torch.nn.utils.get_total_norm(gradients), clip)
    assert (factor < 1) == (clip == 0.05)
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert torch.equal(parameter.grad, gradient * factor)
