"""Streams of randomness: their names and the root seed decide them, and nothing else."""

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mechlab.core.seeding import Streams, global_generator, seed_of

ROOTS = st.integers(0, 2**63)
NAMES = st.lists(st.one_of(st.integers(0, 99), st.sampled_from(["init", "data", "order"])), min_size=1, max_size=3)


def draws(streams, *name):
    return torch.rand(4, generator=streams.torch(*name)).tolist(), streams.numpy(*name).random(4).tolist()


@given(ROOTS, NAMES)
def test_the_seed_is_the_first_63_bits_of_a_hash(root, name):
    digest = hashlib.sha256("/".join([str(root), *map(str, name)]).encode()).hexdigest()
    assert seed_of(root, *name) == int(digest[:16], 16) // 2 < 2**63


def test_frozen_seeds():
    """What recorded runs were drawn from: a change of these makes every record impossible to replay."""
    assert seed_of(0, "init") == 0x1514D1F1485CB8AE
    assert seed_of(7, "data", 3) == 0x60CE9D5133408A10
    assert torch.randint(2**31, (1,), generator=Streams(0).torch("init")).item() == 750849244
    assert Streams(0).numpy("analysis", "spectrum").integers(2**31) == 1928583299


@pytest.mark.ci
def test_another_process_has_the_same_streams():
    show = "print(Streams(5).numpy('a').random(), Streams(5).torch('a').initial_seed())"
    code = f"from mechlab.core.seeding import Streams; {show}"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert printed == [repr(Streams(5).numpy("a").random()), str(Streams(5).torch("a").initial_seed())]


def test_streams_neither_read_nor_move_the_global_generators():
    found = []
    for disturbance in (1, 2):
        torch.manual_seed(disturbance)
        np.random.seed(disturbance)
        before = torch.get_rng_state(), np.random.get_state()[1].copy()
        found.append(draws(Streams(0), "data", 4))
        assert torch.equal(before[0], torch.get_rng_state())
        assert (before[1] == np.random.get_state()[1]).all()
    assert found[0] == found[1]


def test_drawing_from_one_stream_does_not_move_another():
    streams = Streams(3)
    wanted = draws(streams, "order")
    streams.torch("data").initial_seed()
    torch.rand(100, generator=streams.torch("data"))
    assert draws(streams, "order") == wanted


def test_streams_of_different_names_roots_and_numbers_differ():
    names = [(0, "init"), (0, "data"), (1, "init"), (0, "data", 0), (0, "data", 1), (0, "data", 10), (0, "data", 1, 0)]
    assert len({seed_of(*name) for name in names}) == len(names)
    rows = np.array([Streams(root).numpy(*name).standard_normal(2000) for root, *name in names])
    correlation = np.corrcoef(rows) - np.eye(len(rows))
    assert abs(correlation).max() < 0.1


def test_globally_seeds_inside_and_puts_the_generator_back():
    torch.manual_seed(11)
    wanted = torch.rand(3)
    torch.manual_seed(11)
    with Streams(0).globally("init"):
        inside = torch.rand(3)
    assert torch.equal(torch.rand(3), wanted)
    assert torch.equal(inside, torch.rand(3, generator=Streams(0).torch("init")))


def test_globally_puts_the_generator_back_after_an_exception():
    state = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), Streams(0).globally("init"):
        torch.rand(1)
        raise ZeroDivisionError
    assert torch.equal(torch.get_rng_state(), state)


def test_threads_take_turns_with_the_global_generator():
    """A thread that draws inside its block sees no draws of another, and another sees no change inside its own."""

    def drawn(seed: int) -> list[torch.Tensor]:
        with Streams(seed).globally("init"):
            return [torch.rand(()) for _ in range(50)]

    def unchanged(_: int) -> bool:
        with global_generator():
            state = torch.get_rng_state()
            return all(torch.equal(state, torch.get_rng_state()) for _ in range(50))

    expected, interval = [drawn(seed) for seed in range(20)], sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            quiet, results = threads.map(unchanged, range(20)), threads.map(drawn, range(20))
            assert list(results) == expected
            assert all(quiet)
    finally:
        sys.setswitchinterval(interval)
