"""What cannot fit into memory is refused before it is allocated; what the allocator refuses is said in a sentence."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from small_tasks import OPTIMIZERS, Echo, Points, small_recipe
from torch import nn

from mechlab.config.build import prepare
from mechlab.core import memory
from mechlab.core.errors import ConfigError, RunError, out_of_memory
from mechlab.core.memory import available, check_memory, check_recipe, example_bytes, training_bytes
from mechlab.core.model import StaticModel
from mechlab.core.state import optimizer_tensors
from mechlab.models.constructed import Constructed
from mechlab.models.lstm import LSTM
from mechlab.models.mlp import MLP
from mechlab.tasks.automaton import AutomatonWords
from mechlab.tasks.modular_addition import ModularAddition
from mechlab.tasks.tomita import Tomita


class ReadsItsWeights(StaticModel):
    """Cannot be built without memory."""

    def __init__(self, spec):
        super().__init__(spec)
        self.layer = nn.Linear(3, 2)
        self.largest = float(self.layer.weight.max())

    def forward(self, inputs):
        return self.layer(inputs)


class TooLarge(StaticModel):
    """Asks for more than any machine has."""

    def __init__(self, spec, error: str = "torch"):
        super().__init__(spec)
        {"torch": lambda: torch.empty(2**40, 2**20), "count": lambda: torch.empty(2**40, 2**40)}.get(
            error, lambda: np.empty(2**58)
        )()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_estimate_is_what_training_holds(optimizer):
    recipe = small_recipe(Echo(), optimizer, dtype=torch.float64)
    recipe = replace(recipe, make_model=partial(LSTM, hidden=40, layers=2))
    model = recipe.model()
    made = recipe.optimizer(model)
    recipe.update(model, made, recipe.source(), 0)
    held = [*model.state_dict().values(), *(p.grad for p in model.parameters())]
    held += [*optimizer_tensors(model, made).values(), *model.state_dict().values()]
    assert training_bytes(recipe) == pytest.approx(sum(tensor.nbytes for tensor in held), rel=0.02)


def test_the_estimate_changes_nothing():
    recipe = small_recipe(Points())
    before, state = recipe.model().state_dict(), torch.get_rng_state()
    check_recipe(recipe)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in recipe.model().state_dict().items())


def test_models_that_read_their_own_weights_are_estimated_or_left_alone():
    assert training_bytes(replace(small_recipe(Points()), make_model=ReadsItsWeights)) is None
    check_recipe(replace(small_recipe(Points()), make_model=ReadsItsWeights))
    task = Tomita(words=100, val_words=20, test_words=20)
    assert training_bytes(replace(small_recipe(task), make_model=Constructed)) > 0


def test_what_does_not_fit_is_refused_with_the_keys(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 10_000)
    check_memory(10_000, "it", "key", "less")
    with pytest.raises(ConfigError, match="it must fit into memory") as caught:
        check_memory(10_001, "it", "key", "less")
    assert caught.value.got == "1e-05 GB, of 1e-05 GB available" and caught.value.key == "key"
    check_recipe(small_recipe(Points()))
    with pytest.raises(ConfigError, match="the optimizer's state") as caught:
        check_recipe(replace(small_recipe(Points()), make_model=partial(MLP, hidden=1000)))
    assert caught.value.key == "model"
    with pytest.raises(ConfigError, match="192 examples, as many as are drawn at once") as caught:
        check_recipe(small_recipe(Echo()))
    assert caught.value.key == "task, trainer.batch_size, trainer.eval_examples"


def test_the_bytes_of_an_example():
    batch = Echo().generate(1, "val", torch.Generator())
    assert example_bytes(Echo().spec, 4) == batch.inputs.nbytes + batch.targets.nbytes
    batch = Points().examples("val")[:1]
    assert example_bytes(Points().spec, 4) == batch.inputs.nbytes + batch.targets.nbytes


def test_words_and_pairs_are_refused_before_they_are_drawn():
    Tomita(words=10**15, val_words=20, test_words=20)  # all of the few that there are
    for make, key in [
        (partial(Tomita, words=10**15, max_length=60), "task.words, task.val_words, task.test_words"),
        (partial(Tomita, words=10**12, sampler="balanced"), "task.words, task.val_words, task.test_words"),
        (
            partial(AutomatonWords, test_words=10**9, test_lengths=(900, 1000)),
            "task.words, task.val_words, task.test_words",
        ),
        (partial(ModularAddition, p=10**6), "task.p"),
    ]:
        with pytest.raises(ConfigError, match="must fit into memory") as caught:
            make()
        assert caught.value.key == key


def test_the_memory_of_the_machine_is_a_number_of_bytes():
    assert 2**20 < available() < 2**63


@pytest.mark.parametrize(("version", "limit"), [(2, "max"), (2, "3000000"), (1, "3000000")])
def test_the_limits_of_control_groups_count(version, limit, tmp_path, monkeypatch):
    """Also of those around the process's own."""
    base, name = (tmp_path, "memory.max") if version == 2 else (tmp_path / "memory", "memory.limit_in_bytes")
    (base / "job" / "step").mkdir(parents=True)
    (base / "job" / name).write_text(f"{limit}\n")
    (base / "job" / "step" / name).write_text("9000000\n")
    (tmp_path / "self").write_text("0::/job/step\n" if version == 2 else "7:cpu:/\n4:memory:/job/step\n")
    real = memory.Path
    places = {"/sys/fs/cgroup": tmp_path, "/proc/self/cgroup": tmp_path / "self"}
    monkeypatch.setattr(memory, "Path", lambda place: places.get(place) or real(place))
    assert min(memory._limits()) == (9_000_000 if limit == "max" else 3_000_000)


@pytest.mark.parametrize("error", ["torch", "count", "numpy"])
def test_what_the_allocator_refuses_names_the_key(error):
    node = {"_target_": f"{__name__}.TooLarge", "error": error}
    with pytest.raises(ConfigError, match="everything must fit into memory") as caught:
        prepare(node, "model", StaticModel, (__name__,), context=1)(Points().spec)
    assert caught.value.key == "model"


@pytest.mark.parametrize(
    "error", [RuntimeError("size mismatch"), ValueError("no"), OverflowError("too large"), RunError("x")]
)
def test_other_errors_are_not_about_memory(error):
    assert out_of_memory(error) is None
    assert out_of_memory(MemoryError()).got == "MemoryError"
