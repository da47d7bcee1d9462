"""Complex parameters and buffers keep both parts of each number: in training, the record, resuming and verification."""

import copy
import warnings
from functools import partial

import pytest
import torch
from small_tasks import OPTIMIZERS, Points, small_recipe, train
from torch import nn

from mechlab.core.errors import ConfigError
from mechlab.core.model import StaticModel
from mechlab.core.precision import in_precision, set_precision
from mechlab.core.state import digest
from mechlab.core.task import Batch
from mechlab.kernels.functional_model import FunctionalModel
from mechlab.record.replay import verify
from mechlab.record.tensors import load_tensors, save_tensors
from mechlab.training import fit as fit_module

COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}


class Waves(StaticModel):
    """Inputs through a complex filter with fixed complex phases; the real part is read out."""

    def __init__(self, spec):
        super().__init__(spec)
        self.filter = nn.Parameter(torch.randn(3, 4, dtype=torch.complex64))
        self.complex = nn.Parameter(torch.randn(4, 2))  # a real one of a treacherous name
        self.register_buffer("phases", torch.polar(torch.ones(4), torch.arange(4.0)))
        self.register_buffer("counts", torch.arange(4))
        self.register_buffer("on", torch.tensor([True, False]))

    def forward(self, inputs):
        waves = (inputs.to(self.filter.dtype) @ self.filter) * self.phases
        return waves.real @ self.complex


def recipe(optimizer, dtype, **options):
    made = small_recipe(Points(), optimizer, dtype=dtype, **options)
    return type(made)(**{**vars(made), "make_model": Waves})


@pytest.mark.parametrize("dtype", COMPLEX)
def test_a_model_keeps_its_imaginary_parts_in_either_precision(dtype):
    torch.manual_seed(0)
    plain = Waves(Points().spec)
    model = set_precision(Waves(Points().spec), dtype)
    kinds = {name: value.dtype for name, value in model.state_dict().items()}
    wanted = {"filter": COMPLEX[dtype], "complex": dtype, "phases": COMPLEX[dtype]}
    assert kinds == wanted | {"counts": torch.int64, "on": torch.bool}
    assert isinstance(model.filter, nn.Parameter)
    model.load_state_dict(plain.state_dict())
    assert torch.equal(model.filter, plain.filter.to(COMPLEX[dtype])) and (model.filter.imag != 0).all()


@pytest.mark.parametrize("dtype", COMPLEX)
def test_moving_a_model_to_a_dtype_keeps_its_imaginary_parts(dtype):
    """`model.to(dtype)` in each of torch's forms does what `set_precision` does; torch's own drops them."""
    torch.manual_seed(0)
    plain = Waves(Points().spec)
    expected = {name: value.clone() for name, value in set_precision(copy.deepcopy(plain), dtype).state_dict().items()}
    forms = ((dtype,), ("cpu", dtype), (torch.ones(1, dtype=dtype),))
    for moved in (copy.deepcopy(plain).to(*form) for form in forms):
        assert isinstance(moved, Waves)
        for name, value in moved.state_dict().items():
            assert value.dtype == expected[name].dtype and torch.equal(value, expected[name]), name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lost = nn.Module.to(copy.deepcopy(plain), dtype)
    assert not lost.filter.is_complex() or lost.filter.imag.abs().max() == 0  # the control


def test_complex_data_has_the_precision_of_real_data():
    values = torch.randn(2, 3, dtype=torch.complex64)
    batch = Batch(values, torch.tensor([0, 1]), torch.tensor([True, False]), torch.arange(2))
    moved = batch.to("cpu", torch.float64)
    assert moved.inputs.dtype == torch.complex128 and torch.equal(moved.inputs, values.to(torch.complex128))
    assert moved.targets.dtype == torch.int64 and moved.mask.dtype == torch.bool
    assert in_precision(moved.inputs, torch.float32).dtype == torch.complex64


@pytest.mark.parametrize("dtype", COMPLEX.values())
def test_complex_tensors_are_stored_whole(dtype, tmp_path):
    tensors = {
        "a": torch.randn(2, 3, dtype=dtype),
        "scalar": torch.tensor(1 + 2j, dtype=dtype),
        "conjugated": torch.randn(3, dtype=dtype).conj(),
        "complex": torch.randn(3, 2),
        "layer.complex": torch.randn(3, 2),
        "empty": torch.zeros(0, dtype=dtype),
    }
    save_tensors(tmp_path / "x.safetensors", tensors)
    found = load_tensors(tmp_path / "x.safetensors")
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], value) and found[name].dtype == value.dtype for name, value in tensors.items())
    some = load_tensors(tmp_path / "x.safetensors", ["a", "complex"])
    assert list(some) == ["a", "complex"] and torch.equal(some["a"], tensors["a"])
    assert digest(found) == digest(tensors) != digest({**tensors, "a": tensors["a"].real.to(dtype)})


@pytest.mark.parametrize("kind", ["full", "replay"])
@pytest.mark.parametrize(("optimizer", "dtype"), [("adamw", torch.float64), ("momentum", torch.float32)])
def test_a_complex_model_is_trained_recorded_and_verified(kind, optimizer, dtype, tmp_path):
    made = recipe(optimizer, dtype)
    run = train(tmp_path, made, kind)
    first, last = run.history.params(0), run.history.params(made.max_steps)
    assert torch.equal(first["filter"], made.model().filter) and first["filter"].dtype == COMPLEX[dtype]
    assert (first["filter"].imag != last["filter"].imag).any() and torch.equal(first["phases"], last["phases"])
    assert torch.equal(run.model().filter, last["filter"]) and torch.equal(run.at(17).model().phases, first["phases"])
    moments = run.history.optimizer(12)
    assert any(value.dtype == COMPLEX[dtype] and (value.imag != 0).any() for value in moments.values())
    verdict = verify(run, 0, made.max_steps)
    assert verdict.differs_at is None and verdict.compared == list(range(1, made.max_steps + 1))


def test_a_complex_model_resumes_to_the_same_bits(tmp_path, monkeypatch):
    made = recipe("adam", torch.float64)
    whole = train(tmp_path / "whole", made)

    class Stop(Exception):
        pass

    updates = type(made).update
    calls = []

    def stopping(self, *arguments):
        calls.append(None)
        if len(calls) > 20:
            raise Stop
        return updates(self, *arguments)

    monkeypatch.setattr(type(made), "update", stopping)
    with pytest.raises(Stop):
        train(tmp_path / "parts", made)
    monkeypatch.setattr(type(made), "update", updates)
    assert fit_module.resume_point(tmp_path / "parts" / "checkpoints").step == 18
    parts = train(tmp_path / "parts", made)
    for step in (0, 19, made.max_steps):
        assert digest(parts.history.params(step)) == digest(whole.history.params(step))
        assert digest(parts.history.optimizer(step)) == digest(whole.history.optimizer(step))


def test_the_clip_bounds_complex_gradients_too(tmp_path):
    made = recipe("sgd", torch.float32, clip=1e-3)
    assert OPTIMIZERS["sgd"].keywords == {"lr": 0.1}
    model, source = made.model(), made.source()
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    made.update(model, made.optimizer(model), source, 10)
    moved = [value.detach() - before[name] for name, value in model.named_parameters()]
    norm = float(torch.sqrt(sum(value.abs().square().sum() for value in moved)))
    assert norm == pytest.approx(made.learning_rate(made.optimizer(model), 10) * 1e-3, rel=1e-2)


def test_models_of_torch_are_built_as_before():
    made = small_recipe(Points(), dtype=torch.float64)
    made = type(made)(**{**vars(made), "make_model": partial(_Torch)})
    assert {value.dtype for value in made.model().parameters()} == {torch.float64}


class _Torch(StaticModel):
    def __init__(self, spec):
        super().__init__(spec)
        self.rnn = nn.GRU(3, 2, batch_first=True)


def test_attribution_refuses_complex_parameters():
    sample = Points().examples("train")
    with pytest.raises(ConfigError, match="attribution needs real parameters") as caught:
        FunctionalModel(Waves(Points().spec), Points().spec, sample, torch.float64)
    assert caught.value.got == "filter is complex"
