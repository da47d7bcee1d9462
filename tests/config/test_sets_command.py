"""Analyses of sets of runs on the command line: at the end of a multirun, after it, and in the report."""

from __future__ import annotations

import functools
import json
import re
import shlex
import site
from pathlib import Path

import pytest
from warm_process import Done, command

from mechlab.core.errors import ConfigError
from mechlab.record import sets
from mechlab.report import check_moved, report
from mechlab.reporting.request import Request

USERS = Path(__file__).parent / "users"
SMALL = ("task=repeat_copy", "task.d=2", "task.s=2", "model=rnn", "model.hidden=8", "trainer.max_steps=10")
SMALL += ("trainer.steps_per_epoch=5", "trainer.eval_examples=20")
OWN = ("+analysis.count._target_=user_parts.CountSeeds", "allow_targets=[user_parts]")


def run(program: str, *words: str, folder: Path) -> Done:
    """Run a command to its end, with the user's package in reach."""
    return command(program, *words, folder=folder, before=functools.partial(site.addsitedir, str(USERS)))


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """A folder with two sizes and two seeds, and what the multirun printed that asked `seeds` and the user's count."""
    folder = tmp_path_factory.mktemp("sets")
    words = ("-m", *SMALL, "model.hidden=8,9", "seed=0,1", "analysis=[seeds]", *OWN)
    done = run("train", *words, folder=folder)
    assert done.exit == 0, done.text
    return folder, done


def found(folder: Path, name: str) -> list[tuple[Path, dict]]:
    """Return the answers of an analysis: folders and findings."""
    paths = sorted((folder / "runs" / "_sets").glob(f"*/{name}/finding.json"))
    return [(path.parent, json.loads(path.read_text())) for path in paths]


def test_a_multirun_asks_once_of_each_group_that_agrees(swept: tuple[Path, Done]) -> None:
    """`seeds` once of each size, over its seeds; the user's count, for which the task must agree, once of all."""
    folder, done = swept
    assert [finding["scalars"]["seeds"] for _, finding in found(folder, "seeds")] == [2, 2]
    assert [finding["scalars"]["count"] for _, finding in found(folder, "count")] == [2]
    assert len(re.findall(r"^set: runs/_sets/\w+/(?:seeds|count)$", done.out, re.MULTILINE)) == 3
    assert all(line.startswith("run: ") for line in done.out.splitlines()[-4:])
    for _, finding in found(folder, "seeds"):
        scalars = finding["scalars"]
        assert scalars["test_loss_low"] <= scalars["test_loss"] <= scalars["test_loss_high"]


def test_the_mean_is_that_of_the_results(swept: tuple[Path, Done]) -> None:
    folder, _ = swept
    for place, finding in found(folder, "seeds"):
        runs = json.loads((place.parent / sets.SET).read_text())["runs"]
        results = [json.loads((folder / "runs" / run / "result.json").read_text()) for run in runs]
        losses = [result["metrics"]["test/loss"] for result in results]
        assert finding["scalars"]["test_loss"] == pytest.approx(sum(losses) / 2)
        assert [finding["scalars"][f"test_loss_{end}"] for end in ("low", "high")] == pytest.approx(sorted(losses))


def test_the_same_question_later_is_the_same_answer(swept: tuple[Path, Done]) -> None:
    """The command of analyze gives nothing new, and the one that a single run prints asks of its seeds."""
    folder, _ = swept
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs" / "_sets").rglob("*")}
    single = run("train", *SMALL, "seed=1", "analysis=[seeds]", folder=folder)
    words = shlex.split(re.search(r"^  set +python -m mechlab\.analyze (.*)$", single.out, re.MULTILINE)[1])
    done = run("analyze", *words, folder=folder)
    assert done.exit == 0 and "the finding is there already" in done.out, done.text
    assert done.out.splitlines()[-1].startswith("set: runs/_sets/")
    assert {path: path.stat().st_mtime_ns for path in (folder / "runs" / "_sets").rglob("*")} == before


def test_a_glob_of_unlike_runs_is_refused(swept: tuple[Path, Done]) -> None:
    folder, _ = swept
    done = run("analyze", "run=runs/repeat_copy-rnn/*", "analysis=seeds", folder=folder)
    assert done.exit == 1 and "agree in everything that decides the result" in done.err
    late = run("analyze", "run=runs/repeat_copy-rnn/*", "analysis=seeds", "at=all", folder=folder)
    assert late.exit == 1 and "at=last" in late.err


def test_sets_are_no_runs(swept: tuple[Path, Done]) -> None:
    folder, _ = swept
    listed = run("runs", "ls", folder=folder)
    assert "4 runs" in listed.err and "_sets" not in listed.out
    assert "_sets" not in run("runs", "gc", folder=folder).text
    left = folder / "runs" / "_sets" / ".0123456789.x.tmp" / "0123456789"
    left.mkdir(parents=True)  # as a process leaves it that was killed while it computed an answer
    assert "removed runs/_sets/.0123456789.x.tmp" in run("runs", "gc", "--yes", folder=folder).text
    assert not left.parent.exists() and found(folder, "seeds")


@pytest.mark.ci
def test_the_report_shows_what_is_about_its_runs_alone(swept: tuple[Path, Done], tmp_path: Path) -> None:
    folder, _ = swept
    whole = report(Request((str(folder / "runs"),), out=tmp_path / "all.html")).read_text(encoding="utf-8")
    assert whole.count("<h2>seeds of 2 runs</h2>") == 2 and whole.count("<h2>count of 4 runs</h2>") == 1
    one = next(folder.glob("runs/repeat_copy-rnn/*-s0")).name.rpartition("-s")[0]
    half = report(Request((str(folder / "runs" / "repeat_copy-rnn" / f"{one}-s*"),), out=tmp_path / "half.html"))
    text = half.read_text(encoding="utf-8")
    assert text.count("<h2>seeds of 2 runs</h2>") == 1 and "count of" not in text


def test_a_callback_cannot_be_about_a_set(tmp_path: Path) -> None:
    done = run("train", *SMALL, "+callbacks=seeds", folder=tmp_path)
    assert done.exit == 1 and "callbacks.seeds" in done.err


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        (["accuracy_from=.8"], "analysis.ambiguity_over_runs.accuracy_from=.8"),
        (
            ["model=gru", "separable=true"],
            "'analysis.ambiguity_over_runs.model=[gru]' analysis.ambiguity_over_runs.sep",
        ),
    ],
)
def test_a_filter_of_earlier_reports_names_its_command(words: list[str], fix: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_moved(["runs=runs/*/*", *words])
    assert "python -m mechlab.analyze 'run=runs/*/*' analysis=ambiguity_over_runs" in str(refused.value)
    assert fix in str(refused.value)
    check_moved(["runs=runs/*/*", "by=model"])


@pytest.mark.ci
def test_a_sweep_asks_at_its_end_and_its_status_prints_the_command(tmp_path: Path) -> None:
    words = [*SMALL, "seed=0,1", "analysis=[seeds]", "analysis.seeds.fewest=2"]
    done = run("sweep", "run", *words, "--chunk", "2", folder=tmp_path)
    assert done.exit == 0, done.text
    assert len(found(tmp_path, "seeds")) == 1 and done.out.splitlines()[-2].startswith("set: runs/_sets/")
    status = run("sweep", "status", *words, folder=tmp_path)
    command_line = re.search(r"^  set +python -m mechlab\.analyze (.*)$", status.out, re.MULTILINE)[1]
    again = run("analyze", *shlex.split(command_line), folder=tmp_path)
    assert "the finding is there already" in again.out and len(found(tmp_path, "seeds")) == 1
