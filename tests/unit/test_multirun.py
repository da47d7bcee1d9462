"""The notes of a multirun's jobs, and the table that ends it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from mechlab.config import multirun
from mechlab.config.multirun import JobFailed, JobNote, Multirun, RememberMultirun, noted_job, started_multirun
from mechlab.core.errors import ConfigError
from mechlab.jobs import planned_sets
from mechlab.jobs.summary import summarise


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run the program of a job with a number and overrides, as Hydra does in a multirun into `tmp_path`."""

    def run(number: int, words: list[str], program) -> None:
        settings = {"mode": RunMode.MULTIRUN, "job": {"num": number}, "sweep": {"dir": str(tmp_path)}}
        cfg = OmegaConf.create({"hydra": {**settings, "overrides": {"task": words}}})
        monkeypatch.setattr(HydraConfig, "initialized", staticmethod(lambda: True))
        monkeypatch.setattr(HydraConfig, "get", staticmethod(lambda: cfg.hydra))
        with noted_job(DictConfig({"objective": "val/loss"})) as note:
            program(note)

    return run


def finishes(value: float | None, *runs: str, repeated: bool = False):
    def program(note: JobNote) -> None:
        note.began([Path(run) for run in runs], {}, [], repeated)
        note.returned(value)

    return program


def fails(error: BaseException, *runs: str):
    def program(note: JobNote) -> None:
        note.began([Path(run) for run in runs], {}, [])
        raise error

    return program


def printed(folder: Path, capsys: pytest.CaptureFixture, complete: bool = True) -> list[str]:
    summarise(Multirun(folder, None), complete)
    return capsys.readouterr().out.splitlines()


def test_the_table_has_what_differs_and_names_a_failed_job(tmp_path, job, capsys):
    error = ConfigError("task.d must be positive", got=0, key="task.d")
    with pytest.raises(ConfigError):
        job(1, ["task.d=0", "seed=0", "model=rnn"], fails(error))
    job(0, ["task.d=2", "seed=0", "model=gru"], finishes(0.25, "runs/a/b-s0"))
    job(10, ["task.d=2", "seed=0", "+note=x"], finishes(1.0, "runs/a/c-s0", "runs/a/c-s1"))
    lines = printed(tmp_path, capsys)
    assert lines[0].split() == ["#", "state", "task.d", "model", "note", "val/loss", "run", "or", "error"]
    assert [line.split() for line in lines[1:4]] == [
        ["0", "done", "2", "gru", "0.25", "runs/a/b-s0"],
        ["1", "failed", "0", "rnn", "-", "task.d", "must", "be", "positive"],
        ["10", "done", "2", "x", "1", "runs/a/c-s0", "and", "1", "more"],
    ]
    assert len({line.index(word) for line, word in zip(lines, ("run or", "runs/a", "task.d must"), strict=False)}) == 1
    assert lines[4:] == ["3 jobs: 2 done, 1 failed", *(f"run: runs/a/{run}" for run in ("b-s0", "c-s0", "c-s1"))]


def test_a_run_of_two_jobs_is_one_line_at_the_end(tmp_path, job, capsys):
    for number in range(2):
        job(number, ["seed=0"], finishes(0.5, "runs/a/b-s0"))
    assert [line for line in printed(tmp_path, capsys) if line.startswith("run: ")] == ["run: runs/a/b-s0"]


@pytest.mark.parametrize(("error", "line"), [(OSError("disk\nfull"), "OSError: disk"), (JobFailed("died"), "died")])
def test_the_first_line_of_any_error_is_noted(tmp_path, job, error, line):
    with pytest.raises(type(error)):
        job(0, [], fails(error))
    assert Multirun(tmp_path, None).jobs()[0].error == line


def test_stopped_and_held_jobs_are_counted(tmp_path, job, capsys, monkeypatch):
    monkeypatch.setattr(planned_sets, "planned_sets", lambda jobs: pytest.fail("the end must come soon"))
    job(0, ["seed=0"], finishes(None, "runs/a/b-s0"))
    with pytest.raises(SystemExit):
        job(1, ["seed=1"], fails(SystemExit(143), "runs/a/b-s1"))
    lines = printed(tmp_path, capsys, complete=False)
    assert "2 jobs: 0 done, 0 failed, 1 stopped, 1 held" in lines
    assert lines[-2:] == ["run: runs/a/b-s0", "run: runs/a/b-s1"]


def test_planned_sets_are_run_of_a_complete_multirun_only(tmp_path, job, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(planned_sets, "run_planned_sets", lambda runs: asked.append(("run", runs)))
    monkeypatch.setattr(planned_sets, "print_commands", lambda runs: asked.append(("print", runs)))
    run = tmp_path / "a" / "b-s0"
    (run / "provenance").mkdir(parents=True)
    (run / "provenance" / "config.yaml").touch()
    job(0, ["seed=0"], finishes(0.5, str(run)))
    printed(tmp_path, capsys, complete=True)
    printed(tmp_path, capsys, complete=False)
    with pytest.raises(ValueError):
        job(1, ["seed=1"], fails(ValueError("no")))
    printed(tmp_path, capsys, complete=True)
    of_run = [(run, {"analysis": {}, "allow_targets": []})]
    assert asked == [("run", of_run), ("print", of_run), ("print", of_run)]


def test_the_best_trial_is_that_of_this_multirun(tmp_path, job, capsys):
    job(0, ["optimizer.lr=0.0123456789", "model=gru"], finishes(0.5, "runs/a"))
    job(1, ["optimizer.lr=1e-05", "model=rnn"], finishes(0.25, "runs/b"))
    (tmp_path / multirun.OPTIMUM).write_text(
        "name: optuna\nbest_params:\n  optimizer.lr: 1.0e-05\n  model: rnn\nbest_value: 0.25\n"
    )
    lines = printed(tmp_path, capsys)
    assert "best: optimizer.lr=1e-05 model=rnn: val/loss 0.25 (#1)" in lines
    assert "0.01235" in lines[1] and "0.0123456789" not in lines[1]
    RememberMultirun().on_multirun_start(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
    began = started_multirun()
    assert began.jobs() == [] and began.best() is None
    assert started_multirun() is None


def test_a_damaged_note_hides_no_other(tmp_path, job, capsys):
    job(0, ["seed=0"], finishes(0.5, "runs/a"))
    multirun.note_path(tmp_path, 1).write_text("{")
    assert "1 jobs: 1 done, 0 failed" in printed(tmp_path, capsys)


def test_nothing_is_noted_outside_of_a_multirun(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with noted_job(DictConfig({"objective": "val/loss"})) as note:
        note.returned(0.5)
    assert not list(tmp_path.iterdir())


def test_the_first_long_job_announces_the_time_of_those_after_it(tmp_path, job, capsys, monkeypatch):
    plugins = "hydra._internal.core_plugins.basic_"
    sweeper = {"_target_": f"{plugins}sweeper.BasicSweeper", "params": {"seed": "range(9)", "model": "rnn,gru"}}
    node = {
        "sweep": {"dir": str(tmp_path)},
        "sweeper": sweeper,
        "launcher": {"_target_": f"{plugins}launcher.BasicLauncher"},
    }
    RememberMultirun().on_multirun_start(
        OmegaConf.create({"hydra": {**node, "overrides": {"task": ["seed=range(3)"]}}})
    )
    job(0, ["seed=0"], finishes(0.5, "runs/a"))  # short
    assert not capsys.readouterr().out
    monkeypatch.setattr(multirun, "LONG", 0.0)
    job(0, ["seed=0"], finishes(0.5, "runs/a", repeated=True))  # done before, however long it takes to say so
    assert not capsys.readouterr().out
    job(1, ["seed=1"], finishes(0.5, "runs/b"))
    assert "the 4 after it would take" in capsys.readouterr().out
    job(2, ["seed=2"], finishes(0.5, "runs/c"))
    assert not capsys.readouterr().out
    started_multirun()
