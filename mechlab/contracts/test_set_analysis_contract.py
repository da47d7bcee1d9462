"""What every analysis of a set of runs promises, asked of short runs of the first task that it makes sense for."""

from __future__ import annotations

import html
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from mechlab.contracts.sentences import check_sentence
from mechlab.core.errors import MechlabError
from mechlab.core.set_analysis import SetAnalysis
from mechlab.jobs.sets import run_set_analysis
from mechlab.record import answers, sets
from mechlab.record.artifacts import Artifacts
from mechlab.record.files import read_json, write_json
from mechlab.record.status import write_status
from mechlab.report import report
from mechlab.reporting.request import Request


@pytest.fixture(scope="session")
def trained(registry, tmp_path_factory) -> Callable[[str], list[Path]]:
    """Return a function from an analysis to one run more than it needs; they are trained once."""
    folders = {}

    def get(name: str) -> list[Path]:
        if name not in folders:
            runs = registry.analysis(name).needs.runs + 1
            folders[name] = registry.trained_set(tmp_path_factory.mktemp(name) / "runs", name, runs)
        return folders[name]

    return get


@pytest.fixture(scope="session")
def answer(registry, trained) -> Callable[[str], Path]:
    """Return a function from an analysis to the folder of its answer about all runs but the last."""
    return lambda name: asked(registry, name, trained(name)[:-1])


def asked(registry, name: str, folders: list[Path]) -> Path:
    """Ask an analysis, built anew, of runs."""
    prepared = registry.prepared("analysis", name)
    return run_set_analysis(name, prepared, prepared(), folders, None, registry.allow)


def test_repeating_a_question_computes_nothing(registry, set_analysis, trained, answer, monkeypatch, capsys):
    folder = answer(set_analysis)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.parent.rglob("*") if path.is_file()}
    monkeypatch.setattr(registry.prepared("analysis", set_analysis).target, "run", None)
    assert asked(registry, set_analysis, 2 * trained(set_analysis)[-2::-1]) == folder  # in whatever order
    assert "the finding is there already" in capsys.readouterr().out
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before} == before


def test_the_same_runs_give_the_same_answer(registry, set_analysis, trained, answer, tmp_path):
    """Copies of the runs, with the global generators elsewhere, give the same bytes under the same hash."""
    folder, root = answer(set_analysis), tmp_path / "elsewhere"
    for run in trained(set_analysis)[:-1]:
        shutil.copytree(run, root / sets.run_name(run))
    torch.manual_seed(1)
    np.random.seed(1)
    again = asked(registry, set_analysis, [root / sets.run_name(run) for run in trained(set_analysis)[:-1]])
    assert again.relative_to(root) == folder.relative_to(folder.parents[2])
    files = {path.relative_to(folder) for path in folder.rglob("*")}
    assert files == {path.relative_to(again) for path in again.rglob("*")} > {Path("finding.json")}
    assert all((folder / name).read_bytes() == (again / name).read_bytes() for name in files)


def test_another_run_or_another_record_is_another_question(registry, set_analysis, trained, answer, tmp_path):
    folder, runs = answer(set_analysis), trained(set_analysis)
    assert asked(registry, set_analysis, runs).parent.name != folder.parent.name
    for run in runs[:-1]:
        shutil.copytree(run, tmp_path / sets.run_name(run))
    copies = [tmp_path / sets.run_name(run) for run in runs[:-1]]
    about, _ = sets.read_answer(folder)
    assert sets.is_current(tmp_path, about)
    changed = change(copies[0], about["runs"][sets.run_name(copies[0])]["files"])
    assert not sets.is_current(tmp_path, about)
    assert asked(registry, set_analysis, copies).parent.name != folder.parent.name, changed


def change(run: Path, files: dict[str, str]) -> str:
    """Change the first file that was read of a run, as a process of ours could, and return its name."""
    name = next(name for name in files if name.endswith(".json"))
    content = read_json(run / name)
    if name == "result.json":
        metric = next(iter(content["metrics"]))
        content["metrics"][metric] = content["metrics"][metric] / 2 + 1
    else:
        content["notes"] = {"changed": "It has been asked again."}
    write_json(run / name, content)
    return name


def test_the_answer_is_well_formed(set_analysis, answer):
    """Scalars are finite numbers with plain names; claims are sentences with finite numbers and whole intervals."""
    found = answers.read_finding(answer(set_analysis))
    assert found["scalars"]
    for name, value in found["scalars"].items():
        assert name.isidentifier() and isinstance(value, float) and math.isfinite(value), (name, value)
    for slug, claim in found["claims"].items():
        assert slug.isidentifier(), slug
        check_sentence(f"the statement of claim {slug} of analysis={set_analysis}", claim["statement"])
        assert all(math.isfinite(claim[name]) for name in ("value", "threshold")), slug
        assert claim["kind"] in ("exact", "statistical")
        if claim["interval"] is not None:
            low, high = claim["interval"]
            assert low <= high, slug
    for slug, note in found.get("notes", {}).items():
        check_sentence(f"note {slug} of analysis={set_analysis}", note)


def test_figures_are_drawn_from_the_artifacts_alone(registry, set_analysis, answer, tmp_path):
    saved = answer(set_analysis)
    shutil.copytree(saved, tmp_path / "copy", ignore=shutil.ignore_patterns("*.svg", "*.png", "*.pdf", "finding.json"))
    figures = registry.analysis(set_analysis).figures(Artifacts(tmp_path / "copy"))
    for ending in ("svg", "png", "pdf"):
        assert set(figures) == {path.stem for path in saved.glob(f"*.{ending}")}
    assert all(isinstance(figure, Figure) for figure in figures.values())


def test_what_the_runs_lack_is_refused(registry, set_analysis, trained, answer, tmp_path):
    """Too few runs, runs that differ where they must agree, and a run without a needed answer: one message each, and
    nothing is written."""
    runs, needs = trained(set_analysis), registry.analysis(set_analysis).needs
    copies = [tmp_path / sets.run_name(run) for run in runs]
    for run, copy in zip(runs, copies, strict=True):
        shutil.copytree(run, copy)
    if needs.runs > 1:
        refused(registry, set_analysis, copies[: needs.runs - 1], f"at least {needs.runs} finished runs")
    if "seed" in needs.varies:
        config = {sets.run_name(copy): {"seed": 7} for copy in copies}
        with pytest.raises(MechlabError, match="differ in seed"):
            registry.analysis(set_analysis).check(set_analysis, config)
    if "run_id" in needs.equal:
        other = copies[0].with_name(f"other{copies[0].name[5:]}")
        copies[0].rename(other)
        refused(registry, set_analysis, [other, *copies[1:]], "agree in everything that decides the result")
        other.rename(copies[0])
    for name in needs.analyses:
        (copies[-1] / "analyses" / name / "finding.json").unlink()
        refused(registry, set_analysis, copies, f"needs the finding of analysis={name}")
        break
    assert not (tmp_path / sets.FOLDER).exists()


def refused(registry, name: str, folders: list[Path], must: str) -> None:
    with pytest.raises(MechlabError, match=must) as caught:
        asked(registry, name, folders)
    assert f"analysis={name}" in str(caught.value) and "given: " in str(caught.value) and "fix: " in str(caught.value)


def test_failed_runs_are_named(registry, set_analysis, trained, answer, tmp_path):
    runs = trained(set_analysis)
    for run in runs:
        shutil.copytree(run, tmp_path / sets.run_name(run))
    copies = [tmp_path / sets.run_name(run) for run in runs]
    write_status(copies[-1], "failed", reason="the loss must be finite")
    folder = asked(registry, set_analysis, copies)
    assert folder.parent.name != answer(set_analysis).parent.name
    slug = "failed" if registry.analysis(set_analysis).needs.failed else "unfinished"
    assert sets.run_name(copies[-1]) in answers.read_finding(folder)["notes"][slug]


def test_a_record_that_changes_while_it_is_read_gives_no_answer(registry, set_analysis, trained, tmp_path, monkeypatch):
    runs, target = trained(set_analysis), registry.prepared("analysis", set_analysis).target
    copies = [tmp_path / sets.run_name(run) for run in runs]
    for run, copy in zip(runs, copies, strict=True):
        shutil.copytree(run, copy)
    original = target.run

    def run_and_change(analysis, opened, out, rng):
        found = original(analysis, opened, out, rng)
        change(copies[0], sets.digests_of(copies[0], analysis.needs.reads))
        return found

    monkeypatch.setattr(target, "run", run_and_change)
    with pytest.raises(MechlabError, match="must stay as it is"):
        asked(registry, set_analysis, copies)
    assert not list((tmp_path / sets.FOLDER).iterdir())


def test_it_is_one_of_sets(registry, set_analysis):
    assert isinstance(registry.analysis(set_analysis), SetAnalysis)


def test_the_report_shows_the_answer(set_analysis, trained, answer, tmp_path):
    """With its claims, notes and figures, as long as the record is as it was read."""
    folder = answer(set_analysis)
    page = html.unescape(report(Request((str(folder.parents[2]),), out=tmp_path / "report.html")).read_text("utf-8"))
    about, found = sets.read_answer(folder)
    count = len(about["runs"])
    assert f"{set_analysis} of {count} run{'s' if count > 1 else ''}</h2>" in page and str(folder) in page
    assert all(claim["statement"] in page for claim in found["claims"].values())
    assert all(note in page for note in found.get("notes", {}).values())
    tables = {f"{set_analysis}-{folder.parent.name}-{path.name}" for path in folder.glob("*.csv")}
    assert tables <= {path.name for path in (tmp_path / "report").iterdir()}
