"""The installed package: version, public names, and what travels in it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import mechlab
from mechlab import cli

ROOT = Path(__file__).resolve().parents[2]


def test_the_public_names_are_shown_and_can_be_used():
    assert dir(mechlab) == sorted([*mechlab.__all__, "__version__"])
    assert all(getattr(mechlab, name) is not None for name in dir(mechlab))


def test_the_version_is_written_once_and_cited(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["mechlab", "--version"])
    cli.main()
    assert capsys.readouterr().out == f"mechlab {mechlab.__version__}\n"
    assert f"\nversion: {mechlab.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_is_a_program_of_its_own(name):
    module = ROOT / "mechlab" / name
    file = module / "__main__.py" if module.is_dir() else module.with_suffix(".py")
    assert re.search(r"^(    )?main\(\)$", file.read_text(), re.MULTILINE)


def test_the_types_are_published():
    """py.typed makes type checkers read the hints of an installed mechlab."""
    assert (ROOT / "mechlab" / "py.typed").is_file()
