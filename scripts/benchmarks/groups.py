"""Groups on one thread: a training epoch with and without the first layer folded into the embeddings, and the seconds
and memory of tables, irreps and all metrics of a network. Times are processor time, so that other work on the machine
counts for little."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STEPS = 20  # of training in each turn
LARGE = (("S6", "table"), ("S7", "irreps"), ("S6", "metrics"))  # each in a process of its own


def main(arguments: argparse.Namespace) -> None:
    """Print seconds, and ratios of speeds, each the median of some turns with the least and the greatest."""
    import torch

    torch.set_num_threads(1)
    _training(arguments.steps or STEPS, arguments.repeats)
    for name in ("S5", "C113"):
        _metrics(name, arguments.repeats)
    for name, what in LARGE:
        code = f"from benchmarks import groups; groups.once({name!r}, {what!r})"
        paths = f"import sys; sys.path[:0] = {sys.path!r}"
        subprocess.run([sys.executable, "-c", f"{paths}; {code}"], check=True)


def _training(steps: int, repeats: int) -> None:
    """Make optimiser steps of S5 (5,760 pairs, 128 units) with both forms in turns."""
    ours, other = _trainer(folded=True), _trainer(folded=False)
    ratios = []
    for turn in range(repeats + 1):
        seconds = [_seconds(lambda step=step: [step() for _ in range(steps)]) for step in (ours, other)]
        if turn:  # the first one warms up
            ratios.append(seconds[1] / seconds[0])
            milliseconds = [1e3 * value / steps for value in seconds]
            print(f"S5 epoch: folded {milliseconds[0]:.1f} ms, as published {milliseconds[1]:.1f} ms", flush=True)
    spread = f"(min {min(ratios):.2f}, max {max(ratios):.2f}, n {repeats})"
    print(f"S5 epoch: median ratio {statistics.median(ratios):.2f} {spread}\n", flush=True)


def _trainer(folded: bool) -> Callable[[], None]:
    """Return a function that makes an optimiser step."""
    import torch

    from mechlab.models.group_mlp import GroupMLP
    from mechlab.tasks.group import GroupProduct

    task = GroupProduct("S5", 0.4, seed=2)
    model, batch = GroupMLP(task.spec, seed=2), task.examples("train")
    forward = model if folded else lambda inputs: as_published(model, inputs)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=1.0, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        task.spec.loss.mean(forward(batch.inputs), batch.targets).backward()
        optimizer.step()

    return step


def as_published(model: Any, inputs: Any) -> Any:
    """Return the logits (B, n) of a GroupMLP by its published form: the first layer multiplies the two embeddings of
    every pair."""
    import torch

    x, y = model.W_x[inputs[:, 0]], model.W_y[inputs[:, 1]]
    return torch.relu(torch.cat([x, y], 1) @ model.W) @ model.W_U


def _metrics(name: str, repeats: int) -> None:
    """Compute all metrics of a perceptron of 128 units with random weights."""
    work = _measured(name)
    work()
    times = [1e3 * _seconds(work) for _ in range(max(5, repeats))]
    spread = f"(min {min(times):.0f}, max {max(times):.0f}, n {len(times)})"
    print(f"{name}: all metrics of a checkpoint {statistics.median(times):.0f} ms {spread}", flush=True)


def _measured(name: str) -> Callable[[], object]:
    import torch

    from mechlab.groups import group, metrics
    from mechlab.models.group_mlp import GroupMLP
    from mechlab.tasks.group import GroupProduct

    task = GroupProduct(name, 0.4)
    model = GroupMLP(task.spec, seed=0)
    with torch.no_grad():
        embeddings, unembedding = model.effective_embeddings(), model.W_U.detach()
    pairs = task.examples("train").inputs
    return lambda: metrics(embeddings, unembedding, group(name), train=pairs)


def once(name: str, what: str) -> None:
    """Print the seconds that the table, the irreps or all metrics of a group take in a new process, and the most memory
    that the process has used."""
    import sympy.combinatorics  # noqa: F401  # imports are not measured
    import torch

    torch.set_num_threads(1)
    from mechlab.groups import group, irreps

    work: Callable[[], object] = lambda: group(name)  # noqa: E731
    if what != "table":
        work()
        work = (lambda: irreps(group(name))) if what == "irreps" else _measured(name)
    seconds = _seconds(work)
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    print(f"{name}: {what} {seconds:.2f} s, most memory of the process {peak:.0f} MiB", flush=True)


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
