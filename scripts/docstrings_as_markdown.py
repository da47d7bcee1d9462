"""An extension of griffe for the site: docstrings, which are plain text, as Markdown that shows the same text.

mkdocs.yml names this file. In a docstring, `code` is between backticks and lines that begin with - are lists, as in
Markdown; examples are doctests (>>>); all other signs, such as * in (B, *shape) or < in <u, v>, stand for themselves.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

CODE = re.compile(r"(`+)(?:(?!\1).)+?\1", re.DOTALL)
SIGNS = re.compile(r"(?m)^ +[\w*, ]+:|[\\*<>\[\]#|~^]|(?<!\w)_|_(?!\w)")  # names of arguments stay as they are
EXAMPLE = re.compile(r"(?m)^( *)>>> .*(?:\n\1\S.*)*")


class PlainDocstrings(Extension):
    """Changes the docstring of each object before it is parsed into sections."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Change the docstring of an object, if it has one."""
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(text: str) -> str:
    r"""Return a docstring as Markdown.

    >>> as_markdown("Return a*b*c of `a*b`.")
    'Return a\\*b\\*c of `a*b`.'
    """
    parts, end = [], 0
    for example in EXAMPLE.finditer(text):
        space = example[1]
        parts += [_escaped(text[end : example.start()]), f"{space}```pycon\n{example[0]}\n{space}```"]
        end = example.end()
    return "".join([*parts, _escaped(text[end:])])


def _escaped(text: str) -> str:
    """Return text with a backslash before each sign that means something in Markdown, except in code."""
    parts, end = [], 0
    for code in CODE.finditer(text):
        parts += [SIGNS.sub(_sign, text[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, SIGNS.sub(_sign, text[end:])])


def _sign(match: re.Match[str]) -> str:
    return match[0] if match[0].endswith(":") else f"\\{match[0]}"
