"""Linear rules by number, list and cycle structure, against published ranks and a loop over cells."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mechlab.binding.rules import (
    PRESETS,
    SignedChoice,
    choice_of_cycles,
    choice_of_id,
    companion_matrix,
    rule_of_id,
    theoretical_spectrum,
)

CYCLES = {  # published
    "T1": [(8, 1)] * 8,
    "T2": [(length, 1) for length in range(1, 9)],
    "T3": [(3, -1), (3, -1), (6, -1), (24, -1)],
    "T4": [(1, -1), (35, 1)],
}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_have_the_published_cycles_and_ranks(name):
    choice = choice_of_id(*PRESETS[name], s=8, d=8)
    assert choice.cycles() == CYCLES[name]
    spectrum = theoretical_spectrum(choice.F)
    assert len(spectrum) == {"T1": 64}.get(name, 36)
    on_cycles = np.linalg.matrix_power(companion_matrix(choice.F), 64).any(0)  # columns that outlive all transients
    numeric = np.linalg.eigvals(companion_matrix(choice.F)[np.ix_(on_cycles, on_cycles)])
    assert np.abs(spectrum[:, None] - numeric[None]).min(1).max() < 1e-12


@settings(max_examples=40)
@given(s=st.integers(2, 8), d=st.integers(2, 8), seed=st.integers(0, 10**6))
def test_a_number_and_its_choice_agree_with_the_published_rule(s, d, seed):
    rng = np.random.default_rng(seed)
    a = sum(1 << int(cell) for cell in rng.choice(s * d, d, replace=False))
    digits = [int(rng.integers(d - i)) for i in range(d)]
    b, c = sum(g * d**i for i, g in enumerate(digits)), int(rng.integers(2**d))
    cells = [cell for cell in range(s * d) if a >> cell & 1]
    for i, g in enumerate(digits):
        cells[i], cells[i + g] = cells[i + g], cells[i]
    F = np.zeros((s * d, d))
    for i in range(d):
        F[cells[i], i] = -1 if c >> i & 1 else 1
    assert np.array_equal(rule_of_id(a, b, c, s, d), F)


@settings(max_examples=40)
@given(data=st.data(), s=st.integers(2, 8), d=st.integers(2, 8), seed=st.integers(0, 10**6))
def test_random_choices_have_the_cycles_that_are_wanted(data, s, d, seed):
    signs = st.sampled_from([-1, 1])
    cycles, left = [], d
    while left and (not cycles or data.draw(st.booleans())):
        size = data.draw(st.integers(1, left))
        cycles.append(data.draw(signs) * data.draw(st.integers(size, s * size)))
        left -= -(-abs(cycles[-1]) // s)
    choice = choice_of_cycles(cycles, s, d, np.random.default_rng(seed))
    assert choice.cycles() == sorted((abs(cycle), 1 if cycle > 0 else -1) for cycle in cycles)
    assert len(theoretical_spectrum(choice.F)) == sum(map(abs, cycles))


@pytest.mark.parametrize("s, d, seed", [(8, 8, None), (1, 1, 0), (1, 3, 1), (2, 5, 2), (6, 2, 3), (5, 4, 4)])
def test_sources_name_the_first_states(s, d, seed):
    rng = np.random.default_rng(seed)
    random = SignedChoice(tuple(rng.integers(0, s * d, d).tolist()), tuple(rng.choice([-1, 1], d).tolist()), s)
    choice = choice_of_id(*PRESETS["T3"], s, d) if seed is None else random
    window = torch.randn(3, s, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    cells, signs = choice.sources(50)
    states = [*window.unbind(1)]
    assert len(cells) == len(signs) == 50 and [len(part) for part in choice.sources(0)] == [0, 0]
    for t in range(50):
        states.append(choice(torch.stack(states[-s:], 1)))
        assert torch.equal(states[-1], window.flatten(1)[:, cells[t]] * torch.from_numpy(signs[t]))


@pytest.mark.parametrize(
    "number", [(0, 0, 0), (7, 0, 0), (1 << 64 | 127, 0, 0), (255, 7 * 8, 0), (255, 0, 256), (255, -1, 0), (255, 0, -1)]
)
def test_numbers_of_no_rule_are_refused(number):
    with pytest.raises(ValueError, match="must"):
        choice_of_id(*number, s=8, d=8)


def test_cycles_that_do_not_fit_are_refused():
    for cycles in ([], [0], [17], [8, 8, 1]):
        with pytest.raises(ValueError, match="cycles must fit"):
            choice_of_cycles(cycles, s=8, d=2, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="signs"):
        SignedChoice((0, 1), (1, 0), s=2)
    with pytest.raises(ValueError, match="cells"):
        SignedChoice((0, 4), (1, 1), s=2)
