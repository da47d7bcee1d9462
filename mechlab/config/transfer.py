"""Transfer from another run: its weights, or parameters by name, from any recorded step."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from mechlab.config.schema import TrainConfig
from mechlab.core.errors import ConfigError, MechlabError, NotRecorded, RunError, did_you_mean
from mechlab.record.run_folders import check_run_folder

if TYPE_CHECKING:
    from torch import Tensor, nn

    from mechlab.core.recipe import Recipe


def with_transfer(recipe: Recipe, config: TrainConfig, allow: Sequence[str]) -> Recipe:
    """Return the recipe with the weights that `init_from` and its companions name, and with what they freeze.

    The names of frozen parameters follow from `init_parts` alone, so that they are known of a recorded run without the
    other run.

    Raises:
        ConfigError: there is no such run, step or parameter, shapes differ, or nothing is left to train.
    """
    frozen = config.init_parts or () if config.init_freeze else ()
    recipe = replace(recipe, frozen=tuple(frozen))
    if config.init_from is None:
        return recipe
    from mechlab.core.state import matching

    model, weights = recipe.architecture(), _recorded(config, allow)
    names = list(model.state_dict())
    if config.init_parts is None:
        recipe = replace(recipe, initial=dict(weights))
        if model.solve is None:
            _check_fit(model, weights)
        else:
            _check_loads(recipe)
        return recipe
    for part in config.init_parts:
        if not matching(names, [part]):
            fix = did_you_mean(part, names)
            raise ConfigError("init_parts must name parameters of the model", got=part, key="init_parts", fix=fix)
    chosen = matching(names, config.init_parts)
    if missing := [name for name in chosen if name not in weights]:
        must = f"init_parts must name parameters that {config.init_from} has too"
        raise ConfigError(must, got=missing[0], key="init_parts", fix=did_you_mean(missing[0], weights))
    solved = recipe.model() if model.solve is not None else model
    _check_fit(solved, {**solved.state_dict(), **{name: weights[name] for name in chosen}})
    return replace(recipe, initial={name: weights[name] for name in chosen})


def recorded_transfer(
    folder: Path, init_from: str | None, init_parts: Sequence[str] | None
) -> dict[str, Tensor] | None:
    """Return what a recorded run took over from another one, as its own history holds it; None where nothing was taken,
    or step 0 is not recorded, or only rounded, or cannot be read."""
    if init_from is None:
        return None
    from mechlab.core.state import matching
    from mechlab.record.history import History

    try:
        history = History(folder / "history")
        if 0 not in history.stored or not history.is_exact:
            return None
        weights = history.params(0)
    except RunError:
        return None
    return weights if init_parts is None else {name: weights[name] for name in matching(weights, init_parts)}


def transfer_digest(recipe: Recipe, config: TrainConfig) -> str | None:
    """Return what of a run's identity stands for the weights taken over: a hash of them, and whether they are frozen.

    Of the final weights of a run as a whole, the hash of the file.
    """
    if config.init_from is None:
        return None
    if config.init_at == "last" and config.init_parts is None:
        return hashlib.sha256(_final_weights(config.init_from).read_bytes()).hexdigest()
    from mechlab.core.state import digest

    return f"{digest(recipe.initial) % 2**64:016x}" + ("-frozen" if config.init_freeze else "")


def check_transfer(recipe: Recipe, config: TrainConfig) -> None:
    """Raise ConfigError for companions of `init_from` that have nothing to act on."""
    given = {"init_at": config.init_at != "last", "init_parts": config.init_parts is not None}
    if config.init_from is None and (lonely := [name for name, is_set in given.items() if is_set]):
        must, fix = f"{lonely[0]} needs init_from, the run to take weights from", "init_from=RUN"
        raise ConfigError(must, got="init_from=null", key=lonely[0], fix=fix)
    if config.init_freeze and config.init_parts is None:
        must, fix = "init_freeze needs init_parts, the parameters to freeze", "init_parts=['layers.*'], for instance"
        raise ConfigError(must, got="init_parts=null", key="init_freeze", fix=fix)
    if config.init_std is not None and recipe.architecture().solve is not None:
        must = "init_std needs a model that is initialised at random, not solved"
        raise ConfigError(must, got=config.init_std, key="init_std", fix="init_std=null, or another model")
    left = any(parameter.requires_grad for parameter in recipe.architecture().parameters())
    if config.init_freeze and recipe.max_steps and not left:
        must = "init_parts with init_freeze must leave a parameter to train"
        raise ConfigError(must, got=", ".join(config.init_parts), key="init_parts", fix="name fewer, or max_steps=0")


def _recorded(config: TrainConfig, allow: Sequence[str]) -> Mapping[str, Tensor]:
    """Return the parameters and buffers of the other run at the moment that `init_at` names."""
    from mechlab.record.tensors import load_tensors

    if config.init_at == "last":
        return load_tensors(_final_weights(config.init_from))
    from mechlab.config.recipe import load_run

    try:
        return load_run(config.init_from, config.init_at, allow).weights()
    except NotRecorded as error:
        must, fix = "init_at must be a step that the other run has recorded", "init_at=last, best or a recorded step"
        raise ConfigError(must, got=error.got, key="init_at", fix=fix) from None
    except MechlabError as error:
        key = "init_at" if config.init_at == "best" else "init_from"
        raise ConfigError(f"{config.init_from}: {error.must}", got=error.got, key=key, fix=error.fix) from None


def _final_weights(init_from: str) -> Path:
    path = Path(init_from) / "checkpoints" / "weights.safetensors"
    if not path.is_file():
        check_run_folder(init_from, "init_from")
        fix = "repeat the command that trains it, which `runs show` prints"
        raise ConfigError("init_from must be a finished run", got=f"{init_from}: no weights", key="init_from", fix=fix)
    return path


def _check_fit(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Raise ConfigError unless names and shapes are those of the model."""
    own = model.state_dict()
    for name in {**own, **weights}:
        if name not in own or name not in weights:
            _refuse(f"{name} is in {'the model' if name in own else 'the run'} alone")
        if own[name].shape != weights[name].shape:
            _refuse(f"{name} has shape {tuple(weights[name].shape)}, in the model {tuple(own[name].shape)}")


def _check_loads(recipe: Recipe) -> None:
    """Raise ConfigError unless the weights fit a model whose shapes they decide."""
    try:
        recipe.model(recipe.initial)
    except RuntimeError as error:
        _refuse(str(error))


def _refuse(got: str) -> NoReturn:
    must, fix = "the weights of init_from must fit the model", "choose task and model as in that run"
    raise ConfigError(must, got=got, key="init_from", fix=fix)
