"""A file of a run that is damaged or gone is restored, refused in one sentence, or named in a warning; never taken for
what was written. Every kind of file and of damage in continuous integration, some of them by default."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faults import STEP, Fault
from records import Uninterrupted, arguments, killed, record, run_folder
from warm_process import command

from mechlab.record.files import read_json

TASK = "repeat_copy and spectrum"
DONE = {  # files of a finished run, of which the first that fits is damaged
    "status": "status.json",
    "result": "result.json",
    "digests": "digests.json",
    "metrics": "metrics.csv",
    "configuration": "provenance/config.yaml",
    "environment": "provenance/environment.json",
    "weights": "checkpoints/weights.safetensors",
    "best": "checkpoints/best.ckpt",
    "last": "checkpoints/last.ckpt",
    "history": "history/history.json",
    "first shard": "history/00000001-*.safetensors",
    "last shard": "history/*70.safetensors",
    "events": "tb/events*",
    "finding": "analyses/spectrum/finding.json",
    "arrays": "analyses/spectrum/*.safetensors",
    "table": "analyses/spectrum/*.csv",
    "figure": "analyses/spectrum/*.png",
}
IN_BOTH = ("status", "metrics", "configuration", "environment", "best", "last", "history", "first shard", "events")
INTERRUPTED = {
    **{name: DONE[name] for name in IN_BOTH},
    "previous": "checkpoints/previous.ckpt",
    "shard": "history/*31*",
}


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def flip_a_digit(path: Path) -> None:
    """Change one digit somewhere in a text, or one bit somewhere in other files."""
    content, chance = bytearray(path.read_bytes()), random.Random(path.name)
    places = [i for i, byte in enumerate(content) if chr(byte).isdigit()] or range(len(content))
    content[chance.choice(places)] ^= 1
    path.write_bytes(content)


def halve(path: Path) -> None:
    """Cut a file in half; a text at the end of a line."""
    content = path.read_bytes()
    half = len(content) // 2
    end = content.rfind(b"\n", 0, half) + 1
    path.write_bytes(content[: end if path.suffix in (".csv", ".yaml") and end else half])


def empty(path: Path) -> None:
    """Leave nothing of a file but its name."""
    os.truncate(path, 0)


def remove(path: Path) -> None:
    """Remove a file."""
    path.unlink()


DAMAGES = (flip, flip_a_digit, halve, empty, remove)
CASES = [
    pytest.param(ended, name, damage, id=f"{'done' if ended else 'interrupted'}-{name}-{damage.__name__}")
    for ended, names in ((True, DONE), (False, INTERRUPTED))
    for name in names
    for damage in DAMAGES
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """A finished run and an interrupted one, to be copied."""
    folders = {ended: tmp_path_factory.mktemp("done" if ended else "interrupted") for ended in (True, False)}
    assert command("train", *arguments(TASK), folder=folders[True]).exit == 0
    killed(TASK, Fault(STEP, nth=45), folders[False])
    return folders


@pytest.mark.parametrize(("ended", "name", "damage"), CASES[::34])
def test_some_damages_are_noticed(
    ended: bool, name: str, damage: Callable[[Path], None], runs: dict[bool, Path], tmp_path: Path
) -> None:
    is_noticed(ended, name, damage, runs, tmp_path, None)


@pytest.mark.ci
@pytest.mark.parametrize(("ended", "name", "damage"), CASES)
def test_every_damage_is_noticed(
    ended: bool,
    name: str,
    damage: Callable[[Path], None],
    runs: dict[bool, Path],
    tmp_path: Path,
    uninterrupted: Uninterrupted,
) -> None:
    is_noticed(ended, name, damage, runs, tmp_path, uninterrupted(TASK))


def is_noticed(
    ended: bool,
    name: str,
    damage: Callable[[Path], None],
    runs: dict[bool, Path],
    tmp_path: Path,
    wanted: dict[str, Any] | None,
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(runs[ended], folder)
    run = run_folder(folder)
    path = sorted(run.glob((DONE if ended else INTERRUPTED)[name]))[0]
    before = path.read_bytes()
    damage(path)
    harmless = path.exists() and path.suffix == ".json" and _same_json(path, before)
    case = f"{damage.__name__} {path.name}"
    if ended and (name, damage) != ("last", remove):  # gc removes it too
        verified = command("runs", "verify", str(run), folder=folder)
        assert verified.exit == 1 or harmless, f"{case}: verify says nothing\n{verified.text}"
        assert "Traceback" not in verified.err, verified.err

    done = command("train", *arguments(TASK), folder=folder)
    assert "Traceback" not in done.text, f"{case}: {done.text}"
    printed = "warning: " in done.text or "error: " in done.text
    if done.exit:
        assert done.exit == 1 and done.err.count("error: ") == 1 and "fix:" in done.err, f"{case}: {done.text}"
        return
    after = command("runs", "verify", str(run), folder=folder)
    assert "Traceback" not in after.text, after.text
    if after.exit:  # what could not be restored is still said
        assert printed, f"{case}: {done.text}"
        return
    if wanted is None:
        return
    found = record(folder) if (run / "checkpoints" / "last.ckpt").exists() else wanted
    different = [part for part in wanted if found[part] != wanted[part]]
    assert printed or not different, f"{case}: {different} differ without a word\n{done.text}"
    assert not {"weights", "history", "result", "findings"} & set(different), f"{case}: {different}"


def _same_json(path: Path, before: bytes) -> bool:
    """True if a JSON file still holds what it held: white space was damaged."""
    after = path.read_bytes()
    path.write_bytes(before)
    wanted = read_json(path)
    path.write_bytes(after)
    try:
        return read_json(path) == wanted
    except Exception:
        return False
