"""Run an analysis of a set of runs, once for the same records, saved beside the runs."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mechlab.config.build import Prepared
from mechlab.config.describe import describe_set
from mechlab.config.recipe import load_run, stored_config
from mechlab.config.schema import Expected, typed
from mechlab.core.analysis import Finding, check_needs
from mechlab.core.errors import ConfigError, MechlabError, RunError
from mechlab.core.printable import quoted
from mechlab.core.seeding import Streams
from mechlab.core.set_analysis import SetAnalysis
from mechlab.jobs import console
from mechlab.jobs.analyses import model_class
from mechlab.jobs.result import compare
from mechlab.jobs.run_analysis import check_history
from mechlab.record import answers, sets
from mechlab.record.artifacts import Artifacts
from mechlab.record.files import remove, write_json, writing
from mechlab.record.run import Run
from mechlab.record.status import read_status


def run_set_analysis(
    name: str,
    prepared: Prepared,
    analysis: SetAnalysis,
    folders: Sequence[Path],
    seed: int | None,
    allow: Sequence[str],
) -> Path:
    """Run an analysis of all finished runs among the given ones, and of failed ones if it needs them; print the finding
    and return its folder.

    If the finding from the same records with the same parameters exists, nothing is computed.

    Args:
        name: the analysis's name; with the seed it determines the analysis's randomness.
        prepared: the analysis with its checked arguments.
        analysis: the analysis.
        folders: run directories.
        seed: root seed of the analysis's randomness; None for 0.
        allow: packages beyond mechlab whose classes the record may name.

    Raises:
        ConfigError: the runs are too few, or do not vary or agree as they must.
        RunError: a run lacks a record or a finding that is needed.
    """
    folders = list({sets.run_name(folder): folder for folder in map(_with_root, folders)}.values())
    root = sets.root_of(folders)
    ended = ("done", "failed") if analysis.needs.failed else ("done",)
    done = sorted((folder for folder in folders if read_status(folder)["status"] in ended), key=_order)
    left_out = {sets.run_name(folder): read_status(folder)["status"] for folder in folders if folder not in done}
    configs = {sets.run_name(folder): stored_config(folder) for folder in done}
    check_distinct(configs)
    analysis.check(name, configs)
    runs = [load_run(folder, allow_targets=allow) for folder in done]
    for run in runs:
        check_run(name, analysis, run)
    about = {
        "analysis": name,
        "version": analysis.version,
        "parameters": json.loads(json.dumps(prepared.identity(), default=str)),
        "seed": seed or 0,
        "reads": list(analysis.needs.reads),
        "runs": {
            sets.run_name(run.folder): {"files": sets.digests_of(run.folder, analysis.needs.reads)} for run in runs
        },
        "left_out": left_out,
        "expected": {key: asdict(value) for key, value in _expected(name, done).items()},
    }
    folder = sets.place(root, about)
    with writing(root, "paths.root"):
        if _is_up_to_date(folder):
            print(f"the finding is there already, so nothing is computed: {folder}")
        else:
            print(f"running analysis {name} of {_count(runs)}", flush=True)
            _compute(folder, name, analysis, runs, about)
    _print(folder)
    return folder


def check_distinct(configs: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ConfigError if two runs of a set are one run and its copy, or if a run has another folder's name.

    Args:
        configs: the configuration of each run by its run directory, `<task>-<model>/<run_id>-s<seed>`.
    """
    first: dict[str, str] = {}
    for run, config in configs.items():
        text = json.dumps(config, sort_keys=True, default=str)
        if (other := first.setdefault(text, run)) != run:
            must, got = "the runs of a set must be different ones", f"{run} has the configuration and seed of {other}"
            raise ConfigError(must, got=f"{got}: a copy", key="run", fix="leave one of the two out")
        if not run.endswith(f"-s{config.get('seed')}"):
            must = (
                "a run of a set must have the name that it was recorded under, TASK-MODEL/ID-sSEED, which identifies it"
            )
            got = f"{run}, of seed {config.get('seed')}"
            raise ConfigError(must, got=got, key="run", fix="give a renamed folder its name back")


def _compute(folder: Path, name: str, analysis: SetAnalysis, runs: Sequence[Run], about: dict[str, Any]) -> None:
    """Run the analysis in a temporary folder, and rename that to its place."""
    root = folder.parent.parent
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=f".{folder.parent.name}.", suffix=".tmp") as aside:
        new = Path(aside) / folder.parent.name / name
        new.mkdir(parents=True)
        out = Artifacts(new, describe_set([stored_config(run.folder) for run in runs]))
        finding = analysis.run(runs, out, Streams(about["seed"]).numpy("analysis", name))
        if not sets.is_current(runs[0].folder.parent.parent, about):
            must = f"the record of the runs must stay as it is while analysis={name} reads it"
            raise RunError(must, got="another record", key="run", fix="repeat the command when no run is written to")
        for figure_name, figure in out.with_subject(analysis.figures(out)).items():
            out.save_figure(figure_name, figure, endings=("svg", "png", "pdf"))
        finding = _with_note(finding, about["left_out"])
        known = {key: about[key] for key in ("analysis", "version", "parameters", "seed")}
        known["subject"] = out.subject
        write_json(new / answers.FINDING, {**known, "files": answers.digests(new), **finding.as_dict()})
        expected = {key: typed(Expected, value, f"expected.{key}.") for key, value in about["expected"].items()}
        compared = compare(expected, {}, {name: answers.summary(answers.read_finding(new))})
        write_json(new.parent / sets.SET, {**about, "expected": compared})
        if folder.parent.exists():  # damaged
            remove(folder.parent)
        new.parent.rename(folder.parent)


def _with_root(folder: Path) -> Path:
    """Return a run directory by a path that also names the folder that holds the runs."""
    return folder if len(folder.parts) > 1 else folder.absolute()


def _with_note(finding: Finding, left_out: Mapping[str, str]) -> Finding:
    if not left_out:
        return finding
    shown = ", ".join(f"{run} ({status})" for run, status in list(left_out.items())[:5])
    more = ", ..." if len(left_out) > 5 else ""
    note = f"{len(left_out)} runs are left out because they are not finished: {shown}{more}."
    return replace(finding, notes={**finding.notes, "unfinished": note})


def _is_up_to_date(folder: Path) -> bool:
    if not folder.parent.exists():
        return False
    try:
        sets.read_answer(folder)
    except MechlabError as error:
        print(f"warning: {error.must}, so the analysis is run again: {error.key}")
        return False
    return True


def check_run(name: str, analysis: SetAnalysis, run: Run) -> None:
    """Raise RunError if a run lacks a record or a finding that the analysis needs."""
    each = analysis.needs.each
    if each.kind is not None or each.ground_truth or each.model:
        task = str(stored_config(run.folder).get("name")).rpartition("-")[0]
        check_needs(each, name, task, run.task, "run", model_class(run.recipe))
    if each.history != "none":
        check_history(name, each, run)
    for needed in analysis.needs.analyses:
        folder = run.folder / answers.FOLDER / needed
        if not (folder / answers.FINDING).is_file():
            must = f"analysis={name} needs the finding of analysis={needed} on each run"
            fix = f"python -m mechlab.analyze {quoted('run=', run.folder.parent, '/*')} analysis={needed}"
            raise RunError(must, got=f"none about {run.folder}", key=f"analysis.{name}", fix=fix)
        answers.read_finding(folder)


def _expected(name: str, folders: Sequence[Path]) -> dict[str, Expected]:
    """Return the expected numbers of an analysis of a set on which all its runs agree, with the last run's words."""
    *others, last = [_expected_of(name, folder) for folder in folders]
    agreed = lambda key, value: all(key in other and other[key].same_number(value) for other in others)  # noqa: E731
    return {key: value for key, value in last.items() if value.number is not None and agreed(key, value)}


def _expected_of(name: str, folder: Path) -> dict[str, Expected]:
    values = stored_config(folder).get("expected") or {}
    return {
        key: typed(Expected, value, f"expected.{key}.") for key, value in values.items() if key.startswith(f"{name}/")
    }


def _print(folder: Path) -> None:
    about, finding = sets.read_answer(folder)
    console.print_findings({f"{folder.name} of {_count(about['runs'])}": finding}, verbose=True)
    console.print_expected(about.get("expected", {}))
    print(f"set: {folder}", flush=True)


def _order(folder: Path) -> tuple[str, str, int, str]:
    stem, _, seed = folder.name.rpartition("-s")
    return folder.parent.name, stem, int(seed) if seed.isdecimal() else 0, folder.name


def _count(runs: Collection[Any]) -> str:
    return f"{len(runs)} run{'s' if len(runs) > 1 else ''}"
