"""Run analyses on recorded runs, at one moment of their training or at all recorded ones.

python -m mechlab.analyze run=runs/repeat_copy-rnn/* analysis=spectrum at=all
python -m mechlab.analyze run=runs/tomita-gru/* analysis=seeds    an analysis of a set: once on all runs
"""

from __future__ import annotations

import glob
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mechlab.config.launch import hydra_program, resolve
from mechlab.core.errors import ConfigError
from mechlab.record.run_folders import check_run_folder

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from mechlab.config.build import Prepared
    from mechlab.core.analysis import Analysis, Finding
    from mechlab.record.run import Run


def main() -> None:
    """The program `python -m mechlab.analyze`."""
    hydra_program(job, "analyze")


def job(cfg: DictConfig) -> None:
    """Run every analysis on every run at the requested moments, and every analysis of a set once on all runs."""
    from mechlab.config.build import all_without_files
    from mechlab.config.recipe import load_run, stored_config
    from mechlab.config.schema import AnalyzeConfig, typed
    from mechlab.jobs.analyses import prepare_analyses, prepare_sets
    from mechlab.jobs.sets import run_set_analysis
    from mechlab.record.files import writing
    from mechlab.record.lock import RunLock

    config = typed(AnalyzeConfig, resolve(cfg))
    if not config.analysis:
        raise ConfigError(
            "at least one analysis must be chosen", key="analysis", fix="analysis=NAME; --help lists them"
        )
    folders = find_runs(config.run)
    nodes = all_without_files(config.analysis, "analysis", config.allow_targets)
    of_sets = prepare_sets(nodes, config.allow_targets)
    if of_sets and config.at != "last":
        must = f"analysis={next(iter(of_sets))} is about finished runs"
        raise ConfigError(must, got=f"at={config.at}", key="at", fix="at=last")
    of_runs = {name: node for name, node in nodes.items() if name not in of_sets}
    runs = [load_run(folder, allow_targets=config.allow_targets) for folder in (folders if of_runs else ())]
    chosen = {}
    for run in runs:  # everything is checked before anything is computed
        task_name = str(stored_config(run.folder).get("name")).rpartition("-")[0]  # a copy may lie in any folder
        analyses = prepare_analyses(of_runs, config.allow_targets, task_name, run.recipe)
        chosen[run.folder] = (analyses, moments(run, config.at))
    for run in runs:
        analyses, at = chosen[run.folder]
        with RunLock(run.folder), writing(run.folder):
            for name, (prepared, analysis) in analyses.items():
                analyse(run, name, prepared, analysis, at, config.seed, config.allow_targets)
        print(f"next:\n  show   python -m mechlab.runs show {run.folder}")
        print(f"run: {run.folder}", flush=True)
    for name, (prepared, analysis) in of_sets.items():
        run_set_analysis(name, prepared, analysis, folders, config.seed, config.allow_targets)


def find_runs(pattern: str | list[str]) -> list[Path]:
    """Return the run directories that a path or glob, or each of a list, names, or raise RunError if there are none."""
    patterns = [pattern] if isinstance(pattern, str) else pattern
    paths = [Path(path) for path in sorted({path for entry in patterns for path in glob.glob(entry, recursive=True)})]
    folders = [path for path in paths if (path / "provenance" / "config.yaml").is_file()]
    if not folders:
        for path in paths or patterns or [""]:
            check_run_folder(path, "run")
    return folders


def moments(run: Run, at: str | int | list[int]) -> list[str | int]:
    """Return the moments of a run that `at` names, or raise ConfigError."""
    if at in ("last", "best"):
        return [at]
    recorded = run.history.steps
    if at == "all":
        if not recorded:
            fix = "at=last, or train with history=sparse"
            raise ConfigError("at=all needs recorded steps", got=f"{run.folder}: history=none", key="at", fix=fix)
        return recorded
    steps = at if isinstance(at, list) else [at]
    for step in steps:
        if step not in recorded:
            shown = ", ".join(map(str, recorded[:40])) + (", ..." if len(recorded) > 40 else "")
            fix = f"recorded are: {shown or 'none'}"
            raise ConfigError("at must be last, best, all, or recorded steps", got=step, key="at", fix=fix)
    return steps


def analyse(
    run: Run,
    name: str,
    prepared: Prepared,
    analysis: Analysis,
    at: list[str | int],
    seed: int | None,
    allow: Sequence[str] = (),
) -> None:
    """Run one analysis at each moment. Several moments also give a table, a figure and curves in TensorBoard over
    training; figures of the analysis itself are drawn for the last of them."""
    from mechlab.config.configured import configured_parameters
    from mechlab.jobs import console
    from mechlab.jobs.run_analysis import run_analysis
    from mechlab.record import answers

    identity, configured = prepared.identity(), configured_parameters(run.folder, name, prepared, allow)
    other_seed = None if seed == run.seed else seed
    folder = answers.place(run.folder, name, identity, configured, other_seed)
    differs = answers.differences(identity, configured, other_seed)
    findings: dict[str | int, Finding] = {}
    for i, moment in enumerate(at):
        place = folder if moment == "last" else folder / answers.MOMENTS / str(moment)
        draws = moment == at[-1]
        findings[moment] = run_analysis(name, analysis, run.at(moment), identity, place, other_seed, differs, draws)
        if len(at) > 1:
            shown = console.headline(console.numbers(findings[moment].scalars), "over_training.csv")
            print(f"{folder.name} at step {moment} ({i + 1}/{len(at)}): {shown}", flush=True)
    if len(at) == 1:
        console.print_findings({folder.name: {**findings[at[0]].as_dict(), "differs": differs}})
    else:
        _over_training(run.folder, folder, findings)
    if "last" in findings:
        _update_result(run.folder, folder)


def _over_training(run: Path, folder: Path, findings: dict[Any, Finding]) -> None:
    """Save each scalar against the optimiser step as a table, a figure and a curve in TensorBoard."""
    import pandas as pd

    from mechlab.config.describe import describe
    from mechlab.config.recipe import stored_config
    from mechlab.plotting.over_training import over_training
    from mechlab.record.answers import MOMENTS
    from mechlab.record.artifacts import Artifacts
    from mechlab.record.digests import write_curve_digests
    from mechlab.record.events import write_curves

    out = Artifacts(folder / MOMENTS, describe(stored_config(run)))
    rows = [{"step": step, **finding.scalars} for step, finding in findings.items()]
    out.save_table("over_training", pd.DataFrame(rows))
    figures = out.with_subject({"over_training": over_training(out.table("over_training"))})
    out.save_figure("over_training", figures["over_training"])
    finite = {
        step: {name: float(value) for name, value in finding.scalars.items() if math.isfinite(value)}
        for step, finding in findings.items()
    }
    events = write_curves(run / "tb", folder.name, finite)
    write_curve_digests(run, folder.name, events)
    print(f"saved {out.folder / 'over_training.csv'}, .svg and .png")


def _update_result(run: Path, folder: Path) -> None:
    """Copy a finding about the end of training into result.json."""
    from mechlab.record import answers
    from mechlab.record.files import write_json
    from mechlab.record.result import read_result

    path = run / "result.json"
    if path.exists():
        result = read_result(run)
        finding = answers.summary(answers.read_finding(folder))
        result["findings"] = {**result.get("findings", {}), folder.name: finding}
        write_json(path, result)


if __name__ == "__main__":
    main()
