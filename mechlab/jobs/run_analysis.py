"""One analysis of one run: checked, run, and saved in the run directory."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mechlab.config.describe import describe
from mechlab.config.recipe import stored_config
from mechlab.core.analysis import Analysis, Finding, Needs
from mechlab.core.errors import MechlabError, NotRecorded
from mechlab.core.seeding import Streams
from mechlab.record import answers
from mechlab.record.artifacts import Artifacts
from mechlab.record.files import remove_temporaries, write_json
from mechlab.record.history import LEVELS, read_about
from mechlab.record.run import Run


def run_analysis(
    name: str,
    analysis: Analysis,
    run: Run,
    identity: dict[str, Any],
    folder: Path,
    seed: int | None = None,
    differs: Mapping[str, Any] | None = None,
    draws: bool = True,
) -> Finding:
    """Run an analysis, save its artifacts and figures into `folder`, and its finding as finding.json there.

    The result is written to a temporary folder, which then replaces an earlier one; see `record.answers.replace`.

    Args:
        name: the analysis's name; with the seed it determines the analysis's randomness.
        run: the run, at the moment to analyse.
        identity: the analysis's target and parameters, saved beside the finding.
        folder: the folder of the result; an earlier one is replaced, except for its subfolder `moments`.
        seed: root seed of the analysis's randomness; the run's by default.
        differs: parameters, by name, that are not the configured ones, and their values; saved beside the finding.
        draws: whether to draw figures and animations.

    Raises:
        NotRecorded: the run did not record what the analysis needs.
    """
    check_recorded(name, analysis, run)
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_temporaries(folder.parent)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.", suffix=".tmp") as aside:
        new = Path(aside) / "answer"
        new.mkdir()
        out = Artifacts(new, describe(stored_config(run.folder), run.moment, found_in(run)))
        rng = Streams(run.seed if seed is None else seed).numpy("analysis", name)
        finding = analysis.run(run, out, rng).with_first(analysis.headline)
        if draws:
            for figure_name, figure in out.with_subject(analysis.figures(out)).items():
                out.save_figure(figure_name, figure)
            for animation_name, content in analysis.animations(out).items():
                out.save_bytes(f"{animation_name}.gif", content)
        about = {"analysis": name, "version": analysis.version, "parameters": identity, "at": run.moment, "seed": seed}
        about["subject"] = out.subject
        about |= {"differs": dict(differs or {}), "files": answers.digests(new)}
        write_json(new / answers.FINDING, {**about, **finding.as_dict()})
        answers.replace(folder, new)
    return finding


def found_in(run: Run) -> str:
    """Return the sizes of a network that were found by solving; "" for others, whose weights are not read."""
    architecture = getattr(run.recipe.make_model, "target", None)
    return run.model().found if getattr(architecture, "found", "") else ""


def is_up_to_date(folder: Path, analysis: Analysis, identity: dict[str, Any]) -> bool:
    """True if the folder holds an undamaged finding about the end of training, from the same version of the analysis
    and the same parameters."""
    if not (folder / answers.FINDING).exists():
        return False
    try:
        finding = answers.read_finding(folder)
    except MechlabError as error:
        print(f"warning: {error.must}, so the analysis is run again: {error.key}")
        return False
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in identity.items()}
    return (finding.get("version"), finding.get("parameters"), finding.get("at")) == (analysis.version, plain, "last")


def check_recorded(name: str, analysis: Analysis, run: Run) -> None:
    """Raise NotRecorded, naming the override that records it, if the analysis needs more than was recorded."""
    check_history(name, analysis.needs, run)


def check_history(name: str, needs: Needs, run: Run) -> None:
    """Raise NotRecorded if `needs` requires more than the history of a run holds."""
    recorded = read_about(run.folder / "history")["kind"]
    if LEVELS.index(recorded) < LEVELS.index(needs.history):
        raise NotRecorded(
            f"analysis={name} needs history={needs.history}",
            got=f"{run.folder} was recorded with history={recorded}",
            key="history",
            fix=f"train again with history={needs.history}, or with analysis=[{name}], which switches it on",
        )
    if needs_exact(needs):
        run.history.check_exact(f"analysis={name} needs whole states, as they were trained")


def needs_exact(needs: Needs) -> bool:
    """True if every step of training is needed: optimizer states are then read too, and exact parameters."""
    return LEVELS.index(needs.history) >= LEVELS.index("replay")
