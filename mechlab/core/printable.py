"""Text from a record made safe to print: a terminal obeys control characters."""

from __future__ import annotations


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


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
