"""Recurrent networks that implement an automaton exactly, with weights in closed form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Real
from types import SimpleNamespace
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mechlab.automata.automaton import Automaton
from mechlab.automata.certificate import certified_margin

Kind = Literal["tanh1", "tanh2", "relu2"]
STEP, MOST = 0.25, 16.0  # step and largest value of the search for a saturation


@dataclass(frozen=True, eq=False)
class Construction:
    """The weights, all float64, of a network that implements an automaton.

    Each layer computes h' = f(weight_ih x + bias_ih + weight_hh h + bias_hh), named as in torch with the layer at the
    end; the output is `readout @ h` of the last layer. A network of two layers copies the state of layer 1 into layer 0
    after each step. It runs in single precision: `network(x)` reads words, `network.step(x, state)` one letter, and
    `trie_states(network, words)` every prefix. To train it, or to add noise: `model=constructed`.

    Args:
        kind: "tanh1", "tanh2" or "relu2".
        layers: for each layer, its parameters by torch's names without the layer: weight_ih (N, inputs),
            weight_hh (N, N), bias_ih (N,), bias_hh (N,).
        readout: (k, N).
        initial: (N,) the state of each layer before the first letter.
        codes: (C, N) the ideal states.
        successors: (C, m) int64, the code after each letter.
        outputs: (C,) int64, the class at each code.
        start: the index of the code of `initial`.
        saturation: the size of ideal pre-activations and outputs.
        margin: the least margin of the right class's output over any other, after every letter of every word, proved
            for arithmetic in single precision; not positive, or -inf, when nothing is proved.
    """

    kind: Kind
    layers: tuple[Mapping[str, np.ndarray], ...]
    readout: np.ndarray
    initial: np.ndarray
    codes: np.ndarray
    successors: np.ndarray
    outputs: np.ndarray
    start: int
    saturation: float
    margin: float = -np.inf

    @property
    def spec(self) -> SimpleNamespace:
        """The sizes `inputs` (letters) and `outputs` (classes)."""
        return SimpleNamespace(inputs=self.layers[0]["weight_ih"].shape[1], outputs=len(self.readout))

    def initial_state(self, batch: int) -> Tensor:
        """Return the initial state (batch, S), the same for each layer: S is N times the number of layers."""
        return torch.as_tensor(self.initial, dtype=torch.float32).repeat(batch, len(self.layers))

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return the output (B, k) and the next state (B, S) after one-hot letters x (B, m) in a state (B, S)."""
        nonlinearity = torch.relu if self.kind == "relu2" else torch.tanh
        layers, readout = self._tensors
        for layer, h in zip(layers, state.chunk(len(layers), -1), strict=True):
            from_input = functional.linear(x, layer["weight_ih"], layer["bias_ih"])
            x = nonlinearity(from_input + functional.linear(h, layer["weight_hh"], layer["bias_hh"]))
        return functional.linear(x, readout), x.repeat(1, len(layers))

    def __call__(self, x: Tensor) -> OutputsAndStates:
        """Return outputs and states for words of one-hot letters x (B, T, m)."""
        state = self.initial_state(len(x))
        outputs, states = [], [state]
        for t in range(x.shape[1]):
            output, state = self.step(x[:, t].to(torch.float32), state)
            outputs.append(output)
            states.append(state)
        shape = len(x), 0, self.spec.outputs
        return OutputsAndStates(torch.stack(outputs, 1) if outputs else torch.empty(shape), torch.stack(states, 1))

    @cached_property
    def _tensors(self) -> tuple[list[dict[str, Tensor]], Tensor]:
        layers = [{k: torch.as_tensor(v, dtype=torch.float32) for k, v in layer.items()} for layer in self.layers]
        return layers, torch.as_tensor(self.readout, dtype=torch.float32)


class OutputsAndStates(NamedTuple):
    """Outputs and states of a network on words.

    Args:
        outputs: (B, T, k) after each letter.
        states: (B, T+1, S), the initial state first.
    """

    outputs: Tensor
    states: Tensor


def construct(automaton: Automaton, kind: Kind = "tanh1", saturation: float | None = None) -> Construction:
    """Return a network that gives the automaton's output after every letter.

    Args:
        automaton: any Moore machine, n states, m letters, k classes; its output on the empty word is not used.
        kind: "tanh1" has one layer of N = m (n + 1) units, whose state encodes the last transition; "tanh2" and "relu2"
            have two layers of N = m n units, whose state encodes the automaton's state; relu2 is exact.
        saturation: size of the ideal pre-activations (tanh) and outputs. By default the least multiple of 1/4 for which
            the network is proved right on all words (1 for relu2, which is right for any). A given value is used
            unchecked: see `margin`.

    Raises:
        ValueError: the kind is unknown, the saturation is not positive, or no saturation is proved right.

    Source: Muškardin et al., arXiv 2306.16854, and its published code, in closed form and for any number of classes.

    >>> network = construct(Automaton(["a"], ["x", "y"], ["even", "odd"], 0, [[1], [0]], [0, 1]), "relu2")
    >>> round(network.margin, 3)
    2.0
    """
    if kind not in _BUILDERS:
        raise ValueError(f"kind must be one of {', '.join(_BUILDERS)}. Got {kind!r} instead.")
    if saturation is not None and not (isinstance(saturation, Real) and saturation > 0):
        raise ValueError(f"saturation must be above 0. Got {saturation!r} instead.")
    for size in _candidates(kind) if saturation is None else [saturation]:
        network = _BUILDERS[kind](automaton, float(size))
        network = replace(network, margin=certified_margin(network))
        if saturation is not None or network.margin > 0:
            return network
    raise ValueError(f"a {kind} network must be right for some saturation up to {MOST:g}. Got no such proof.")


def _candidates(kind: Kind) -> Iterator[float]:
    yield from [1.0] if kind == "relu2" else np.arange(STEP, MOST + STEP, STEP)


def _tanh1(automaton: Automaton, s: float) -> Construction:
    if automaton.transitions.shape == (1, 1):
        automaton = _padded(automaton, 2)  # of two units, the codes are opposites too
    n, m = automaton.transitions.shape
    moves = np.vstack([np.full(m, automaton.initial), automaton.transitions]) + 1  # state 0 is a dummy before q0
    size = m * (n + 1)
    targets = moves.T.reshape(-1)  # (N,) the target of transition (q, i), unit i (n + 1) + q
    ideal = np.tile(_signs(targets, n + 1), m).T  # (N, N) columns enc(delta(q, i))
    layer = {
        "weight_ih": _blocks(m, n + 1, s),
        "weight_hh": s * _solve(ideal, 2.0, -1.0),
        "bias_ih": np.full(size, -s / 2),
        "bias_hh": np.zeros(size),
    }
    codes = 2 * np.eye(size) - 1
    classes = automaton.outputs[targets - 1]
    return Construction(
        kind="tanh1",
        layers=(layer,),
        readout=s * _solve(_signs(classes, len(automaton.classes)).T, 2.0, -1.0),
        initial=codes[0],
        codes=codes,
        successors=np.arange(m) * (n + 1) + targets[:, None],
        outputs=classes,
        start=0,
        saturation=s,
    )


def _padded(automaton: Automaton, n: int) -> Automaton:
    """Return the automaton with n states in all, by unreachable copies of its first state."""
    more = n - len(automaton.states)
    return Automaton(
        alphabet=automaton.alphabet,
        classes=automaton.classes,
        states=[str(i) for i in range(n)],
        initial=automaton.initial,
        transitions=[*automaton.transitions, *automaton.transitions[:1].repeat(more, 0)],
        outputs=[*automaton.outputs, *automaton.outputs[:1].repeat(more)],
    )


def _tanh2(automaton: Automaton, s: float) -> Construction:
    if len(automaton.states) < 3 and len(set(automaton.outputs)) == 1:
        automaton = _padded(automaton, 3)  # opposite codes have no common image but 0
    on_here, off_here, on_there, off_there = np.tanh([0.5, -1.5, -0.5, -2.5])
    parts = (off_there, off_here - off_there, on_there - off_there, on_here - off_here - on_there + off_there)
    codes = _signs(np.arange(len(automaton.states)), len(automaton.states))
    weight = s * _solve_codes(_targets(automaton, codes), automaton, parts)
    return _two_layers(automaton, "tanh2", s, codes, 0.5, weight)


def _relu2(automaton: Automaton, s: float) -> Construction:
    codes = np.where(np.eye(len(automaton.states)) > 0, 1, 0.125)
    return _two_layers(automaton, "relu2", s, codes, 0.25, _targets(automaton, codes) / 0.75)


def _two_layers(
    automaton: Automaton, kind: Kind, s: float, codes: np.ndarray, bias: float, weight: np.ndarray
) -> Construction:
    n, m = automaton.transitions.shape
    size = m * n
    zero = np.zeros((size, size))
    first = {
        "weight_ih": _blocks(m, n, 1.0),
        "weight_hh": np.eye(size),
        "bias_ih": np.full(size, -bias),
        "bias_hh": np.zeros(size),
    }
    second = {"weight_ih": weight, "weight_hh": zero, "bias_ih": np.zeros(size), "bias_hh": np.zeros(size)}
    signs = _signs(automaton.outputs, len(automaton.classes)).T  # (k, n)
    diagonal, rest = codes[0, 0] - codes[0, -1] if n > 1 else codes[0, 0], codes[0, -1] if n > 1 else 0.0
    return Construction(
        kind=kind,
        layers=(first, second),
        readout=np.tile(s * _solve(signs, diagonal, rest), m) / m,
        initial=np.tile(codes[automaton.initial], m),
        codes=np.tile(codes, m),
        successors=automaton.transitions,
        outputs=automaton.outputs,
        start=automaton.initial,
        saturation=s,
    )


_BUILDERS = {"tanh1": _tanh1, "tanh2": _tanh2, "relu2": _relu2}


def _signs(kinds: np.ndarray, count: int) -> np.ndarray:
    """Return (C, count): +1 in the column of each row's kind, -1 elsewhere."""
    return np.where(np.asarray(kinds)[:, None] == np.arange(count), 1.0, -1.0)


def _blocks(m: int, n: int, size: float) -> np.ndarray:
    """Return input weights (m n, m): each letter inhibits the units of the other letters' blocks."""
    return -size * np.kron(1 - np.eye(m), np.ones((n, 1)))


def _targets(automaton: Automaton, codes: np.ndarray) -> np.ndarray:
    """Return (N, N): column i n + q is the code, tiled, of the target of state q and letter i."""
    return np.tile(codes[automaton.transitions.T.reshape(-1)], len(automaton.alphabet)).T


def _solve(targets: np.ndarray, diagonal: float, rest: float) -> np.ndarray:
    """Return the least-squares V (k, n) of least norm with V (diagonal Id + rest J) = targets, in O(k n)."""
    n = targets.shape[1]
    along = diagonal + rest * n  # the eigenvalue of the vector of ones; `diagonal` is that of all others
    mean = targets.mean(1, keepdims=True)
    return (targets - mean) / diagonal + (mean / along if abs(along) > 1e-9 else 0)


def _solve_codes(targets: np.ndarray, automaton: Automaton, parts: tuple[float, ...]) -> np.ndarray:
    """Return W (N, N) with W T = targets in O(N^2), T = a J x J + b Id x J + c J x Id + d Id x Id over (letter, state).

    T commutes with averaging over letters and over states, so it acts as a number on each of four parts of a row.
    """
    a, b, c, d = parts
    n, m = automaton.transitions.shape
    rows = targets.reshape(-1, m, n)
    by_letter, by_state = rows.mean(2, keepdims=True), rows.mean(1, keepdims=True)
    mean = rows.mean((1, 2), keepdims=True)
    solved = (
        mean / (a * m * n + b * n + c * m + d)
        + (by_letter - mean) / (b * n + d)
        + (by_state - mean) / (c * m + d)
        + (rows - by_letter - by_state + mean) / d
    )
    return solved.reshape(targets.shape)
