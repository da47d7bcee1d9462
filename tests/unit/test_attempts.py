"""What became of the jobs of a sweep, as far as the record of attempts, SLURM and the logs tell."""

from types import SimpleNamespace

import pytest

import mechlab.sweep as program
from mechlab.record.lock import RunLock
from mechlab.sweeps import slurm
from mechlab.sweeps.attempts import Attempt, append_attempts, last_attempts, last_message
from mechlab.sweeps.job_status import job_statuses
from mechlab.sweeps.manifest import Job, Sweep


@pytest.fixture
def sweep(tmp_path) -> Sweep:
    """A sweep of four jobs."""
    folder = tmp_path / "runs" / "_sweeps" / "0123456789"
    (folder / "logs").mkdir(parents=True)
    jobs = [Job(i, f"a-b/0123456789-s{i}", "0123456789", [f"seed={i}"], {}) for i in range(4)]
    return Sweep(folder, jobs, None, {}, "0" * 64)


def states(sweep: Sweep) -> list[str]:
    """Return the state of each job."""
    return [standing.state for standing in job_statuses(sweep)]


def answers(monkeypatch, **outputs: str | None) -> None:
    """Let SLURM's commands print these texts; None is for a command that fails, no text for one that is missing."""

    def ask(command: str, *_: str) -> SimpleNamespace | None:
        if command not in outputs:
            return None
        failed = outputs[command] is None
        return SimpleNamespace(returncode=int(failed), stdout=outputs[command] or "", stderr="down" if failed else "")

    monkeypatch.setattr(slurm, "_run", ask)


def test_the_last_attempt_at_a_job_counts(sweep):
    append_attempts(sweep, [Attempt(2, 0, 77), Attempt(2, 1, 77)])
    append_attempts(sweep, [Attempt(1, 1, status=137)])
    found = last_attempts(sweep)
    assert found == {0: Attempt(2, 0, 77), 1: Attempt(1, 1, status=137), 2: Attempt(2, 1, 77), 3: Attempt(2, 1, 77)}
    assert [found[i].log for i in (0, 1)] == ["logs/77_0.log", "logs/chunk-1-1.log"]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[1, 0, 77",
        "[0, 0, 77, null]",
        '["../x", 0, 77, null]',
        "[1, -1, 77, null]",
        "[1, 0, 1e5, null]",
        "[" * 9999,
    ],
)
def test_a_damaged_line_of_the_record_counts_as_not_written(line, sweep):
    append_attempts(sweep, [Attempt(4, 0, 76)])
    with open(sweep.folder / "attempts.jsonl", "a") as file:
        file.write(f"{line}\n")
    assert last_attempts(sweep) == dict.fromkeys(range(4), Attempt(4, 0, 76))


def test_jobs_that_left_the_queue_without_a_status_died(sweep, monkeypatch):
    append_attempts(sweep, [Attempt(1, element, 77) for element in range(4)])
    (sweep.folder / "logs" / "77_1.log").write_text("ImportError: libtorch\nsrun: error: node1: task 0: Exited\n")
    ended = "JobId=79 ArrayJobId=77 ArrayTaskId=1 JobName=x JobState=FAILED Reason=NonZeroExitCode ExitCode=1:0 x=y\n"
    answers(monkeypatch, squeue="0 PENDING mechlab-0123456789-1\n", scontrol=ended, sacct=None)
    found = job_statuses(sweep)
    assert [one.state for one in found] == ["new", "failed", "failed", "failed"]
    assert found[1].reason == "died before training: ImportError: libtorch (SLURM: FAILED 1:0)"
    assert found[1].log == sweep.folder / "logs" / "77_1.log"
    assert found[2].reason == "never started (SLURM: not in the queue any more)" and found[2].log is None


def test_without_an_answer_of_the_queue_no_job_counts_as_dead(sweep, monkeypatch):
    append_attempts(sweep, [Attempt(1, element, 77) for element in range(4)])
    for outputs in ({}, {"squeue": None}):
        answers(monkeypatch, **outputs)
        assert states(sweep) == ["new"] * 4


def test_a_run_that_was_killed_stays_preempted_and_says_what_is_known(sweep, monkeypatch):
    with RunLock(sweep.root / sweep.jobs[0].run) as lock:
        lock.status("running")
    with RunLock(sweep.root / sweep.jobs[1].run) as lock:
        lock.status("done")
    append_attempts(sweep, [Attempt(2, 0, 77)])
    (sweep.folder / "logs" / "77_0.log").write_text("slurmstepd: error: Detected 1 oom-kill event(s) in StepId=77.0\n")
    answers(monkeypatch, squeue="", scontrol=None, sacct="77_0|OUT_OF_MEMORY|0:125\n77_[1-3]|CANCELLED by 0|0:0\n")
    found = job_statuses(sweep)
    assert [one.state for one in found] == ["preempted", "done", "new", "new"]
    assert "oom-kill event" in found[0].reason and "(SLURM: OUT_OF_MEMORY 0:125)" in found[0].reason
    assert slurm.ends(77) == {0: "OUT_OF_MEMORY 0:125", **dict.fromkeys((1, 2, 3), "CANCELLED by 0 0:0")}


@pytest.mark.parametrize(("status", "expected"), [(0, "new"), (143, "new"), (1, "failed"), (137, "failed")])
def test_a_process_that_ended_badly_and_left_no_status_failed(status, expected, sweep):
    append_attempts(sweep, [Attempt(4, 0, status=status)])
    assert states(sweep) == [expected] * 4


def test_a_run_that_cannot_be_read_has_a_line_of_its_own(sweep, tmp_path):
    folders = [sweep.root / job.run for job in sweep.jobs]
    for folder in folders[:3]:
        folder.mkdir(parents=True)
    (folders[0] / "status.json").write_text('{"status": "odd"}')
    (folders[1] / "status.json").write_text('{"status": "failed", "reason": null}')
    (folders[2] / "status.json").write_text('{"status": ["done"]}')
    folders[3].symlink_to(tmp_path)
    found = job_statuses(sweep)
    assert [one.state for one in found] == ["failed"] * 4
    assert found[0].reason.startswith("damaged: ") and "must lie below" in found[3].reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        (
            "Traceback (most recent call last):\n  File x\nValueError: bad\nsrun: error: n: Exited with exit code 1\n",
            "ValueError: bad",
        ),
        ("error: the key must fit\n  given: 5\n  fix:   x\nelement ended with status 1\n", "error: the key must fit"),
        (
            "run: runs/a\n\nslurmstepd: error: *** STEP 7.0 ON n CANCELLED DUE TO TIME LIMIT ***\n",
            "slurmstepd: error: *** STEP 7.0 ON n CANCELLED DUE TO TIME LIMIT ***",
        ),
        (
            "sweep.sh: line 9: /bad/python: No such file or directory\nrun: x\n",
            "sweep.sh: line 9: /bad/python: No such file or directory",
        ),
        ("x" * 200_000 + "\n\udcffKilled\n", "\ufffdKilled"),
    ],
)
def test_the_reason_in_a_log_is_its_last_line_that_tells_something(text, expected, tmp_path):
    log = tmp_path / "log"
    log.write_bytes(text.encode(errors="surrogateescape"))
    assert last_message(log) == expected


def test_a_log_that_is_not_there_or_no_file_holds_no_reason(tmp_path):
    assert last_message(tmp_path / "missing") == last_message(tmp_path) == ""


def test_elements_are_named_as_slurm_does():
    named = {"3": [3], "0-2": [0, 1, 2], "[1,4-5%2]": [1, 4, 5], "0-1%1": [0, 1], "N/A": [], "": [None]}
    assert {which: slurm._elements(which) for which in named} == named


def test_a_job_is_in_the_queue_unless_slurm_says_that_it_is_not(monkeypatch):
    for outputs, expected in (
        ({"squeue": "RUNNING\n"}, True),
        ({"squeue": ""}, False),
        ({"squeue": None}, True),
        ({}, True),
    ):
        answers(monkeypatch, **outputs)
        assert slurm.is_queued("77_0") is expected


def test_an_interrupted_command_ends_without_a_traceback(monkeypatch, capsys):
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "status", interrupted)
    monkeypatch.setattr("sys.argv", ["mechlab.sweep", "status", "0123456789"])
    with pytest.raises(SystemExit) as caught:
        program.main()
    assert caught.value.code == 130 and capsys.readouterr().err == "interrupted\n"
