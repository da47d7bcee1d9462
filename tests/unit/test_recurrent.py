"""Recurrent networks: the fused forward against repeated steps, and the Jacobian against finite differences."""

from dataclasses import replace

import pytest
import torch

from mechlab.automata.automaton import Automaton
from mechlab.core.errors import ConfigError
from mechlab.core.model import SequenceModel, Trace
from mechlab.core.task import TaskSpec
from mechlab.models.gru import GRU
from mechlab.models.lstm import LSTM
from mechlab.models.rnn import RNN

SPEC = TaskSpec(inputs=3, outputs=2, kind="sequence", loss="mse", length=6)
ARCHITECTURES = {"rnn": RNN, "relu": RNN, "gru": GRU, "lstm": LSTM}


def build(name: str, layers: int = 1, bias: bool = True) -> SequenceModel:
    torch.manual_seed(0)
    options = {"activation": "relu"} if name == "relu" else {}
    return ARCHITECTURES[name](SPEC, hidden=5, layers=layers, bias=bias, **options).double()


def stepwise(model: SequenceModel, x: torch.Tensor) -> Trace:
    return SequenceModel.resume(model, x, model.initial_state(len(x)))


def inputs(batch: int = 4, steps: int = 6) -> torch.Tensor:
    return torch.randn(batch, steps, SPEC.inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_fused_forward_equals_repeated_step(name: str, layers: int, bias: bool) -> None:
    model = build(name, layers, bias)
    fused, stepped = model(inputs()), stepwise(model, inputs())
    size = 5 * layers * (2 if name == "lstm" else 1)
    assert fused.states.shape == (4, 7, size)
    torch.testing.assert_close(fused.outputs, stepped.outputs, rtol=0, atol=1e-12)
    torch.testing.assert_close(fused.states, stepped.states, rtol=0, atol=1e-12)
    assert bias == any("bias" in key for key in model.state_dict())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_gradients_agree_through_states_too(name: str) -> None:
    model = build(name, layers=2)

    def gradients(trace) -> tuple[torch.Tensor, ...]:
        total = trace.outputs.square().sum() + trace.states.pow(3).sum()
        return torch.autograd.grad(total, list(model.parameters()))

    ours, reference = gradients(model(inputs())), gradients(stepwise(model, inputs()))
    for mine, theirs in zip(ours, reference, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("layers", [1, 2])
def test_jacobian_agrees_with_finite_differences(name: str, layers: int) -> None:
    model = build(name, layers)
    state = torch.randn(
        model.initial_state(1).shape[1], dtype=torch.float64, generator=torch.Generator().manual_seed(2)
    )
    x, width = inputs()[0, 0], 1e-6
    columns = []
    for direction in torch.eye(len(state), dtype=torch.float64):
        ahead, behind = (model.step(x[None], (state + sign * width * direction)[None])[1][0] for sign in (1, -1))
        columns.append((ahead - behind) / (2 * width))
    torch.testing.assert_close(model.jacobian(x, state), torch.stack(columns, 1), rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_step_works_under_vmap_and_jacrev(name: str) -> None:
    model = build(name)
    states = torch.randn(3, model.initial_state(1).shape[1], dtype=torch.float64)
    x = inputs()[0, 0]

    def transition(state: torch.Tensor) -> torch.Tensor:
        return model.step(x[None], state[None])[1][0]

    batched = torch.func.vmap(torch.func.jacrev(transition))(states)
    for jacobian, state in zip(batched, states, strict=True):
        torch.testing.assert_close(jacobian, model.jacobian(x, state))


def test_without_bias_the_jacobian_at_the_origin_is_the_recurrent_matrix() -> None:
    model = build("rnn", bias=False)
    zero = torch.zeros(5, dtype=torch.float64)
    torch.testing.assert_close(model.jacobian(zero[:3], zero), model.layers[0].weight_hh_l0.detach())


def test_lstm_jacobian_at_the_origin_is_the_known_one() -> None:
    model = build("lstm", bias=False)
    zero = torch.zeros(10, dtype=torch.float64)
    candidate = model.layers[0].weight_hh_l0.detach()[10:15]  # torch's order of gates: i, f, g, o
    one = torch.eye(5, dtype=torch.float64)
    expected = torch.cat([torch.cat([candidate / 4, one / 4], 1), torch.cat([candidate / 2, one / 2], 1)])
    torch.testing.assert_close(model.jacobian(zero[:3], zero), expected)


def test_the_state_is_layer_major_and_cells_come_last() -> None:
    model = build("lstm", layers=2)
    trace = model(inputs())
    hidden, (last_hidden, last_cell) = model.layers[0](inputs())
    torch.testing.assert_close(trace.parts[0], hidden)
    torch.testing.assert_close(trace.states[:, -1, :5], last_hidden[0])
    torch.testing.assert_close(trace.states[:, -1, 10:15], last_cell[0])
    assert len(trace.parts) == 4


def test_training_does_not_pay_for_cells() -> None:
    model = build("lstm")
    trace = model(inputs())
    trace.outputs.sum().backward()
    assert "_tensors" not in vars(trace.parts)


def test_initial_state_follows_the_parameters() -> None:
    assert build("gru").float().initial_state(2).dtype == torch.float32
    assert not build("gru").initial_state(2).any()


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm"])
def test_units_per_transition_follow_the_automaton(name: str) -> None:
    """One and a half units for each of 3 states and 3 letters, rounded down."""
    truth = Automaton("abc", ["x", "y"], ["p", "q", "r"], 0, [[1, 2, 0]] * 3, [0, 1, 1])
    model = ARCHITECTURES[name](replace(SPEC, truth=truth), hidden=None, per_transition=1.5, layers=2)
    assert model.hidden == 13 and model.readout.in_features == 13


@pytest.mark.parametrize(
    "options", [{"hidden": None}, {"per_transition": 1.0}, {"hidden": None, "per_transition": 1.0}]
)
def test_sizes_that_are_no_sizes_are_refused(options: dict) -> None:
    """Neither number, both, or a multiple of an automaton that there is not."""
    with pytest.raises(ConfigError):
        GRU(SPEC, **options)


def test_units_per_transition_are_bounded() -> None:
    truth = Automaton("abc", ["x", "y"], ["p", "q", "r"], 0, [[1, 2, 0]] * 3, [0, 1, 1])
    for per_transition in (1e9, 1e300, float("inf")):
        with pytest.raises(ConfigError, match="at most 1000000 units per layer"):
            GRU(replace(SPEC, truth=truth), hidden=None, per_transition=per_transition)


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm"])
def test_dropout_acts_between_layers_and_only_while_training(name: str) -> None:
    torch.manual_seed(0)
    model = ARCHITECTURES[name](SPEC, hidden=40, layers=2, dropout=0.5).double()
    reference = ARCHITECTURES[name](SPEC, hidden=40, layers=2).double()
    reference.load_state_dict(model.state_dict())
    one, other = model.train()(inputs()), model(inputs())
    first = slice(0, 40)
    torch.testing.assert_close(one.states[..., first], other.states[..., first])
    assert (one.outputs - other.outputs).abs().max() > 1e-3
    torch.testing.assert_close(model.eval()(inputs()).states, reference(inputs()).states)
