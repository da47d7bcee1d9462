"""Networks constructed from automata, against dense solvers, simulated words and settings known to be wrong."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mechlab.automata import construct, trie_states
from mechlab.automata.automaton import Automaton
from mechlab.automata.tomita import tomita
from mechlab.config.recipe import check_fit
from mechlab.core.errors import ConfigError
from mechlab.core.task import TaskSpec
from mechlab.models.constructed import Constructed
from mechlab.tasks.repeat_copy import RepeatCopy
from mechlab.tasks.tomita import Tomita

KINDS = ("tanh1", "tanh2", "relu2")


def random_machine(n: int, m: int, classes: int, seed: int) -> Automaton:
    """A machine whose states can all be reached and whose classes all occur."""
    rng = np.random.default_rng(seed)
    while True:
        transitions, outputs = rng.integers(n, size=(n, m)), rng.integers(classes, size=n)
        reached = {0}
        for _ in range(n):
            reached |= set(transitions[sorted(reached)].flat)
        if len(reached) == n and len(set(outputs)) == classes:
            return Automaton(
                [*"abcdefgh"[:m]], [*"vwxyz"[:classes]], [f"s{i}" for i in range(n)], 0, transitions, outputs
            )


DFAS = {f"tomita{i}": tomita(i) for i in range(1, 8)} | {
    f"random{seed}": random_machine(5 if seed < 5 else 10, 2 + seed % 3, 2, seed) for seed in range(10)
}
MOORE = {f"moore{seed}": random_machine(8 + seed, 2 + seed % 3, 3 + seed % 3, seed) for seed in range(4)}
MACHINES = DFAS | MOORE


def build(automaton: Automaton, kind: str, **options) -> Constructed:
    sizes = {"inputs": len(automaton.alphabet), "outputs": len(automaton.classes)}
    spec = TaskSpec(**sizes, kind="sequence", loss="cross_entropy", length=30, truth=automaton)
    torch.manual_seed(0)
    return Constructed(spec, kind, **options)


@torch.no_grad()
def leads(model: Constructed, automaton: Automaton, words: np.ndarray) -> np.ndarray:
    """By how much the right class leads over the best other one, after each letter."""
    right = torch.as_tensor(automaton.outputs[automaton.run(words)[:, 1:]])[..., None]
    outputs = model(torch.eye(len(automaton.alphabet))[torch.as_tensor(words)]).outputs
    others = outputs.scatter(-1, right, -torch.inf).amax(-1)
    return (outputs.gather(-1, right)[..., 0] - others).numpy()


def some_words(automaton: Automaton, count: int = 1000, length: int = 30) -> np.ndarray:
    return np.random.default_rng(1).integers(len(automaton.alphabet), size=(count, length))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MACHINES)
def test_every_prefix_of_every_word_is_right_and_the_margin_is_kept(name: str, kind: str) -> None:
    """1000 words of 30 letters, each prefix of which counts, in single precision; the proof is near what happens."""
    automaton = MACHINES[name]
    model = build(automaton, kind)
    found = leads(model, automaton, some_words(automaton)).min()
    assert 0 < model.margin <= found <= 1.25 * model.margin


@pytest.mark.parametrize("index", [3, 5, 7])
def test_the_published_saturation_is_wrong_and_never_proved(index: int) -> None:
    automaton = tomita(index)
    assert construct(automaton, "tanh1", 3.0).margin == -np.inf
    model = build(automaton, "tanh1", saturation=3.0)
    assert (leads(model, automaton, some_words(automaton)) > 0).all(1).mean() < 0.5
    assert construct(automaton, "tanh2", 1.0).margin == -np.inf
    assert (leads(build(automaton, "tanh2", saturation=1.0), automaton, some_words(automaton)) < 0).any()
    assert construct(automaton, "tanh1", 4.0).margin > 0


@pytest.mark.parametrize("name", ["tomita1", "tomita3", "random2", "moore1"])
def test_one_layer_agrees_with_a_dense_solver(name: str) -> None:
    """The spelled-out equations: W x = s enc(delta(q, i)), V x = s (+1 at the class), for each transition (q, i)."""
    automaton, s = MACHINES[name], 3.5
    network = construct(automaton, "tanh1", s)
    n, m = automaton.transitions.shape
    codes, ideal, told = [], [], []
    for i in range(m):
        for q in ["dummy", *range(n)]:
            reached = automaton.initial if q == "dummy" else automaton.transitions[q, i]
            code = -np.ones(m * (n + 1))
            code[i * (n + 1) + (0 if q == "dummy" else q + 1)] = 1
            codes.append(code)
            ideal.append([s if p == reached + 1 else -s for _ in range(m) for p in range(n + 1)])
            told.append([s if c == automaton.outputs[reached] else -s for c in range(len(automaton.classes))])
    weights = network.layers[0]
    np.testing.assert_allclose(weights["weight_hh"], np.linalg.solve(codes, ideal).T, atol=1e-9)
    np.testing.assert_allclose(network.readout, np.linalg.solve(codes, told).T, atol=1e-9)
    np.testing.assert_array_equal(network.codes, codes)
    before = weights["weight_hh"] @ network.codes[0] + weights["weight_ih"][:, 0] + weights["bias_ih"]
    here = np.arange(len(codes)) < n + 1
    on = np.arange(len(codes)) % (n + 1) == automaton.initial + 1
    np.testing.assert_allclose(before, s * np.select([here & on, here, on], [0.5, -1.5, -0.5], -2.5), atol=1e-9)


@pytest.mark.parametrize("name", ["tomita1", "tomita3", "random2", "moore1"])
def test_two_tanh_layers_agree_with_a_dense_solver(name: str) -> None:
    automaton, s = MACHINES[name], 2.0
    network = construct(automaton, "tanh2", s)
    n, m = automaton.transitions.shape

    def encoding(q: int) -> np.ndarray:
        return np.tile(np.where(np.arange(n) == q, 1.0, -1.0), m)

    first = network.layers[0]
    codes = np.array(
        [np.tanh(encoding(q) + first["weight_ih"][:, i] + first["bias_ih"]) for i in range(m) for q in range(n)]
    )
    ideal = np.array([s * encoding(automaton.transitions[q, i]) for i in range(m) for q in range(n)])
    np.testing.assert_allclose(network.layers[1]["weight_ih"], np.linalg.solve(codes, ideal).T, atol=1e-8)
    told = s * np.where(automaton.outputs[:, None] == np.arange(len(automaton.classes)), 1.0, -1.0)
    readout = np.linalg.lstsq(np.array([encoding(q) for q in range(n)]), told, rcond=None)[0].T
    np.testing.assert_allclose(network.readout, readout, atol=1e-9)


def test_relu_states_are_exact_after_any_number_of_letters() -> None:
    automaton = tomita(7)
    network, model = construct(automaton, "relu2"), build(automaton, "relu2")
    words = some_words(automaton, 5, 500)
    with torch.no_grad():
        states = model(torch.eye(2)[torch.as_tensor(words)]).states[:, :, : model.hidden].numpy()
    np.testing.assert_array_equal(states, network.codes[automaton.run(words)].astype(np.float32))


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_of_another_language_is_wrong(kind: str) -> None:
    assert (leads(build(tomita(4), kind), tomita(7), some_words(tomita(7))) < 0).any()


@pytest.mark.parametrize("kind", ["tanh2", "relu2"])
def test_both_layers_have_the_state_of_the_second(kind: str) -> None:
    model = build(tomita(3), kind).double()
    x, state = torch.eye(2, dtype=torch.float64)[[0, 1]], model.initial_state(2)
    output, state = model.step(x, state)
    one, other = state.split(model.hidden, -1)
    assert torch.equal(one, other) and torch.equal(model.readout(one), output)


def test_noise_goes_where_it_was_published_to_go() -> None:
    changed = {}
    for kind in KINDS:
        still, noisy = build(tomita(3), kind), build(tomita(3), kind, noise=0.1)
        names = dict(still.named_parameters())
        changed[kind] = {name for name, value in noisy.named_parameters() if not torch.equal(value, names[name])}
        added = noisy.layers[0].weight_hh_l0 - still.layers[0].weight_hh_l0
        assert added.std().item() == pytest.approx(0.1, rel=0.2)
    inner = {"layers.0.weight_ih_l0", "layers.0.weight_hh_l0", "layers.0.bias_ih_l0", "readout.weight"}
    assert changed["tanh1"] == inner | {"layers.0.bias_hh_l0"}
    assert changed["tanh2"] == changed["relu2"] == inner | {"layers.1.weight_ih_l0"}


@pytest.mark.parametrize("options", [{"kind": "tanh3"}, {"saturation": 0.0}])
def test_refuses_what_it_cannot_construct(options: dict) -> None:
    with pytest.raises(ValueError, match="must be"):
        construct(tomita(3), **options)


def test_refuses_a_network_that_no_saturation_makes_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mechlab.automata.construction.MOST", 2.0)
    with pytest.raises(ValueError, match="Got no such proof"):
        construct(tomita(3), "tanh1")


def test_only_a_task_with_an_automaton_is_accepted() -> None:
    with pytest.raises(ConfigError, match="must be of kind automaton") as caught:
        check_fit(Constructed, RepeatCopy(), "constructed")
    assert caught.value.key == "model"
    check_fit(Constructed, Tomita(words=10, val_words=10, test_words=10), "constructed")


def test_classes_that_are_not_the_automatons_are_refused() -> None:
    spec = TaskSpec(inputs=2, outputs=5, kind="sequence", loss="cross_entropy", length=9, truth=tomita(3))
    with pytest.raises(ConfigError, match="letters to its classes"):
        Constructed(spec)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["tomita3", "moore2"])
def test_a_construction_runs_like_the_model_that_is_made_of_it(name, kind):
    """Word by word, letter by letter, and over the prefixes of many words."""
    automaton = MACHINES[name]
    network, model = construct(automaton, kind), build(automaton, kind)
    words = np.random.default_rng(0).integers(len(automaton.alphabet), size=(50, 20))
    x = torch.eye(len(automaton.alphabet))[torch.as_tensor(words)]
    read, trace = network(x), model(x)
    torch.testing.assert_close(read.outputs, trace.outputs)
    torch.testing.assert_close(read.states, trace.states)
    assert (read.outputs.argmax(-1).numpy() == automaton.outputs[automaton.run(words)[:, 1:]]).all()
    found = trie_states(network, words.tolist())
    np.testing.assert_allclose(found.states[found.index], read.states[:, 1:].flatten(0, 1), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("letters", ["a", "ab", "abc"])
def test_an_automaton_of_one_state_can_be_constructed(letters, kind):
    network = construct(Automaton(letters, ["x", "y"], ["q"], 0, [[0] * len(letters)], [1]), kind)
    assert network.margin > 0
    assert (network(torch.eye(len(letters))[None]).outputs.argmax(-1) == 1).all()
