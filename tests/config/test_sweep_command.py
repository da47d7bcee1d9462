"""`mechlab.sweep` from plan to status on one machine, and what it tells SLURM, whose commands are played by scripts."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from warm_process import Done, command

SMALL = (
    "task=repeat_copy",
    "task.d=2",
    "task.s=2",
    "task.repeats=2",
    "model.hidden=8",
    "model.activation=relu",
    "optimizer=sgd",
    "trainer.max_steps=40",
    "trainer.steps_per_epoch=20",
    "trainer.eval_examples=20",
    "trainer.gradient_clip=null",
    "analysis=[]",
)
FAILS = (*SMALL, "optimizer.lr=0.01,1e30")
NEWLINE = "\n"


@dataclass(frozen=True)
class Slurm:
    """Calling it puts an `sbatch` and a `squeue` first on PATH, in front of no other commands than the system's.

    Args:
        folder: for the commands; what sbatch is given is kept there.
        queue: what squeue prints.
        refuses: what sbatch says when it accepts nothing; "" if it does.
        fails: what squeue says when it cannot answer; "" if it can.
        ends: how elements of array 77 ended, as scontrol remembers: state and exit code.
        variables: of the environment.
    """

    folder: Path
    queue: str = ""
    refuses: str = ""
    fails: str = ""
    ends: dict[int, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)

    def __call__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        keep = 'for word in "$@"; do echo "$word"; done > "$(dirname "$0")/given"; env > "$(dirname "$0")/environment"'
        answer = f"echo '{self.refuses}' >&2; exit 1" if self.refuses else "echo '77;cluster'"
        queue = f"echo '{self.fails}' >&2; exit 1" if self.fails else f"cat <<'END'\n{self.queue}\nEND"
        shown = [
            f"JobId=78 ArrayJobId=77 ArrayTaskId={element} JobState={state} Reason=None ExitCode={code}"
            for element, (state, code) in ((element, end.split()) for element, end in self.ends.items())
        ]
        remembered = f"cat <<'END'\n{NEWLINE.join(shown)}\nEND"
        for name, text in (("sbatch", f"{keep}\n{answer}"), ("squeue", queue), ("scontrol", remembered)):
            (self.folder / name).write_text(f"#!/bin/sh\n{text}\n")
            (self.folder / name).chmod(0o755)
        os.environ.update({"PATH": f"{self.folder}:/usr/bin:/bin", **self.variables})

    @property
    def given(self) -> list[str]:
        """The arguments of the last sbatch."""
        return (self.folder / "given").read_text().splitlines()


@dataclass(frozen=True)
class FromHere:
    """Calling it lets Python find modules in the working directory, as `python -m` does, and calls `and_then`."""

    and_then: Callable[[], None] | None = None

    def __call__(self) -> None:
        sys.path.insert(0, "")
        if self.and_then is not None:
            self.and_then()


@dataclass(frozen=True)
class OtherCode:
    """Calling it makes the process's code another one, as far as mechlab knows."""

    def __call__(self) -> None:
        from mechlab.sweeps import code

        code.digest = lambda files: "0" * 64


@dataclass(frozen=True)
class OtherPython:
    """Calling it lets the process start another program in place of Python."""

    program: Path

    def __call__(self) -> None:
        sys.executable = str(self.program)


def sweep(folder: Path, *words: str, slurm: Callable[[], None] | None = None, status: int = 0) -> Done:
    """Run `mechlab.sweep` and assert its exit status."""
    done = command("sweep", *words, folder=folder, before=slurm)
    assert done.exit == status, done.text
    return done


def planned(folder: Path, *words: str, slurm: Callable[[], None] | None = None) -> str:
    """Plan a sweep and return its id."""
    last = sweep(folder, "plan", *words, slurm=slurm).out.splitlines()[-1]
    found = re.fullmatch(r"sweep: runs/_sweeps/([0-9a-f]{10})", last)
    assert found, last
    return found[1]


def refused(folder: Path, *words: str, key: str, says: str, slurm: Callable[[], None] | None = None) -> None:
    """Assert that a command ends with status 1 and one readable error."""
    done = sweep(folder, *words, slurm=slurm, status=1)
    assert done.err.startswith("error: ") and "Traceback" not in done.text
    assert key in done.err and says in done.err, done.err


@pytest.mark.ci
def test_a_sweep_with_a_failing_job_from_plan_to_retry(tmp_path: Path) -> None:
    first = sweep(tmp_path, "plan", *FAILS, "seed=0,1")
    assert "4 jobs: 4 new" in first.out
    name = planned(tmp_path, *FAILS, "seed=range(2)")
    assert name in first.out, "the same sweep, however it is spelt"

    ran = sweep(tmp_path, "run", name, "--chunk", "2", "--slots", "2", status=1)
    assert "2 failed, 2 done" in ran.out
    assert sorted(re.findall(r"^(done|failed) +chunk (\d)", ran.out, re.MULTILINE)) == [("done", "0"), ("failed", "1")]
    table = sweep(tmp_path, "status", name).out
    states = re.findall(r"^(\w+) +runs/repeat_copy-rnn/\w+-s(\d) .*optimizer.lr=(\S+)", table, re.MULTILINE)
    assert states == [("done", "0", "0.01"), ("done", "1", "0.01"), ("failed", "0", "1e+30"), ("failed", "1", "1e+30")]
    assert table.count("the training loss must be finite") == 2
    assert f"run {name} --retry failed" in table
    log = (tmp_path / f"runs/_sweeps/{name}/logs/chunk-2-1.log").read_text()
    assert log.count("training repeat_copy-rnn") == 2, "the failure of the first did not stop the second"

    retried = sweep(tmp_path, "run", name, "--chunk", "4", "--retry", "failed", status=1)
    assert "2 failed, 2 done" in retried.out
    log = (tmp_path / f"runs/_sweeps/{name}/logs/chunk-4-0.log").read_text()
    assert log.count("training repeat_copy-rnn") == 2 and log.count("the run is done already") == 2
    assert "4 jobs: 2 failed, 2 done" in sweep(tmp_path, "plan", *FAILS, "seed=0,1").out


@pytest.mark.ci
def test_a_job_that_this_machine_cannot_run_is_listed_with_its_reason(tmp_path: Path) -> None:
    name = planned(tmp_path, *SMALL, "trainer=gpu,cpu", "trainer.max_steps=2")
    done = sweep(tmp_path, "run", name, "--index", "0", "--chunk", "2", slurm=Slurm(tmp_path / "bin"), status=1)
    assert "error: trainer.accelerator=gpu needs a CUDA device" in done.err
    assert "2 jobs: 1 failed, 1 done" in sweep(tmp_path, "status", name).out
    assert "trainer.accelerator=gpu needs a CUDA device" in sweep(tmp_path, "status", name).out


@dataclass(frozen=True)
class SignalAtStep:
    """Calling it lets a signal come during an optimiser step of the process.

    Args:
        step: which one, counted from 1 over all trainings.
        number: the signal.
        slurm: the commands of SLURM.
    """

    step: int
    number: int
    slurm: Slurm

    def __call__(self) -> None:
        from mechlab.core.recipe import Recipe

        update, done = Recipe.update, 0

        def counted(*arguments: object, **options: object) -> object:
            nonlocal done
            done += 1
            if done == self.step:
                os.kill(os.getpid(), self.number)
            return update(*arguments, **options)

        Recipe.update = counted
        self.slurm()
        scontrol = self.slurm.folder / "scontrol"
        scontrol.write_text('#!/bin/sh\necho "$@" >> "$(dirname "$0")/asked"\n')
        scontrol.chmod(0o755)


@pytest.mark.ci
@pytest.mark.parametrize(
    ("step", "number", "states", "asks"),
    [
        (50, signal.SIGUSR1, "1 new, 1 preempted, 1 done", True),
        (40, signal.SIGUSR1, "2 new, 1 done", True),
        (50, signal.SIGTERM, "1 new, 1 preempted, 1 done", False),
        (40, signal.SIGTERM, "2 new, 1 done", False),
    ],
    ids=["USR1 in a training", "USR1 in a last step", "TERM in a training", "TERM in a last step"],
)
def test_a_chunk_that_is_asked_to_stop_starts_no_other_job(
    step: int, number: int, states: str, asks: bool, tmp_path: Path
) -> None:
    name = planned(tmp_path, *SMALL, "seed=0,1,2")
    element = {"SLURM_ARRAY_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": "0"}
    slurm = Slurm(tmp_path / "bin", variables=element)
    stop = SignalAtStep(step, number, slurm)
    done = command("sweep", "run", name, "--index", "0", "--chunk", "3", folder=tmp_path, before=stop)
    assert done.exit == 143, done.text
    asked = tmp_path / "bin" / "asked"
    assert (asked.read_text() if asked.exists() else "") == ("requeue 77_0\n" if asks else "")
    assert f"3 jobs: {states}" in sweep(tmp_path, "status", name).out
    assert sweep(tmp_path, "run", name, "--index", "0", "--chunk", "3").out.count("\nrun: ") == 3
    assert "3 jobs: 3 done" in sweep(tmp_path, "status", name).out


@pytest.mark.ci
def test_submit_makes_one_array_of_what_is_not_done(tmp_path: Path) -> None:
    name = planned(tmp_path, *SMALL, "seed=range(7)")
    done = command("train", *SMALL, "seed=4", folder=tmp_path)
    assert done.exit == 0, done.text
    (tmp_path / "slurm").mkdir()
    settings = tmp_path / "slurm" / "cluster.sh"
    settings.write_text("echo loading modules\nSBATCH_OPTIONS=\"--partition=main --comment='two words'\"\n")
    inherited = {
        "SLURM_CONF": "/etc/slurm.conf",
        "SLURM_JOB_ID": "5",
        "SLURM_MEM_PER_NODE": "1",
        "SBATCH_ACCOUNT": "me",
    }
    slurm = Slurm(tmp_path / "bin", variables=inherited)
    submitted = sweep(tmp_path, "submit", name, "--parallel", "3", slurm=slurm)
    assert "submitted as SLURM job 77\n" in submitted.out
    assert submitted.out.splitlines()[-1] == f"sweep: runs/_sweeps/{name}"
    folder = tmp_path.resolve() / "runs" / "_sweeps" / name
    script = Path(slurm.given[-5])
    assert script.parts[-2:] == ("slurm", "sweep.sh") and script.is_file()
    assert slurm.given == [
        "--parsable",
        f"--job-name=mechlab-{name}-1",
        "--array=0-3,5-6%3",
        f"--output={folder}/logs/%A_%a.log",
        "--partition=main",
        "--comment=two words",
        str(script),
        "--element",
        str(folder),
        "1",
        json.loads((folder / "manifest.jsonl").read_text().splitlines()[0])["code"],
    ]
    variables = (slurm.folder / "environment").read_text().splitlines()
    assert [line for line in variables if line.startswith("SLURM_")] == ["SLURM_CONF=/etc/slurm.conf"]
    assert "SBATCH_ACCOUNT=me" in variables, "a user's own defaults for sbatch hold for the array too"


@pytest.mark.ci
@pytest.mark.parametrize(
    ("queue", "chunk", "array"),
    [
        ("0 PENDING mechlab-{id}-1\n2 RUNNING mechlab-{id}-1", 1, "1,3-4"),
        ("1 PENDING mechlab-{id}-2", 1, "0-1,4"),
        ("1 PENDING mechlab-{id}-2\n0 PENDING mechlab-{id}-2", 2, "2"),
        ("1 PENDING mechlab-{id}-1", 2, "0-2"),
        ("0 PENDING mechlab-0000000000-5\nN/A RUNNING some other job", 2, "0-2"),
    ],
)
def test_jobs_in_slurms_queue_are_not_submitted_again(queue: str, chunk: int, array: str, tmp_path: Path) -> None:
    name = planned(tmp_path, *SMALL, "seed=range(5)")
    slurm = Slurm(tmp_path / "bin", queue.replace("{id}", name))
    sweep(tmp_path, "submit", name, "--chunk", str(chunk), slurm=slurm)
    assert f"--array={array}" in slurm.given


@pytest.mark.ci
def test_with_all_jobs_in_the_queue_nothing_is_submitted_and_status_counts_them(tmp_path: Path) -> None:
    name = planned(tmp_path, *SMALL, "seed=range(3)")
    slurm = Slurm(tmp_path / "bin", f"0 RUNNING mechlab-{name}-2\n1 PENDING mechlab-{name}-2\n1 PENDING mechlab-1-1")
    assert "nothing to submit" in sweep(tmp_path, "submit", name, slurm=slurm).out
    assert not (slurm.folder / "given").exists()
    assert (
        "3 jobs: 3 new; elements in SLURM's queue: 1 pending, 1 running\n"
        in sweep(tmp_path, "status", name, slurm=slurm).out
    )


@pytest.mark.ci
def test_retry_failed_submits_the_failed_jobs_alone(tmp_path: Path) -> None:
    name = planned(tmp_path, *FAILS, "seed=0,1")
    sweep(tmp_path, "run", name, "--index", "2", status=1)
    slurm = Slurm(tmp_path / "bin")
    sweep(tmp_path, "submit", name, "--retry", "failed", slurm=slurm)
    assert "--array=2" in slurm.given
    sweep(tmp_path, "submit", name, slurm=slurm)
    assert "--array=0-3" in slurm.given


@pytest.mark.ci
def test_what_slurm_or_its_settings_refuse_is_told(tmp_path: Path) -> None:
    name = planned(tmp_path, *SMALL)
    no_slurm = Slurm(tmp_path / "bin", variables={"PATH": "/nowhere"})
    refused(tmp_path, "submit", name, slurm=no_slurm, key="sbatch", says=f"mechlab.sweep run {name}")
    strict = Slurm(tmp_path / "bin", refuses="sbatch: error: invalid partition")
    refused(tmp_path, "submit", name, slurm=strict, key="--array=0", says="invalid partition")
    missing = Slurm(tmp_path / "bin", variables={"MECHLAB_CLUSTER": "nowhere.sh"})
    refused(tmp_path, "submit", name, slurm=missing, key="MECHLAB_CLUSTER", says="nowhere.sh")
    (tmp_path / "settings.sh").write_text("exit 3\n")
    broken = Slurm(tmp_path / "bin", variables={"MECHLAB_CLUSTER": "settings.sh"})
    refused(tmp_path, "submit", name, slurm=broken, key="settings.sh", says="shell script")


@pytest.mark.parametrize(
    ("words", "key", "says"),
    [
        (("plan", "task=tomta"), "task", "did you mean 'tomita'?"),
        (("plan", *SMALL, "trainer.max_step=5"), "trainer.max_step", "did you mean 'trainer.max_steps'?"),
        (("plan", *SMALL, "task.d=2,0"), "task.d", "at least 1"),
        (("plan", *SMALL, "seed=range(0)"), "seed=range(0)", "at least one job"),
        (("plan", *SMALL, "seed=range("), "range(", "KEY=VALUE"),
        (("plan", *SMALL, "task=a.yaml", "--config-dir", "nowhere"), "nowhere", "must exist"),
        (("plan", *SMALL, "paths.root=/dev/null/runs"), "paths.root", "must be writable"),
        (("run", *SMALL, "--chunk", "0"), "--chunk", "at least 1"),
        (("run", *SMALL, "--slots", "-1"), "--slots", "at least 1"),
        (("submit", *SMALL, "--parallel", "0"), "--parallel", "at least 1"),
        (("status", "0123456789"), "sweep", "mechlab.sweep plan OVERRIDES"),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, tuple) else "",
)
def test_wrong_words_are_refused_and_nothing_is_written(
    words: tuple[str, ...], key: str, says: str, tmp_path: Path
) -> None:
    refused(tmp_path, *words, key=key, says=says)
    assert not (tmp_path / "runs").exists()


def test_an_unknown_sweep_or_element_is_refused(tmp_path: Path) -> None:
    name = planned(tmp_path, *SMALL, "seed=0,1,2")
    refused(tmp_path, "status", f"{name[:-1]}x", key="sweep", says=f"did you mean '{name}'?")
    refused(tmp_path, "run", name, "--chunk", "2", "--index", "2", key="--index", says="from 0 to 1")
    refused(tmp_path, "run", name, "--index", "-1", key="--index", says="from 0 to 2")


@dataclass(frozen=True)
class OtherNumpy:
    """Calling it gives the process another version of numpy, as far as mechlab knows."""

    version: str

    def __call__(self) -> None:
        from mechlab.config import provenance

        versions = provenance.package_versions() | {"numpy": self.version}
        provenance.package_versions = lambda: versions


def test_jobs_refuse_to_run_with_other_packages_than_planned(tmp_path: Path) -> None:
    name = planned(tmp_path, *SMALL)
    version = json.loads((tmp_path / f"runs/_sweeps/{name}/manifest.jsonl").read_text())["packages"]["numpy"]
    says = f"numpy {version} -> 99.1"
    refused(tmp_path, "run", name, "--index", "0", key="manifest.jsonl", says=says, slurm=OtherNumpy("99.1"))
    assert not list(tmp_path.glob("runs/repeat_copy-rnn/*"))


FOREIGN = (*SMALL, "allow_targets=[stranger]", "+callbacks.odd._target_=stranger.Odd")


@pytest.fixture
def foreign(tmp_path: Path) -> str:
    """A sweep whose jobs name a class of a package of its own, and that package in the working directory."""
    lines = ["import pathlib", "import pytorch_lightning", "pathlib.Path('imported').touch()"]
    (tmp_path / "stranger.py").write_text("\n".join([*lines, "class Odd(pytorch_lightning.Callback):", "    pass", ""]))
    name = planned(tmp_path, *FOREIGN, slurm=FromHere())
    (tmp_path / "imported").unlink()
    return name


def test_a_manifest_cannot_allow_packages_itself(tmp_path: Path, foreign: str) -> None:
    for words in (("run",), ("run", "--index", "0"), ("submit",)):
        slurm = Slurm(tmp_path / "bin")
        refused(tmp_path, *words, foreign, key="allow_targets", says='"allow_targets=[stranger]"', slurm=slurm)
        assert not (slurm.folder / "given").exists()
    refused(tmp_path, "run", foreign, "allow_targets=[other]", key="allow_targets", says="stranger")
    refused(tmp_path, "run", foreign, "allow_targets=[../x]", key="allow_targets", says="Python packages")
    assert not (tmp_path / "imported").exists()


@pytest.mark.ci
def test_packages_that_the_command_line_allows_reach_the_jobs(tmp_path: Path, foreign: str) -> None:
    allowed = "allow_targets=[stranger]"
    slurm = Slurm(tmp_path / "bin")
    sweep(tmp_path, "submit", foreign, allowed, slurm=slurm)
    assert slurm.given[-1] == allowed, "each element is told on its command line"
    sweep(tmp_path, "submit", *FOREIGN, slurm=FromHere(slurm))
    assert slurm.given[-1] == allowed, "overrides allow what they name"
    assert f'run {foreign} "{allowed}"' in sweep(tmp_path, "plan", *FOREIGN, slurm=FromHere()).out
    sweep(tmp_path, "run", foreign, allowed, "--index", "0", slurm=FromHere())
    assert "1 jobs: 1 done" in sweep(tmp_path, "status", foreign).out


@pytest.mark.ci
def test_a_changed_copy_of_the_code_is_not_run_and_planning_again_mends_it(tmp_path: Path) -> None:
    name = planned(tmp_path, *SMALL)
    (tmp_path / "runs" / "_sweeps" / name / "code" / "sitecustomize.py").touch()
    slurm = Slurm(tmp_path / "bin")
    refused(tmp_path, "run", name, key="_sweeps", says="must be as it was frozen")
    refused(tmp_path, "submit", name, key="_sweeps", says="plan the sweep again", slurm=slurm)
    assert not (slurm.folder / "given").exists() and not list(tmp_path.glob("runs/repeat_copy-rnn/*"))
    assert "replaced: the manifest and the code" in sweep(tmp_path, "plan", *SMALL).out
    assert not list((tmp_path / "runs" / "_sweeps").glob(".*"))
    assert "1 jobs: 1 new" in sweep(tmp_path, "status", name).out
    sweep(tmp_path, "submit", name, slurm=slurm)
    assert slurm.given


def test_an_element_takes_the_digest_of_the_copy_before_it_runs_any_of_it(tmp_path: Path) -> None:
    name = planned(tmp_path, *SMALL)
    slurm = Slurm(tmp_path / "bin")
    sweep(tmp_path, "submit", name, "--chunk", "3", slurm=slurm)
    words = slurm.given[slurm.given.index("--element") - 1 :]
    ran = tmp_path / "ran"
    (slurm.folder / "srun").write_text(f'#!/bin/sh\necho "$PYTHONPATH $PYTHONDONTWRITEBYTECODE $@" > {ran}\n')
    (slurm.folder / "srun").chmod(0o755)
    variables = {"PATH": f"{slurm.folder}:/usr/bin:/bin", "SLURM_ARRAY_TASK_ID": "4", "MECHLAB_PYTHON": "python"}

    def element() -> subprocess.CompletedProcess[str]:
        return subprocess.run(["bash", *words], env=variables, cwd=tmp_path, capture_output=True, text=True)

    done = element()
    folder = (tmp_path / "runs" / "_sweeps" / name).resolve()
    assert done.returncode == 0, done.stderr
    given = f"-P -m mechlab.sweep run {folder} --chunk 3 --index 4"
    assert ran.read_text() == f"{folder}/code 1 --ntasks=1 python {given}\n"
    ran.unlink()
    extra = folder / "code" / "mechlab" / "__pycache__" / "sweep.cpython-311.pyc"
    extra.parent.mkdir()
    for plant in (extra.touch, lambda: extra.symlink_to("/dev/null")):
        plant()
        done = element()
        assert done.returncode == 1 and "must be as it was frozen" in done.stderr and not ran.exists()
        extra.unlink()


def test_a_chunk_refuses_to_run_in_a_process_with_other_code(tmp_path: Path) -> None:
    name = planned(tmp_path, *SMALL)
    refused(tmp_path, "run", name, "--index", "0", key="code", says=f"sweep run {name}", slurm=OtherCode())
    assert not list(tmp_path.glob("runs/repeat_copy-rnn/*"))


def test_a_link_in_place_of_a_runs_folder_is_not_followed(tmp_path: Path) -> None:
    name = planned(tmp_path, *SMALL)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "runs" / "repeat_copy-rnn").symlink_to(tmp_path / "elsewhere")
    refused(tmp_path, "run", name, "--index", "0", key="runs", says="must lie below")
    assert not list((tmp_path / "elsewhere").iterdir())
    assert "must lie below" in sweep(tmp_path, "status", name).out


@pytest.mark.ci
def test_jobs_that_died_before_training_are_listed_with_their_logs_and_retried(tmp_path: Path) -> None:
    name = planned(tmp_path, *SMALL, "seed=range(4)")
    logs = tmp_path / "runs" / "_sweeps" / name / "logs"
    sweep(tmp_path, "submit", name, slurm=Slurm(tmp_path / "bin"))
    no_slurm = Slurm(tmp_path / "bin", variables={"PATH": "/nowhere"})
    assert "4 jobs: 4 new\n" in sweep(tmp_path, "status", name, slurm=no_slurm).out, "nobody knows"
    (logs / "77_0.log").write_text("Traceback (most recent call last):\n  ...\nModuleNotFoundError: No module\033[2J\n")
    slurm = Slurm(tmp_path / "bin", f"2 PENDING mechlab-{name}-1", ends={1: "CANCELLED 0:0"})
    said = sweep(tmp_path, "status", name, slurm=slurm).out
    assert "4 jobs: 1 new, 3 failed; elements in SLURM's queue: 1 pending\n" in said
    assert "died before training: ModuleNotFoundError: No module\\x1b[2J (SLURM: not in the queue any more)" in said
    assert f"log: runs/_sweeps/{name}/logs/77_0.log\n" in said
    assert "never started (SLURM: CANCELLED 0:0)\n" in said
    assert f"run {name} --retry failed" in said
    sweep(tmp_path, "submit", name, "--retry", "failed", slurm=slurm)
    assert "--array=0-1,3" in slurm.given
    silent = Slurm(tmp_path / "bin", fails="squeue: error: slurm_load_jobs error")
    said = sweep(tmp_path, "status", name, slurm=silent).out
    assert "4 jobs: 4 new; SLURM's queue cannot be read: squeue: error: slurm_load_jobs error\n" in said
    refused(tmp_path, "submit", name, slurm=silent, key="squeue", says="must be readable")


@pytest.mark.ci
def test_a_pool_whose_processes_die_before_training_has_failed(tmp_path: Path) -> None:
    name = planned(tmp_path, *SMALL, "seed=0,1")
    refusing = tmp_path / "refusing"
    refusing.write_text("#!/bin/sh\necho broken environment\nkill -9 $$\n")
    refusing.chmod(0o755)
    done = sweep(tmp_path, "run", name, slurm=OtherPython(refusing), status=1)
    assert "2 jobs: 2 failed" in done.out
    said = sweep(tmp_path, "status", name).out
    assert said.count("died before training: broken environment (exit status 137 (killed))") == 2
    assert f"log: runs/_sweeps/{name}/logs/chunk-1-0.log\n" in said
    slurm = Slurm(tmp_path / "bin")
    sweep(tmp_path, "submit", name, "--retry", "failed", slurm=slurm)
    assert "--array=0-1" in slurm.given


@pytest.mark.ci
def test_overrides_can_be_run_and_watched_without_a_plan(tmp_path: Path) -> None:
    line = (*SMALL, "seed=0,1")
    assert "2 jobs: 2 new" in sweep(tmp_path, "status", *line).out
    done = sweep(tmp_path, "run", *line, "--chunk", "2", "--index", "0")
    assert done.out.count("\nrun: ") == 2
    assert "2 jobs: 2 done" in sweep(tmp_path, "status", *line).out
