"""The table at the end of a multirun, under every sweeper and launcher; a failing job is named in it."""

from __future__ import annotations

import functools
import re
import site
import subprocess
import sys
from pathlib import Path

import pytest
from warm_process import Done, command

pytestmark = pytest.mark.ci

USERS = Path(__file__).parent / "users"
SMALL = ("-m", "task=repeat_copy", "task.s=2", "model=rnn", "model.hidden=8", "trainer.max_steps=5", "analysis=[]")
OPTUNA = ("hydra/sweeper=optuna", "hydra.sweeper.n_jobs=1", "hydra.sweeper.sampler.seed=1")
ERROR = "task.d must be a whole number of at least 1 and at most 1000000"


def run(folder: Path, *words: str) -> Done:
    before = functools.partial(site.addsitedir, str(USERS))
    return command("train", *SMALL, *words, folder=folder, before=before)


def table(done: Done) -> list[str]:
    """Return the lines of the table, and all that follow it."""
    return done.out[done.out.rindex("\n#  state") + 1 :].splitlines()


def check(done: Done, states: list[str]) -> list[list[str]]:
    """Assert that the output ends with the table of jobs in these states and the run directory of each that is done;
    return the words of the rows."""
    assert "Traceback" not in done.text, done.text
    assert done.exit == int("failed" in states), done.text
    head, *lines = table(done)
    assert "val/loss" in head
    rows = [line.split() for line in lines[: len(states)]]
    assert [row[:2] for row in rows] == [[str(number), state] for number, state in enumerate(states)]
    failed = states.count("failed")
    assert lines[len(states)] == f"{len(states)} jobs: {len(states) - failed} done, {failed} failed"
    runs = [f"run: {row[-1]}" for row in rows if row[1] == "done"]
    assert not runs or lines[-len(runs) :] == runs
    assert all(line.endswith(ERROR) for line, state in zip(lines, states, strict=False) if state == "failed")
    return rows


def test_optuna_prints_the_table_and_the_best_trial(tmp_path: Path) -> None:
    done = run(tmp_path, *OPTUNA, "hydra.sweeper.n_trials=3", "optimizer.lr=interval(1e-4,1e-1)", "task.d=1")
    rows = check(done, ["done"] * 3)
    best = min(rows, key=lambda row: float(row[3]))
    assert re.search(rf"^best: optimizer\.lr=\S+: val/loss {best[3]} \(#{best[0]}\)$", done.out, re.MULTILINE)


def test_optuna_names_a_failing_job(tmp_path: Path) -> None:
    allowed = ("hydra.sweeper.n_trials=6", "hydra.sweeper.max_failure_rate=1", "task.d=0,1,2")
    done = run(tmp_path, *OPTUNA, *allowed)
    rows = [line.split() for line in table(done)[1:7]]
    assert {row[1] for row in rows} == {"done", "failed"}
    assert all((row[1] == "failed") == (row[2] == "0") for row in rows), done.text
    assert done.exit == 0 and "best: task.d=" in done.out, "a failure that the user has allowed"
    stopped = run(tmp_path, *OPTUNA, "hydra.sweeper.n_trials=2", "task.d=0,-1")
    check(stopped, ["failed"])
    none = run(tmp_path, *OPTUNA, "hydra.sweeper.n_trials=2", "hydra.sweeper.max_failure_rate=1", "task.d=0,-1")
    check(none, ["failed"] * 2)
    assert "error: at least one job must end without an error" in none.err


def test_optuna_continues_a_stored_study(tmp_path: Path) -> None:
    words = ("hydra.sweeper.storage=sqlite:///study.db", "hydra.sweeper.study_name=a", "task.d=1")
    for _ in range(2):
        check(
            run(tmp_path, *OPTUNA, *words, "hydra.sweeper.n_trials=2", "optimizer.lr=interval(1e-4,1e-1)"), ["done"] * 2
        )
    assert (tmp_path / "study.db").is_file()


def test_a_sweeper_of_the_user_prints_the_table_up_to_the_failing_job(tmp_path: Path) -> None:
    words = ("hydra/sweeper=one_by_one", "--config-dir", str(USERS / "conf"))
    check(run(tmp_path, *words), ["done", "failed"])


@pytest.mark.parametrize(
    "launcher", [["joblib", "n_jobs=2"], ["local_gpus", "devices=[0,1]"]], ids=lambda words: words[0]
)
def test_jobs_in_other_processes_are_in_the_table(launcher: list[str], tmp_path: Path) -> None:
    words = (f"hydra/launcher={launcher[0]}", f"hydra.launcher.{launcher[1]}")
    line = [sys.executable, "-m", "mechlab.train", *SMALL, *words, "task.d=0,1", "seed=0,1"]
    process = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=300)  # joblib starts others
    done = Done(process.returncode, process.stdout, process.stderr)
    rows = check(done, ["failed"] * 2 + ["done"] * 2)
    assert [row[2:4] for row in rows] == [["0", "0"], ["0", "1"], ["1", "0"], ["1", "1"]]
    assert all(re.fullmatch(r"\d\.\d+", row[4]) for row in rows[2:])
