"""Activations and patches against networks worked out by hand."""

import pytest
import torch
from torch import nn

from mechlab.core.errors import MechlabError
from mechlab.core.model import SequenceModel, StaticModel
from mechlab.core.probe import cache, patch, places
from mechlab.core.task import TaskSpec
from mechlab.models.gru import GRU
from mechlab.models.lstm import LSTM
from mechlab.models.mlp import MLP
from mechlab.models.rnn import RNN
from mechlab.models.transformer1 import Transformer1

SEQUENCE = TaskSpec(inputs=2, outputs=3, kind="sequence", loss="mse", length=4)
STATIC = TaskSpec(inputs=3, outputs=2, kind="static", loss="mse", shape=(3,))
RECURRENT = {"rnn": RNN, "gru": GRU, "lstm": LSTM}


class Stepped(SequenceModel):
    """Reads step by step with a cell of torch, and lets every step pass through a read-out."""

    def __init__(self, spec: TaskSpec, cell: type[nn.Module] = nn.RNNCell):
        super().__init__(spec)
        self.cell, self.readout = cell(2, 3), nn.Linear(3, 3)
        self.parts = 2 if cell is nn.LSTMCell else 1

    def initial_state(self, batch: int) -> torch.Tensor:
        return self.readout.weight.new_zeros(batch, 3 * self.parts)

    def step(self, x, state):
        after = self.cell(x, state if self.parts == 1 else state.split(3, -1))
        after = after if self.parts == 1 else torch.cat(after, -1)
        return self.readout(after[:, :3]), after


class Pondering(StaticModel):
    """Applies a layer as many times as the first input asks for, then reads out a sum over the calls of another."""

    def __init__(self, spec: TaskSpec):
        super().__init__(spec)
        self.think, self.narrow, self.readout = nn.Linear(3, 3), nn.Linear(3, 2), nn.Linear(2, 2)

    def forward(self, x):
        total = 0
        for _ in range(int(x[0, 0])):
            x = torch.tanh(self.think(x))
            total = total + self.narrow(x)
        return self.readout(total)


class Shrinking(StaticModel):
    """Calls one activation on outputs of different shapes."""

    def __init__(self, spec: TaskSpec):
        super().__init__(spec)
        self.first, self.act, self.readout = nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)

    def forward(self, x):
        return self.act(self.readout(self.act(self.first(x))))


def stepped_cell(cell: type[nn.Module]) -> Stepped:
    torch.manual_seed(0)
    return Stepped(SEQUENCE, cell).double()


CELLS = {"stepped": lambda: stepped_cell(nn.RNNCell), "lstm cell": lambda: stepped_cell(nn.LSTMCell)}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def recurrent(name: str, layers: int = 1) -> SequenceModel:
    torch.manual_seed(0)
    return RECURRENT[name](SEQUENCE, hidden=3, layers=layers, bias=True).double()


def sequences() -> torch.Tensor:
    return torch.randn(5, 4, 2, dtype=torch.float64, generator=rng())


def mlp() -> MLP:
    torch.manual_seed(0)
    return MLP(STATIC, hidden=4, layers=2).double()


def points() -> torch.Tensor:
    return torch.randn(5, 3, dtype=torch.float64, generator=rng())


def stepped(model, x, replace):
    """Run step by step with plain Python; `replace` maps a step t to what to do with the state after t steps."""
    state, states, outputs = model.initial_state(len(x)), [], []
    for t in range(x.shape[1] + 1):
        state = replace.get(t, lambda state: state)(state)
        states.append(state)
        if t < x.shape[1]:
            output, state = model.step(x[:, t], state)
            outputs.append(output)
    return torch.stack(outputs, 1), torch.stack(states, 1)


def test_the_cache_of_an_elman_network_is_its_equations():
    model, x = recurrent("rnn"), sequences()
    found = cache(model, x)
    layer, readout = model.layers[0], model.readout
    h = torch.zeros(5, 3, dtype=torch.float64)
    states, outputs = [h], []
    for t in range(4):
        ours = x[:, t] @ layer.weight_ih_l0.T + layer.bias_ih_l0
        h = torch.tanh(ours + h @ layer.weight_hh_l0.T + layer.bias_hh_l0)
        states.append(h)
        outputs.append(h @ readout.weight.T + readout.bias)
    torch.testing.assert_close(found["state"], torch.stack(states, 1))
    torch.testing.assert_close(found["layers.0"], torch.stack(states[1:], 1))
    torch.testing.assert_close(found["outputs"], torch.stack(outputs, 1))
    torch.testing.assert_close(found["readout"], found["outputs"])
    assert set(found) == {"state", "layers.0", "readout", "outputs"}
    assert not any(value.requires_grad for value in found.values())


def test_the_cache_of_a_perceptron_is_its_equations():
    model, x = mlp(), points()
    found = cache(model, x)
    first = x @ model.layers[0].weight.T + model.layers[0].bias
    second = first.clamp(min=0) @ model.layers[1].weight.T + model.layers[1].bias
    torch.testing.assert_close(found["layers.0"], first)
    torch.testing.assert_close(found["layers.1"], second)
    torch.testing.assert_close(found["outputs"], second.clamp(min=0) @ model.readout.weight.T + model.readout.bias)
    assert "state" not in found


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", RECURRENT)
def test_cached_states_are_those_of_repeated_steps(name, layers):
    model, x = recurrent(name, layers), sequences()
    outputs, states = stepped(model, x, {})
    found = cache(model, x)
    torch.testing.assert_close(found["state"], states, rtol=0, atol=1e-12)
    torch.testing.assert_close(found["outputs"], outputs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("t", [0, 1, 3, 4])
@pytest.mark.parametrize("name", RECURRENT)
def test_a_state_patch_is_what_a_manual_run_gives(name, t):
    model, x = recurrent(name), sequences()
    value = torch.randn(5, model.initial_state(1).shape[1], dtype=torch.float64, generator=rng(1))
    by_value = patch(model, x, {f"state@{t}": value})
    by_function = patch(model, x, {f"state@{t}": lambda state: value + 0 * state})
    wanted = stepped(model, x, {t: lambda state: value})[0]
    torch.testing.assert_close(by_value, wanted, rtol=0, atol=1e-12)
    assert torch.equal(by_value, by_function)
    plain = model(x).outputs
    torch.testing.assert_close(by_value[:, :t], plain[:, :t], rtol=0, atol=1e-12)  # the past is as it was
    if t < 4:
        assert not torch.allclose(by_value[:, t], plain[:, t])


def test_several_states_are_patched_by_functions_of_what_is_there():
    model, x = recurrent("gru"), sequences()
    patches = {"state@1": lambda state: -state, "state@3": lambda state: state.flip(0)}
    wanted = stepped(model, x, {1: lambda state: -state, 3: lambda state: state.flip(0)})[0]
    torch.testing.assert_close(patch(model, x, patches), wanted, rtol=0, atol=1e-12)


def test_a_value_of_another_precision_is_converted():
    model, x = recurrent("rnn"), sequences()
    row = torch.tensor([0.5, -0.25, 0.75])
    both = [patch(model, x, {"state@2": row.expand(5, 3).to(dtype)}) for dtype in (torch.float32, torch.float64)]
    assert torch.equal(*both)
    with pytest.raises(MechlabError, match="numbers of the kind that it replaces") as caught:
        patch(model, x, {"state@2": row.expand(5, 3) + 0j})
    assert caught.value.got == "torch.complex64 in place of torch.float64"


SHAPES = {"state@2": (5, 3), "layers.0": (5, 4, 3), "layers.0@3": (5, 3), "readout": (5, 4, 3), "readout@0": (5, 3)}


@pytest.mark.parametrize(("place", "shape"), SHAPES.items())
def test_a_patch_has_the_shape_of_what_it_replaces(place, shape):
    model, x = recurrent("rnn"), sequences()
    patch(model, x, {place: torch.zeros(shape)})
    wrong = [0.0, torch.zeros(3), torch.zeros(1, 3), torch.zeros(4, 3), torch.zeros(5, 1, 3), torch.zeros(5, 4, 4)]
    for value in [*wrong, torch.zeros(*shape, 1), torch.zeros(shape).tolist()[:4]]:
        given = tuple(torch.as_tensor(value).shape)
        for replacement in (value, lambda activation, value=value: value):
            with pytest.raises(MechlabError) as caught:
                patch(model, x, {place: replacement})
            assert caught.value.must == f"a patch must have the shape of what it replaces, {shape}"
            assert caught.value.got == f"shape {given}" and caught.value.key == place


@pytest.mark.parametrize("name", [*RECURRENT, "stepped", "lstm cell"])
def test_a_value_is_not_broadcast_along_time_where_batch_and_time_are_alike(name):
    model, x = CELLS[name]() if name in CELLS else recurrent(name), sequences()[:4]
    with pytest.raises(MechlabError, match=r"the shape of what it replaces, \(4, 4, 3\)") as caught:
        patch(model, x, {"readout": torch.zeros(4, 3)})
    assert caught.value.got == "shape (4, 3)"


@pytest.mark.parametrize("value", [None, "zeros", [[1.0], [2.0, 3.0]]])
def test_a_patch_is_a_tensor_or_a_function_that_returns_one(value):
    for replacement in (value, lambda activation: value):
        with pytest.raises(MechlabError, match="a patch must be a tensor, or a function that returns one"):
            patch(recurrent("rnn"), sequences(), {"readout": replacement})


def test_exchanging_states_exchanges_what_follows():
    """With the same inputs from step 2 on, two examples whose states are exchanged there exchange their outputs."""
    model, x = recurrent("lstm"), sequences()
    x[:, 2:] = x[:1, 2:]
    outputs = patch(model, x, {"state@2": lambda state: state.roll(1, 0)})
    torch.testing.assert_close(outputs[:, 2:], model(x).outputs.roll(1, 0)[:, 2:], rtol=0, atol=1e-12)


def test_a_patched_layer_feeds_what_comes_after_it():
    model, x = mlp(), points()
    value = torch.randn(5, 4, dtype=torch.float64, generator=rng(1))
    wanted = model.readout(torch.relu(model.layers[1](torch.relu(value))))
    torch.testing.assert_close(patch(model, x, {"layers.0": value}), wanted)
    doubled = model.readout(torch.relu(model.layers[1](torch.relu(2 * model.layers[0](x)))))
    torch.testing.assert_close(patch(model, x, {"layers.0": lambda h: 2 * h}), doubled)
    zeros = torch.zeros(5, 2, dtype=torch.float64)
    assert torch.equal(patch(model, x, {"readout": zeros}), zeros)


def test_a_patched_recurrent_layer_feeds_the_next_one():
    model, x = recurrent("rnn", layers=2), sequences()
    value = torch.randn(5, 4, 3, dtype=torch.float64, generator=rng(1))
    h, outputs = torch.zeros(5, 3, dtype=torch.float64), []
    for t in range(4):
        (h,) = model.cell(model.layers[1], value[:, t], h)
        outputs.append(model.readout(h))
    torch.testing.assert_close(patch(model, x, {"layers.0": value}), torch.stack(outputs, 1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", RECURRENT)
def test_putting_back_what_is_there_changes_nothing(name):
    model, x = recurrent(name), sequences()
    found = cache(model, x)
    for t in range(5):
        torch.testing.assert_close(patch(model, x, {f"state@{t}": found["state"][:, t]}), found["outputs"])
    assert torch.equal(patch(model, x, {"layers.0": found["layers.0"]}), found["outputs"])
    assert torch.equal(patch(model, x, {}), found["outputs"])


def test_hooks_are_gone_afterwards_even_after_an_error():
    model, x = mlp(), points()
    before = model(x)

    def broken(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        patch(model, x, {"layers.0": broken})
    with pytest.raises(RuntimeError):
        cache(model, x[:, :2])
    assert torch.equal(model(x), before)
    assert not any(module._forward_hooks for module in model.modules())


def test_the_places_of_a_model():
    assert places(mlp()) == ["embeddings", "layers", "layers.0", "layers.1", "readout"]
    assert places(recurrent("gru")) == ["layers", "layers.0", "readout", "state"]


@pytest.mark.parametrize(
    ("place", "fix"),
    [("readuot", "did you mean 'readout'?"), ("state", "did you mean 'state@0'?"), ("", "choose one of: ")],
)
def test_an_unknown_place_gets_a_hint(place, fix):
    with pytest.raises(MechlabError, match="must exist in the model") as caught:
        patch(recurrent("rnn"), sequences(), {place: 0.0})
    assert caught.value.fix.startswith(fix) and caught.value.got == place


def test_a_static_model_is_not_offered_a_state():
    with pytest.raises(MechlabError) as caught:
        patch(mlp(), points(), {"nonsense": 0.0})
    assert "state" not in caught.value.fix
    with pytest.raises(MechlabError, match="only sequence models have a state"):
        patch(mlp(), points(), {"state@0": 0.0})


@pytest.mark.parametrize("place", ["state@5", "state@-1", "state@", "state@one"])
def test_a_state_patch_lies_within_the_sequence(place):
    with pytest.raises(MechlabError, match="a step from 0 to 4"):
        patch(recurrent("rnn"), sequences(), {place: 0.0})


@pytest.mark.parametrize("steps", [1, 4, 5])
@pytest.mark.parametrize("name", CELLS)
def test_what_a_stepped_model_calls_is_cached_over_time(name, steps):
    """Also where there is one step only, and where there are as many steps as examples."""
    model = CELLS[name]()
    x = torch.randn(5, steps, 2, dtype=torch.float64, generator=rng())
    found = cache(model, x)
    outputs, states = stepped(model, x, {})
    assert torch.equal(found["cell"], states[:, 1:, :3]) and torch.equal(
        found["state"], states
    )  # of a tuple, the first
    assert torch.equal(found["readout"], outputs) and torch.equal(found["outputs"], outputs)
    assert "step" not in vars(model)


def test_the_cache_of_stepped_and_fused_networks_agree():
    fused = recurrent("rnn")
    model = stepped_cell(nn.RNNCell)
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    weights = {f"cell.{name}": getattr(fused.layers[0], f"{name}_l0") for name in names}
    model.load_state_dict(weights | {f"readout.{k}": v for k, v in fused.readout.state_dict().items()})
    x = sequences()
    ours, theirs = cache(model, x), cache(fused, x)
    for mine, other in (("cell", "layers.0"), ("readout", "readout"), ("state", "state"), ("outputs", "outputs")):
        torch.testing.assert_close(ours[mine], theirs[other], rtol=0, atol=1e-12)
    value = torch.randn(5, 3, dtype=torch.float64, generator=rng(1))
    ours, theirs = (patch(network, x, {"readout@2": value}) for network in (model, fused))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    assert torch.equal(ours[:, 2], value) and not torch.equal(ours[:, 1], value)


@pytest.mark.parametrize("name", CELLS)
def test_one_step_of_a_stepped_submodule_is_patched(name):
    """What an Elman cell gives is the next state, so patching the cell's step t patches the state after t + 1 steps."""
    model, x = CELLS[name](), sequences()
    value = torch.randn(5, 3, dtype=torch.float64, generator=rng(1))
    wanted = stepped(model, x, {3: lambda state: torch.cat([value, state[:, 3:]], -1)})[0]
    torch.testing.assert_close(patch(model, x, {"cell@2": value})[:, 3:], wanted[:, 3:], rtol=0, atol=1e-12)
    halved = stepped(model, x, {3: lambda state: torch.cat([state[:, :3] / 2, state[:, 3:]], -1)})[0]
    by_function = patch(model, x, {"cell@2": lambda h: h / 2})
    torch.testing.assert_close(by_function[:, 3:], halved[:, 3:], rtol=0, atol=1e-12)
    torch.testing.assert_close(by_function[:, :2], model(x).outputs[:, :2])


@pytest.mark.parametrize("name", CELLS)
def test_all_steps_of_a_stepped_submodule_are_patched_at_once(name):
    model, x = CELLS[name](), sequences()
    found = cache(model, x)
    for place in ("cell", "readout"):
        torch.testing.assert_close(patch(model, x, {place: found[place]}), found["outputs"], rtol=0, atol=1e-12)
    value = torch.randn(5, 4, 3, dtype=torch.float64, generator=rng(1))
    assert torch.equal(patch(model, x, {"readout": value}), value)
    torch.testing.assert_close(patch(model, x, {"cell": value}), model.readout(value), rtol=0, atol=1e-12)
    assert torch.equal(patch(model, x, {"readout": lambda y: 0 * y}), torch.zeros(5, 4, 3, dtype=torch.float64))
    both = patch(model, x, {"readout": value, "state@2": torch.zeros_like(found["state"][:, 2])})
    assert torch.equal(both, value)


def test_one_step_of_a_fused_layer_feeds_what_comes_after_it():
    model, x = recurrent("rnn", layers=2), sequences()
    value = torch.randn(5, 3, dtype=torch.float64, generator=rng(1))
    found = cache(model, x)["layers.0"]
    found[:, 1] = value
    assert torch.equal(patch(model, x, {"layers.0@1": value}), patch(model, x, {"layers.0": found}))


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_a_submodule_called_a_variable_number_of_times(calls):
    model, x = Pondering(STATIC).double(), points()
    x[0, 0] = calls
    found = cache(model, x)
    states = [x]
    for _ in range(calls):
        states.append(torch.tanh(model.think(states[-1])))
    narrow = torch.stack([model.narrow(state) for state in states[1:]], 1)
    torch.testing.assert_close(found["narrow"] if calls > 1 else found["narrow"][:, None], narrow)
    value = torch.randn(narrow.shape, dtype=torch.float64, generator=rng(1))
    wanted = model.readout(value.sum(1))
    torch.testing.assert_close(patch(model, x, {"narrow": value if calls > 1 else value[:, 0]}), wanted)
    last = narrow.sum(1) - narrow[:, -1] + value[:, -1]
    torch.testing.assert_close(patch(model, x, {f"narrow@{calls - 1}": value[:, -1]}), model.readout(last))
    with pytest.raises(MechlabError, match=f"a patch of narrow must name a step from 0 to {calls - 1}"):
        patch(model, x, {f"narrow@{calls}": value[:, -1]})
    for wrong in (value[:, :-1], torch.cat([value, value], 1)):
        with pytest.raises(MechlabError, match="the shape of what it replaces"):
            patch(model, x, {"narrow": wrong})


def test_calls_of_several_shapes_have_places_of_their_own():
    model, x = Shrinking(STATIC).double(), points()
    found = cache(model, x)
    assert {name: tuple(value.shape) for name, value in found.items() if "act" in name} == {
        "act@0": (5, 4),
        "act@1": (5, 2),
    }
    assert torch.equal(found["act@1"], found["outputs"])
    value = torch.randn(5, 4, dtype=torch.float64, generator=rng(1))
    torch.testing.assert_close(patch(model, x, {"act@0": value}), torch.tanh(model.readout(value)))
    with pytest.raises(MechlabError, match="must be patched call by call"):
        patch(model, x, {"act": value})


def test_a_transformer_is_read_and_patched_by_shape():
    torch.manual_seed(0)
    spec = TaskSpec(inputs=7, outputs=7, kind="static", loss="cross_entropy", shape=(4,), tokens=True)
    model = Transformer1(spec, width=8, heads=2, hidden=5).double()
    x = torch.randint(7, (4, 4), generator=rng())
    found = cache(model, x)
    assert found["input_emb"].shape == (4, 4, 8) and found["linear2"].shape == (4, 8)
    wanted = (found["decoders"] + torch.relu(found["linear2"])) @ model.decoder.weight.T
    torch.testing.assert_close(found["outputs"], wanted.log_softmax(-1))
    assert torch.equal(patch(model, x, {"input_emb": found["input_emb"]}), found["outputs"])
    with pytest.raises(MechlabError, match=r"the shape of what it replaces, \(4, 4, 8\)"):
        patch(model, x, {"input_emb": torch.zeros(4, 8)})


@pytest.mark.parametrize("place", ["readout@4", "layers.0@17"])
def test_a_step_of_a_submodule_lies_within_the_sequence(place):
    with pytest.raises(MechlabError, match="must name a step from 0 to 3"):
        patch(recurrent("rnn"), sequences(), {place: torch.zeros(5, 3)})


@pytest.mark.parametrize("place", ["readout@", "readout@-1", "readout@one", "nothing@1"])
def test_a_place_of_a_step_is_a_name_and_a_number(place):
    with pytest.raises(MechlabError, match="must exist in the model"):
        patch(recurrent("rnn"), sequences(), {place: torch.zeros(5, 3)})
