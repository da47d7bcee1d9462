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

from mechlab.contracts.gradients import no_graph_left, no_refusal
from mechlab.contracts.sentences import check_sentence
from mechlab.core.analysis import Finding, kinds_of
from mechlab.core.errors import ConfigError, NotRecorded
from mechlab.core.seeding import Streams
from mechlab.jobs.run_analysis import check_recorded
from mechlab.record.artifacts import Artifacts
from mechlab.record.files import read_json
from mechlab.record.run import Run


@pytest.fixture(scope="session")
def trained(registry, tmp_path_factory) -> Callable[[str], Run]:
    """Return a function from an analysis to a finished run with its finding; each is trained once."""
    runs = {}

    def get(analysis: str) -> Run:
        if analysis not in runs:
            with no_refusal(f"run of analysis={analysis}"):
                runs[analysis] = registry.trained(tmp_path_factory.mktemp(analysis), analysis)
        return runs[analysis]

    return get


@pytest.fixture(scope="session")
def asked_again(registry, trained, tmp_path_factory) -> Callable[[str], tuple[Finding, Path]]:
    """Return a function from an analysis to a second answer about its run, and to the folder of that answer: by a new
    object, with the global generators elsewhere."""
    answers = {}

    def get(analysis: str) -> tuple[Finding, Path]:
        if analysis not in answers:
            run, folder = trained(analysis), tmp_path_factory.mktemp(f"{analysis}-again")
            torch.manual_seed(1)
            np.random.seed(1)
            generator = Streams(run.seed).numpy("analysis", analysis)
            with no_graph_left(f"run of analysis={analysis}"):
                answers[analysis] = registry.analysis(analysis).run(run, Artifacts(folder), generator), folder
        return answers[analysis]

    return get


def test_the_same_run_gives_the_same_finding(analysis, trained, asked_again):
    """Asked again, in whatever state the global generators are, an analysis answers and saves what it did before."""
    run, (finding, folder) = trained(analysis), asked_again(analysis)
    assert finding.as_dict() == {name: run.findings[analysis][name] for name in finding.as_dict()}
    for path in folder.iterdir():
        assert path.read_bytes() == (run.artifacts(analysis).folder / path.name).read_bytes(), path.name


def test_the_result_holds_the_finding(analysis, trained):
    run = trained(analysis)
    found = read_json(run.artifacts(analysis).folder / "finding.json")
    names = ("scalars", "claims", *(["notes"] if "notes" in found else []))
    assert run.results["findings"][analysis] == {name: found[name] for name in names}


def test_scalars_are_finite_numbers_with_plain_names(analysis, asked_again):
    found, _ = asked_again(analysis)
    assert found.scalars
    for name, value in found.scalars.items():
        assert name.isidentifier() and isinstance(value, float) and math.isfinite(value), (name, value)


def test_claims_are_well_formed(analysis, asked_again):
    """A claim is one sentence, its numbers are finite, and it says how it was proved."""
    found, _ = asked_again(analysis)
    for slug, claim in found.claims.items():
        assert slug.isidentifier(), f"the slug of a claim must be an identifier. Got {slug!r} instead."
        check_sentence(f"the statement of claim {slug} of analysis={analysis}", claim.statement)
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
    """A task of another kind, without the ground truth or without what else is needed is refused by an error that names
    it and the analysis."""
    question, subject = registry.analysis(analysis), registry.shared_task(task)
    needs = question.needs
    fits = needs.kind in (None, subject.spec.kind)
    if needs.ground_truth:
        fits &= bool(set(kinds_of(subject.ground_truth())) & set(needs.ground_truth))
    fits &= all(hasattr(subject, word) for word in needs.task)
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
