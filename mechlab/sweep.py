"""Sweeps: frozen manifests of jobs, run on this machine or as SLURM arrays.

python -m mechlab.sweep plan task=tomita task.index=3,5 model=rnn,gru "seed=range(5)"
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mechlab.core.errors import ConfigError, MechlabError, WrongValue
from mechlab.core.printable import printable
from mechlab.record.files import LINES_BYTES, read_bytes

if TYPE_CHECKING:
    from mechlab.sweeps.job_status import JobStatus
    from mechlab.sweeps.manifest import Job, Sweep

CHANGED = "the packages that decide results must be those that the sweep was planned with"


def main() -> None:
    """The program `python -m mechlab.sweep`."""
    arguments = _parser().parse_args()
    try:
        sys.exit(arguments.command(arguments))
    except WrongValue as error:
        from mechlab.config.messages import with_default

        print(f"error: {with_default(error, 'train')}", file=sys.stderr)
        sys.exit(1)
    except MechlabError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of the output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mechlab sweep", description="Plan, submit, run and watch sweeps.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, function, text in (
        ("plan", plan, "expand a grid and freeze its jobs, the code and the package versions"),
        ("submit", submit, "submit the unfinished jobs as a SLURM array"),
        ("run", run, "run the unfinished jobs on this machine, or one chunk of them"),
        ("status", status, "print the status of every job"),
    ):
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=function)
        what = "overrides as after `mechlab.train -m`"
        if name != "plan":
            what = f"a sweep's id or manifest, then allow_targets=[...] if its jobs need it; or {what}"
        sub.add_argument("words", nargs="+", metavar="OVERRIDE" if name == "plan" else "SWEEP", help=what)
        sub.add_argument("--root", type=Path, default=None, help="the folder of all runs (default: runs)")
        sub.add_argument(
            "--config-dir", type=Path, action="append", default=[], help="a configuration folder of your own"
        )
        if name in ("submit", "run"):
            sub.add_argument("--chunk", type=int, default=1, help="jobs per array element or process (default: 1)")
            sub.add_argument(
                "--retry", choices=["all", "failed"], default="all", help="which unfinished jobs (default: all)"
            )
        if name == "submit":
            sub.add_argument("--parallel", type=int, help="maximal number of array elements at once")
        if name == "run":
            sub.add_argument("--index", type=int, help="run this chunk alone, in this process")
            sub.add_argument(
                "--slots", type=int, help="processes at a time, or per GPU (default: one per processor or GPU)"
            )
            sub.add_argument(
                "--devices", help="GPUs to use, e.g. 0,1 (default: the visible ones if the jobs train on GPUs)"
            )
    return parser


def plan(arguments: argparse.Namespace) -> int:
    """Write the manifest of a sweep and a copy of the code, and print the number of its jobs in each state."""
    sweep, allowed = _sweep(arguments, frozen=False)
    from mechlab.sweeps.job_status import job_statuses, summary

    words = f'{sweep.id} "allow_targets=[{",".join(allowed)}]"' if allowed else sweep.id
    print(summary(job_statuses(sweep)))
    print(f"next:\n  run     python -m mechlab.sweep run {words}")
    print(f"  submit  python -m mechlab.sweep submit {words}")
    print(f"sweep: {sweep.folder}")
    return 0


def submit(arguments: argparse.Namespace) -> int:
    """Submit the jobs that are not done as a SLURM array."""
    from mechlab.sweeps import slurm
    from mechlab.sweeps.code import check_copy

    sweep, allowed = _sweep(arguments)
    check_allowed(sweep, allowed)
    check_copy(sweep.folder, sweep.code)
    number = slurm.submit(sweep, _unfinished(sweep, arguments.retry), arguments.chunk, arguments.parallel, allowed)
    print("nothing to submit" if number is None else f"submitted as SLURM job {number}")
    print(f"next:\n  watch   python -m mechlab.sweep status {sweep.id}")
    print(f"sweep: {sweep.folder}")
    return 0


def run(arguments: argparse.Namespace) -> int:
    """Run the jobs that are not done: one chunk in this process, or all in a pool of processes."""
    sweep, allowed = _sweep(arguments)
    check_allowed(sweep, allowed)
    if arguments.index is not None:
        last = (len(sweep.jobs) - 1) // arguments.chunk
        if not 0 <= arguments.index <= last:
            must = f"--index must be a chunk of the sweep, from 0 to {last}"
            raise ConfigError(must, got=arguments.index, key="--index")
        return _run_chunk(sweep, sweep.chunk(arguments.index, arguments.chunk))
    return _run_pool(sweep, arguments, allowed)


def status(arguments: argparse.Namespace) -> int:
    """Print the status of every job, with the reason of each failure."""
    from mechlab.sweeps.job_status import job_statuses, summary

    sweep, allowed = _sweep(arguments, planned=True)
    statuses = job_statuses(sweep)
    _print_statuses(sweep, statuses)
    print(summary(statuses) + _queue(sweep))
    if any(job.state == "failed" for job in statuses):
        print(f"next:\n  retry   python -m mechlab.sweep run {sweep.id} --retry failed  (or submit)")
    else:
        print(f'next:\n  report  python -m mechlab.report "runs={sweep.root}/*/*"')
        if all(job.state == "done" for job in statuses):
            from mechlab.jobs.planned_sets import print_commands

            print_commands(_jobs(sweep, allowed))
    print(f"sweep: {sweep.folder}")
    return 0


def _sweep(arguments: argparse.Namespace, frozen: bool = True, planned: bool = False) -> tuple[Sweep, list[str]]:
    """Return the sweep of the command line, and the packages other than mechlab that it allows its jobs to import.

    With `planned`, the same overrides give the sweep that they gave last, whatever has changed in the code since.

    Overrides are frozen first, and allow the packages that they name. For a frozen sweep the packages come from the
    command line alone: its manifest is not trusted.
    """
    from mechlab.sweeps.manifest import is_sweep, load

    for name in ("chunk", "slots", "parallel"):
        if getattr(arguments, name, None) is not None and getattr(arguments, name) < 1:
            must = f"--{name} must be a whole number of at least 1"
            raise ConfigError(must, got=getattr(arguments, name), key=f"--{name}")
    for folder in arguments.config_dir:
        if not folder.is_dir():
            raise ConfigError("the folder given with --config-dir must exist", got=folder, key="--config-dir")
    root = arguments.root or Path("runs")
    first, *others = arguments.words
    if frozen and is_sweep(arguments.words, root):
        return load(first, root), _packages(others)
    if frozen and not others and "=" not in first:
        return load(first, root), []  # raises, and lists the known sweeps
    from mechlab.sweeps.commands import last_planned

    overrides = arguments.words + ([f"paths.root={arguments.root}"] if arguments.root else [])
    if planned and (last := last_planned(overrides, arguments.config_dir)) is not None:
        allowed = _packages([word for word in arguments.words if word.startswith("allow_targets=")])
        if set(last.targets) <= set(allowed):
            return last, allowed
    from mechlab.sweeps.planning import plan_sweep

    sweep = plan_sweep(overrides, arguments.config_dir)
    return sweep, sweep.targets


def _packages(words: Sequence[str]) -> list[str]:
    """Return the packages that words like `allow_targets=[a,b]` name."""
    from mechlab.sweeps.code import PACKAGE

    packages = []
    for word in words:
        listed = word.removeprefix("allow_targets=").removeprefix("[").removesuffix("]")
        names = [name.strip() for name in listed.split(",")]
        if not all(re.fullmatch(PACKAGE, name) for name in names):
            fix = '"allow_targets=[my_package]"'
            raise ConfigError("allow_targets must be a list of Python packages", got=word, key="allow_targets", fix=fix)
        packages += names
    return packages


def check_allowed(sweep: Sweep, allowed: Sequence[str]) -> None:
    """Raise ConfigError if a sweep's jobs name packages that the command line does not allow.

    The configuration in a manifest may be written by somebody else.
    """
    missing = sorted(set(sweep.targets) - set(allowed))
    if missing:
        must = "packages that a sweep's jobs import must be allowed on the command line, after the sweep's id"
        fix = f'if you trust them: {sweep.id} "allow_targets=[{",".join(sweep.targets)}]"'
        raise ConfigError(must, got=", ".join(missing), key="allow_targets", fix=fix)


def _unfinished(sweep: Sweep, retry: str) -> list[int]:
    from mechlab.sweeps.job_status import UNFINISHED, job_statuses

    wanted = ("failed",) if retry == "failed" else UNFINISHED
    return [status.job.index for status in job_statuses(sweep) if status.state in wanted]


def _run_chunk(sweep: Sweep, jobs: list[Job]) -> int:
    """Run jobs one after the other in this process; a failed one does not stop the others."""
    from mechlab.training.signals import Preempted, SignalWatch

    SignalWatch().install()  # signals wait for the end of the imports below, which take seconds, or of a run
    from mechlab.config.provenance import Origin
    from mechlab.jobs.execute import execute
    from mechlab.jobs.prepare import prepare_run
    from mechlab.sweeps import slurm
    from mechlab.sweeps.code import check_running

    _check_packages(sweep)
    check_running(sweep.targets, sweep.code, sweep.id)
    patch = _patch(sweep)
    failed = 0
    for job in jobs:
        try:
            if SignalWatch.seen is not None:
                raise SystemExit(143) from Preempted(SignalWatch.seen)
            config = {**job.config, "paths": {"root": str(sweep.root)}}
            origin = Origin(job.overrides, sweep.commit, patch, sweep.id)
            with _recorded_failure(sweep.run_folder(job)):
                setup = prepare_run(config, identity=job.run_id, origin=origin)
            execute(setup)
        except SystemExit as stop:
            at_limit = isinstance(stop.__cause__, Preempted) and stop.__cause__.signum == signal.SIGUSR1
            if at_limit and "SLURM_ARRAY_JOB_ID" in os.environ:
                slurm.requeue()  # at a preemption SLURM requeues by itself
            raise
        except MechlabError as error:
            failed += 1
            print(f"error: {error}", file=sys.stderr, flush=True)
        except Exception as error:
            failed += 1
            if not getattr(error, "reported", False):
                traceback.print_exc()
        print(f"run: {sweep.root / job.run}", flush=True)
    return int(failed > 0)


def _patch(sweep: Sweep) -> str:
    """Return the uncommitted changes of the code that the sweep was planned with."""
    return read_bytes(sweep.folder / "code.patch", LINES_BYTES).decode(errors="replace")


@contextlib.contextmanager
def _recorded_failure(folder: Path) -> Iterator[None]:
    """Write an exception before training, such as a missing GPU, to the run's status."""
    from mechlab.record.lock import Held, RunLock
    from mechlab.record.status import read_status

    try:
        yield
    except Exception as error:
        with contextlib.suppress(Held), RunLock(folder) as lock:
            if read_status(folder)["status"] != "done":
                lock.status("failed", reason=str(error), traceback=traceback.format_exc())
        raise


def _run_pool(sweep: Sweep, arguments: argparse.Namespace, allowed: Sequence[str]) -> int:
    """Run the unfinished jobs in a pool of processes, each with a chunk, and print a final table."""
    from mechlab.core.progress import ProgressLine
    from mechlab.jobs import pool
    from mechlab.sweeps.attempts import Attempt, append_attempts
    from mechlab.sweeps.code import check_copy, environment
    from mechlab.sweeps.job_status import job_statuses, summary
    from mechlab.sweeps.progress import SweepProgress

    check_copy(sweep.folder, sweep.code)
    indices = _unfinished(sweep, arguments.retry)
    chunks = sorted({index // arguments.chunk for index in indices})
    on_gpu = any(sweep.jobs[index].config["trainer"]["accelerator"] == "gpu" for index in indices)
    devices = arguments.devices.split(",") if arguments.devices else pool.visible_devices() if on_gpu else []
    slots = pool.make_slots(devices, arguments.slots or 1) if devices else pool.cpu_slots(arguments.slots)
    words = [str(sweep.folder), *([f"allow_targets=[{','.join(allowed)}]"] if allowed else [])]
    common = ["-P", "-m", "mechlab.sweep", "run", *words, "--chunk", str(arguments.chunk), "--index"]
    commands = [pool.python(*common, str(number)) for number in chunks]

    def report(number: int, slot: pool.Slot, outcome: pool.Outcome) -> None:
        attempt = Attempt(arguments.chunk, chunks[number], status=outcome.status)
        log = sweep.folder / attempt.log
        try:
            log.parent.mkdir(exist_ok=True)
            log.write_text(outcome.output, encoding="utf-8")
            append_attempts(sweep, [attempt])
        except OSError as error:
            print(f"warning: a log could not be written: {error}", file=sys.stderr, flush=True)
        word = {0: "done", 143: "stopped"}.get(outcome.status, "failed")
        progress.print(f"{word:8} chunk {chunks[number]} on {slot.name} ({number + 1}/{len(chunks)}), log: {log}")

    variables = {**os.environ, **environment(sweep.folder), "OMP_NUM_THREADS": "1"}
    with ProgressLine(SweepProgress(sweep, indices).line) as progress:
        outcomes = pool.run_all(commands, slots, variables, report)
    statuses = job_statuses(sweep)
    _print_statuses(sweep, statuses)
    print(summary(statuses), flush=True)
    if all(job.state == "done" for job in statuses):
        from mechlab.jobs.planned_sets import run_planned_sets

        run_planned_sets(_jobs(sweep, allowed))
    print(f"sweep: {sweep.folder}")
    if any(outcome.status == 143 for outcome in outcomes):
        return 143
    return int(any(outcome.status for outcome in outcomes) or any(s.state == "failed" for s in statuses))


def _check_packages(sweep: Sweep) -> None:
    from mechlab.config.provenance import package_versions

    now = package_versions()
    changed = [f"{name} {was} -> {now.get(name)}" for name, was in sweep.packages.items() if now.get(name) != was]
    if changed:
        fix = "install those versions, or plan the sweep again"
        raise ConfigError(CHANGED, got=", ".join(changed), key=str(sweep.folder / "manifest.jsonl"), fix=fix)


def _print_statuses(sweep: Sweep, statuses: list[JobStatus]) -> None:
    """Print state, run directory and the overrides that not all jobs share, and why a job failed."""
    shared = set.intersection(*(set(job.overrides) for job in sweep.jobs)) if len(sweep.jobs) > 1 else set()
    for status in statuses:
        own = " ".join(word for word in status.job.overrides if word not in shared)
        line = f"{status.state:10} {sweep.root / status.job.run}  {own}".rstrip()
        print(printable(line))
        if status.reason:
            print(f"{'':10} {printable(status.reason)}")
        if status.log is not None:
            print(f"{'':10} log: {status.log}")


def _jobs(sweep: Sweep, allowed: Sequence[str]) -> list[tuple[Path, dict[str, Any]]]:
    """Return the run directory of each job, with its configuration; packages are those that the command line allows."""
    return [(sweep.run_folder(job), {**job.config, "allow_targets": allowed}) for job in sweep.jobs]


def _queue(sweep: Sweep) -> str:
    """Return the numbers of the sweep's array elements in SLURM's queue by state, "" if there are none."""
    from mechlab.sweeps import slurm

    try:
        states = [state for state, _ in slurm.queue(sweep) or []]
    except ConfigError as error:
        return f"; SLURM's queue cannot be read: {printable(error.got)}"
    counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
    return f"; elements in SLURM's queue: {counts}" if counts else ""


if __name__ == "__main__":
    main()
