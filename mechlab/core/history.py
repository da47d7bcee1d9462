"""The record of training: parameters, optimizer state and batches by optimiser step, in safetensors shards."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from mechlab.core.errors import NotRecorded
from mechlab.core.tensors import load_metadata, load_tensors, open_tensors, save_tensors

LEVELS = ("none", "sparse", "replay", "full")


def log_spaced(points: int, last: int) -> list[int]:
    """Return about `points` steps from 0 to `last`, both included, spaced evenly in log(1 + step).

    >>> log_spaced(5, 100)
    [0, 2, 9, 31, 100]
    """
    return sorted({round(math.expm1(math.log1p(last) * i / (points - 1))) for i in range(points)} | {0, last})


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimizer's state tensors as `<state>/<parameter name>`, e.g. `exp_avg_sq/readout.weight`."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{key}/{names[parameter]}": value
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
        if isinstance(value, Tensor)
    }


class History:
    """Read access to a run's `history/` folder.

    The record of step s holds the parameters before that optimiser step, the optimizer state with which the step began,
    the ids of the batch it used, and the learning rate and weight decay in force. The last record holds the end.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self._places: dict[int, tuple[Path, int]] = {}
        for path in sorted(self.folder.glob("*-*.safetensors")):
            for row, step in enumerate(load_metadata(path)):
                self._places[step] = (path, row)

    @property
    def steps(self) -> list[int]:
        """The recorded steps, in order."""
        return sorted(self._places)

    def params(self, step: int) -> dict[str, Tensor]:
        """Return the parameters (and buffers) before optimiser step `step`, by name."""
        return self._read(step, "params/")

    def optimizer(self, step: int) -> dict[str, Tensor]:
        """Return the optimizer state before optimiser step `step`, as `<state>/<parameter name>`."""
        return self._read(step, "optimizer/")

    def batch_indices(self, step: int) -> Tensor:
        """Return the ids (B,) int64 of the examples that optimiser step `step` used."""
        indices = self._read(step, "indices")[""].long()
        return indices[indices >= 0]

    def rates(self, step: int) -> tuple[float, float]:
        """Return (learning rate, weight decay) in force during optimiser step `step`."""
        learning_rate, decay = self._read(step, "rates")[""].tolist()
        return learning_rate, decay

    def restore(self, step: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Put model and optimizer into their recorded state before optimiser step `step`."""
        model.load_state_dict(self.params(step))
        numbers = {name: number for number, (name, _) in enumerate(model.named_parameters())}
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in self.optimizer(step).items():
            key, parameter = name.split("/", 1)
            state.setdefault(numbers[parameter], {})[key] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})  # moves each tensor to its device

    def _read(self, step: int, prefix: str) -> dict[str, Tensor]:
        if step not in self._places:
            recorded = self.steps
            raise NotRecorded(
                "the step must have been recorded",
                got=f"step {step}; recorded are " + (_ranges(recorded) if recorded else "none"),
                key=str(self.folder),
                fix="ask for a recorded step, or train with history=full",
            )
        path, row = self._places[step]
        with open_tensors(path) as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118 (not a mapping)
            return {name.removeprefix(prefix): file.get_slice(name)[row] for name in names}


def _ranges(steps: list[int]) -> str:
    if steps[-1] - steps[0] == len(steps) - 1:
        return f"{steps[0]} to {steps[-1]}"
    return ", ".join(map(str, steps))


def write_shard(folder: Path, steps: list[int], tensors: dict[str, Tensor]) -> None:
    """Write the records of these steps, in order: every tensor has a leading axis (len(steps), ...)."""
    save_tensors(folder / f"{steps[0]:08d}-{steps[-1]:08d}.safetensors", tensors, steps)


def cut(folder: Path, step: int) -> None:
    """Remove all records of optimiser step `step` and later, so that training can go on from there."""
    for path in sorted(folder.glob("*-*.safetensors")):
        first, last = map(int, path.stem.split("-"))
        if last < step:
            continue
        if first < step:
            kept = [recorded for recorded in load_metadata(path) if recorded < step]
            write_shard(folder, kept, {name: tensor[: len(kept)] for name, tensor in load_tensors(path).items()})
        path.unlink()
