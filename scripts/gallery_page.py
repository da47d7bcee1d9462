"""The text of the gallery: what a figure of it is, and the page."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mechlab.core.errors import ConfigError

SCROLLED, LEAST = 800, 600  # pixels; wider figures are scrolled where they would be narrower than the second
UNDECIDING = ("analysis", "paths", "hydra", "sweep", "loggers")  # groups and sections of overrides that select no run


@dataclass(frozen=True)
class Item:
    """A figure of the page.

    Args:
        name: of its file, figures/gallery_NAME.png.
        question: key of its chapter.
        title: its heading.
        commands: those that make the run, in order; the first one trains.
        figure: ANALYSIS/FIGURE; or ANALYSIS/FILE.py, a program that is shown as text.
        takes: processor time of these commands, in words.
        caption: what it shows; {SCALAR:FORMAT} stands for a scalar of the finding.
        chosen: overrides that select one run, or one set, of a multirun.
        of_set: whether the finding is one of a set of runs.
    """

    name: str
    question: str
    title: str
    commands: tuple[str, ...]
    takes: str
    figure: str
    caption: str
    chosen: tuple[str, ...] = ()
    of_set: bool = False

    @property
    def analysis(self) -> str:
        """The name of the analysis."""
        return self.figure.partition("/")[0]

    @property
    def is_text(self) -> bool:
        """True for a program, False for a figure."""
        return self.figure.endswith(".py")

    def overrides(self) -> dict[str, str]:
        """The overrides that a run must have been trained with."""
        words = [word for word in shlex.split(self.commands[0]) if "=" in word and not word.startswith("-")]
        swept = "-m" in shlex.split(self.commands[0])
        given = decisive(word for word in words if not (swept and ("," in word or "range(" in word)))
        return given | decisive(self.chosen)


@dataclass(frozen=True)
class Gallery:
    """The list of figures: questions (key -> title, page, text) and items."""

    questions: dict[str, dict[str, str]]
    items: list[Item]


def decisive(words: Iterable[str]) -> dict[str, str]:
    """Return overrides by key, without those that select no run, and without the default seed."""
    pairs = (word.lstrip("+").partition("=")[::2] for word in words)
    kept = {key: value for key, value in pairs if key.partition(".")[0].partition("/")[0] not in UNDECIDING}
    return {key: value for key, value in kept.items() if (key, value) != ("seed", "0")}


def page(gallery: Gallery, records: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the text of the page."""
    lines = ["# Gallery", "", *INTRODUCTION.strip().splitlines(), ""]
    for question, chapter in gallery.questions.items():
        text = f"{chapter['text'].strip()} More: [{chapter['title']}]({chapter['page']})."
        lines += [f"## {chapter['title']}", "", *_wrapped(text), ""]
        items = [item for item in gallery.items if item.question == question]
        for commands in dict.fromkeys(item.commands for item in items):
            same = [item for item in items if item.commands == commands]
            lines += made_by(same[0], [records[item.name] for item in same])
            for item in same:
                lines += section(item, records[item.name])
    return "\n".join(lines).rstrip() + "\n"


INTRODUCTION = """
Every figure on this page was drawn by one of the analyses, from the run that the command above it makes. The sentence
at its upper left names network, task and seed. `python scripts/gallery.py --train` makes all runs, the figures
and this page. Times are of one processor core, for training and analyses. A click opens a figure alone.
"""


def made_by(item: Item, records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the lines of the page with the commands that make a run, for the records of all its figures."""
    dated = f"# mechlab {records[0]['version']}, {max(record['date'] for record in records)}; {item.takes} of processor time"
    some = "The next figure is" if len(records) == 1 else f"The next {len(records)} figures are"
    some = some if any("text" not in record for record in records) else "The next program is"
    of = "these runs" if shlex.split(item.commands[0]).count("-m") > 1 else "this run"
    return [f"{some} of {of}:", "", "```sh", dated, *item.commands, "```", ""]


def section(item: Item, record: Mapping[str, Any]) -> list[str]:
    """Return the lines of the page about one figure."""
    target = f"figures/gallery_{item.name}.png"
    image = [f"[![{item.title}]({target})]({target})"]
    if item.is_text:
        image = ["```py", *record["text"].strip().splitlines(), "```"]
    elif record["width"] > SCROLLED and record["width"] > 1.5 * record["height"]:  # small print needs the width
        image = [
            f'<div style="overflow-x: auto" markdown><div style="min-width: {LEAST}px" markdown>',
            "",
            *image,
        ]
        image += ["", "</div></div>"]
    caption = item.caption.strip().format_map(Scalars(item.name, record["scalars"]))
    return [f"### {item.title}", "", *image, "", *_wrapped(caption), ""]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 128, break_long_words=False, break_on_hyphens=False)


class Scalars(dict):
    """The scalars of a caption; a name without a value raises ConfigError."""

    def __init__(self, name: str, values: Mapping[str, float]):
        super().__init__(values)
        self.name = name

    def __missing__(self, key: str) -> float:
        raise ConfigError("a caption may use the recorded scalars only", got=key, key=self.name, fix="see finding.json")
