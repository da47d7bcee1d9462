"""The default parameters of an analysis of a run: those of its configuration, else of its yaml."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from mechlab.config.build import Prepared, prepare
from mechlab.config.choices import config_dir, user_folders
from mechlab.config.recipe import stored_config
from mechlab.core.analysis import Analysis
from mechlab.core.errors import ConfigError


def configured_parameters(run: Path, name: str, given: Prepared, allow: Sequence[str] = ()) -> dict[str, Any]:
    """Return the identity of an analysis as the run's own configuration has it, else as its yaml has it; that of the
    given analysis where neither can be read.

    Args:
        run: the run directory.
        name: the analysis.
        given: the analysis.
        allow: packages other than mechlab that targets may come from.
    """
    node = (stored_config(run).get("analysis") or {}).get(name) or default_node(name)
    if not isinstance(node, dict) or "_target_" not in node:
        return given.identity()
    try:
        return prepare(node, f"analysis.{name}", Analysis, allow, lenient=True).identity()  # functions remain paths
    except ConfigError:  # recorded with parameters that no longer exist
        return given.identity()


def default_node(name: str) -> Any:
    """Return the configuration of an analysis as its yaml has it; None where there is none of that name."""
    for folder in (config_dir(), *user_folders(sys.argv)):
        path = folder / "analysis" / f"{name}.yaml"
        if path.is_file():
            node = OmegaConf.to_container(OmegaConf.load(path))
            return {key: value for key, value in node.items() if key != "defaults"}
    return None
