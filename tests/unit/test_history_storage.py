"""Records of chosen steps, of weights only and in narrow storage, against a full record of the same training."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_tasks import Echo, Points, Ragged, small_recipe, train
from torch import nn

from mechlab.core.errors import NotRecorded, ReplayDiffers, RunError
from mechlab.kernels.trajectory import Trajectory
from mechlab.models.mlp import MLP
from mechlab.record.digests import write_digests
from mechlab.record.files import read_json, write_json
from mechlab.record.history import History, decade_spaced
from mechlab.record.recorder import Recorder, check_size
from mechlab.record.replay import first_difference, verify
from mechlab.record.run import Run
from mechlab.record.shards import write_shard
from mechlab.record.tensors import load_metadata, load_tensors
from mechlab.training.mend import mend_history

STEPS, CHOSEN = 24, (0, 3, 10, 11)
RECORDED = [*CHOSEN, STEPS]
NARROW = {"steps": CHOSEN, "optimizer": False, "dtype": torch.float16}


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    return train(tmp_path_factory.mktemp("full"), small_recipe(Ragged(), steps=STEPS))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights only, as they were trained."""
    folder = tmp_path_factory.mktemp("weights")
    return train(folder, small_recipe(Ragged(), steps=STEPS), "sparse", steps=CHOSEN, optimizer=False)


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """Weights only, in float16."""
    return train(tmp_path_factory.mktemp("narrow"), small_recipe(Ragged(), steps=STEPS), "sparse", **NARROW)


def changed(run, tmp_path, step, by):
    """Return a copy of a run's record in which the first number of a tensor differs at one step."""
    history = tmp_path / "history"
    history.mkdir()
    write_json(history / "history.json", read_json(run.folder / "history" / "history.json"))
    for path in (run.folder / "history").glob("*.safetensors"):
        steps, tensors = load_metadata(path), load_tensors(path)
        if step in steps:
            tensors["params/readout.weight"][steps.index(step)].view(-1)[0] += by
        write_shard(history, steps, tensors)
    return Run(tmp_path, lambda: run.recipe)


def test_log_spaced_steps_by_the_decade():
    assert decade_spaced(1, 1000) == [0, 1, 10, 100, 1000]
    assert decade_spaced(2, 150) == [0, 1, 3, 10, 32, 100, 150]
    assert decade_spaced(10, 0) == [0] and decade_spaced(10, 1) == [0, 1]


@given(per_decade=st.integers(1, 200), last=st.integers(0, 10**6))
def test_each_decade_holds_as_many_steps_as_are_asked_for(per_decade, last):
    steps = decade_spaced(per_decade, last)
    assert steps == sorted(set(steps)) and steps[0] == 0 and steps[-1] == last
    for low in (10**3, 10**4, 10**5):
        inside = sum(low <= step < 10 * low for step in steps)
        assert inside == per_decade or last <= 10 * low


def test_chosen_steps_and_the_end_are_recorded(full, tmp_path):
    run = train(tmp_path, full.recipe, "sparse", steps=(11, 3, 10, 0))
    assert run.history.steps == RECORDED
    assert first_difference(full, run) == (None, len(RECORDED))
    assert all(run.history.optimizer(step).keys() == full.history.optimizer(step).keys() for step in RECORDED)


def test_weights_only_are_the_weights_and_what_follows_from_the_plan(full, weights):
    history = weights.history
    assert history.steps == RECORDED and not history.has_optimizer and history.is_exact
    for step in RECORDED:
        assert all(torch.equal(value, full.history.params(step)[name]) for name, value in history.params(step).items())
        assert history.rates(step) == full.history.rates(step)
        assert torch.equal(history.batch_indices(step), full.history.batch_indices(step))
    assert weights.at(10).model() is not None


@pytest.mark.parametrize("read", ["optimizer", "restore"])
def test_reading_an_optimizer_state_that_is_not_recorded_is_refused(weights, read):
    model = weights.recipe.model()
    arguments = (3,) if read == "optimizer" else (3, model, weights.recipe.optimizer(model))
    with pytest.raises(NotRecorded, match="weights only") as caught:
        getattr(weights.history, read)(*arguments)
    assert caught.value.fix == "train again with history.optimizer=true"


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_narrow_storage_rounds_to_its_dtype_and_returns_that_of_training(dtype, tmp_path):
    recipe = small_recipe(Ragged(), steps=STEPS, dtype=torch.float64)
    full, stored = train(tmp_path / "full", recipe), train(tmp_path / "narrow", recipe, dtype=dtype)
    for step in (0, 7, STEPS):
        exact, found = full.history.params(step), stored.history.params(step)
        for name, value in exact.items():
            assert found[name].dtype == torch.float64
            assert torch.equal(found[name], value.to(dtype).double())
        assert step == 0 or not torch.equal(found["readout.weight"], exact["readout.weight"])
        moments = stored.history.optimizer(step)  # in the dtype of training: powers of small gradients underflow
        assert all(torch.equal(value, full.history.optimizer(step)[name]) for name, value in moments.items())


def test_storage_as_wide_as_training_is_exact(tmp_path):
    recipe = small_recipe(Points(), steps=4)
    assert train(tmp_path, recipe, dtype=torch.float32).history.is_exact
    assert verify(Run(tmp_path, lambda: recipe)).differs_at is None


class Mixed(MLP):
    """A network with a complex parameter, a whole number and a mask of minus infinity."""

    def __init__(self, spec, limit=-torch.inf):
        super().__init__(spec, hidden=4)
        self.turn = nn.Parameter(torch.tensor([1 + 2j, 3.3 - 1e-4j]))
        self.register_buffer("count", torch.tensor(70000))
        self.register_buffer("mask", torch.tensor([0.0, limit]))

    def forward(self, inputs):
        return super().forward(inputs) * self.turn.abs()


def test_complex_numbers_counts_and_infinities_survive_narrow_storage(tmp_path):
    recipe = replace(small_recipe(Points(), steps=2), make_model=Mixed)
    params, found = recipe.model().state_dict(), train(tmp_path, recipe, dtype=torch.float16).history.params(0)
    assert found["turn"].dtype == torch.complex64 and found["count"] == 70000
    assert torch.equal(torch.view_as_real(found["turn"]), torch.view_as_real(params["turn"]).half().float())
    assert torch.equal(found["mask"], params["mask"])


def test_a_number_beyond_the_range_of_the_storage_is_refused(tmp_path):
    recipe = replace(small_recipe(Points(), steps=2), make_model=partial(Mixed, limit=-1e5))
    with pytest.raises(RunError, match="within 65504") as caught:
        train(tmp_path, recipe, dtype=torch.float16)
    assert "1e+05 in mask" in caught.value.got and caught.value.fix == "history.dtype=float32"


@pytest.mark.parametrize("kind", ["weights", "narrow"])
def test_verification_trains_from_the_beginning_and_compares_what_is_recorded(request, kind):
    run = request.getfixturevalue(kind)
    verdict = verify(run, steps=STEPS)
    assert (verdict.start, verdict.compared, verdict.differs_at) == (0, [3, 10, 11, STEPS], None)


@pytest.mark.parametrize("kind", ["weights", "narrow"])
def test_verification_finds_a_changed_number(request, kind, tmp_path):
    verdict = verify(changed(request.getfixturevalue(kind), tmp_path, 10, 0.01), steps=STEPS)
    assert (verdict.differs_at, verdict.tensor) == (10, "readout.weight")


def test_verification_from_a_later_step_needs_its_whole_state(weights, narrow):
    with pytest.raises(NotRecorded, match="whole state") as caught:
        verify(weights, start=3)
    assert caught.value.fix == "train again with history.optimizer=true"
    with pytest.raises(NotRecorded, match="rounded to float16") as caught:
        verify(narrow, start=3)
    assert caught.value.fix == "train again with history.optimizer=true history.dtype=null"


def test_initial_weights_from_elsewhere_must_be_recorded_exactly(full, tmp_path):
    """What a recorded recipe does not hold: the weights of another run, from which this one began."""
    begun = replace(full.recipe, initial=full.history.params(STEPS))
    for name, storage in (("weights", {}), ("narrow", {"dtype": torch.float16})):
        train(tmp_path / name, begun, "sparse", steps=CHOSEN, optimizer=False, **storage)
    assert verify(Run(tmp_path / "weights", lambda: full.recipe)).differs_at is None
    with pytest.raises(NotRecorded, match="initial weights"):
        verify(Run(tmp_path / "narrow", lambda: full.recipe))


def test_attribution_refuses_rounded_weights_and_missing_optimizer_states(tmp_path):
    recipe = replace(small_recipe(Points(), "sgd", steps=3), clip=None)
    assert Trajectory.of_run(train(tmp_path / "full", recipe)).steps == 3
    for name, storage in (("narrow", {"dtype": torch.float16}), ("weights", {"optimizer": False})):
        with pytest.raises(NotRecorded, match="whole state of every step") as caught:
            Trajectory.of_run(train(tmp_path / name, recipe, **storage))
        assert "train again with history." in caught.value.fix


def test_runs_are_compared_in_the_narrower_storage(full, narrow, tmp_path):
    assert first_difference(full, narrow) == first_difference(narrow, full) == (None, len(RECORDED))
    other = changed(narrow, tmp_path, 11, 0.01)
    assert first_difference(full, other) == first_difference(other, full) == (11, len(RECORDED))


def test_final_weights_are_never_restored_from_rounded_ones(weights, narrow):
    for run in (weights, narrow):
        write_digests(run.folder, STEPS, 0.0)
        exact = load_tensors(run.folder / "checkpoints" / "weights.safetensors")
        assert all(torch.equal(value, exact[name]) for name, value in run.recorded_end().items())
    assert not torch.equal(narrow.history.params(STEPS)["readout.weight"], exact["readout.weight"])


def test_missing_steps_are_trained_again_from_the_beginning(narrow, tmp_path, capsys):
    begun = Run(tmp_path, lambda: narrow.recipe)
    recorder = Recorder(tmp_path / "history", "sparse", narrow.recipe, 6, **NARROW)
    recorder.describe("cpu")
    last = {name: value[None] for name, value in narrow.history._read(STEPS, "").items() if name == "rates"}
    params = {f"params/{name}": value.half()[None] for name, value in narrow.history.params(STEPS).items()}
    write_shard(tmp_path / "history", [STEPS], params | last)
    mend_history(recorder, STEPS, True, "cpu", torch.get_num_threads())
    assert first_difference(begun, narrow) == (None, len(RECORDED))
    assert "0 to 11 again" in capsys.readouterr().out


def test_missing_steps_that_do_not_lead_to_the_record_are_refused(narrow, tmp_path):
    other = changed(narrow, tmp_path, STEPS, 0.01)
    recorder = Recorder(other.folder / "history", "sparse", narrow.recipe, 6, **NARROW)
    for path in (other.folder / "history").glob("*.safetensors"):
        if STEPS not in load_metadata(path):
            path.unlink()
    with pytest.raises(ReplayDiffers, match="bit for bit"):
        mend_history(recorder, STEPS, True, "cpu", torch.get_num_threads())


def test_a_record_from_before_there_were_storage_keys_is_exact(full):
    assert read_json(full.folder / "history" / "history.json").keys() <= {"kind", "version"}
    assert full.history.has_optimizer and full.history.is_exact


@pytest.mark.parametrize("about", [{"dtype": "int8", "trained": "float32"}, {"dtype": "float16"}])
def test_an_unknown_storage_is_refused(about, tmp_path):
    write_json(tmp_path / "history.json", {"kind": "full", "version": 1, **about})
    with pytest.raises(RunError, match="of the record must be one of float16"):
        History(tmp_path)


@pytest.mark.parametrize("options", [{"optimizer": False}, {"dtype": torch.float16}, NARROW])
def test_the_announced_size_of_narrow_storage_is_that_on_disk(options, tmp_path):
    recipe = replace(small_recipe(Points(), steps=60, steps_per_epoch=60), make_model=partial(MLP, hidden=400))
    recorder = Recorder(tmp_path / "history", "sparse", recipe, 40, **options)
    train(tmp_path, recipe, "sparse", 40, **options)
    on_disk = sum(path.stat().st_size for path in (tmp_path / "history").glob("*.safetensors"))
    assert on_disk == pytest.approx(recorder.planned_bytes(), rel=0.15)
    whole = Recorder(tmp_path / "whole", "sparse", recipe, 40, steps=options.get("steps"))
    assert recorder.planned_bytes() < (0.9 if "optimizer" not in options else 0.36) * whole.planned_bytes()
    shown = check_size(recorder, 2.0)
    assert ("weights only" in shown) == ("optimizer" in options) and ("float16" in shown) == ("dtype" in options)


def test_endless_data_is_numbered_by_the_plan(tmp_path):
    run = train(tmp_path, small_recipe(Echo(), steps=8), "sparse", steps=(5,), optimizer=False)
    assert run.history.batch_indices(5).tolist() == [15, 16, 17]
    with pytest.raises(NotRecorded, match="recipe is needed"):
        History(tmp_path / "history").batch_indices(5)
