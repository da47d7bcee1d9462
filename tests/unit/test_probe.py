"""Activations and patches against networks worked out by hand."""

import pytest
import torch

from mechlab.core.errors import MechlabError
from mechlab.core.model import SequenceModel
from mechlab.core.probe import cache, patch, places
from mechlab.core.task import TaskSpec
from mechlab.models.gru import GRU
from mechlab.models.lstm import LSTM
from mechlab.models.mlp import MLP
from mechlab.models.rnn import RNN

SEQUENCE = TaskSpec(inputs=2, outputs=3, kind="sequence", loss="mse", length=4)
STATIC = TaskSpec(inputs=3, outputs=2, kind="static", loss="mse", shape=(3,))
RECURRENT = {"rnn": RNN, "gru": GRU, "lstm": LSTM}


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


def test_one_value_serves_every_example():
    model, x = recurrent("rnn"), sequences()
    row = torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64)
    assert torch.equal(patch(model, x, {"state@2": row}), patch(model, x, {"state@2": row.expand(5, 3)}))
    assert torch.equal(patch(model, x, {"state@2": 0.0}), patch(model, x, {"state@2": torch.zeros(5, 3)}))


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
    assert torch.equal(patch(model, x, {"readout": 0.0}), torch.zeros(5, 2, dtype=torch.float64))


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
