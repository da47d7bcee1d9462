"""What every analysis promises, asked of a short run of the first task for which its question makes sense."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from mechlab.core.analysis import Artifacts, Finding
from mechlab.core.ask import check_recorded
from mechlab.core.errors import ConfigError, NotRecorded
from mechlab.core.files import read_json
from mechlab.core.run import Run
from mechlab.core.seeding import Streams


@pytest.fixture(scope="session")
def trained(registry, tmp_path_factory) -> Callable[[str], Run]:
    """Return a function from an analysis to a finished run that has answered it; each is trained once."""
    runs = {}

    def get(analysis: str) -> Run:
        if analysis not in runs:
            runs[analysis] = registry.trained(tmp_path_factory.mktemp(analysis), analysis)
        return runs[analysis]

    return get


def asked_again(registry, analysis: str, run: Run, folder: Path, disturbance: int) -> Finding:
    """Ask with a new object and an empty folder, with the global generators at some other place."""
    torch.manual_seed(disturbance)
    np.random.seed(disturbance)
    folder.mkdir()
    return registry.analysis(analysis).run(run, Artifacts(folder), Streams(run.seed).numpy("analysis", analysis))


def test_the_same_run_gives_the_same_finding(registry, analysis, trained, tmp_path):
    """Asked again, in whatever state the global generators are, an analysis answers and saves what it did before."""
    run = trained(analysis)
    recorded = {name: run.findings[analysis][name] for name in ("scalars", "claims")}
    one = asked_again(registry, analysis, run, tmp_path / "one", disturbance=1)
    other = asked_again(registry, analysis, run, tmp_path / "other", disturbance=2)
    assert one.as_dict() == other.as_dict() == recorded
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes(), path.name


def test_the_result_holds_the_finding(analysis, trained):
    run = trained(analysis)
    found = read_json(run.artifacts(analysis).folder / "finding.json")
    assert run.results["findings"][analysis] == {name: found[name] for name in ("scalars", "claims")}


def test_scalars_are_finite_numbers_with_plain_names(registry, analysis, trained, tmp_path):
    found = asked_again(registry, analysis, trained(analysis), tmp_path / "out", disturbance=0)
    assert found.scalars
    for name, value in found.scalars.items():
        assert name.isidentifier() and isinstance(value, float) and math.isfinite(value), (name, value)


def test_claims_are_well_formed(registry, analysis, trained, tmp_path):
    """A claim is one sentence, its numbers are finite, and it says how it was proved."""
    found = asked_again(registry, analysis, trained(analysis), tmp_path / "out", disturbance=0)
    for slug, claim in found.claims.items():
        assert slug.isidentifier() and claim.statement.endswith("."), slug
        assert all(math.isfinite(value) for value in (claim.value, claim.threshold)), slug
        assert claim.null is None or math.isfinite(claim.null), slug
        assert isinstance(claim.holds, bool) and claim.kind in ("exact", "statistical"), slug


def test_figures_are_drawn_from_the_artifacts_alone(registry, analysis, trained, tmp_path):
    """A copy of the saved arrays and tables, and a new object, suffice to draw every figure that the run has."""
    saved = trained(analysis).artifacts(analysis).folder
    drawn = {path.stem for path in saved.glob("*.svg")}
    shutil.copytree(saved, tmp_path / "copy", ignore=shutil.ignore_patterns("*.svg", "*.png", "finding.json"))
    figures = registry.analysis(analysis).figures(Artifacts(tmp_path / "copy"))
    assert set(figures) == drawn == {path.stem for path in saved.glob("*.png")}
    for name, figure in figures.items():
        assert isinstance(figure, Figure)
        Artifacts(tmp_path / "figures").save_figure(name, figure)


def test_only_a_task_that_has_what_is_needed_is_accepted(registry, analysis, task):
    """A task of another kind, or without the ground truth, is refused by an error that names it and the analysis."""
    question, subject = registry.analysis(analysis), registry.shared_task(task)
    needs = question.needs
    fits = needs.kind in (None, subject.spec.kind)
    if needs.ground_truth:
        fits &= getattr(subject.ground_truth(), "kind", None) in needs.ground_truth
    if fits:
        question.check(analysis, task, subject, f"analysis.{analysis}")
        return
    with pytest.raises(ConfigError) as caught:
        question.check(analysis, task, subject, f"analysis.{analysis}")
    assert f"analysis={analysis}" in str(caught.value) and f"task={task}" in str(caught.value)
    assert caught.value.key == f"analysis.{analysis}"


def test_a_run_that_recorded_too_little_is_refused(registry, analysis, tmp_path):
    """The error names the override that records what is needed; an analysis that needs no record asks for none."""
    question, run = registry.analysis(analysis), Run(tmp_path, lambda: None)
    if question.needs.history == "none":
        check_recorded(analysis, question, run)
        return
    with pytest.raises(NotRecorded, match=f"history={question.needs.history}"):
        check_recorded(analysis, question, run)
