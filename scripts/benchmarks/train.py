"""Optimiser steps per second of `mechlab.train` against a plain PyTorch loop with the same arithmetic."""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import tempfile
import time
from collections.abc import Callable

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
    """Train in turns and print the median of the ratios of speeds.

    The same data, network, loss, clipping, optimizer and validation; mechlab adds logging, checkpoints, the sparse
    history and Lightning.
    """
    import torch

    torch.set_num_threads(1)
    for name, overrides in CASES.items():
        ratios = []
        for repeat in range(arguments.repeats + 1):
            ours = arguments.steps / _seconds_of_mechlab([*overrides, f"trainer.max_steps={arguments.steps}"])
            plain = arguments.steps / _seconds_of_plain(overrides, arguments.steps)
            if repeat:  # the first turn warms up
                ratios.append(ours / plain)
                print(
                    f"{name}: mechlab {ours:.1f} steps/s, plain {plain:.1f} steps/s, ratio {ours / plain:.3f}",
                    flush=True,
                )
        low, high = min(ratios), max(ratios)
        print(
            f"{name}: median ratio {statistics.median(ratios):.3f} (min {low:.3f}, max {high:.3f}, n {len(ratios)})\n"
        )


def _seconds_of_mechlab(overrides: list[str]) -> float:
    """Train through the command's own path, and return the seconds between the start and the end of training proper."""
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from pytorch_lightning.callbacks import Callback

    from mechlab.config.choices import config_dir
    from mechlab.config.identity import masked
    from mechlab.config.launch import register, resolve
    from mechlab.jobs.execute import execute
    from mechlab.jobs.prepare import prepare_run

    class Clock(Callback):
        def on_train_start(self, *_: object) -> None:
            self.start = time.perf_counter()

        def on_train_end(self, *_: object) -> None:
            self.seconds = time.perf_counter() - self.start

    register([config_dir()])
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
            names = [*overrides, f"paths.root={folder}", "analysis=[]"]
            cfg = hydra.compose("train", names, return_hydra_config=True)
            HydraConfig.instance().set_config(cfg)
            del cfg.hydra
            setup = prepare_run(resolve(cfg), masked(cfg))
        setup.callbacks["clock"] = clock
        execute(setup)
    return clock.seconds


def _seconds_of_plain(overrides: list[str], steps: int) -> float:
    """Train in a plain loop, as one would write it in a script for this task alone."""
    return (_plain_repeat_copy if "task=repeat_copy" in overrides else _plain_tomita)(steps)


def _plain_repeat_copy(steps: int) -> float:
    import torch
    from torch import nn

    rnn, readout = nn.RNN(6, 128, bias=False, batch_first=True), nn.Linear(128, 6, bias=False)

    def batch(n: int) -> tuple:
        words = torch.randint(0, 2, (n, 7, 6)).float() * 2 - 1
        return torch.cat([words, torch.zeros(n, 28, 6)], 1), words.repeat(1, 4, 1)

    def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (readout(rnn(x)[0][:, 7:]) - y).square().mean()

    parameters = [*rnn.parameters(), *readout.parameters()]
    return _plain_loop(parameters, lambda step: batch(64), loss, batch(1000), steps, epoch=500, clip=1.0)


def _plain_tomita(steps: int) -> float:
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
    return _plain_loop(
        parameters, lambda step: batches[order[step % len(order)]], loss, validation, steps, len(batches)
    )


def _plain_loop(
    parameters: list,
    batch: Callable,
    loss: Callable,
    validation: tuple,
    steps: int,
    epoch: int,
    clip: float | None = None,
) -> float:
    import torch

    optimizer = torch.optim.Adam(parameters, lr=1e-3, fused=True)  # as conf/optimizer/adam.yaml has it
    start = time.perf_counter()
    for step in range(steps):
        value = loss(*batch(step))
        optimizer.zero_grad()
        value.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(parameters, clip)
        optimizer.step()
        if (step + 1) % epoch == 0 or step + 1 == steps:
            with torch.no_grad():
                loss(*validation)
    return time.perf_counter() - start
