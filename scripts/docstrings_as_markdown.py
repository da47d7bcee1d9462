"""An extension of griffe for the site: docstrings, which are plain text, as Markdown that shows the same text.

mkdocs.yml names this file. In a docstring, `code` is between backticks and lines that begin with - are lists, as in
Markdown; examples are doctests (>>>); all other signs, such as * in (B, *shape) or < in <u, v>, stand for themselves.
The name of an object of the reference between backticks becomes a link to it.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

from griffe import Extension, Object

REFERENCE = Path(__file__).resolve().parents[1] / "docs" / "reference"
CODE = re.compile(r"(`+)(?:(?!\1).)+?\1", re.DOTALL)
SIGNS = re.compile(r"(?m)^ +[\w*, ]+:|[\\*<>\[\]#|~^]|(?<!\w)_|_(?!\w)")  # names of arguments stay as they are
EXAMPLE = re.compile(r"(?m)^( *)>>> .*(?:\n\1\S.*)*")
LIST = re.compile(r"(?m)^((?! *- ).*\S.*\n)(?= +- |- )")  # the line before a list, which Markdown wants to be empty


class PlainDocstrings(Extension):
    """Changes the docstring of each object before it is parsed into sections."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Change the docstring of an object, if it has one."""
        if obj.docstring:
            own = {obj.name, *(parameter.name for parameter in getattr(obj, "parameters", None) or ())}
            obj.docstring.value = as_markdown(obj.docstring.value, obj.path, own)


def as_markdown(text: str, path: str = "", own: set[str] | frozenset[str] = frozenset()) -> str:
    r"""Return a docstring as Markdown.

    Args:
        text: the docstring.
        path: of its object; of equal names in the reference, that of the same package is linked.
        own: names that are not linked, such as the object's arguments.

    >>> as_markdown("Return a*b*c of `a*b`.")
    'Return a\\*b\\*c of `a*b`.'
    """
    parts, end = [], 0
    for example in EXAMPLE.finditer(text):
        space = example[1]
        parts += [_plain(text[end : example.start()], path, own), f"{space}```pycon\n{example[0]}\n{space}```"]
        end = example.end()
    return "".join([*parts, _plain(text[end:], path, own)])


def _plain(text: str, path: str, own: set[str] | frozenset[str]) -> str:
    """Return text with a backslash before each sign that means something in Markdown; code as it is, or as a link."""
    text = LIST.sub(r"\1\n", text)
    parts, end = [], 0
    for code in CODE.finditer(text):
        parts += [SIGNS.sub(_sign, text[end : code.start()]), _linked(code[0], path, own)]
        end = code.end()
    return "".join([*parts, SIGNS.sub(_sign, text[end:])])


def _sign(match: re.Match[str]) -> str:
    return match[0] if match[0].endswith(":") else f"\\{match[0]}"


def _linked(code: str, path: str, own: set[str] | frozenset[str]) -> str:
    """Return code as a link if it is the name of one object of the reference, or the last words of its path."""
    name = code.strip("`")
    if name in own:
        return code
    objects = [each for each in reference() if f".{each}".endswith(f".{name}")]
    near = [each for each in objects if each.split(".")[:2] == path.split(".")[:2]]
    targets = near or objects
    return f"[{code}][{targets[0]}]" if len(targets) == 1 else code


@functools.cache
def reference() -> list[str]:
    """Return the paths of all objects that the pages of the reference name."""
    pages = (page.read_text(encoding="utf-8") for page in sorted(REFERENCE.glob("*.md")))
    return [path for page in pages for path in re.findall(r"^::: (\S+)$", page, re.MULTILINE)]
