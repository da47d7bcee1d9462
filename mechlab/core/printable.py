"""Text from a record made safe to print, where a terminal obeys control characters, and to paste into a shell."""

from __future__ import annotations

import shlex


def printable(text: object, lines: bool = False) -> str:
    r"""Return text with control characters, and all else that does not print, as escapes.

    Args:
        text: anything; what is no text is printed as `str` has it.
        lines: keep line breaks.

    >>> printable("a\x1b[2Jb\n")
    'a\\x1b[2Jb\\n'
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or (lines and c == "\n") else _escaped(c) for c in text)


def quoted(*parts: object) -> str:
    """Return one word of a command line, quoted for a shell if need be."""
    return shlex.quote(printable("".join(map(str, parts))))


def as_command(text: str) -> str:
    """Return a command line from a record as one command: whatever else a shell would make of it is quoted."""
    try:
        return printable(shlex.join(shlex.split(text)))
    except ValueError:  # a quotation without an end
        return quoted(text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
