"""Escaping of recorded text, so that it is safe to print on a terminal and to paste into a shell."""

from __future__ import annotations

import shlex


def printable(text: object, lines: bool = False) -> str:
    r"""Return text with control characters and other unprintable characters escaped.

    Args:
        text: any object; converted by `str`.
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
    """Return a recorded command line quoted so that a shell runs it as a single command."""
    try:
        return printable(shlex.join(shlex.split(text)))
    except ValueError:  # a quotation without an end
        return quoted(text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
