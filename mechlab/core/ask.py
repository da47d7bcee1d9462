"""Ask one question of a run and keep the answer in its directory."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from mechlab.core.analysis import Analysis, Artifacts, Finding
from mechlab.core.errors import MechlabError, NotRecorded
from mechlab.core.files import write_json
from mechlab.core.history import LEVELS, read_about
from mechlab.core.result import read_finding
from mechlab.core.run import Run
from mechlab.core.seeding import Streams

MOMENTS = "moments"  # answers about other moments of training lie in this folder, below the answer about its end


def ask(
    name: str, analysis: Analysis, run: Run, identity: dict[str, Any], folder: Path, seed: int | None = None
) -> Finding:
    """Run an analysis, save its artifacts and figures into `folder`, and its finding as finding.json there.

    Args:
        name: the analysis's name; with the seed it determines the analysis's randomness.
        run: the run, at the moment asked about.
        identity: the analysis's target and parameters, kept beside the answer.
        folder: where the answer goes; an earlier answer there is replaced, those in its folder `moments` are kept.
        seed: root seed of the analysis's randomness; the run's by default.

    Raises:
        NotRecorded: the run did not record what the analysis needs.
    """
    check_recorded(name, analysis, run)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".", suffix=".tmp") as aside:
        finding = _answer(name, analysis, run, identity, Path(aside), seed)
        for path in folder.iterdir():
            if path.name not in (MOMENTS, Path(aside).name):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in Path(aside).iterdir():
            path.rename(folder / path.name)
    return finding


def _answer(
    name: str, analysis: Analysis, run: Run, identity: dict[str, Any], folder: Path, seed: int | None
) -> Finding:
    out = Artifacts(folder)
    finding = analysis.run(run, out, Streams(run.seed if seed is None else seed).numpy("analysis", name))
    for figure_name, figure in analysis.figures(out).items():
        out.save_figure(figure_name, figure)
    for animation_name, content in analysis.animations(out).items():
        out.save_bytes(f"{animation_name}.gif", content)
    about = {"analysis": name, "version": analysis.version, "parameters": identity, "at": run.moment, "seed": seed}
    write_json(folder / "finding.json", {**about, **finding.as_dict()})
    return finding


def answered(name: str, analysis: Analysis, run: Run, identity: dict[str, Any]) -> bool:
    """Tell whether the run holds this analysis's answer, by the same version and with the same parameters."""
    path = run.folder / "analyses" / name / "finding.json"
    if not path.exists():
        return False
    try:
        found = read_finding(path)
    except MechlabError:
        return False
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in identity.items()}
    return (found.get("version"), found.get("parameters"), found.get("at")) == (analysis.version, plain, "last")


def check_recorded(name: str, analysis: Analysis, run: Run) -> None:
    """Raise NotRecorded, naming the override that records it, if the history holds less than the analysis needs."""
    recorded = read_about(run.folder / "history")["kind"]
    if LEVELS.index(recorded) < LEVELS.index(analysis.needs.history):
        raise NotRecorded(
            f"analysis={name} needs history={analysis.needs.history}",
            got=f"{run.folder} was recorded with history={recorded}",
            key="history",
            fix=f"train again with history={analysis.needs.history}, or with analysis=[{name}], which switches it on",
        )
