"""What runs measured: one record for each run (or set of runs) and row, kept in docs/numbers.csv."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from mechlab.core.errors import MechlabError
from mechlab.jobs.result import UNDECIDING, measured_values
from mechlab.record import sets
from mechlab.record.files import read_json
from mechlab.record.result import read_result
from mechlab.record.status import read_status
from numbers_table.plan import Case, Row, as_text, value_of

# overrides that do not change which number a run measures
IGNORED = {*UNDECIDING, "seed", "experiment", "sweep"}
COLUMNS = ("experiment", "choices", "metric", "quantity", "published", "corrected", "tolerance")
MEASURED = ("seed", "n", "measured", "low", "high", "version", "date")


@dataclass(frozen=True)
class Record:
    """A number that a run or a set of runs measured.

    Args:
        seed: of the run; None for a set.
        n: networks: 1 for a run.
        measured: the number.
        low, high: its 95 % interval where the analysis has one; else None.
        version: of mechlab, with the commit.
        date: on which the run ended, YYYY-MM-DD.
    """

    seed: int | None
    n: int
    measured: float
    low: float | None
    high: float | None
    version: str
    date: str


Records = dict[tuple[str, str, str], dict[int | None, Record]]  # by the row's key and the seed


@dataclass(frozen=True)
class Run:
    """What the table needs of a run directory: the overrides by key, its seed, result, version and date."""

    words: Mapping[str, str]
    seed: int
    result: Mapping[str, Any]
    version: str
    date: str

    @property
    def experiment(self) -> str | None:
        """The experiment that it was started with."""
        return self.words.get("experiment")


def read_run(folder: Path) -> Run | None:
    """Return a finished run; None for others, and for a folder that is damaged."""
    try:
        status = read_status(folder)
        if status["status"] != "done":
            return None
        result = read_result(folder)
        words = read_json(folder / "provenance" / "overrides.json") or []
        environment = read_json(folder / "provenance" / "environment.json")
    except (MechlabError, OSError):
        return None
    pairs = (word.lstrip("+~").partition("=") for word in words)
    version = f"{environment['packages'].get('mechlab', '')} ({str(environment.get('commit') or 'no commit')[:7]})"
    return Run({key: value for key, _, value in pairs}, result["seed"], result, version, str(status["updated"])[:10])


def collect(folders: Iterable[Path], cases: Sequence[Case]) -> Records:
    """Return what runs and sets of runs measured, by row and seed: of several runs with one seed the latest.

    Args:
        folders: run directories and folders of answers about sets, `_sets/<hash>`.
        cases: experiments with their choices.
    """
    records: Records = {}
    for folder in sorted(folders, key=_updated):
        if (folder / sets.SET).is_file():
            measured = _of_set(folder, cases)
        else:
            measured = _of_run(read_run(folder), cases) if (folder / "status.json").is_file() else ()
        for row, record in measured:
            known = records.setdefault(row.key, {})
            if record.seed not in known or _rank(known[record.seed]) <= _rank(record):
                known[record.seed] = record
    return records


def _updated(folder: Path) -> tuple[str, Path]:
    """Return by what folders are ordered: the time at which a run ended, "" for a set; then the path."""
    return str(read_status(folder).get("updated", "")), folder


def _rank(record: Record) -> tuple[int, str]:
    """Return by what the record of several with one seed is chosen: the most networks, then the latest date."""
    return record.n, record.date


def _of_run(run: Run | None, cases: Sequence[Case]) -> Iterator[tuple[Row, Record]]:
    for case in cases:
        if run is None or run.experiment != case.experiment or not is_of_case(run, case):
            continue
        values = measured_values(run.result)
        for row in case.rows:
            name = finding_name(run, case, row.metric)
            if (None not in row.targets and run.seed not in row.targets) or (value := values.get(name)) is None:
                continue
            ends = (values.get(f"{name}_low"), values.get(f"{name}_high"))
            yield row, Record(run.seed, 1, value, *ends, run.version, run.date)


def is_of_case(run: Run, case: Case) -> bool:
    """True if a run's overrides are the case's choices: every key has the value of the case's configuration."""
    given = {key: value for key, value in run.words.items() if key.split(".")[0].split("/")[0] not in IGNORED}
    given.pop("trainer.seeds", None)
    chosen = dict(word.split("=", 1) for word in case.choices if not word.startswith("analysis."))
    return set(chosen) <= set(given) and all(_text(value) == value_of(case.config, key) for key, value in given.items())


def finding_name(run: Run, case: Case, metric: str) -> str:
    """Return under which name a run's result has a metric: that of a finding with the case's parameters."""
    analysis, slash, scalar = metric.partition("/")
    start = f"analysis.{analysis}."
    wanted = {key[len(start) :]: _text(value) for key, value in _pairs(case.choices) if key.startswith(start)}
    given = {key[len(start) :]: _text(value) for key, value in run.words.items() if key.startswith(start)}
    if wanted == given:
        return metric
    for name, finding in run.result["findings"].items():
        differs = {key: as_text(value) for key, value in finding.get("differs", {}).items()}
        if name.startswith(f"{analysis}@") and differs == wanted and not given:
            return f"{name}{slash}{scalar}"
    return ""


def _of_set(folder: Path, cases: Sequence[Case]) -> Iterator[tuple[Row, Record]]:
    try:
        about = sets.read_set(folder / sets.SET)
        _, finding = sets.read_answer(folder / about["analysis"])
    except (MechlabError, OSError):
        return
    runs = [read_run(folder.parent.parent / name) for name in about["runs"]]
    if None in runs or not runs:
        return
    for case in cases:
        chosen = {key: _text(value) for key, value in _pairs(case.choices)}
        if not all(run.experiment == case.experiment and _is_plain(run) and _has(run, chosen) for run in runs):
            continue
        for row in case.rows:
            analysis, _, scalar = row.metric.partition("/")
            if analysis == about["analysis"] and (value := finding["scalars"].get(scalar)) is not None:
                ends = (finding["scalars"].get(f"{scalar}_low"), finding["scalars"].get(f"{scalar}_high"))
                last = max(runs, key=lambda run: run.date)
                yield row, Record(None, len(runs), value, *ends, last.version, last.date)


def _is_plain(run: Run) -> bool:
    """True if a run was trained as its experiment says: no key of the trainer was set but the seeds."""
    return not any(key.split(".")[0] == "trainer" and key != "trainer.seeds" for key in run.words)


def _has(run: Run, chosen: Mapping[str, str]) -> bool:
    return all(key in run.words and _text(run.words[key]) == value for key, value in chosen.items())


def _pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    return [(key, value) for key, _, value in (word.partition("=") for word in words)]


def _text(value: str) -> str:
    return as_text(OmegaConf.create(f"v: {value}").v)


def read_records(path: Path) -> Records:
    """Return the records that docs/numbers.csv has; none if there is no such file."""
    records: Records = {}
    if not path.is_file():
        return records
    with path.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            if line["measured"]:
                seed = int(line["seed"]) if line["seed"] else None
                low, high = (float(line[end]) if line[end] else None for end in ("low", "high"))
                measured = float(line["measured"])
                record = Record(seed, int(line["n"]), measured, low, high, line["version"], line["date"])
                key = (line["experiment"], line["choices"], line["metric"])
                records.setdefault(key, {})[seed] = record
    return records


def merged(old: Records, new: Records) -> Records:
    """Return the records of both; where both have a row and seed, the new one."""
    return {key: {**old.get(key, {}), **new.get(key, {})} for key in {**old, **new}}


def csv_lines(rows: Sequence[Row], records: Records) -> list[dict[str, str]]:
    """Return the lines of docs/numbers.csv: one for each row and seed; an empty `measured` was never measured."""
    lines = []
    for row in rows:
        known = records.get(row.key, {})
        seeds = sorted(known, key=lambda seed: -1 if seed is None else seed) or [None]
        for seed in seeds if None in row.targets else row.targets:
            expected = row.targets.get(None) or row.targets[seed]
            record = known.get(seed)
            line = dict(zip(COLUMNS[:3], row.key, strict=True)) | {
                name: _plain(getattr(expected, name)) for name in COLUMNS[3:]
            }
            line |= {name: _plain(getattr(record, name)) if record else "" for name in MEASURED}
            if None not in row.targets:
                line["seed"] = _plain(seed)
            lines.append(line)
    return lines


def _plain(value: Any) -> str:
    return "" if value is None else repr(value) if isinstance(value, float) else str(value)
