"""Expansion of a sweep's grid, as in Hydra's multirun, without running it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from mechlab.config.choices import config_dir
from mechlab.config.launch import check_choices, register, resolve
from mechlab.config.messages import readable


@dataclass(frozen=True)
class GridJob:
    """One job of a grid.

    Args:
        overrides: its own overrides, one value for each key.
        cfg: the composed configuration, interpolations unresolved.
        values: the same as plain data, resolved.
    """

    overrides: list[str]
    cfg: DictConfig
    values: dict[str, Any]


def expand(overrides: Sequence[str], folders: Sequence[Path] = ()) -> Iterator[GridJob]:
    """Yield the jobs of a grid in the order of Hydra's multirun.

    Args:
        overrides: as after `python -m mechlab.train -m`: lists, `range()`, `glob()`, `sweep=NAME`, `experiment=NAME`.
        folders: further configuration folders, as for --config-dir.

    Raises:
        ConfigError: an override is invalid, or a job does not compose.
    """
    register([config_dir(), *folders])
    search = [f"hydra.searchpath=[{','.join(f'file://{folder.resolve()}' for folder in folders)}]"] if folders else []
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
        machine = GlobalHydra.instance().hydra
        try:
            whole = machine.compose_config(
                "train", [*overrides, *search], RunMode.MULTIRUN, with_log_configuration=False
            )
            params = OmegaConf.to_container(whole.hydra.sweeper).get("params") or {}
            arguments = [f"{key}={value}" for key, value in params.items()]
            given = OmegaConf.to_container(whole.hydra.overrides.task, resolve=False)  # ${seed} differs between jobs
            arguments += [item for item in given if item not in search]
            parsed = OverridesParser.create(config_loader=machine.config_loader).parse_overrides(arguments)
            for job in BasicSweeper.split_arguments(parsed, None)[0]:
                cfg = machine.compose_config("train", [*job, *search], RunMode.RUN, with_log_configuration=False)
                HydraConfig.instance().set_config(cfg)
                check_choices()
                with open_dict(cfg):
                    del cfg["hydra"]
                yield GridJob(list(job), cfg, resolve(cfg))
        except (HydraException, OmegaConfBaseException) as error:
            raise readable(error, "train") from None
