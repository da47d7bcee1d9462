"""The steps between two stored states of training, computed again and checked."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from mechlab.core.device import set_up_device
from mechlab.core.errors import ConfigError, ReplayDiffers
from mechlab.core.recipe import Recipe
from mechlab.core.state import digest, optimizer_tensors, put_state
from mechlab.record.sources import changed, defining, hashes, listed

State = dict[str, Tensor]  # `params/<name>` and `optimizer/<state>/<name>`, as in a shard


def conditions(recipe: Recipe, device: str) -> dict[str, Any]:
    """Return the conditions, beyond the recipe, on which the bits of an update depend: threads, device, torch, kind of
    processor, and the hashes of the sources that define it."""
    return {
        "threads": torch.get_num_threads(),
        "device": device,
        "torch": torch.__version__,
        "processor": torch.backends.cpu.get_cpu_capability(),
        "code": hashes(defining(recipe)),
    }


class Segments:
    """Computes the states between two stored ones again, as training made them.

    Args:
        recipe: what was trained.
        trained: the conditions under which it was, as `conditions` returned them. Replays use as many threads.
        digest_at: the recorded hash of the parameters before an optimiser step.
        where: the folder of the record, for messages.
    """

    def __init__(self, recipe: Recipe, trained: Mapping[str, Any], digest_at: Callable[[int], int], where: Path):
        self.recipe, self.trained, self.digest_at, self.where = recipe, trained, digest_at, where
        try:
            set_up_device("gpu" if trained["device"] == "cuda" else "cpu")
        except ConfigError as error:
            self._refuse("a replay needs the device of the training", str(error.got))
        with training_mode(trained["threads"], trained["device"]):
            self.model = recipe.architecture().to(trained["device"])
            self.optimizer = recipe.optimizer(self.model)
            self.source = recipe.source(trained["device"])

    def between(self, start: int, stop: int, first: State, last: State | None) -> dict[int, State]:
        """Return the states before the steps start + 1, ..., stop; the last one only if it is not given.

        Args:
            first: the stored state before step `start`.
            last: the stored state before step `stop`, with which the replay must end; None if there is none.

        Raises:
            ReplayDiffers: the states are not those of the training, bit for bit.
        """
        states: dict[int, State] = {}
        with training_mode(self.trained["threads"], self.trained["device"]):
            put_state(self.model, self.optimizer, _part(first, "params/"), _part(first, "optimizer/"))
            if digest(self.model.state_dict()) != self.digest_at(start):
                self._differs(start, "stored parameters")
            for step, *_ in self.recipe.steps(self.model, self.optimizer, self.source, start=start, stop=stop):
                if digest(self.model.state_dict()) != self.digest_at(step):
                    self._differs(step, "parameters")
                if step < stop or last is None:
                    states[step] = self._snapshot()
        if last is not None:
            self._compare(stop, last)
        return states

    def _snapshot(self) -> State:
        moments = optimizer_tensors(self.model, self.optimizer)
        parts = (("params/", self.model.state_dict()), ("optimizer/", moments))
        return {
            prefix + name: value.detach().to("cpu", copy=True) for prefix, part in parts for name, value in part.items()
        }

    def _compare(self, step: int, expected: State) -> None:
        computed = self._snapshot()
        wanted = {name: value for name, value in expected.items() if name.startswith(("params/", "optimizer/"))}
        for name in wanted.keys() | computed.keys():
            if name not in computed or name not in wanted or not torch.equal(computed[name], wanted[name]):
                self._differs(step, name.replace("/", " ", 1))

    def _differs(self, step: int, what: str) -> None:
        self._refuse("a replay must give what was trained, bit for bit", f"step {step} differs in its {what}")

    def _refuse(self, must: str, got: str) -> NoReturn:
        trained = self.trained
        now = conditions(self.recipe, trained["device"]) | {"threads": trained["threads"]}  # replays have as many
        pairs = [(name, trained.get(name), now[name]) for name in now if name != "code"]
        differences = [f"{name} was {before} and is {value}" for name, before, value in pairs if value != before]
        reasons = "; ".join([_compared(trained.get("code"), now["code"]), *differences])
        fix = (
            "go back to the code, packages and kind of machine in the run's provenance/environment.json; or train "
            "again (with history=full if the record has to outlive such changes)"
        )
        raise ReplayDiffers(must, got=f"{got}; {reasons}", key=str(self.where), fix=fix)


def _compared(trained: Mapping[str, str] | str | None, now: Mapping[str, str]) -> str:
    """Return how the code has changed since the training; older records have one hash for all of it."""
    if not isinstance(trained, Mapping):
        return "whether the code has changed since is not recorded"
    names = changed(trained, now)
    return f"the code has changed since: {listed(names)}" if names else "the code is that of the training"


@contextlib.contextmanager
def training_mode(threads: int, device: str) -> Iterator[None]:
    """Have gradients, as many threads as in training, and the global generators put back after."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        devices = [torch.cuda.current_device()] if device == "cuda" else []
        with torch.random.fork_rng(devices), torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        torch.set_num_threads(before)


def _part(state: State, prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
