"""Messages for people in place of the errors of Hydra and OmegaConf, and the defaults of the chosen configuration."""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mechlab.config.choices import choices, choices_with, config_dir, config_groups, paths, user_folders
from mechlab.config.lightning_options import refused_callback, refused_key
from mechlab.core.errors import ConfigError, MechlabError, WrongValue, closest, did_you_mean
from mechlab.record.files import read_yaml

PLUGINS = {  # what installs the launchers and sweepers of Hydra's that are not part of it
    ("launcher", "joblib"): "mechlab[sweep]",
    ("launcher", "submitit_slurm"): "mechlab[sweep]",
    ("launcher", "submitit_local"): "mechlab[sweep]",
    ("launcher", "ray"): "hydra-ray-launcher",
    ("launcher", "rq"): "hydra-rq-launcher",
    ("sweeper", "optuna"): "mechlab[optuna]",
    ("sweeper", "ax"): "hydra-ax-sweeper",
    ("sweeper", "nevergrad"): "hydra-nevergrad-sweeper",
}


def readable(error: Exception, config_name: str) -> ConfigError:
    """Return the ConfigError for an error of Hydra or OmegaConf, with its key and a fix."""
    text = str(error)
    if match := re.search(r"Could not (?:find|load) '([^']+)/([^'/]+)'", text):
        return _no_choice(match[1], match[2], re.findall(r"^\t(\S+)$", text, re.MULTILINE))
    if match := re.search(r"Could not override '([^'@]+)", text):
        return _no_key(match[1], text, config_name)
    if match := re.search(r"Ambiguous value for argument '([^=']+)=([^']*)'", text):
        key, value = match.groups()
        must = f"{key} takes one value here; several values, separated by commas, are a list or need -m, a job for each"
        fixes = [f"-m {key}={value}"] if config_name == "train" else []
        fixes += [] if key in config_groups() else [f"{key}=[{value}] for a list"]
        fix = ", or ".join(fixes)
        return ConfigError(must, got=f"{key}={value}", key=key, fix=fix)
    if isinstance(error, OverrideParseException):
        lines = [line.strip() for line in str(error.message).splitlines()]
        frame = ("Error parsing override", "See https://")  # lines that only repeat it, or refer to a page
        reason = next((line for line in lines if line and not line.startswith(frame)), "it cannot be read")
        must = f"an override must be KEY=VALUE, in the grammar of Hydra: {reason}"
        fix = "KEY=VALUE; quote a text with parentheses, brackets, braces, commas or blanks: 'KEY=\"a,b\"'"
        return ConfigError(must, got=error.override, key=_pair(error.override)[0], fix=fix)
    if "config-dir" in text or "Additional config directory" in text:
        return ConfigError("the folder given with --config-dir must exist", got=text, fix="--config-dir PATH")
    return ConfigError("the configuration must compose", got=text, fix="see --help for groups and --cfg job for keys")


def _no_choice(group: str, name: str, options: Iterable[str]) -> ConfigError:
    """Return the error for the name of a choice that a config group does not have."""
    kind = group.removeprefix("hydra/")
    if package := PLUGINS.get((kind, name)):
        must = f"the {kind} {name} needs a package that is not installed"
        return ConfigError(must, got=f"{group}={name}", key=group, fix=f"pip install '{package}'")
    if group == "callbacks" and (refusal := refused_callback(name)) is not None:
        return ConfigError(f"{name} is not offered: {refusal.reason}", key=group, fix=refusal.fix)
    fix = did_you_mean(name, {*choices(group), *options})
    return ConfigError(f"{group} has no choice {name!r}", key=group, fix=fix)


def _no_key(key: str, text: str, config_name: str) -> ConfigError:
    """Return the error for a key that the configuration does not have, or whose type does not take the value."""
    if key in config_groups():
        must, fix = f"{key} has nothing to override: no {key} is chosen so far", f"add one with +{key}=NAME"
        return ConfigError(must, key=key, fix=fix)
    if re.search(r"type|could not be converted", text, re.IGNORECASE) and "not in struct" not in text:
        return ConfigError(f"{key} cannot take this value", got=text.splitlines()[-1], key=key)
    if (refusal := refused_key(key)) is not None:
        return ConfigError(f"{key} is not offered: {refusal.reason}", key=key, fix=refusal.fix)
    must, known = f"{key} is not a key of the configuration", _known_keys(config_name)
    is_chosen = ".".join(key.split(".")[:2]) in known
    if not is_chosen and (others := choices_with(key)):
        group = key.partition(".")[0]
        others = _fitting(others, config_name) if group == "model" and len(others) > 1 else others
        listed = " or ".join(others) if len(others) < 6 else f"{', '.join(others[:5])}, ..."
        got = f"{group}={chosen}" if (chosen := _chosen(group)) else None
        verb = "has" if len(others) == 1 else "have"
        return ConfigError(f"{must}; {listed} {verb} it", got=got, key=key, fix=f"add {others[0]}")
    close = closest(key, known)
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else "--cfg job lists all keys"
    return ConfigError(must, key=key, fix=f"{hint} (a new key is added with +{key}=VALUE)")


def _fitting(others: list[str], config_name: str) -> list[str]:
    """Return those of some `model=NAME` that read inputs of the same kind as the configured model, which fits the task:
    first those that the configured model is a variant of. All of them, if its kind is not known."""
    chosen = _class(OmegaConf.select(_composed(config_name, _group_choices()), "model._target_"))
    kind = getattr(chosen, "kind", None)
    if chosen is None or kind is None:
        return others
    files = choices("model")
    classes = {other: _class(read_yaml(files[other.partition("=")[2]]).get("_target_")) for other in others}
    readable = {"anything", getattr(chosen, "reads", "anything")}
    same = {name for name, model in classes.items() if getattr(model, "kind", None) == kind}
    fitting = [name for name in others if name in same and getattr(classes[name], "reads", "anything") in readable]
    return sorted(fitting, key=lambda other: classes[other] not in chosen.__mro__) or others


def _class(target: Any) -> type | None:
    """Return a class of mechlab's own by its full name; None for any other, whose code is not run for a message."""
    module, _, name = str(target).rpartition(".")
    if not module.startswith("mechlab."):
        return None
    with contextlib.suppress(ImportError):
        found = getattr(importlib.import_module(module), name, None)
        return found if isinstance(found, type) else None
    return None


def _chosen(group: str) -> str | None:
    """Return the choice of a group on the command line; None if that makes none."""
    given = [value for key, value in map(_pair, sys.argv[1:]) if key == group]
    return given[-1] if given else None


def before_job(job: Callable[[DictConfig], Any], error: Exception) -> ConfigError | None:
    """Return the ConfigError for an error that Hydra raised before the job; None for all others."""
    if any(frame.f_code is job.__code__ for frame, _ in traceback.walk_tb(error.__traceback__)):
        return None
    if isinstance(error, OSError):
        fix = "choose another folder with paths.root=DIR"
        return ConfigError("the folder for runs must be writable", got=str(error), key="paths.root", fix=fix)
    if isinstance(error, ValueError) and "No trials are completed yet" in str(error):
        must = "at least one job must end without an error, for there to be a best one"
        return ConfigError(must, got="all jobs failed", key="hydra/sweeper", fix="see the errors above")
    if "Config group override must be a string" in str(error):
        given = [argument for argument in sys.argv[1:] if _pair(argument)[0] in config_groups()]
        key = ", ".join(_pair(argument)[0] for argument in given)
        must, fix = "a config group takes the name of a choice", "--help lists them; a key is set as GROUP.KEY=VALUE"
        return ConfigError(must, got=" ".join(given), key=key, fix=fix)
    return None


def with_default(error: MechlabError, config_name: str) -> MechlabError:
    """Return the error about a wrong value with the default of the chosen configuration: the value of the key without
    its override. All other errors, and those whose key no override sets, are returned as they are."""
    if not isinstance(error, WrongValue) or error.key is None:
        return error
    words = _overrides()
    others = [word for word in words if _pair(word)[0] != error.key]
    if len(others) == len(words):
        return error
    missing = object()
    with contextlib.suppress(HydraException, OmegaConfBaseException):
        value = OmegaConf.select(_composed(config_name, others), error.key, default=missing)
        if value is not missing and not OmegaConf.is_config(value):
            shown = "null" if value is None else str(value).lower() if isinstance(value, bool) else value
            fix = f"the default of this configuration is {error.key}={shown}"
            return WrongValue(error.must, got=error.got, key=error.key, fix=fix)
    return error


def _overrides() -> list[str]:
    """Return the overrides of the job, or those of the command line outside of one."""
    if HydraConfig.initialized():
        return list(OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False))
    return [word for word in sys.argv[1:] if "=" in word and not word.startswith("-")]


def _known_keys(config_name: str) -> list[str]:
    """Return the keys of the configuration with the chosen groups, and the group names."""
    return sorted({*config_groups(), *paths(OmegaConf.to_container(_composed(config_name, _group_choices())))})


def _group_choices() -> list[str]:
    """Return the choices of groups on the command line, without those that do not exist."""
    groups, chosen = config_groups(), []
    for group, value in map(_pair, sys.argv[1:]):
        names = value.strip("[]").split(",")
        if group in groups and set(names) <= set(choices(group)) and (len(names) == 1 or value.startswith("[")):
            chosen.append(f"{'+' * (group == 'callbacks')}{group}={value}")
    return chosen


def _composed(config_name: str, overrides: list[str]) -> DictConfig:
    """Return the configuration with some overrides; Hydra's own state is left as it is."""
    if GlobalHydra.instance().is_initialized():
        return hydra.compose(config_name, overrides)
    folders = [f"file://{folder.resolve()}" for folder in user_folders(sys.argv)]
    search = [f"hydra.searchpath=[{','.join(folders)}]"] if folders else []
    with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
        return hydra.compose(config_name, [*overrides, *search])


def _pair(word: str) -> tuple[str, str]:
    """Return key and value of an override; additions and removals are of the same key."""
    key, _, value = word.lstrip("+~").partition("=")
    return key.partition("@")[0], value
