"""Start of a Hydra program: locate the configuration, register schemas and callbacks, make errors readable."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mechlab.config import completion
from mechlab.config.schema import AnalyzeConfig, TrainConfig, defaults
from mechlab.core.errors import ConfigError, MechlabError, closest, did_you_mean, out_of_memory

LISTS = ("analysis", "callbacks")  # config groups that allow several choices


def config_dir() -> Path:
    """Return the folder of mechlab's own configuration: in the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def register(folders: list[Path]) -> None:
    """Register the schemas' defaults, and for every analysis in `folders` the callback of the same name."""
    store = ConfigStore.instance()
    store.store(name="base_train", node=defaults(TrainConfig))
    store.store(name="base_analyze", node=defaults(AnalyzeConfig))
    for path in (path for folder in folders for path in sorted(folder.glob("analysis/*.yaml"))):
        name = path.stem
        source = {f"/analysis@_global_.callbacks.{name}.analysis": name}
        settings = {"_target_": "mechlab.training.callbacks.AnalysisCallback", "every": "epoch"}
        store.store(group="callbacks", name=name, node={"defaults": [source, "_self_"], name: settings})


def hydra_program(job: Callable[[DictConfig], Any], config_name: str) -> None:
    """Run `job` as a Hydra program from the command line and end the process with its exit status.

    A MechlabError is printed as its message alone; any other error with its traceback.
    """
    show_tracebacks = os.environ.get("HYDRA_FULL_ERROR", "0") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that Hydra's exceptions reach the handlers below
    if (printed := completion.script(sys.argv)) is not None:
        print(printed)
        return
    if "COMP_LINE" in os.environ:
        os.environ["COMP_LINE"] = completion.as_one_word(os.environ["COMP_LINE"])
    register([config_dir(), *user_folders(sys.argv)])
    try:
        hydra.main(config_path=str(config_dir()), config_name=config_name, version_base="1.3")(job)()
    except MechlabError as error:
        _fail(error, show_tracebacks)
    except (HydraException, OmegaConfBaseException) as error:
        _fail(readable(error, config_name), show_tracebacks)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of the output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if (message := _readable_before(job, error) or out_of_memory(error)) is not None:
            _fail(message, show_tracebacks)
        if not getattr(error, "reported", False):
            traceback.print_exc()
        sys.exit(1)


def resolve(cfg: DictConfig) -> dict[str, Any]:
    """Return the configuration as plain data with interpolations resolved, or raise ConfigError.

    Settings of analyses and callbacks that are not chosen, as in an experiment, are left out.
    """
    try:
        values = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None)
        must = "every value must be given and every interpolation must resolve"
        raise ConfigError(must, got=str(error).splitlines()[0], key=key, fix=f"{key}=VALUE") from None
    for group in {"analysis", "callbacks"} & values.keys():
        nodes = values[group] or {}
        values[group] = {k: node for k, node in nodes.items() if not isinstance(node, dict) or "_target_" in node}
    return values


def check_choices() -> None:
    """Raise ConfigError if a config group that allows one choice has a list, which Hydra accepts."""
    hydra_cfg = HydraConfig.get()
    given_words: Any = OmegaConf.to_container(hydra_cfg.overrides.task, resolve=False)  # ${key} differs between jobs
    words = [(word, word.partition("=")[0].lstrip("+"), word.partition("=")[2]) for word in given_words]
    removed = {key.removeprefix("~") for _, key, _ in words if key.startswith("~")}
    for group in sorted({*_groups()} - {*LISTS, *hydra_cfg.runtime.choices, *removed}):
        given = [(word, value) for word, key, value in words if key == group]
        got, value = given[-1] if given else ("a list, in a file of the configuration", "[NAME,NAME]")
        names = [name.strip() for name in value.strip("[]").split(",")]
        several = f", or -m {group}={','.join(names)} for a run of each" if len(names) > 1 else ""
        fix = f"{group}={names[0]}{several}"
        raise ConfigError(f"{group} must be the name of one choice, not a list", got=got, key=group, fix=fix)


def user_folders(arguments: list[str]) -> list[Path]:
    """Return the configuration folders that a command line adds with --config-dir."""
    folders = []
    for i, argument in enumerate(arguments):
        if argument in ("--config-dir", "-cd") and i + 1 < len(arguments):
            folders.append(Path(arguments[i + 1]))
        elif argument.startswith("--config-dir="):
            folders.append(Path(argument.removeprefix("--config-dir=")))
    return folders


def _fail(error: Exception, show_traceback: bool) -> None:
    if not getattr(error, "reported", False):
        if show_traceback:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
    sys.exit(1)


def _readable_before(job: Callable[[DictConfig], Any], error: Exception) -> ConfigError | None:
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
        given = [argument for argument in sys.argv[1:] if argument.lstrip("+").partition("=")[0] in _groups()]
        key = ", ".join(argument.lstrip("+").partition("=")[0] for argument in given)
        must, fix = "a config group takes the name of a choice", "--help lists them; a key is set as GROUP.KEY=VALUE"
        return ConfigError(must, got=" ".join(given), key=key, fix=fix)
    return None


def readable(error: Exception, config_name: str) -> ConfigError:
    """Return the ConfigError for an error of Hydra or OmegaConf, with its key and a fix."""
    text = str(error)
    if match := re.search(r"Could not (?:find|load) '([^']+)/([^'/]+)'", text):
        group, choice = match.groups()
        folders = [config_dir(), *user_folders(sys.argv)]
        folder_name = "analysis" if group == "callbacks" else group  # every analysis is a callback too
        options = [path.stem for folder in folders for path in folder.glob(f"{folder_name}/*.yaml")]
        if group == "hydra/launcher" and choice in ("joblib", "submitit_slurm"):
            must = "this launcher needs the extra packages for sweeps"
            return ConfigError(must, got=f"no {choice}", key=group, fix="pip install 'mechlab[sweep]'")
        if group == "hydra/sweeper" and choice == "optuna":
            must = "this sweeper needs an extra package"
            return ConfigError(must, got=f"no {choice}", key=group, fix="pip install 'mechlab[optuna]'")
        return ConfigError(f"{group} has no choice {choice!r}", key=group, fix=did_you_mean(choice, options))
    if match := re.search(r"Could not override '([^'@]+)", text):
        key = match[1]
        if key in _groups():
            must, fix = f"{key} has nothing to override: no {key} is chosen so far", f"add one with +{key}=NAME"
            return ConfigError(must, key=key, fix=fix)
        fix = _similar(key, _known_keys(config_name))
        if re.search(r"type|could not be converted", text, re.IGNORECASE) and "not in struct" not in text:
            return ConfigError(f"{key} cannot take this value", got=text.splitlines()[-1], key=key)
        fix = f"{fix} (a new key is added with +{key}=VALUE)"
        return ConfigError(f"{key} is not a key of the configuration", key=key, fix=fix)
    if "config-dir" in text or "Additional config directory" in text:
        return ConfigError("the folder given with --config-dir must exist", got=text, fix="--config-dir PATH")
    return ConfigError("the configuration must compose", got=text, fix="see --help for groups and --cfg job for keys")


def _groups() -> list[str]:
    """Return mechlab's config groups."""
    return ["callbacks", *(path.name for path in config_dir().iterdir() if path.is_dir() and path.name != "hydra")]


def _known_keys(config_name: str) -> list[str]:
    """Return the keys of the configuration with the chosen groups, and the group names."""
    folders = [config_dir(), *user_folders(sys.argv)]
    pairs = [argument.partition("=") for argument in sys.argv[1:]]
    exists = {
        (group, path.stem) for folder in folders for group in _groups() for path in folder.glob(f"{group}/*.yaml")
    }
    chosen = [f"{group}={choice}" for group, _, choice in pairs if (group, choice.split(",")[0].strip("[]")) in exists]
    chosen = [choice for choice in chosen if "," not in choice]
    search = [f"hydra.searchpath=[{','.join(f'file://{folder.resolve()}' for folder in folders[1:])}]"]
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = hydra.compose(config_name, [*chosen, *search[: len(folders) - 1]])
    return sorted({*_groups(), *_paths(OmegaConf.to_container(cfg))})


def _similar(key: str, known: list[str]) -> str:
    """Return a hint for an unknown key: known keys with the same or a similar last word."""
    close = closest(key, known)
    return f"did you mean {' or '.join(map(repr, close))}?" if close else "--cfg job lists all keys"


def _paths(value: dict[str, Any], prefix: str = "") -> list[str]:
    paths = []
    for name, item in value.items():
        paths.append(prefix + name)
        if isinstance(item, dict):
            paths += _paths(item, f"{prefix}{name}.")
    return paths
