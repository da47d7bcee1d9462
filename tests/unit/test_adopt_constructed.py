"""Adopted networks with an initial state of their own, against torch's modules and the automaton run by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mechlab.adopt import adopt
from mechlab.automata import construct, named
from mechlab.core.errors import ConfigError

SMALL = {"words": 150, "val_words": 60, "test_words": 60, "max_length": 9}


def published(language: str, kind: str) -> tuple[nn.RNN, nn.Linear, Tensor]:
    """A network constructed from an automaton in torch's modules, and its initial state (L, 1, H)."""
    network = construct(named(language), kind)
    hidden, inputs = len(network.initial), network.spec.inputs
    rnn = nn.RNN(inputs, hidden, len(network.layers), nonlinearity=kind[:4], batch_first=True)
    fc = nn.Linear(hidden, network.spec.outputs)
    with torch.no_grad():
        for depth, layer in enumerate(network.layers):
            for name, value in layer.items():
                getattr(rnn, f"{name}_l{depth}").copy_(torch.as_tensor(value))
        fc.weight.copy_(torch.as_tensor(network.readout))
        fc.bias.zero_()
    start = torch.as_tensor(network.initial, dtype=torch.float32)
    return rnn, fc, start.repeat(len(network.layers), 1, 1)


def state_dict(rnn: nn.RNN, fc: nn.Linear, names: tuple[str, str] = ("rnn_layer", "output_layer")) -> dict:
    parts = zip(names, (rnn, fc), strict=True)
    return {f"{name}.{key}": value.detach().clone() for name, part in parts for key, value in part.state_dict().items()}


@torch.no_grad()
def looped(rnn: nn.RNN, fc: nn.Linear, start: Tensor, word: list[int], copies: bool) -> tuple[list, list]:
    """States and classes after each letter, by one call of the module per letter."""
    state, states, classes = start, [], []
    for letter in word:
        out, state = rnn(torch.eye(rnn.input_size)[letter][None, None], state)
        state = state[-1:].repeat(len(state), 1, 1) if copies else state
        states.append(state.flatten().numpy())
        classes.append(int(fc(out[0, 0]).argmax()))
    return states, classes


@pytest.mark.parametrize("kind", ["tanh1", "tanh2", "relu2"])
@pytest.mark.parametrize("shape", ["file", "flat", "none"])
def test_a_constructed_network_is_right_from_its_own_start(tmp_path: Path, kind: str, shape: str, capsys) -> None:
    """States, outputs and accuracy are those of torch's module from the initial state, which the file has or lacks."""
    rnn, fc, start = published("tomita3", kind)
    tensors = state_dict(rnn, fc)
    tensors |= {"file": {"init_state": start}, "flat": {"init_state": start[0, 0].clone()}, "none": {}}[shape]
    save_file(tensors, tmp_path / "w.safetensors")
    options = {"cell": kind[:4], "automaton": "tomita3", "root": tmp_path / "runs", "task": SMALL}
    run = adopt("rnn_automaton", tmp_path / "w.safetensors", **options)
    assert run.results["metrics"]["test/accuracy"] == 1
    assert ("the start is as constructed" in capsys.readouterr().out) == (shape == "none")
    model, truth = run.model(), named("tomita3")
    assert torch.equal(model.initial_state(1)[0], start.flatten()) and start.any()
    word = np.random.default_rng(0).integers(2, size=12).tolist()
    states, classes = looped(rnn, fc, start, word, copies=kind != "tanh1")
    trace = model(torch.eye(2)[word][None])
    np.testing.assert_allclose(trace.states[0, 1:].detach(), states, atol=1e-6)
    assert trace.outputs[0].argmax(-1).tolist() == classes == truth.outputs[truth.run([word])[0, 1:]].tolist()


def test_only_constructed_networks_copy_states_between_layers(tmp_path: Path, capsys) -> None:
    """Names decide: rnn_layer with output_layer, whatever the start."""
    torch.manual_seed(0)
    rnn, fc = nn.RNN(2, 5, 2, batch_first=True), nn.Linear(5, 2)
    start, word = torch.full((2, 1, 5), 0.5), [0, 1, 1, 0, 1]
    options = {"cell": "tanh", "automaton": "tomita3", "root": tmp_path / "runs", "task": SMALL}
    for names, initial in ((("rnn_layer", "output_layer"), 0 * start), (("rnn_layer", "fc"), start)):
        torch.save(state_dict(rnn, fc, names) | {"init_state": initial}, tmp_path / "w.pt")
        run, copies = adopt("rnn_automaton", tmp_path / "w.pt", **options), names[1] == "output_layer"
        assert ("copied into both" in capsys.readouterr().out) == copies
        states, _ = looped(rnn, fc, initial, word, copies)
        np.testing.assert_allclose(run.model()(torch.eye(2)[word][None]).states[0, 1:].detach(), states, atol=1e-6)


def test_the_start_makes_the_difference(tmp_path: Path, capsys) -> None:
    """From zeros the same network is wrong; its file is then that of an ordinary network."""
    rnn, fc, start = published("tomita3", "tanh1")
    options = {"cell": "tanh", "automaton": "tomita3", "root": tmp_path / "runs", "task": SMALL}
    accuracies, folders = {}, set()
    files = {
        "own": state_dict(rnn, fc, ("rnn", "fc")) | {"init_state": start},
        "beside": {"state_dict": {f"module.{name}": v for name, v in state_dict(rnn, fc).items()}, "init_state": start},
        "zeros": state_dict(rnn, fc) | {"init_state": start * 0},
        "none": state_dict(rnn, fc, ("rnn", "fc")),
    }
    for name, content in files.items():
        torch.save(content, tmp_path / f"{name}.pt")
        run = adopt("rnn_automaton", tmp_path / f"{name}.pt", **options)
        accuracies[name] = run.results["metrics"]["test/accuracy"]
        folders.add(run.folder)
    assert accuracies["own"] == accuracies["beside"] == 1 > 0.9 > accuracies["zeros"] == accuracies["none"]
    assert len(folders) == 2


def test_a_network_of_other_size_without_a_start_has_zeros(tmp_path: Path, capsys) -> None:
    torch.manual_seed(0)
    rnn, fc = nn.RNN(2, 7, batch_first=True), nn.Linear(7, 2)
    torch.save(state_dict(rnn, fc), tmp_path / "w.pt")
    options = {"automaton": "tomita3", "root": tmp_path / "runs", "task": SMALL}
    run = adopt("rnn_automaton", tmp_path / "w.pt", cell="tanh", **options)
    assert "the start is zeros" in capsys.readouterr().out and not run.model().initial_state(1).any()
    for change, cell, key, message in (
        ({"init_state": torch.ones(6)}, "tanh", "path", "an entry for each of 7 units"),
        ({"init_state": torch.tensor([torch.nan] * 7)}, "tanh", "path", "finite"),
    ):
        torch.save(state_dict(rnn, fc) | change, tmp_path / "w.pt")
        with pytest.raises(ConfigError, match=message) as caught:
            adopt("rnn_automaton", tmp_path / "w.pt", cell=cell, **options)
        assert caught.value.key == key
    gru = nn.GRU(2, 7, batch_first=True)
    torch.save(state_dict(gru, fc) | {"init_state": torch.ones(7)}, tmp_path / "w.pt")
    with pytest.raises(ConfigError, match="must be zeros for cell=gru"):
        adopt("rnn_automaton", tmp_path / "w.pt", cell="gru", **options)


@pytest.mark.parametrize(("name", "message"), [("tomita9", "did you mean 'tomita"), ("no.dot", "No such file")])
def test_an_automaton_that_is_not_known_is_refused(tmp_path: Path, name: str, message: str) -> None:
    rnn, fc, _ = published("tomita3", "tanh1")
    torch.save(state_dict(rnn, fc), tmp_path / "w.pt")
    with pytest.raises(ConfigError, match=message) as caught:
        adopt("rnn_automaton", tmp_path / "w.pt", cell="tanh", automaton=name, root=tmp_path / "runs")
    assert caught.value.key == "automaton" and not (tmp_path / "runs").exists()
