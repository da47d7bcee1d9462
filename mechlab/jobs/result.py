"""The end of a run: result.json, the last entries of TensorBoard, and the comparison with published numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mechlab.config.describe import describe
from mechlab.config.schema import Expected
from mechlab.core.errors import MechlabError
from mechlab.core.set_analysis import config_value
from mechlab.jobs.analyses import answer_folder
from mechlab.record import answers
from mechlab.record.artifacts import Artifacts
from mechlab.record.digests import METRICS, check_file, read_digests, write_digests
from mechlab.record.files import read_json, write_json
from mechlab.record.result import read_result
from mechlab.record.status import read_status

ROUNDING = 1e-9  # relative: .98 + .02 is 1
# sections and keys of the configuration that do not decide the result of training
UNDECIDING = (
    "hydra",
    "paths",
    "analysis",
    "callbacks",
    "loggers",
    "objective",
    "code",
    "rerun",
    "allow_targets",
    "name",
)

if TYPE_CHECKING:
    from mechlab.jobs.prepare import Setup
    from mechlab.training.fit import Fitted


def finish(setup: Setup, fitted: Fitted) -> None:
    """Write result.json, the findings and hyper-parameters that TensorBoard shows, and the digests of all files."""
    findings = write_result(setup, {**fitted.metrics, "steps": fitted.steps})["findings"]
    for name, (_, analysis) in setup.analyses.items():
        callback = setup.callbacks.get(name)
        logged = hasattr(callback, "runs_at_end") and callback.runs_at_end(fitted.steps)
        if not logged:  # else a callback of the same name has logged the end of training already
            folder = answer_folder(setup, name)
            out = Artifacts(folder, answers.read_finding(folder).get("subject", describe(setup.values)))
            figures = out.with_subject(analysis.figures(out))
            fitted.log(folder.name, findings[folder.name]["scalars"], figures)
    fitted.log_hyperparameters(_hyperparameters(setup))
    write_digests(setup.folder, fitted.steps, fitted.seconds)


def write_result(setup: Setup, metrics: dict[str, float] | None = None) -> dict[str, Any]:
    """Bring result.json up to date with the findings in the run directory, and return its content.

    Args:
        setup: the run.
        metrics: the final metrics; by default those of the present result.json, or else of metrics.csv.
    """
    if metrics is None:
        metrics = _recorded_metrics(setup.folder)
    damaged: list[MechlabError] = []
    read = answers.read_findings(setup.folder, damaged)
    for error in damaged:
        print(f"warning: left out of the result: {error.must}: {error.key}")
    findings = {name: answers.summary(finding) for name, finding in read.items()}
    result = {
        "run": str(setup.folder),
        "status": "done",
        "seed": setup.config.seed,
        "metrics": metrics,
        "findings": findings,
    }
    if setup.expected:
        result["expected"] = compare(setup.expected, metrics, findings)
    if _readable_result(setup.folder) != result:
        write_json(setup.folder / "result.json", result)
    return result


def compare(
    expected: Mapping[str, Expected], metrics: Mapping[str, float], findings: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return expected numbers beside the measured ones, with the deviation and whether it is within the tolerance.

    A number that was not measured has neither deviation nor verdict.
    """
    values = measured_values({"metrics": metrics, "findings": findings})
    compared = {}
    for name, number in expected.items():
        target = number.number
        measured = values.get(name)
        deviation = None if measured is None or target is None else measured - target
        slack = ROUNDING * abs(target or 0.0)
        within = None if deviation is None else abs(deviation) <= number.tolerance + slack
        compared[name] = {**asdict(number), "measured": measured, "deviation": deviation, "within": within}
    return compared


def measured_values(result: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the metrics of a result, and the scalars of its findings as `<analysis>/<scalar>`."""
    findings = result["findings"].items()
    scalars = {f"{name}/{key}": value for name, finding in findings for key, value in finding["scalars"].items()}
    return {**scalars, **result["metrics"]}


def _recorded_metrics(folder: Path) -> dict[str, float]:
    """Return the final metrics in result.json; if it is missing or damaged, those in metrics.csv."""
    from mechlab.training.metrics_csv import final_metrics

    if (result := _readable_result(folder)) is not None:
        return result["metrics"]
    print("warning: result.json is missing or damaged; it is written again from metrics.csv")
    check_file(folder, METRICS)
    recorded = read_digests(folder) or {"steps": read_status(folder).get("step")}
    return {**final_metrics(folder / METRICS), "steps": recorded["steps"]}


def _readable_result(folder: Path) -> dict[str, Any] | None:
    try:
        return read_result(folder)
    except MechlabError:
        return None


def _hyperparameters(setup: Setup) -> dict[str, Any]:
    """Return task, model, seed, and what the run's overrides set, apart from what does not decide its result."""
    try:
        words = read_json(setup.folder / "provenance" / "overrides.json") or []
    except MechlabError:  # restored when the run is repeated
        words = []
    task, _, model = setup.config.name.rpartition("-")
    chosen: dict[str, Any] = {"task": task, "model": model, "seed": setup.config.seed}
    for word in words:
        key, _, given = word.partition("=")
        key = key.lstrip("+~").partition("@")[0]
        if key.partition(".")[0].partition("/")[0] not in (*UNDECIDING, "seed"):
            value = config_value("", setup.values, key)
            chosen[key] = value if isinstance(value, bool | int | float | str) else given or "removed"
    return chosen
