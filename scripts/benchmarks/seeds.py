"""Seconds of training per seed: runs trained together as one batched model, against the same runs one by one."""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import tempfile
from typing import Any

STEPS = 2000  # in each turn
CASES = {
    "modular addition 23, mlp": ["task=modular_addition", "task.p=23", "model=mlp"],
    "modular addition 23, mlp of 16 units": [
        "task=modular_addition",
        "task.p=23",
        "model=mlp",
        "model.hidden=16",
        "model.embedding=16",
    ],
    "digits, mlp of 32 units": ["task=digits", "model=mlp", "model.hidden=32"],
    "repeat copy, rnn": ["task=repeat_copy", "model=rnn"],
}


def main(arguments: argparse.Namespace) -> None:
    """Train in turns and print the median seconds per seed, and their ratio."""
    import torch

    torch.set_num_threads(1)
    steps = arguments.steps or STEPS
    common = [f"trainer.max_steps={steps}", f"trainer.accelerator={arguments.accelerator}", "analysis=[]"]
    for name, overrides in CASES.items():
        together, alone = [], []
        for repeat in range(arguments.repeats + 1):
            words = [*overrides, *common]
            both = _seconds([*words, f"trainer.seeds={arguments.seeds}"]), _seconds([*words, f"seed={repeat}"])
            if repeat:  # the first turn warms up
                together.append(both[0] / arguments.seeds)
                alone.append(both[1])
        ours, theirs = statistics.median(together), statistics.median(alone)
        print(
            f"{name}: {ours:.2f} s per seed for {arguments.seeds} together, {theirs:.2f} s one by one, "
            f"ratio {theirs / ours:.2f} (n {arguments.repeats}, {steps} steps, {arguments.accelerator})",
            flush=True,
        )


def _seconds(overrides: list[str]) -> float:
    """Train through the command's own path, and return the seconds of training proper."""
    import hydra
    from hydra.core.hydra_config import HydraConfig

    from mechlab.config.choices import config_dir
    from mechlab.config.identity import masked
    from mechlab.config.launch import register, resolve
    from mechlab.config.seeds import members
    from mechlab.jobs.execute import execute_together
    from mechlab.jobs.together import prepare_runs
    from mechlab.record.status import read_status

    register([config_dir()])
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
            cfg: Any = hydra.compose("train", [*overrides, f"paths.root={folder}"], return_hydra_config=True)
            HydraConfig.instance().set_config(cfg)
            del cfg.hydra
            setups = prepare_runs([(resolve(member), masked(member)) for member in members(cfg)])
        execute_together(setups)
        return read_status(setups[0].folder)["seconds"]
