"""Damaged and hostile records beside a healthy one: each is refused in a sentence of its own, and the healthy one is
listed, shown and reported all the same."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from warm_process import command

from mechlab import load_run, runs
from mechlab.core.errors import MechlabError
from mechlab.report import report
from mechlab.reporting.request import parse
from mechlab.sweeps.job_status import job_statuses
from mechlab.sweeps.manifest import Job, Sweep

SMALL = ("task.d=2", "task.s=2", "task.repeats=2", "model.hidden=4", "trainer.eval_examples=20", "history.points=3")
STEPS = ("trainer.max_steps=6", "trainer.steps_per_epoch=3", "trainer.log_every=3", "paths.root=made")
STATUS, RESULT, CONFIG = "status.json", "result.json", "provenance/config.yaml"
FINDING, HISTORY = "analyses/spectrum/finding.json", "history/history.json"
DIGESTS = "digests.json"
OTHERS = (FINDING, HISTORY, "provenance/environment.json", "provenance/overrides.json", "metrics.csv", DIGESTS)
HEALTHY = "healthy-s1000"
ESCAPE = "\x1b]0;owned\x07\x1b[2J"

Damage = Callable[[Path], None]


def content(text: str | bytes) -> Damage:
    """Return a damage that replaces a file's content."""
    return lambda path: path.write_bytes(text.encode() if isinstance(text, str) else text)


def other(make: Callable[[Path], Any]) -> Damage:
    """Return a damage that puts something else in a file's place."""

    def damage(path: Path) -> None:
        path.unlink()
        make(path)

    return damage


def enormous(path: Path) -> None:
    os.truncate(path, 2**28 + 1)  # a hole, which takes no room


def changed(*keys: str, to: Any) -> Damage:
    """Return a damage that sets a value in JSON or YAML, or with `to=...` removes it."""

    def damage(path: Path) -> None:
        load, dump = (yaml.safe_load, yaml.safe_dump) if path.suffix == ".yaml" else (json.loads, json.dumps)
        whole = place = load(path.read_text())
        for key in keys[:-1]:
            place = place[key]
        if to is ...:
            del place[keys[-1]]
        else:
            place[keys[-1]] = to
        whole.pop("sha256", None)  # as somebody would who makes a record up
        path.write_text(dump(whole))

    return damage


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)
ANYTHING: dict[str, Damage] = {
    "empty": content(""),
    "null": content("null"),
    "list": content("[1, [2]]"),
    "text": content('"x"'),
    "no text": content(b"\xff\xfe\x00"),
    "deep": content("[" * 100_000),
    "deep and whole": content('{"status": ' * 900 + "1" + "}" * 900),
    "long number": content('{"status": ' + "9" * 10_000 + "}"),
    "folder": other(lambda path: path.mkdir()),
    "pipe": other(os.mkfifo),
    "link": other(lambda path: path.symlink_to("/dev/zero")),
    "dangling link": other(lambda path: path.symlink_to("nowhere")),
    "enormous": enormous,
}
CLAIM = ("findings", "spectrum", "claims")
PARTICULAR: list[tuple[str, Damage]] = [
    (STATUS, content('{"status": "failed"}')),
    (STATUS, content('{"status": "failed", "reason": null, "traceback": ["a"]}')),
    (STATUS, content('{"status": "failed", "reason": {"a": 1}}')),
    (STATUS, content('{"status": "failed", "reason": ""}')),
    (STATUS, content('{"status": "failed", "reason": "\\n"}')),
    (STATUS, content('{"status": ["done"]}')),
    (STATUS, content('{"status": "running", "step": "many"}')),
    (STATUS, content('{"status": "done", "step": 1e999, "started": 7}')),
    (STATUS, content(json.dumps({"status": "failed", "reason": ESCAPE, "traceback": ESCAPE}))),
    (STATUS, content('{"status": "failed", "reason": "\\ud800"}')),
    (RESULT, changed("metrics", to=...)),
    (RESULT, changed("metrics", to=[1])),
    (RESULT, changed("metrics", "steps", to="many")),
    (RESULT, changed("metrics", "test/accuracy", to={"a": 1})),
    (RESULT, changed("metrics", "test/accuracy", to=10**400)),
    (RESULT, changed("metrics", "test/accuracy", to=1e307)),
    (RESULT, changed("metrics", "test/accuracy", to=float("inf"))),
    (RESULT, changed("metrics", ESCAPE, to=1)),
    (RESULT, changed("findings", to=None)),
    (RESULT, changed("findings", "spectrum", to=7)),
    (RESULT, changed("findings", "spectrum", "scalars", to=...)),
    (RESULT, changed("findings", "spectrum", "scalars", to={"a": {"b": {}}})),
    (RESULT, changed(*CLAIM, to=["x"])),
    (RESULT, changed(*CLAIM, "own", to="x")),
    (RESULT, changed(*CLAIM, "own", to={"statement": "x", "kind": "exact"})),
    (RESULT, changed(*CLAIM, "own", to={"statement": 1, "kind": "exact", "holds": True})),
    (RESULT, changed(*CLAIM, "own", to={"statement": ESCAPE, "kind": "$x^$", "holds": True, "value": 1})),
    (RESULT, changed(*CLAIM, "own", to={"statement": "x", "kind": "exact", "holds": True, "interval": 7})),
    (RESULT, changed(*CLAIM, "own", to={"statement": "x", "kind": "exact", "holds": True, "interval": [1, "x"]})),
    (RESULT, changed("expected", to={"a": None})),
    (RESULT, changed("expected", to={"a": {"within": "yes"}})),
    (RESULT, changed("expected", to={"a": {"published": [1]}})),
    (RESULT, changed("expected", to={ESCAPE: {}})),
    (FINDING, changed("claims", to={"a": {}})),
    (FINDING, changed("scalars", to="x")),
    (FINDING, changed("files", to=[1])),
    (FINDING, changed("differs", to=7)),
    (RESULT, changed("findings", "spectrum", "differs", to="x")),
    (RESULT, changed("findings", "spectrum", "differs", to={ESCAPE: [ESCAPE]})),
    (CONFIG, content(BOMB)),
    (CONFIG, content("a: !!python/object/apply:os.mkdir [made]")),
    (CONFIG, content("a: 2020-01-01")),
    (CONFIG, content("? [a, b]\n: c")),
    (CONFIG, content("seed: 0x" + "f" * 20_000)),
    (CONFIG, changed("task", to=...)),
    (CONFIG, changed("task", to="x")),
    (CONFIG, changed("model", to=[ESCAPE])),
    (CONFIG, changed("trainer", to=None)),
    (CONFIG, changed("trainer", "threads", to="many")),
    (CONFIG, changed("trainer", "accelerator", to=["gpu"])),
    (CONFIG, changed("seed", to={"a": [1]})),
    (CONFIG, changed("seed", to=10**3000)),
    (CONFIG, changed("name", to=["a", {"b": 1}])),
    (CONFIG, changed("name", to="$\\frac$-$^$")),
    (CONFIG, changed("allow_targets", to="$(touch owned)")),
    (CONFIG, changed("allow_targets", to=["x]';touch owned;'"])),
    (CONFIG, changed("callbacks", to=7)),
    (HISTORY, changed("kind", to=["full"])),
    (HISTORY, changed("kind", to="replay")),
    (HISTORY, changed("version", to="x")),
    (DIGESTS, changed("files", to=[1])),
    (DIGESTS, changed("files", to={"../../x": 1, "\0": [], "/": "x", "metrics.csv": None})),
    (DIGESTS, changed("steps", to=...)),
    ("provenance/environment.json", changed("files", to=[1])),
    ("provenance/environment.json", changed("command", to=["a"])),
    ("provenance/environment.json", changed("command", to="python -m x; touch 'owned")),
    ("provenance/environment.json", changed("commit", to={"a": 1})),
    ("provenance/overrides.json", content('[1, {"a": 2}, "seed=\\u001b[2J"]')),
    ("metrics.csv", content("step,test/accuracy\n1,x\n")),
    ("metrics.csv", content("step,val/loss,\x1b[2J\nx,1,2\n")),
]
DAMAGES = [(file, damage) for file in (STATUS, RESULT, CONFIG) for damage in ANYTHING.values()]
DAMAGES += [(file, ANYTHING[name]) for file in OTHERS for name in ("list", "deep", "folder", "enormous")] + PARTICULAR


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs: a healthy one of seed 1000, and a copy of it with each damage, of a seed each."""
    folder = tmp_path_factory.mktemp("damaged")
    done = command("train", *SMALL, *STEPS, folder=folder)
    assert done.exit == 0, done.text
    (made,) = folder.glob("made/*/*")
    for figure in (*made.glob("analyses/*/*.svg"), *made.glob("analyses/*/*.png")):
        figure.unlink()
    healthy = folder / "runs" / made.parent.name / HEALTHY
    shutil.copytree(made, healthy)
    for number, (file, damage) in enumerate(DAMAGES):
        copy = healthy.with_name(f"damaged-s{number}")
        shutil.copytree(made, copy)
        damage(copy / file)
    return folder / "runs"


def copies(root: Path) -> list[Path]:
    return sorted(root.glob("*/damaged-*"), key=lambda copy: int(copy.name.rpartition("-s")[2]))


def healthy(root: Path) -> Path:
    (run,) = root.glob(f"*/{HEALTHY}")
    return run


def call(capsys: pytest.CaptureFixture, *arguments: str) -> tuple[int, str, str]:
    """Run `mechlab.runs` in this process; an exception that no user should see goes through."""
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", ["mechlab.runs", *arguments])
        runs.main()
    out, err = capsys.readouterr()
    assert not {c for c in out + err if not c.isprintable()} - {"\n"}
    return ended.value.code, out, err


def test_every_run_has_its_line(root: Path, capsys: pytest.CaptureFixture) -> None:
    code, out, err = call(capsys, "ls", str(root))
    lines = out.splitlines()[1:]
    assert code == 1 and len(lines) == len(DAMAGES) + 1
    assert f"{len(lines)} runs, " in err
    assert [line.split()[0] for line in lines if HEALTHY in line] == ["done"]
    by_number = {int(line.rpartition("-s")[2]): line.split()[0] for line in lines}
    for number, (file, damage) in enumerate(DAMAGES):
        if file in (STATUS, RESULT) and damage in ANYTHING.values():
            assert by_number[number] == "damaged", (file, number)


def test_every_run_is_shown_or_refused(root: Path, capsys: pytest.CaptureFixture) -> None:
    code, out, err = call(capsys, "show", *map(str, copies(root)), str(healthy(root)))
    assert code == 1
    assert out.count("run: ") + err.count("error: ") == len(DAMAGES) + 1
    assert out.rstrip().endswith(f"run: {healthy(root)}")
    assert "allow_targets=" not in out


def test_every_run_is_compared_or_refused(root: Path, capsys: pytest.CaptureFixture) -> None:
    for copy, (file, _) in zip(copies(root), DAMAGES, strict=True):
        if file not in (RESULT, CONFIG, HISTORY):
            continue
        code, out, err = call(capsys, "diff", str(healthy(root)), str(copy))
        assert (code == 1 and "error: " in err) or "parameters: " in out


def test_every_run_is_verified_or_refused(root: Path, capsys: pytest.CaptureFixture) -> None:
    few = [copy for copy, (file, _) in zip(copies(root), DAMAGES, strict=True) if file in (DIGESTS, HISTORY)]
    code, out, _ = call(capsys, "verify", "--steps", "1", *map(str, few), str(healthy(root)))
    assert code == 1 and out.rstrip().endswith(f"run: {healthy(root)}")


def test_every_run_is_opened_or_refused(root: Path) -> None:
    for copy, (file, _) in zip(copies(root), DAMAGES, strict=True):
        if file not in (CONFIG, FINDING, HISTORY, DIGESTS):
            continue
        try:
            run = load_run(copy)
            for part in ("config", "recipe", "status", "results", "findings", "history"):
                getattr(run, part)
        except MechlabError as error:
            assert len(error.brief) <= 200


@pytest.mark.ci
def test_the_report_names_every_damaged_file(root: Path) -> None:
    page = report(parse([f"runs={root}/*/*", f"out={root.parent}/report.html"]))
    with open(root.parent / "report" / "failures.csv", newline="") as file:
        failures = list(csv.DictReader(file))
    with open(root.parent / "report" / "runs.csv", newline="") as file:
        listed = list(csv.DictReader(file))
    assert len(listed) == len(DAMAGES) + 1
    assert [row["status"] for row in listed if HEALTHY in row["run"]] == ["done"]
    assert not [row for row in failures if HEALTHY in row["run"]]
    assert not {c for c in page.read_text() if not c.isprintable()} - {"\n"}


def test_every_job_of_a_sweep_has_its_line(root: Path) -> None:
    folders = [*copies(root), healthy(root)]
    jobs = [Job(n, str(folder.relative_to(root)), "", [], {}) for n, folder in enumerate(folders)]
    found = job_statuses(Sweep(root / "_sweeps" / "x", jobs, None, {}, ""))
    assert [standing.job for standing in found] == jobs and found[-1].state == "done"
    for standing, (file, damage) in zip(found, DAMAGES, strict=False):
        if file == STATUS and damage in ANYTHING.values():
            assert standing.state == "failed" and standing.reason.startswith("damaged: ")
