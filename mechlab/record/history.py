"""The record of training: parameters, optimizer state and batches by optimiser step, in safetensors shards."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from mechlab.core.errors import NotRecorded, RunError
from mechlab.core.precision import in_precision
from mechlab.core.recipe import Recipe
from mechlab.core.state import put_state
from mechlab.record.files import read_mapping
from mechlab.record.segments import Segments, State
from mechlab.record.shards import RESTORE, SHARDS, shard_rows, shard_steps
from mechlab.record.tensors import load_tensors, named, open_tensors, real_parts

LEVELS = ("none", "sparse", "replay", "full")
VERSION = 1
DTYPES = ("float16", "float32", "float64")
ABOUT = "history.json"
TRACE = "trace"  # the folder of the hashes and rates of every step, with history=replay


def decade_spaced(per_decade: int, last: int) -> list[int]:
    """Return step 0, the steps 10^(i / per_decade) up to `last`, rounded, and `last`.

    >>> decade_spaced(3, 100)
    [0, 1, 2, 5, 10, 22, 46, 100]
    """
    points = math.floor(per_decade * math.log10(last)) + 1 if last else 0
    return sorted({0, last} | {min(last, round(10 ** (i / per_decade))) for i in range(points)})


def log_spaced(points: int, last: int) -> list[int]:
    """Return about `points` steps from 0 to `last`, both included, spaced evenly in log(1 + step).

    >>> log_spaced(5, 100)
    [0, 2, 9, 31, 100]
    """
    return sorted({round(math.expm1(math.log1p(last) * i / (points - 1))) for i in range(points)} | {0, last})


class History:
    """Read access to a run's `history/` folder.

    The record of step s holds the parameters before that optimiser step, the optimizer state with which the step began,
    the ids of the batch it used, and the learning rate and weight decay in force. The last record holds the end. With
    history.optimizer=false, optimizer states are not recorded, and batches follow from the plan; with history.dtype,
    the recorded parameters are rounded to it, and read in the dtype of training.

    With history=replay only every so many of these records are stored, and a hash of the parameters at each step. The
    others are computed again from the stored one before them, a segment at a time, by the updates that training made;
    they are checked against the hashes and against the next stored record. The segment that was read last stays
    in memory, so going through the steps in order, forwards or backwards, computes each of them once.

    Args:
        folder: the history/ folder.
        make_recipe: what was trained; needed to compute steps that are not stored.

    Raises:
        RunError: the record was written in a format that is not known.
        ReplayDiffers: (on reading) what was computed again is not what was trained, for instance by changed code.
    """

    def __init__(self, folder: str | Path, make_recipe: Callable[[], Recipe] | None = None):
        self.folder = Path(folder)
        self._make_recipe = make_recipe
        self._places = shard_rows(self.folder)
        self._segment: dict[int, State] = {}  # the states between two stored ones
        self.about = read_about(self.folder)

    @property
    def has_optimizer(self) -> bool:
        """True if optimizer states and batches are recorded, not only parameters and buffers."""
        return self.about.get("optimizer", True)

    @property
    def is_exact(self) -> bool:
        """True if parameters are recorded as they were trained, not rounded."""
        return "dtype" not in self.about

    @property
    def device(self) -> str:
        """The device of the training, as torch names it, whose generator drew endless and augmented examples."""
        return self.about.get("device", "cpu")

    def check_exact(self, must: str, optimizer: bool = True) -> None:
        """Raise NotRecorded, with the sentence `must`, unless parameters are recorded as they were trained, and
        optimizer states too if they are needed."""
        lacks, fixes = [], []
        if optimizer and not self.has_optimizer:
            lacks, fixes = ["weights only (history.optimizer=false)"], ["history.optimizer=true"]
        if not self.is_exact:
            lacks += [f"weights rounded to {self.about['dtype']} (history.dtype={self.about['dtype']})"]
            fixes += ["history.dtype=null"]
        if lacks:
            fix = f"train again with {' '.join(fixes)}"
            raise NotRecorded(must, got=" and ".join(lacks), key=str(self.folder), fix=fix)

    def rounded(self, params: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return parameters (and buffers) as this record would return them: rounded to the dtype in which it is stored,
        unless that is the dtype of training."""
        if self.is_exact:
            return dict(params)
        narrow = {name: in_precision(value, self._dtype("dtype")) for name, value in real_parts(params).items()}
        return dict(named(key, value, self._dtype("trained")) for key, value in narrow.items())

    @property
    def stored(self) -> list[int]:
        """The steps whose state is on disk, in order."""
        return sorted(self._places)

    @property
    def steps(self) -> list[int]:
        """The recorded steps, in order: the stored ones and those that can be computed from them."""
        return sorted(self._trace.keys() | self._places.keys()) if self._places else []

    def params(self, step: int) -> dict[str, Tensor]:
        """Return the parameters (and buffers) before optimiser step `step`, by name, in the dtype of training."""
        return self._state(step, "params/")

    def optimizer(self, step: int) -> dict[str, Tensor]:
        """Return the optimizer state before optimiser step `step`, as `<state>/<parameter name>`.

        Raises:
            NotRecorded: only weights were recorded.
        """
        if not self.has_optimizer:
            self.check_exact("the optimizer's state must be recorded")
        return self._state(step, "optimizer/")

    def batch_indices(self, step: int) -> Tensor:
        """Return the ids (B,) int64 of the examples that optimiser step `step` used."""
        if step in self._trace and step not in self._places:
            return self._segments.source.plan.indices(step)
        if step in self._places and not self.has_optimizer:
            return self._recipe().plan().indices(step)
        indices = self._read(step, "indices")[""].long()
        return indices[indices >= 0]

    def rates(self, step: int) -> tuple[float, float]:
        """Return (learning rate, weight decay) in force during optimiser step `step`."""
        learning_rate, decay = self._trace[step][1:] if step in self._trace else self._read(step, "rates")[""].tolist()
        return learning_rate, decay

    def digest(self, step: int) -> int | None:
        """Return the recorded hash of the parameters before optimiser step `step`; None without history=replay."""
        return self._trace[step][0] if step in self._trace else None

    def restore(self, step: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Put model and optimizer into their recorded state before optimiser step `step`."""
        self.check_exact("the state to restore must be recorded whole, as it was trained")
        put_state(model, optimizer, self.params(step), self.optimizer(step))

    def _state(self, step: int, prefix: str) -> dict[str, Tensor]:
        if step in self._places or step not in self._trace:
            return self._read(step, prefix)
        if step not in self._segment:
            self._segment = {}  # before there is another one
            self._segment = self._computed(step)
        state = self._segment[step]
        return {name.removeprefix(prefix): state[name].clone() for name in state if name.startswith(prefix)}

    def _computed(self, step: int) -> dict[int, State]:
        """Return the states between the stored ones around a step."""
        stored = self.stored
        place = bisect.bisect(stored, step)
        if not place:
            self._refuse(step)
        start, traced = stored[place - 1], max(self._trace)
        ends = place < len(stored) and stored[place] <= traced  # not so for the last steps of an unfinished run
        stop = stored[place] if ends else traced
        return self._segments.between(start, stop, self._read(start, ""), self._read(stop, "") if ends else None)

    def _digest_at(self, step: int) -> int:
        if step not in self._trace:
            must, fix = "the record must have a hash for every step", "restore the files, or train the run again"
            raise RunError(must, got=f"none for step {step}", key=str(self.folder / TRACE), fix=fix)
        return self._trace[step][0]

    @cached_property
    def _segments(self) -> Segments:
        return Segments(self._recipe(), self.about, self._digest_at, self.folder)

    def _recipe(self) -> Recipe:
        if self._make_recipe is None:
            raise NotRecorded(
                "what is not stored is computed again, for which the run's recipe is needed",
                got=f"the folder alone; stored are {_ranges(self.stored)}",
                key=str(self.folder),
                fix="mechlab.load_run(FOLDER).history",
            )
        return self._make_recipe()

    def _dtype(self, name: str) -> torch.dtype:
        return getattr(torch, self.about[name])

    @cached_property
    def _trace(self) -> dict[int, tuple[int, float, float]]:
        """The hash of the parameters, the learning rate and the weight decay by step."""
        traced: dict[int, tuple[int, float, float]] = {}
        for path in sorted((self.folder / TRACE).glob(SHARDS)):
            tensors = load_tensors(path)
            rows = zip(shard_steps(path), tensors["digest"].tolist(), tensors["rates"].tolist(), strict=True)
            traced |= {step: (digest, *rates) for step, digest, rates in rows}
        return traced

    def _read(self, step: int, prefix: str) -> dict[str, Tensor]:
        if step not in self._places:
            self._refuse(step)
        path, row = self._places[step]
        dtype = None if self.is_exact else self._dtype("trained")
        with open_tensors(path) as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118 (not a mapping)
            dtypes = {name: dtype for name in names if name.startswith("params/")}
            tensors = dict(named(name, file.get_slice(name)[row], dtypes.get(name)) for name in names)
        return {name.removeprefix(prefix): value for name, value in tensors.items()}

    def _refuse(self, step: int) -> NoReturn:
        recorded = self.steps
        raise NotRecorded(
            "the step must have been recorded",
            got=f"step {step}; recorded are " + (_ranges(recorded) if recorded else "none"),
            key=str(self.folder),
            fix="choose a recorded step, or train with history=replay or history=full",
        )


def read_about(folder: Path) -> dict[str, Any]:
    """Return the content of history.json: what the record in this folder holds; `{"kind": "none"}` without the file.

    Raises:
        RunError: it is damaged, or of a format that is not known.
    """
    path = folder / ABOUT
    if not path.exists():
        return {"kind": LEVELS[0]}
    about = read_mapping(path)
    if about.get("version", VERSION) != VERSION:
        must, got = f"the record must be of version {VERSION}", f"version {about['version']}"
        raise RunError(must, got=got, key=str(path), fix="read it with the mechlab that wrote it, or train again")
    kind = about.get("kind")
    if kind not in LEVELS:
        must = f"the kind of the record must be one of {', '.join(LEVELS)}"
        raise RunError(must, got=kind, key=str(path), fix=RESTORE)
    for name in about.keys() & {"dtype", "trained"}:
        if about[name] not in DTYPES or not {"dtype", "trained"} <= about.keys():
            must = f"{name} of the record must be one of {', '.join(DTYPES)}"
            raise RunError(must, got=about[name], key=str(path), fix=RESTORE)
    threads, device = about.get("threads"), about.get("device")
    if kind != "replay" and device not in (None, "cpu", "cuda"):
        raise RunError("the device of the record must be cpu or cuda", got=device, key=str(path), fix=RESTORE)
    if kind == "replay" and not (isinstance(threads, int) and threads > 0 and device in ("cpu", "cuda")):
        must = "a record of kind replay must have the threads and the device of the training"
        raise RunError(must, got=f"{threads}, {device}", key=str(path), fix=RESTORE)
    return about


def _ranges(steps: list[int]) -> str:
    if steps[-1] - steps[0] == len(steps) - 1:
        return f"{steps[0]} to {steps[-1]}"
    return ", ".join(map(str, steps))
