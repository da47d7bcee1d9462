"""Variable binding on one thread: the data of linear rules against a loop over time with dense matrices, training
against a plain PyTorch loop, and the seconds of bases, spectra and horizon curves. Milliseconds are processor time, so
that other work on the machine counts for little."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.train import compare, plain_repeat_copy

STEPS = 500  # of training in each turn: an epoch
TURNS = 20  # of what takes milliseconds, in each repeat
HORIZONS = (100, 200)
LONG = 10_000  # steps of the horizon curve
LOST = 6  # eigenvalues of the planted network that have decayed, as in networks that are not yet trained to the end


def main(arguments: argparse.Namespace) -> None:
    """Print seconds, and ratios of speeds, each the median of some turns with the least and the greatest."""
    import torch

    torch.set_num_threads(1)
    for horizon in HORIZONS:
        _data(horizon, arguments.repeats)
    _analysis(arguments.repeats)
    _horizon_curve(arguments.repeats)
    steps = arguments.steps or STEPS
    compare("repeat_copy rnn-128", ["task=repeat_copy", "model=rnn"], plain_repeat_copy(), steps, arguments.repeats)
    overrides = ["task=linear_binding", "task.id=T1", "task.horizon=100", "model=rnn"]
    compare("T1, horizon 100, rnn-128", overrides, plain_repeat_copy(8, 8, 100), steps, arguments.repeats)


def _data(horizon: int, repeats: int) -> None:
    """Draw a batch of T3 with d = s = 8, by the task and by the loop in turns."""
    import torch

    from mechlab.tasks.linear_binding import LinearBinding

    task, rng = LinearBinding(id="T3", horizon=horizon), torch.Generator().manual_seed(0)
    phi = torch.from_numpy(task.ground_truth().matrix).float()
    ours, loop = [], []
    for _ in range(repeats):
        ours += _seconds(lambda: task.generate(64, "train", rng))
        loop += _seconds(lambda: looped(phi, 8, 64, horizon, rng))
    ratios = [slow / fast for slow, fast in zip(loop, ours, strict=True)]
    name = f"batch of 64, d = s = 8, horizon {horizon}"
    print(f"{name}: {_spread(ours)}, loop {_spread(loop)}, ratio {statistics.median(ratios):.1f}", flush=True)


def looped(phi: Any, d: int, n: int, horizon: int, rng: Any) -> tuple[Any, Any]:
    """Draw inputs and targets (n, s + horizon, d) with a product of the window and Phi (s d, s d) at each step."""
    import torch

    s = len(phi) // d
    vectors = torch.randint(0, 2, (n, s, d), generator=rng) * 2.0 - 1
    window, states = vectors.flatten(1), []
    for _ in range(horizon):
        window = window @ phi.T
        states.append(window[:, -d:])
    inputs, targets = torch.zeros(2, n, s + horizon, d)
    inputs[:, :s] = vectors
    targets[:, s:] = torch.stack(states, 1)
    return inputs, targets


def _analysis(repeats: int) -> None:
    """Compute bases and spectra of a network of 128 units into which T1 is planted."""
    import numpy as np

    from mechlab.binding import observability_decoder, published_basis, spectral_distance, theoretical_spectrum
    from mechlab.tasks.linear_binding import LinearBinding

    rng = np.random.default_rng(0)
    task = LinearBinding(id="T1", horizon=100)
    phi, theory = task.ground_truth().matrix, theoretical_spectrum(task.choice.F)
    values, vectors = np.linalg.eig(phi)
    values = np.where(values.real < np.sort(values.real)[LOST], 0.7, 1.0) * values
    within = (vectors * values @ np.linalg.inv(vectors)).real
    psi = np.linalg.qr(rng.standard_normal((128, len(phi))))[0]
    rest = rng.standard_normal((128, 128)) / 40
    W_hh, W_hy = psi @ within @ psi.T + rest - psi @ (psi.T @ rest), psi.T[-8:]
    parts = {
        "published basis": lambda: published_basis(W_hh, W_hy, phi),
        "observability decoder": lambda: observability_decoder(W_hh, W_hy, phi),
        "spectrum": lambda: spectral_distance(W_hh, theory),
    }
    seconds = {name: _seconds(part, repeats * TURNS) for name, part in parts.items()}
    for name, times in seconds.items():
        print(f"T1, 128 units, {name}: {_spread(times)}")
    print(f"T1, 128 units, all: {_spread([sum(row) for row in zip(*seconds.values(), strict=True)])}", flush=True)


def _horizon_curve(repeats: int) -> None:
    """Compute the accuracy of T1 after each of 10,000 steps in 64 sequences, of a network that does not die out."""
    import torch

    from mechlab.analyses.binding.long_run import LongRun
    from mechlab.models.rnn import RNN
    from mechlab.tasks.linear_binding import LinearBinding

    task = LinearBinding(id="T1", horizon=100)
    model = RNN(task.spec, 128).eval()
    torch.nn.init.orthogonal_(model.layers[0].weight_hh_l0, gain=1.1)
    run = LongRun(model, task, 64, torch.Generator().manual_seed(0))
    times = _seconds(lambda: run.accuracy(LONG), min(repeats, 3))
    print(f"accuracy at each of {LONG} steps, 128 units, batch of 64: {_spread(times)}", flush=True)


def _seconds(work: Callable[[], object], turns: int = TURNS) -> list[float]:
    work()
    times = []
    for _ in range(turns):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return times


def _spread(times: list[float]) -> str:
    low, middle, high = (1e3 * value for value in (min(times), statistics.median(times), max(times)))
    return f"{middle:.2f} ms (min {low:.2f}, max {high:.2f}, n {len(times)})"
