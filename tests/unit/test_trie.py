"""States of distinct prefixes, against one word and one letter at a time."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mechlab.automata import trie_states
from mechlab.core.model import SequenceModel
from mechlab.core.task import TaskSpec
from mechlab.models.gru import GRU
from mechlab.models.lstm import LSTM
from mechlab.models.rnn import RNN

SPEC = TaskSpec(inputs=3, outputs=2, kind="sequence", loss="cross_entropy", length=8)
NETWORKS = {"tanh": RNN, "relu": partial(RNN, activation="relu"), "gru": GRU, "lstm": LSTM}


class Counter(SequenceModel):
    """A network without parameters and fast forward, whose state counts letters from 7 on; it counts its steps too."""

    def __init__(self):
        super().__init__(SPEC)
        self.steps = 0

    def initial_state(self, batch: int) -> torch.Tensor:
        return torch.full((batch, 3), 7.0)

    def step(self, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.steps += len(x)
        return state[:, :2], state + x


def some_words(count: int, seed: int = 0) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 3, rng.integers(0, 9)).tolist() for _ in range(count)]


@torch.no_grad()
def by_letter(model: SequenceModel, words: list[list[int]]) -> np.ndarray:
    rows = []
    for word in words:
        state = model.initial_state(1)
        for letter in word:
            state = model.step(torch.eye(3, dtype=state.dtype)[letter][None], state)[1]
            rows.append(state[0].numpy())
    return np.array(rows)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", NETWORKS)
def test_agrees_with_one_letter_at_a_time(name: str, layers: int) -> None:
    torch.manual_seed(0)
    model, words = NETWORKS[name](SPEC, hidden=5, layers=layers, bias=True).double(), some_words(60)
    states, index, weights = trie_states(model, words)
    np.testing.assert_allclose(states[index], by_letter(model, words), rtol=0, atol=1e-13)
    prefixes = [tuple(word[:length]) for word in words for length in range(1, len(word) + 1)]
    assert len(states) == len(weights) == len(set(prefixes))
    np.testing.assert_array_equal(weights, np.bincount(index))
    assert len(index) == weights.sum() == len(prefixes)


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_come_in_order_and_cells_last(name: str) -> None:
    """Torch's own stacked network, given the same weights, has the same states in every layer."""
    torch.manual_seed(0)
    model, word = NETWORKS[name](SPEC, hidden=5, layers=2, bias=True).double(), [0, 2, 1, 1]
    kind = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}.get(name, partial(torch.nn.RNN, nonlinearity=name))
    stacked = kind(3, 5, num_layers=2).double()
    weights = [
        (depth, key, value) for depth, layer in enumerate(model.layers) for key, value in layer.named_parameters()
    ]
    stacked.load_state_dict({key.replace("l0", f"l{depth}"): value for depth, key, value in weights})
    with torch.no_grad():
        last = stacked(torch.eye(3).double()[word])[1]
    expected = torch.cat([part.flatten() for part in last]) if name == "lstm" else last.flatten()
    np.testing.assert_allclose(trie_states(model, [word]).states[-1], expected.numpy(), rtol=0, atol=1e-13)


@settings(max_examples=50)
@given(st.lists(st.lists(st.integers(0, 2), max_size=6), max_size=12))
def test_each_distinct_prefix_is_read_once(words: list[list[int]]) -> None:
    model = Counter()
    states, index, _ = trie_states(model, words)
    assert model.steps == len(states) == len({tuple(w[:n]) for w in words for n in range(1, len(w) + 1)})
    counts = [np.bincount(w[:n], minlength=3) + 7 for w in words for n in range(1, len(w) + 1)]
    np.testing.assert_array_equal(states[index], np.reshape(counts, (-1, 3)))


def test_states_have_the_precision_of_the_network() -> None:
    assert trie_states(GRU(SPEC, hidden=4), [[0, 1]]).states.dtype == np.float32


@pytest.mark.parametrize("words", [[[0, 3]], [[-1]], [[0.5]]])
def test_refuses_what_is_no_letter(words: list) -> None:
    with pytest.raises(ValueError, match="letters must be"):
        trie_states(Counter(), words)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_network_on_a_gpu_has_the_same_states() -> None:
    torch.manual_seed(0)
    model, words = GRU(SPEC, hidden=4, layers=2).double(), some_words(20)
    expected = trie_states(model, words).states
    np.testing.assert_allclose(trie_states(model.cuda(), words).states, expected, rtol=0, atol=1e-12)
