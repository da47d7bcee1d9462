"""Commands that are printed for pasting hold one word per argument, whatever names are in them."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from mechlab.core.printable import as_command
from mechlab.jobs import console

HOSTILE = ("a b", "$(touch owned)", "`touch owned`", "x'; touch owned; '", 'x"; touch owned; "', "x\ntouch owned")


@pytest.mark.parametrize("name", HOSTILE)
def test_pasting_a_command_runs_nothing_else(name: str, capsys: pytest.CaptureFixture) -> None:
    console.print_next(Path("runs") / name, Path(name), [name])
    lines = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == ["next:", "look", "ask", "show", "report"]
    printed = name.replace("\n", r"\n")
    assert lines[1][-1] == printed and lines[3][-1] == f"runs/{printed}"
    assert lines[2][-4:] == [f"run=runs/{printed}", "analysis=NAME", "at=all", f"allow_targets=[{printed}]"]
    assert lines[4][-1] == f"runs={printed}/*/*"


def test_plain_names_are_printed_plainly(capsys: pytest.CaptureFixture) -> None:
    console.print_next(Path("runs/a/b"), Path("runs"))
    out = capsys.readouterr().out
    assert "run=runs/a/b analysis=NAME" in out and 'runs="runs/*/*"' in out


@pytest.mark.parametrize("text", ["python -m x; touch owned", "python -m x 'a b' $(y)", "python 'x", "a\x1b[2J"])
def test_a_recorded_command_is_one_command(text: str) -> None:
    shown = as_command(text)
    assert shown.isprintable()
    assert not {";", "$(y)"} & set(shlex.shlex(shown, punctuation_chars=True))
