"""Optimiser steps per second of `mechlab.train` against a plain PyTorch loop with the same arithmetic."""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator

Seconds = list[float]  # by the clock, and of the processor

STEPS = 2000  # in each turn
CASES = {
    "repeat_copy rnn-128": ["task=repeat_copy", "model=rnn"],
    "tomita 3 gru-20 batch 128": [
        "task=tomita",
        "task.index=3",
        "model=gru",
        "model.hidden=20",
        "task.supervise=last",
        "trainer.batch_size=128",
    ],
}


def main(arguments: argparse.Namespace) -> None:
    """Train both in turns and print the median of the ratios of speeds."""
    loops = (plain_repeat_copy(), _plain_tomita())
    for (name, overrides), plain in zip(CASES.items(), loops, strict=True):
        compare(name, overrides, plain, arguments.steps or STEPS, arguments.repeats)


def compare(name: str, overrides: list[str], plain: Iterator[None], steps: int, repeats: int) -> None:
    """Print the ratio of speeds in each turn: mechlab's steps per second by those of the plain loop, and the same by
    processor time, without waiting for the disk or for other work on the machine.

    The same data, network, loss, clipping, optimizer and validation; mechlab adds logging, checkpoints, the sparse
    history and Lightning. The two alternate in one process, some dozen steps each, so that other work on the machine
    slows both alike.

    Args:
        name: of the case.
        overrides: of the command `mechlab.train`.
        plain: makes an optimiser step, and the validation that is due after it, for each item.
        steps: in each turn.
        repeats: counted turns; the first one is not.
    """
    import torch

    torch.set_num_threads(1)
    ratios = []
    for turn, (ours, other) in enumerate(_turns(overrides, plain, steps, repeats + 1)):
        if turn:  # the first one warms up
            ratios.append([theirs / own for own, theirs in zip(ours, other, strict=True)])
            speeds = f"mechlab {steps / ours[0]:.1f} steps/s, plain {steps / other[0]:.1f} steps/s"
            print(f"{name}: {speeds}, ratio {ratios[-1][0]:.3f}, by processor time {ratios[-1][1]:.3f}", flush=True)
    for what, column in zip(("ratio", "by processor time"), zip(*ratios, strict=True), strict=True):
        spread = f"(min {min(column):.3f}, max {max(column):.3f}, n {repeats})"
        print(f"{name}: median {what} {statistics.median(column):.3f} {spread}")
    print()


def _turns(overrides: list[str], plain: Iterator[None], steps: int, turns: int) -> list[tuple[Seconds, Seconds]]:
    """Train through the command's own path, and after each of its ticks make as many plain steps; return the seconds
    that each took in every turn, by the clock and of the processor."""
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from pytorch_lightning.callbacks import Callback

    from mechlab.config.choices import config_dir
    from mechlab.config.identity import masked
    from mechlab.config.launch import register, resolve
    from mechlab.jobs.execute import execute
    from mechlab.jobs.prepare import prepare_run

    class Alternating(Callback):
        """Validation, logs and checkpoints of mechlab count in the tick after them, the last in the last."""

        def on_train_start(self, *_: object) -> None:
            self.seconds, self.done, self.since = [([0.0, 0.0], [0.0, 0.0]) for _ in range(turns)], 0, _now()

        def on_train_batch_end(self, trainer: object, module: object, *_: object) -> None:
            ours, other = self.seconds[(module.global_step - 1) // steps]
            self._count(ours)
            for _step in range(module.global_step - self.done):
                next(plain)
            self.done = module.global_step
            self._count(other)

        def on_train_end(self, *_: object) -> None:
            self._count(self.seconds[-1][0])

        def _count(self, seconds: Seconds) -> None:
            now = _now()
            seconds[:] = [sum(parts) - since for *parts, since in zip(seconds, now, self.since, strict=True)]
            self.since = now

    register([config_dir()])
    clock = Alternating()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
            names = [*overrides, f"trainer.max_steps={steps * turns}", f"paths.root={folder}", "analysis=[]"]
            cfg = hydra.compose("train", names, return_hydra_config=True)
            HydraConfig.instance().set_config(cfg)
            del cfg.hydra
            setup = prepare_run(resolve(cfg), masked(cfg))
        setup.callbacks["clock"] = clock
        execute(setup)
    return clock.seconds


def _now() -> Seconds:
    return [time.perf_counter(), time.process_time()]


def plain_repeat_copy(d: int = 6, s: int = 7, horizon: int = 28) -> Iterator[None]:
    """Train an RNN of 128 units on repeat copy in a plain loop, as one would write it in a script for this task
    alone: d components, s vectors, so many steps after them; validation on 1000 sequences every 500 steps."""
    import torch
    from torch import nn

    rnn, readout = nn.RNN(d, 128, bias=False, batch_first=True), nn.Linear(128, d, bias=False)

    def batch(n: int) -> tuple:
        words = torch.randint(0, 2, (n, s, d)).float() * 2 - 1
        return torch.cat([words, torch.zeros(n, horizon, d)], 1), words.repeat(1, -(-horizon // s), 1)[:, :horizon]

    def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (readout(rnn(x)[0][:, s:]) - y).square().mean()

    parameters = [*rnn.parameters(), *readout.parameters()]
    return _plain_loop(parameters, lambda step: batch(64), loss, batch(1000), epoch=500, clip=1.0)


def _plain_tomita() -> Iterator[None]:
    import torch
    from torch import nn

    from mechlab.tasks.tomita import Tomita

    task = Tomita(index=3)
    examples, lengths = task.examples("train"), task.groups()
    batches = []
    for length in lengths.unique():
        rows = torch.nonzero(lengths == length).flatten()
        for chosen in rows[torch.randperm(len(rows))].split(128):
            batches.append((examples.inputs[chosen, :length], examples.targets[chosen, length - 1]))
    order = torch.randperm(len(batches)).tolist()
    gru, readout = nn.GRU(2, 20, batch_first=True), nn.Linear(20, 2)
    held_out = task.examples("val")
    last = held_out.mask.float().argmax(1)

    def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        states = gru(x)[0]
        ends = states[torch.arange(len(last)), last] if x is held_out.inputs else states[:, -1]
        return nn.functional.cross_entropy(readout(ends), y)

    validation = (held_out.inputs, held_out.targets[torch.arange(len(last)), last])
    parameters = [*gru.parameters(), *readout.parameters()]
    return _plain_loop(parameters, lambda step: batches[order[step % len(order)]], loss, validation, len(batches))


def _plain_loop(
    parameters: list, batch: Callable, loss: Callable, validation: tuple, epoch: int, clip: float | None = None
) -> Iterator[None]:
    import torch

    optimizer = torch.optim.Adam(parameters, lr=1e-3, fused=True)  # as conf/optimizer/adam.yaml has it
    for step in itertools.count():
        value = loss(*batch(step))
        optimizer.zero_grad()
        value.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(parameters, clip)
        optimizer.step()
        if (step + 1) % epoch == 0:
            with torch.no_grad():
                loss(*validation)
        yield
