"""Checked reading of info.json of a recorded training: the optimizer and its constants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from mechlab.core.errors import ConfigError, RunError, did_you_mean
from mechlab.record.files import read_json

if TYPE_CHECKING:
    import numpy as np

OPTIMIZERS = ("adamw", "sgd")
CHECKED = ("lr", "weight_decay", "batch", "d_model", "dim_mlp", "nhead")  # compared with the arrays
OPTIONS = {"adamw": ("betas", "eps", "amsgrad"), "sgd": ("momentum", "dampening", "nesterov")}


@dataclass(frozen=True)
class TrainingInfo:
    """The content of info.json.

    Args:
        path: the file.
        p: the modulus.
        optimizer: the lower-case name of torch's optimizer.
        hyper: its constants and the sizes, unchecked.
    """

    path: Path
    p: int
    optimizer: Literal["adamw", "sgd"]
    hyper: dict[str, Any]

    @property
    def batch(self) -> int | None:
        """The size of a batch, if it is given as a number."""
        value = self.hyper.get("batch")
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    @property
    def unknown(self) -> list[str]:
        """The names under hyper that are not used."""
        known = {*CHECKED, *OPTIONS["adamw"], *OPTIONS["sgd"]}
        return [name for name, value in self.hyper.items() if name not in known and value is not None]

    def agrees(self, name: str, value: int, other: str) -> None:
        """Raise ConfigError if a size under hyper differs from that of a file."""
        given = self.hyper.get(name)
        if given is not None and given != value:
            _refuse(f"hyper.{name} must be that of {other}: {value}", f"{given!r}", self.path)

    def undo_rounding(self, name: str, values: np.ndarray) -> None:
        """Replace values (S,) that equal a number under hyper in float32 by the number itself, in place."""
        import numpy as np

        given = self.hyper.get(name)
        if isinstance(given, int | float):
            values[values == np.float32(given)] = given

    def nodes(self, rates: Sequence[tuple[float, float]]) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
        """Return the config nodes of optimizer and learning-rate schedule, and notes on what they cannot express.

        Args:
            rates: learning rate and weight decay of each step.
        """
        learning_rates, decays = zip(*rates, strict=True)
        peak, notes, schedule = max(learning_rates), [], {"kind": "constant"}
        if min(learning_rates) < peak:
            schedule = {"kind": "table", "factors": [rate / peak for rate in learning_rates]}
        if len(set(decays)) > 1:
            notes.append(
                f"weight_decay changes over training: the history has its value at each step, the optimizer's "
                f"configuration the first one, {decays[0]:g}"
            )
        for name, value, known in (("lr", peak, set(learning_rates)), ("weight_decay", decays[0], set(decays))):
            given = self.hyper.get(name)
            if given is not None and given not in known:
                notes.append(f"info.json has {name} {given}, data.npz has {value:g}, which is used")
        common = {"lr": peak, "weight_decay": decays[0]}
        return self._optimizer(common), schedule, notes

    def _optimizer(self, common: dict[str, float]) -> dict[str, Any]:
        if self.optimizer == "adamw":
            betas = [self._number(value, "betas") for value in self.hyper["betas"]]
            eps = self._number(self.hyper["eps"], "eps")
            return {"_target_": "torch.optim.AdamW", **common, "betas": betas, "eps": eps}
        numbers = {name: self._number(self.hyper.get(name) or 0.0, name) for name in ("momentum", "dampening")}
        nesterov = bool(self.hyper.get("nesterov"))
        return {"_target_": "torch.optim.SGD", **common, **numbers, "nesterov": nesterov}

    def _number(self, value: Any, name: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
            _refuse(f"hyper.{name} must be a number of at least 0", repr(value), self.path)
        return float(value)


def read_info(path: Path) -> TrainingInfo:
    """Return the content of info.json.

    Raises:
        ConfigError: it is missing, not a JSON object, or lacks an entry, which the message names.
    """
    if not path.is_file():
        raise ConfigError(f"the folder must hold {path.name}", got=f"none in {path.parent}", key="path")
    try:
        values = read_json(path.resolve())
    except RunError as error:
        _refuse(error.must, str(error.got), path)
    if not isinstance(values, dict):
        _refuse("the file must hold a JSON object", type(values).__name__, path)
    for name in ("p", "optimizer", "hyper"):
        if name not in values:
            _refuse(f"{name} must be there", f"only {', '.join(values) or 'nothing'}", path)
    p, optimizer, hyper = values["p"], str(values["optimizer"]).lower(), values["hyper"]
    if not isinstance(p, int) or isinstance(p, bool) or p < 2:
        _refuse("p must be a whole number of at least 2", repr(p), path)
    if optimizer not in OPTIMIZERS:
        _refuse(f"optimizer must be {' or '.join(OPTIMIZERS)}", repr(values["optimizer"]), path, optimizer)
    if not isinstance(hyper, dict):
        _refuse("hyper must be an object", repr(hyper), path)
    for name in ("betas", "eps") if optimizer == "adamw" else ("momentum",):
        if hyper.get(name) is None:
            _refuse(f"hyper.{name} must be there with optimizer {optimizer}", f"only {', '.join(hyper)}", path)
    if optimizer == "adamw" and not (isinstance(hyper["betas"], list) and len(hyper["betas"]) == 2):
        _refuse("hyper.betas must be two numbers", repr(hyper["betas"]), path)
    if hyper.get("amsgrad"):
        _refuse("hyper.amsgrad must be false: its updates have another form", "true", path)
    return TrainingInfo(path, p, optimizer, hyper)


def _refuse(must: str, got: str, path: Path, word: str | None = None) -> NoReturn:
    fix = None if word is None else did_you_mean(word, OPTIMIZERS)
    raise ConfigError(must, got=f"{path}: {got}", key="path", fix=fix) from None
