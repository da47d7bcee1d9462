"""The blocks of code in the README and in the pages of docs, and their commands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r'^```(\w+)(?: title="([^"]+)")?[^\n]*\n(.*?)^```', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of code.

    Args:
        kind: what follows the fence: bash (run by the tests), sh (takes minutes: not run), python, yaml, ....
        title: the file that a reader types it into, or "".
        text: its lines.
    """

    kind: str
    title: str
    text: str

    @property
    def lines(self) -> list[str]:
        """The commands, without comments; a line that ends in a backslash goes on in the next one."""
        joined = self.text.replace("\\\n", " ").splitlines()
        return [line for line in (re.split(r"(?:^|\s{2,})#", line)[0].strip() for line in joined) if line]


def pages() -> dict[str, Path]:
    """Return the README and every page of docs, by path."""
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return {path.relative_to(ROOT).as_posix(): path for path in paths}


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, in order."""
    return [Block(kind, title, text) for kind, title, text in FENCE.findall(page.read_text())]


def pages_with(kinds: Sequence[str]) -> list[str]:
    """Return the pages that have a block of one of these kinds."""
    return [name for name, path in pages().items() if any(block.kind in kinds for block in blocks(path))]


def commands_not_run() -> list[tuple[str, str]]:
    """Return the commands of mechlab that are not run, with the name of their page: those of `sh` blocks, and those
    within a text or a table that are whole."""
    found = []
    for name, path in pages().items():
        lines = [line for block in blocks(path) if block.kind == "sh" for line in block.lines]
        lines += re.findall(r"`((?:python -m )?mechlab\.\w+ [^`\n]*=[^`\n]*)`", FENCE.sub("", path.read_text()))
        whole = [match[0] for line in lines if (match := re.search(r"\bmechlab\.[a-z]+ .*", line))]
        found += [(name, line) for line in whole if not re.search(r"\.\.\.|=\[?(NAME|KEY|VALUE|A)\b", line)]
    return sorted(set(found))
