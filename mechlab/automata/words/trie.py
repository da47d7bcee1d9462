"""Hidden states of a network after every prefix of words, with each distinct prefix read once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from mechlab.automata.words.prefixes import PADDING, Prefixes, distinct_prefixes


class TrieStates(NamedTuple):
    """Hidden states of a network after the U distinct non-empty prefixes of words, shortest prefixes first.

    Args:
        states: (U, F), in the precision of the network; layer by layer, for an LSTM all h before all c.
        index: (R,) int64, the prefix at each letter of the words, word after word: `states[index]` has a row for each
            letter read.
        weights: (U,) int64, number of occurrences of each prefix.
    """

    states: np.ndarray
    index: np.ndarray
    weights: np.ndarray


def trie_states(model: Any, words: Sequence[Sequence[int]]) -> TrieStates:
    """Return the hidden states of a network after every prefix of the words.

    The network takes one step for each distinct prefix, in one batch for each length.

    Args:
        model: a sequence model: `spec.inputs` letters, `initial_state(batch)` and `step(x, state)`, on any device.
        words: lists of letter indices, of any lengths; an empty word has no prefixes. Repeated words count as often.

    Raises:
        ValueError: an entry of a word is not a letter index of the model.
    """
    prefixes = distinct_prefixes(padded(words))
    return TrieStates(prefix_states(model, prefixes), prefixes.index, prefixes.count)


def prefix_states(model: Any, prefixes: Prefixes) -> np.ndarray:
    """Return the model's flat state (P, F) after each prefix; see `trie_states`."""
    return prefix_trace(model, prefixes)[0]


@torch.no_grad()
def prefix_trace(model: Any, prefixes: Prefixes) -> tuple[np.ndarray, np.ndarray]:
    """Return the model's flat state (P, F) and its output (P, outputs) after each prefix; see `trie_states`.

    Raises:
        ValueError: the state is complex, or a letter is not one of the model's.
    """
    letters, inputs = prefixes.letter, model.spec.inputs
    if len(letters) and letters.max() >= inputs:
        raise ValueError(f"letters must be below {inputs}, the model's number of inputs. Got {letters.max()} instead.")
    start = model.initial_state(1)  # (1, F)
    if start.is_complex():
        raise ValueError(
            f"the model's state must be real, such as torch.view_as_real of it. Got {start.dtype} instead."
        )
    one_hot = torch.eye(inputs, dtype=start.dtype, device=start.device)
    states = start.new_empty(len(prefixes), start.shape[1])
    outputs = start.new_empty(len(prefixes), model.spec.outputs)
    for length in range(1, prefixes.length.max(initial=0) + 1):
        here = slice(*np.searchsorted(prefixes.length, [length, length + 1]))  # shortest first
        parents = prefixes.parent[here]
        before = start.expand(len(parents), -1) if length == 1 else states[torch.as_tensor(parents)]
        outputs[here], states[here] = model.step(one_hot[torch.as_tensor(letters[here])], before)
    return states.cpu().numpy(), outputs.cpu().numpy()


def padded(words: Sequence[Sequence[int]]) -> np.ndarray:
    """Return words of letter indices as one array (B, T) int64, -1 past the end of a word.

    Raises:
        ValueError: a letter is negative or not a whole number.

    >>> padded([[0, 1], [2]]).tolist()
    [[0, 1], [2, -1]]
    """
    lengths = np.array([len(word) for word in words], np.int64)
    letters = np.array([letter for word in words for letter in word])
    if letters.size and (letters.dtype.kind not in "iu" or letters.min() < 0):
        raise ValueError(f"letters must be whole numbers of at least 0. Got {letters} instead.")
    array = np.full((len(lengths), lengths.max(initial=0)), PADDING, np.int64)
    array[np.arange(array.shape[1]) < lengths[:, None]] = letters
    return array
