"""Start of a Hydra program: locate the configuration, register schemas and callbacks, make errors readable."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mechlab.config import completion
from mechlab.config.choices import config_dir, config_groups, user_folders
from mechlab.config.messages import before_job, readable, with_default
from mechlab.config.schema import AnalyzeConfig, TrainConfig, defaults
from mechlab.core.errors import ConfigError, MechlabError, out_of_memory

LISTS = ("analysis", "callbacks")  # config groups that allow several choices


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
    sys.argv[1:] = sorted(sys.argv[1:], key=lambda word: word not in ("-m", "--multirun"))  # argparse wants these first
    register([config_dir(), *user_folders(sys.argv)])
    try:
        with contextlib.redirect_stderr(_WithoutRemark(sys.stderr)):
            hydra.main(config_path=str(config_dir()), config_name=config_name, version_base="1.3")(job)()
    except MechlabError as error:
        _fail(error, show_tracebacks, config_name)
    except (HydraException, OmegaConfBaseException) as error:
        _fail(readable(error, config_name), show_tracebacks, config_name)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of the output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if (message := before_job(job, error) or out_of_memory(error)) is not None:
            _fail(message, show_tracebacks, config_name)
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
    for group in sorted({*config_groups()} - {*LISTS, *hydra_cfg.runtime.choices, *removed}):
        given = [(word, value) for word, key, value in words if key == group]
        got, value = given[-1] if given else ("a list, in a file of the configuration", "[NAME,NAME]")
        names = [name.strip() for name in value.strip("[]").split(",")]
        several = f", or -m {group}={','.join(names)} for a run of each" if len(names) > 1 else ""
        fix = f"{group}={names[0]}{several}"
        raise ConfigError(f"{group} must be the name of one choice, not a list", got=got, key=group, fix=fix)


def print_error(error: MechlabError, config_name: str) -> None:
    """Print the message of an error where it happens: in a multirun, later jobs must not hide it."""
    print(f"error: {with_default(error, config_name)}", file=sys.stderr, flush=True)
    error.reported = True


def _fail(error: MechlabError, show_traceback: bool, config_name: str) -> None:
    if not getattr(error, "reported", False):
        if show_traceback:
            traceback.print_exc()
        print_error(error, config_name)
    sys.exit(1)


class _WithoutRemark:
    """Standard error without the line that Hydra writes before it raises the error of a job: that has its message, or
    its traceback, and a multirun's table names the job."""

    def __init__(self, stream: Any):
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text, unless it is that line."""
        return len(text) if text.startswith("Error executing job with overrides: ") else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
