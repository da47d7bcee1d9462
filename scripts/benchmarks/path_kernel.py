"""Path kernels of the transformer of `experiment=epk_grokking` against dense per-example gradients and momentum."""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STEPS = 3  # updates from the initialisation on
EXPLAINED = 4  # pairs of the validation set
RATE, BETAS, EPSILON, DECAY = 1e-3, (0.9, 0.98), 1e-8, 4.0
CHECKED, NODES_OF_TRUTH = 100, 32  # training pairs of the check in float64, and its nodes where the rule is judged
LONG = (20, 200)  # steps of the two trainings whose memory is compared
SIZES = {  # of the cost of a step: training pairs, width, hidden
    "examples": ((500, 64, 512), (1000, 64, 512), (2000, 64, 512), (4000, 64, 512)),
    "parameters": ((1000, 32, 128), (1000, 64, 512), (1000, 128, 1024), (1000, 128, 4096)),
}


@dataclass(frozen=True)
class Method:
    """A computation that is timed.

    Args:
        dense: whether it is the dense reference, or mechlab.
        outputs: "all" or "target", the own class.
        nodes: of the midpoint rule.
    """

    dense: bool
    outputs: str
    nodes: int

    @property
    def name(self) -> str:
        """For tables."""
        kind = "own class" if self.outputs == "target" else "all outputs"
        return f"{'dense' if self.dense else 'mechlab'}, {kind}, {self.nodes} nodes"


ROLES = {
    "dense": Method(True, "all", 4),
    "all": Method(False, "all", 4),
    "dense_own": Method(True, "target", 2),
    "own": Method(False, "target", 2),
}
RATIOS = {
    "all outputs, equal nodes": ("dense", "all"),
    "own class, equal nodes": ("dense_own", "own"),
    "own class with 2 nodes, dense all outputs with 4": ("dense", "own"),
}


def main(arguments: argparse.Namespace) -> None:
    """Explain the same steps by each method in turns, each in a process of its own; print seconds per step, the largest
    memory, errors against float64, and ratios."""
    with tempfile.TemporaryDirectory() as folder:
        _child("record", folder)
        _child("truth", folder)
        turns = [{role: _child(role, folder) for role in ROLES} for _ in range(min(arguments.repeats, 3))]
        _report(turns, Path(folder))
        for kind, sizes in SIZES.items():
            print(f"cost of a step with the number of {kind} (own class, 2 nodes, {EXPLAINED} explained pairs)")
            for pairs, width, hidden in sizes:
                done = _child(f"size {pairs} {width} {hidden}", folder)
                number = _parameters(width, hidden)
                print(f"  {pairs:5} pairs {number:9,} parameters  wall {done['wall']:.3f} s  CPU {done['cpu']:.3f} s")
        print(f"memory with the number of steps (p = 13, all outputs of {EXPLAINED} pairs, greatest of the process)")
        for steps in LONG:
            _child(f"record {steps}", folder)
            print(f"  {steps:4} steps {_child(f'long {steps}', folder)['bytes'] / 2**20:8.1f} MiB", flush=True)


def _child(role: str, folder: str) -> dict[str, float]:
    """Run one role in a new process; return its wall and CPU seconds per step and its greatest memory in bytes."""
    here = Path(__file__).resolve()
    code = f"from benchmarks.path_kernel import child; child({role!r}, {folder!r})"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": f"{here.parents[1]}:{here.parents[2]}", "OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    return dict(zip(("wall", "cpu", "bytes"), map(float, result.stdout.split()[-3:]), strict=True))


def child(role: str, folder: str) -> None:
    """Run the computation of `role`, save its result, and print seconds and memory."""
    import torch

    torch.set_num_threads(1)
    work, steps = _work(role, Path(folder))
    small = _recorded(13, 1)  # what is loaded on first use is not counted
    if role in ROLES and ROLES[role].dense:
        _dense(small, 1, torch.float32)
    elif role in ROLES or role.startswith("size "):
        _mechlab(small, "target", 1, torch.float32)
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    wall, cpu = (time.perf_counter() - wall) / steps, (time.process_time() - cpu) / steps
    if result:
        _save(result, Path(folder) / role)
    print(wall, cpu, _greatest_memory())


def _save(result: dict[str, Any], path: Path) -> None:
    """Save a recorded training, or arrays."""
    import numpy as np
    import torch

    if "params" in result:
        torch.save(result, path.with_suffix(".pt"))
    else:
        np.savez(path.with_suffix(".npz"), **result)


def _work(role: str, folder: Path) -> tuple[Callable[[], dict[str, Any] | None], int]:
    """Return what a role does, without what it reads, and over how many steps."""
    import torch

    if role == "record":
        return lambda: _recorded(113, STEPS), 1
    if role.startswith("record "):
        return lambda: _written(_recorded(13, int(role.split()[1])), folder), 1
    if role.startswith("size "):
        sized = _recorded(113, STEPS, *map(int, role.split()[1:]))
        return lambda: _mechlab(sized, "target", 2, torch.float32) and None, STEPS
    if role.startswith("long "):
        return lambda: _mechlab(_read(folder), "all", 1, torch.float32) and None, int(role.split()[1])
    history = torch.load(folder / "record.pt", weights_only=True)
    if role == "truth":
        return lambda: _truth(history), 1
    method = ROLES[role]
    if method.dense:
        return lambda: _dense(history, method.nodes, torch.float32, own=method.outputs == "target"), STEPS
    return lambda: _mechlab(history, method.outputs, method.nodes, torch.float32), STEPS


def _greatest_memory() -> int:
    """Return the most memory in bytes that this process had, without what it inherited from the one that started it."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _parameters(width: int, hidden: int) -> int:
    """Return the number of parameters that are trained, modulo 113."""
    _, model = _network(113, None, width, hidden)
    return sum(value.numel() for name, value in model.named_parameters() if name not in model.unused)


def _network(p: int, pairs: int | None = None, width: int = 64, hidden: int = 512) -> tuple[Any, Any]:
    """Return the task with this many training pairs, and the network."""
    import torch

    from mechlab.models.transformer1 import Transformer1
    from mechlab.tasks.modular_addition import ModularAddition

    task = ModularAddition(p, tokens="expression", n_train=pairs)
    torch.manual_seed(43)
    return task, Transformer1(task.spec, width=width, hidden=hidden)


def _recorded(p: int, steps: int, *sizes: int) -> dict[str, Any]:
    """Train for some steps, on all pairs in a new order each, with AdamW; return what was there before each step."""
    import torch

    task, model = _network(p, *sizes)
    data = task.examples("train")
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=BETAS, eps=EPSILON, weight_decay=DECAY)
    rng = torch.Generator().manual_seed(0)
    batches = [torch.randperm(len(data), generator=rng) for _ in range(steps)]
    params, states = [_copied(model.state_dict())], [{}]
    for ids in batches:
        optimizer.zero_grad()
        torch.nn.functional.nll_loss(model(data.inputs[ids]), data.targets[ids]).backward()
        optimizer.step()
        params.append(_copied(model.state_dict()))
        named = {name: optimizer.state[value] for name, value in model.named_parameters() if value in optimizer.state}
        states.append(
            {f"{key}/{name}": s[key].clone() for name, s in named.items() for key in ("exp_avg", "exp_avg_sq")}
        )
    return {"network": (p, *sizes), "params": params, "states": states, "batches": batches}


def _written(history: dict[str, Any], folder: Path) -> None:
    """Write a history to disk, a file for each step."""
    import torch

    torch.save({"network": history["network"], "batches": history["batches"]}, folder / "long.pt")
    for key in ("params", "states"):
        for step, tensors in enumerate(history[key]):
            torch.save(tensors, folder / f"{key}{step}.pt")


class _OnDisk(Sequence):
    """Tensors by step, read at access."""

    def __init__(self, folder: Path, key: str, length: int):
        self.folder, self.key, self.length = folder, key, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, step: Any) -> Any:
        import torch

        if isinstance(step, slice):
            return _OnDisk(self.folder, self.key, len(range(*step.indices(self.length))))
        return torch.load(self.folder / f"{self.key}{step}.pt", weights_only=True)


def _read(folder: Path) -> dict[str, Any]:
    """Return a history on disk, of which nothing but the batches is in memory."""
    import torch

    history = torch.load(folder / "long.pt", weights_only=True)
    steps = len(history["batches"])
    return history | {key: _OnDisk(folder, key, steps + 1) for key in ("params", "states")}


def _copied(tensors: dict[str, Any]) -> dict[str, Any]:
    return {name: value.detach().clone() for name, value in tensors.items()}


def _mechlab(history: dict[str, Any], outputs: str, nodes: int, dtype: Any) -> dict[str, Any]:
    """Explain the history by `mechlab.kernels.path_kernel`, without the scores of single parameters."""
    from mechlab.core.update_equations import AdamEquations
    from mechlab.kernels import Arrays, Trajectory, path_kernel

    task, model = _network(*history["network"])
    steps = len(history["batches"])
    rates = [RATE] * steps, [DECAY] * steps
    arrays = Arrays(history["params"], history["batches"], *rates, history["states"][:steps])
    rule, data = AdamEquations(*BETAS, EPSILON, decoupled=True), task.examples("train")
    trajectory = Trajectory.of_arrays(model, task.spec, data, rule, arrays, dtype=dtype)
    batch = task.examples("val")[:EXPLAINED]
    result = path_kernel(trajectory, batch, outputs, nodes=nodes, dtype=dtype, scores=False)
    return {"influence": result.influence, "decay": result.decay, "change": result.final - result.initial}


def _dense(history: dict[str, Any], nodes: int, dtype: Any, only: Any = None, own: bool = False) -> dict[str, Any]:
    """Explain the history forwards in time: every training example's gradient, momentum and normalised momentum in
    memory, and the Jacobian of the explained outputs at every node, vectorised by torch.func.

    Args:
        only: ids of the training examples whose influence is wanted; all by default.
        own: whether to explain the log-probability of the own class in place of all.
    """
    import torch
    from torch.func import functional_call, grad, jacrev, vmap

    task, model = _network(*history["network"])
    model = model.to(dtype)
    train, explained = task.examples("train"), task.examples("val")[:EXPLAINED]
    names = [name for name in history["params"][0] if name != "positional_encoding.pe"]
    constants = {name: value.to(dtype) for name, value in history["params"][0].items() if name not in names}
    params = [{name: p[name].to(dtype) for name in names} for p in history["params"]]
    chosen = torch.arange(len(train)) if only is None else only

    def loss(parameters: dict[str, Any], x: Any, y: Any) -> Any:
        return -functional_call(model, {**parameters, **constants}, x[None])[0].gather(0, y[None])[0]

    def outputs(parameters: dict[str, Any], x: Any, y: Any) -> Any:
        result = functional_call(model, {**parameters, **constants}, x[None])[0]
        return result.gather(0, y[None]) if own else result

    gradients, jacobians = vmap(grad(loss), (None, 0, 0)), vmap(jacrev(outputs), (None, 0, 0))
    values = vmap(outputs, (None, 0, 0))
    beta1, beta2 = BETAS
    momentum = {name: torch.zeros(len(chosen), *params[0][name].shape, dtype=dtype) for name in names}
    influence: Any = 0
    decayed: Any = 0
    for s, ids in enumerate(history["batches"]):
        ids = ids if only is None else only  # each training example is in each batch
        raw = gradients(params[s], train.inputs[ids], train.targets[ids])
        place = ids if only is None else torch.arange(len(only))
        for name in names:
            momentum[name].mul_(beta1).index_add_(0, place, raw[name], alpha=(1 - beta1) / len(train))
        second = {name: history["states"][s + 1][f"exp_avg_sq/{name}"].to(dtype) for name in names}
        size = RATE / (1 - beta1 ** (s + 1))
        scale = {name: size / ((second[name] / (1 - beta2 ** (s + 1))).sqrt() + EPSILON) for name in names}
        normalised = {name: momentum[name] * scale[name] for name in names}
        average: dict[str, Any] = dict.fromkeys(names, 0)
        for node in range(nodes):
            share = (node + 0.5) / nodes
            at = {name: torch.lerp(params[s][name], params[s + 1][name], share) for name in names}
            result = jacobians(at, explained.inputs, explained.targets)  # (X, C, *shape)
            average = {name: average[name] + result[name] / nodes for name in names}
        influence = influence - sum(average[name].flatten(2) @ normalised[name].flatten(1).T for name in names)
        decayed = decayed - RATE * DECAY * sum(average[n].flatten(2) @ params[s][n].flatten() for n in names)
    ends = [values(params[s], explained.inputs, explained.targets) for s in (0, -1)]
    result = {"influence": influence, "decay": decayed, "change": ends[1] - ends[0]}
    return {name: value.detach().numpy() for name, value in result.items()}


def _truth(history: dict[str, Any]) -> dict[str, Any]:
    """Return influences of some training pairs in float64, by the dense method: of all outputs with 4 nodes, and of the
    own class with 2, 4 and many."""
    import torch

    some = torch.arange(0, 4000, 4000 // CHECKED)
    result = {"all": _dense(history, 4, torch.float64, some)["influence"], "ids": some.numpy()}
    own = {f"own {n}": _dense(history, n, torch.float64, some, True)["influence"] for n in (2, 4, NODES_OF_TRUTH)}
    return result | own


def _report(turns: list[dict[str, dict[str, float]]], folder: Path) -> None:
    """Print the table of seconds, memory and errors, and the ratios."""
    import numpy as np

    result = {role: dict(np.load(folder / f"{role}.npz")) for role in (*ROLES, "truth")}
    truth, own = result["truth"], _own_class()
    best = truth[f"own {NODES_OF_TRUTH}"]
    sizes = f"p = 113, 4000 training pairs, {EXPLAINED} explained, {STEPS} steps"
    print(f"{sizes}, one thread; medians of {len(turns)} turns")
    print("  per step:                          wall s   CPU s   GiB    same rule  exact rule  incomplete")
    for role, method in ROLES.items():
        wall, cpu, size = (statistics.median(turn[role][key] for turn in turns) for key in ("wall", "cpu", "bytes"))
        influence = result[role]["influence"]
        some = influence[..., truth["ids"]]
        rounding = _error(some, truth["own 2" if method.outputs == "target" else "all"])
        rule = _error(some if method.outputs == "target" else np.take_along_axis(some, own[:, None, None], 1), best)
        change = result[role]["change"]
        left = np.abs(change - influence.sum(-1) - result[role]["decay"]).max() / np.abs(change).max()
        print(
            f"  {method.name:33} {wall:7.2f} {cpu:7.2f} {size / 2**30:5.2f}   {rounding:9.1e} {rule:10.1e}  {left:9.1e}"
        )
    print("  dense by mechlab:                                   wall (least, most)       CPU (least, most)    memory")
    for name, (dense, role) in RATIOS.items():
        columns = []
        for kind in ("wall", "cpu"):
            ratios = [turn[dense][kind] / turn[role][kind] for turn in turns]
            columns.append(f"{statistics.median(ratios):6.1f} ({min(ratios):.1f}, {max(ratios):.1f})")
        share = statistics.median(turn[dense]["bytes"] / turn[role]["bytes"] for turn in turns)
        print(f"  {name:50} {columns[0]:>18}      {columns[1]:>18}    {share:6.1f}")


def _own_class() -> Any:
    return _network(113)[0].examples("val")[:EXPLAINED].targets.numpy()


def _error(result: Any, expected: Any) -> float:
    """Return the relative Frobenius error."""
    import numpy as np

    return float(np.linalg.norm(result - expected) / np.linalg.norm(expected))


if __name__ == "__main__":
    sys.exit("python scripts/bench.py path_kernel")
