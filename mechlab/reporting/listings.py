"""Programs that analyses saved, to stand in the page as text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mechlab.core.printable import printable
from mechlab.record.files import read_bytes

MOST = 3  # listings of an answer in the page
BYTES = 20_000  # of a listing; longer ones are named alone


@dataclass(frozen=True)
class Listing:
    """A text file in the page.

    Args:
        name: of the file.
        text: its content; empty if it is too long for the page.
        subject: network, task and seed that it was made from.
    """

    name: str
    text: str
    subject: str = ""


def read_listings(folder: Path, subject: str = "") -> list[Listing]:
    """Return the Python files that an analysis left in its folder, by name, as many as the page shows."""
    made = []
    for path in sorted(folder.glob("*.py"))[:MOST]:
        if path.is_file() and not path.is_symlink():
            long = path.stat().st_size > BYTES
            text = "" if long else printable(read_bytes(path, BYTES).decode("utf-8", "replace"), lines=True)
            made.append(Listing(path.name, text.rstrip(), subject))
    return made
