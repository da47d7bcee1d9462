"""The run database, which is the folder itself: list, show, compare, verify and clean up runs.

python -m mechlab.runs ls
"""

from __future__ import annotations

import argparse
import glob
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mechlab.core.errors import ConfigError, MechlabError, RunError
from mechlab.core.printable import as_command, printable
from mechlab.jobs import console


def main() -> None:
    """The program `python -m mechlab.runs`."""
    arguments = _parser().parse_args()
    try:
        sys.exit(arguments.command(arguments))
    except MechlabError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # the reader of the output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:  # such as a folder that cannot be read
        print(f"error: {printable(error)}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mechlab runs", description="List, show, compare, verify and clean up runs.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Any, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=function)
        return sub

    ls = command("ls", list_runs, "one line per run: status, date, size, steps, a metric, claims, what differs")
    ls.add_argument(
        "words",
        nargs="*",
        metavar="FOLDER | KEY=VALUE",
        help="the folder of all runs (default: runs), run directories; conditions",
    )
    ls.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="CONDITION",
        help="status=done, task=tomita, seed=0,1, model.hidden=8, 'test/accuracy>0.9', 'size>1GB', 'date>=2026-01-31'; "
        "several must all hold; KEY is a column, a metric, ANALYSIS/SCALAR or a config key",
    )
    ls.add_argument("--sort", metavar="KEY", help="sort by date, size, a metric or any other KEY (default: run)")
    ls.add_argument("--reverse", action="store_true", help="in descending order")
    ls.add_argument(
        "--metric", action="append", default=[], metavar="KEY", help="a column of this KEY (default: test/accuracy)"
    )
    ls.add_argument("--limit", type=int, metavar="N", help="list N runs at most")
    ls.add_argument("--json", action="store_true", help="print one JSON document with all that is known of each run")
    show = command("show", show_runs, "configuration, status, metrics and findings of runs")
    show.add_argument("runs", nargs="+", metavar="RUN", help="run directories, or globs of them")
    show.add_argument("-v", "--verbose", action="store_true", help="all scalars of findings, in place of the first two")
    diff = command(
        "diff", diff_runs, "differences of two runs: configuration, metrics, first step with other parameters"
    )
    diff.add_argument("first", help="a run directory")
    diff.add_argument("second", help="another")
    verify = command("verify", verify_runs, "train again from a recorded step and compare bits")
    verify.add_argument("runs", nargs="+", metavar="RUN", help="run directories, or globs of them")
    verify.add_argument("--start", type=int, help="the recorded step to begin from (default: the first)")
    verify.add_argument("--steps", type=int, default=20, help="optimiser steps to train (default: 20)")
    gc = command("gc", collect_garbage, "remove files that no finished run needs; only lists them without --yes")
    gc.add_argument("root", nargs="?", default="runs", help="the folder of all runs (default: runs)")
    gc.add_argument("--yes", action="store_true", help="really remove")
    gc.add_argument("--failed", action="store_true", help="also remove failed runs as a whole")
    for sub in (show, diff, verify):
        sub.add_argument(
            "--allow-targets", nargs="*", default=(), help="packages other than mechlab that the record may name"
        )
    return parser


def run_folders(*roots: str | Path) -> list[Path]:
    """Return the run directories among some folders and in them, down to ROOT/TASK-MODEL/ID.

    Raises:
        ConfigError: there is no such folder, or no run in it.
    """
    from mechlab.record.status import has_status

    folders: dict[Path, None] = {}
    for root in map(Path, roots):
        if not root.is_dir():
            fix = "python -m mechlab.train makes runs, in the folder paths.root=DIR"
            raise ConfigError("the folder that holds the runs must exist", got=printable(root), fix=fix)
        inside = [folder for pattern in ("*", "*/*") for folder in root.glob(pattern)]
        found = [root] if has_status(root) else sorted(folder for folder in inside if has_status(folder))
        folders |= dict.fromkeys(found)
    return list(folders)


def list_runs(arguments: argparse.Namespace) -> int:
    """Print one line per run; the exit status is 1 if the record of one is damaged."""
    from mechlab.listing.condition import parse_condition
    from mechlab.listing.listing import Selection, print_list

    roots = [word for word in arguments.words if parse_condition(word) is None or Path(word).is_dir()]
    where = [*(word for word in arguments.words if word not in roots), *arguments.where]
    how = (arguments.metric, arguments.sort, arguments.reverse, arguments.limit, arguments.json)
    return print_list(run_folders(*_expanded(roots) or ["runs"]), Selection(where, *how))


def show_runs(arguments: argparse.Namespace) -> int:
    """Print configuration, status, metrics and findings of each run; the exit status is 0 if all records are whole."""
    return _each(arguments.runs, lambda folder: _show(folder, arguments.verbose))


def _each(folders: Sequence[str], action: Callable[[Path], bool | None]) -> int:
    """Apply an action to each run, also after an error; return 1 if any cannot be read or fails."""
    failed = False
    for folder in _expanded(folders):
        try:
            failed |= bool(action(Path(folder)))
        except MechlabError as error:
            print(f"error: {error}", file=sys.stderr)
            failed = True
    return int(failed)


def _expanded(words: Sequence[str]) -> list[str]:
    """Return run directories, each glob among them, such as "runs/*/*", replaced by the runs that it names, if any."""
    from mechlab.record.status import has_status

    found: list[str] = []
    for word in words:
        matches = [] if Path(word).exists() else sorted(glob.glob(word, recursive=True))
        found += [match for match in matches if has_status(Path(match))] or [word]
    return list(dict.fromkeys(found))


def _show(folder: Path, verbose: bool) -> bool:
    """Print what is recorded of a run; return True if a part of the record is damaged."""
    from mechlab.listing.row import read_row
    from mechlab.listing.table import readable_size
    from mechlab.record.files import read_mapping, refuse_links
    from mechlab.record.status import read_status

    refuse_links(folder)
    config, status, row = _config(folder), read_status(folder), read_row(folder)
    damages = dict.fromkeys(row.damages)
    times = f" since {status.get('updated')}, started {status.get('started')} on {status.get('host')}"
    print(printable(f"{row.status}{times if status.get('updated') else ''}"))
    if status["status"] == "failed":
        print(f"reason: {printable(status['reason'], lines=True)}")
    environment = _whole(lambda: read_mapping(folder / "provenance" / "environment.json"), damages) or {}
    print(f"command: {as_command(str(environment.get('command') or 'not recorded'))}")
    print(f"code: {printable(environment.get('commit') or 'not under version control')}")
    for section in ("task", "model", "optimizer", "trainer"):
        values = {name: value for name, value in _section(config, section).items() if value is not None}
        target = str(values.pop("_target_", ""))
        shown = target.rpartition(".")[2] if target.startswith(("mechlab.", "torch.")) else target
        words = [*filter(None, [shown]), *(f"{name}={_short(value)}" for name, value in values.items())]
        console.print_folded(f"{section}: {'  '.join(words)}")
    print(f"history: {_whole(lambda: _history_summary(folder), damages) or 'damaged'}")
    print(f"size: {readable_size(row.size)}, history included")
    if result := _whole(lambda: _result(folder), damages):
        console.print_metrics(result["metrics"])
        console.print_findings(result.get("findings", {}), verbose)
        console.print_expected(result.get("expected", {}))
    if config.get("allow_targets"):
        print(f"names classes beyond mechlab, of {printable(_short(config['allow_targets']))}")
    console.print_next(folder, folder.parent.parent)
    for reason in damages:
        print(f"damaged: {reason}", file=sys.stderr)
    if damages:
        fix = "repeat the command above, which restores what the record allows; runs verify RUN compares every file"
        print(f"  fix:   {fix}", file=sys.stderr)
    sys.stderr.flush()
    print(f"run: {printable(folder)}")
    return bool(damages)


def _whole(read: Callable[[], Any], damages: dict[str, None]) -> Any:
    """Return what a function reads; None, with the reason added to `damages`, where the record is damaged."""
    try:
        return read()
    except RunError as error:
        damages[error.brief] = None
        return None


def diff_runs(arguments: argparse.Namespace) -> int:
    """Print how two runs differ; the exit status is 0 if they do not."""
    from mechlab.config.recipe import load_run
    from mechlab.record.answers import shortened
    from mechlab.record.replay import first_difference

    first, second = Path(arguments.first), Path(arguments.second)
    ours, theirs = (dict(_flat(_config(folder))) for folder in (first, second))
    keys = sorted({*ours, *theirs} - {"paths.root"})  # the folder of a run is not a difference
    different = [key for key in keys if ours.get(key) != theirs.get(key)]
    print("configuration:" + ("" if different else " alike"))
    for key in different:
        values = [shortened(config.get(key, "absent")) for config in (ours, theirs)]
        print(printable(f"  {key}: {values[0]} | {values[1]}"))
    metrics = [_result(folder).get("metrics", {}) for folder in (first, second)]
    unequal = [name for name in sorted({*metrics[0], *metrics[1]}) if metrics[0].get(name) != metrics[1].get(name)]
    print("metrics:" + ("" if unequal else " alike"))
    for name in unequal:
        print(printable(f"  {name}: {console.number(metrics[0].get(name))} | {console.number(metrics[1].get(name))}"))
    step, common = first_difference(
        *(load_run(folder, allow_targets=arguments.allow_targets) for folder in (first, second))
    )
    if not common:
        print("parameters: no step that both recorded")
    elif step is None:
        print(f"parameters: bit-equal at all {common} steps that both recorded")
    else:
        print(f"parameters: differ from step {step}, of {common} that both recorded")
    return int(bool(different or unequal or step is not None))


def verify_runs(arguments: argparse.Namespace) -> int:
    """Train each run again from a recorded step and compare bits; compare its files with their recorded digests.

    The exit status is 0 if all agree."""
    return _each(arguments.runs, lambda folder: _differs(folder, arguments))


def _differs(folder: Path, arguments: argparse.Namespace) -> bool:
    from mechlab.record.digests import damages, has_digests

    damaged = list(damages(folder))
    try:
        differs = _replay_differs(folder, arguments)
    except RunError as error:
        if not damaged:
            raise
        print(f"NOT trained again: {error.brief}")
        differs = True
    for error in damaged:
        print(f"NOT verified: {error.brief}")
    if damaged:
        print(printable(f"  fix:   {damaged[0].fix}"))
    else:
        print("verified: every file is as it was written" if has_digests(folder) else "the files have no digests")
    print(f"run: {printable(folder)}")
    return differs or bool(damaged)


def _replay_differs(folder: Path, arguments: argparse.Namespace) -> bool:
    """Print whether training again gives what is recorded; return True if it does not."""
    import torch

    from mechlab.config.recipe import load_run, recorded_config
    from mechlab.core.device import set_up_device
    from mechlab.record.replay import HASH, verify

    trainer = recorded_config(folder).trainer
    set_up_device(trainer.accelerator)
    torch.set_num_threads(trainer.threads)
    device = "cuda" if trainer.accelerator == "gpu" else "cpu"
    run = load_run(folder, allow_targets=arguments.allow_targets)
    comparison = verify(run, arguments.start, arguments.steps, device)
    if not comparison.compared:
        print("nothing to train again: the run has no optimiser steps, and its parameters are those of another run")
        return False
    compared = f"{len(comparison.compared)} recorded step(s) from {comparison.start} to {comparison.compared[-1]}"
    if comparison.differs_at is None:
        what = "parameters and optimizer state" if run.history.has_optimizer else "parameters alone"
        rounded = "" if run.history.is_exact else f", rounded to {run.history.about['dtype']}"
        print(f"verified: {compared} are bit-equal, {what}{rounded}")
    else:
        how = "differs" if comparison.tensor == HASH else f"differs by up to {comparison.difference:.3g}"
        where = f"{comparison.tensor} {how} at step {comparison.differs_at}"
        print(printable(f"NOT verified: {where}; compared {compared}"))
    return comparison.differs_at is not None


def collect_garbage(arguments: argparse.Namespace) -> int:
    """Remove left-over temporary files, resume checkpoints of finished runs, and on request failed runs."""
    from mechlab.record.files import TEMPORARY
    from mechlab.record.lock import RunLock
    from mechlab.record.sets import FOLDER

    total = sum(_remove(path, arguments.yes) for path in Path(arguments.root).glob(f"{FOLDER}/.*{TEMPORARY}"))
    for folder in run_folders(arguments.root):
        try:
            with RunLock(folder):
                for path in _garbage(folder, arguments.failed):
                    total += _remove(path, arguments.yes)
        except (MechlabError, OSError) as error:
            reason = error.brief if isinstance(error, MechlabError) else str(error)
            print(printable(f"left alone: {folder}: {reason}"))
    print(f"{total / 1e6:.1f} MB" + ("" if arguments.yes else " in all; add --yes to remove"))
    return 0


def _remove(path: Path, really: bool) -> int:
    """Remove a file or folder, or only print that it would be removed; return its size in bytes."""
    from mechlab.record.files import remove

    size = sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())
    print(f"{'removed' if really else 'would remove'} {printable(path)} ({size / 1e6:.1f} MB)")
    if really:
        remove(path)
    return size


def _garbage(folder: Path, failed: bool) -> Iterator[Path]:
    from mechlab.record.digests import WEIGHTS
    from mechlab.record.files import TEMPORARY
    from mechlab.record.status import read_status

    status = read_status(folder)["status"]
    if status == "failed" and failed:
        if folder.is_symlink():
            raise RunError("a run that is a link is not removed", fix="remove the link")
        yield folder
        return
    left = list(folder.rglob(f".*{TEMPORARY}"))
    yield from (path for path in left if path.parent not in left)  # a temporary folder is removed with its content
    if status == "done" and _is_whole(folder, WEIGHTS):  # else the last checkpoint has the only final weights
        resumable = (folder / "checkpoints" / f"{name}.ckpt" for name in ("last", "previous", "damaged"))
        yield from (path for path in resumable if path.exists())


def _is_whole(folder: Path, name: str) -> bool:
    from mechlab.record.digests import check_file

    try:
        check_file(folder, name)
    except MechlabError:
        return False
    return (folder / name).is_file()


def _result(folder: Path) -> dict[str, Any]:
    from mechlab.record.result import read_result

    return read_result(folder) if (folder / "result.json").exists() else {}


def _config(folder: Path) -> dict[str, Any]:
    from mechlab.config.recipe import stored_config

    return stored_config(folder)


def _section(config: dict[str, Any], name: str) -> dict[str, Any]:
    value = config.get(name)
    return value if isinstance(value, dict) else {"": value}


def _short(value: Any) -> str:
    """Return a value as text, cut at 100 letters, since definitions of automata are long."""
    text = str(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _history_summary(folder: Path) -> str:
    from mechlab.record.history import History
    from mechlab.record.stages import read_stages

    history = History(folder / "history")
    steps, stored = history.steps, history.stored
    stages = [f"{length} from step {first}" for first, length in read_stages(folder / "history") or ()]
    lengths = f"; lengths of a curriculum: {', '.join(stages)}" if stages else ""
    if not steps:
        return f"none{lengths}"
    computed = f", computed from {len(stored)} stored ones" if len(stored) < len(steps) else ""
    weights = "" if history.has_optimizer else ", weights only"
    stored_as = "" if history.is_exact else f", stored in {history.about['dtype']}"
    return f"{len(steps)} recorded steps, {steps[0]} to {steps[-1]}{computed}{weights}{stored_as}{lengths}"


def _flat(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, item in value.items():
        if isinstance(item, dict):
            yield from _flat(item, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", item


if __name__ == "__main__":
    main()
