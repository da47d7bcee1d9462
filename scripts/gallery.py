"""Write docs/gallery.md: figures of recorded runs, each with its caption and the command that made its run.

python scripts/gallery.py                       of the runs below runs/
python scripts/gallery.py "runs=other/*/*"      of runs elsewhere
python scripts/gallery.py --train               train what is missing first
python scripts/gallery.py only=automata_states  renew some figures, keep the others

`scripts/gallery.yaml` lists the figures. They are drawn anew from the arrays and tables that the analyses saved, as
PNG below docs/figures; docs/gallery.json records of which run each of them is.
"""

from __future__ import annotations

import io
import itertools
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import yaml  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.gridspec import GridSpec  # noqa: E402
from PIL import Image  # noqa: E402

from mechlab.config.build import prepare  # noqa: E402
from mechlab.core.analysis import Analysis  # noqa: E402
from mechlab.core.errors import ConfigError, MechlabError, RunError, did_you_mean  # noqa: E402
from mechlab.core.set_analysis import SetAnalysis  # noqa: E402
from mechlab.plotting import style  # noqa: E402
from mechlab.record import answers, sets  # noqa: E402
from mechlab.record.artifacts import Artifacts  # noqa: E402
from mechlab.record.files import atomic, read_json  # noqa: E402
from mechlab.record.status import read_status  # noqa: E402

LIST = ROOT / "scripts" / "gallery.yaml"
WIDEST, MOST = 1200, 200_000  # pixels and bytes of a figure
TEASER = 400  # pixels of the width of a teaser
SQUARE = 3.0  # inches of its sides
SCROLLED = 900  # pixels; wider figures are scrolled on small screens
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
        caption: what it shows; {SCALAR:FORMAT} stands for a scalar of the finding.
        chosen: overrides that select one run, or one set, of a multirun.
        of_set: whether the finding is one of a set of runs.
    """

    name: str
    question: str
    title: str
    commands: tuple[str, ...]
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
    """The list of figures: questions (key -> title, page, text), items, and teasers (question -> figure, panel, title)."""

    questions: dict[str, dict[str, str]]
    items: list[Item]
    teasers: dict[str, dict[str, Any]] = field(default_factory=dict)


def decisive(words: Iterator[str] | Sequence[str]) -> dict[str, str]:
    """Return overrides by key, without those that select no run, and without the default seed."""
    pairs = (word.lstrip("+").partition("=")[::2] for word in words)
    kept = {key: value for key, value in pairs if key.partition(".")[0].partition("/")[0] not in UNDECIDING}
    return {key: value for key, value in kept.items() if (key, value) != ("seed", "0")}


def read_list(path: Path = LIST) -> Gallery:
    """Return the list of figures, or raise ConfigError."""
    content = yaml.safe_load(path.read_text())
    items = []
    for name, entry in content["figures"].items():
        entry = dict(entry)
        run = entry.pop("run")
        if run not in content["runs"]:
            raise ConfigError(
                "run must be one of those listed", got=run, key=name, fix=did_you_mean(run, content["runs"])
            )
        commands = [*content["runs"][run].strip().splitlines(), *entry.pop("then", "").strip().splitlines()]
        items.append(Item(name, commands=tuple(commands), chosen=tuple(entry.pop("chosen", ())), **entry))
    return Gallery(content["questions"], items, content.get("teasers", {}))


def find(item: Item, folders: Sequence[Path]) -> Path | None:
    """Return the folder of the item's finding: in the one run, or of the largest set of runs, that was trained with its
    overrides; None if there is none."""
    if not item.of_set:
        mine = (folder for folder in folders if decisive(words_of(folder)) == item.overrides() and is_done(folder))
        places = [folder / answers.FOLDER / item.analysis for folder in mine]
        return next((place for place in places if (place / answers.FINDING).is_file()), None)
    roots = {folder.parent.parent for folder in folders}
    places = [place for root in roots for place in sorted(root.glob(f"{sets.FOLDER}/*/{item.analysis}"))]
    fitting = [(size, place) for place in places if (size := size_of_set(item, place))]
    return max(fitting, default=(0, None))[1]


def size_of_set(item: Item, place: Path) -> int:
    """Return how many runs a finding is of; 0 if they were not all trained with the item's overrides, or differ from
    them in more than what varies among them."""
    names = list(sets.read_answer(place)[0]["runs"])
    root = place.parents[2]
    of_runs = [decisive(words_of(root / name)) for name in names if (root / name).is_dir()]
    wanted = item.overrides()
    for words in of_runs:
        extra = [key for key in words if key not in wanted]
        constant = [key for key in extra if len({other.get(key) for other in of_runs}) == 1]
        if constant or any(words.get(key) != value for key, value in wanted.items()):
            return 0
    return len(of_runs) if len(of_runs) == len(names) else 0


def words_of(run: Path) -> list[str]:
    """Return the overrides that a run was trained with."""
    return read_json(run / "provenance" / "overrides.json") or []


def is_done(run: Path) -> bool:
    return read_status(run)["status"] == "done"


def find_all(items: Sequence[Item], pattern: str) -> dict[str, Path]:
    """Return the folder of the finding of each item by its name.

    Raises:
        RunError: some are missing; the message has the commands that make them.
    """
    folders = run_folders(pattern)
    found = {item.name: find(item, folders) for item in items}
    missing = [item for item in items if found[item.name] is None]
    if missing:
        commands = dict.fromkeys(itertools.chain.from_iterable(item.commands for item in missing))
        names = ", ".join(item.name for item in missing)
        fix = "python scripts/gallery.py --train, or by hand:\n    " + "\n    ".join(commands)
        got = f"{len(missing)} of {len(items)} are missing among {pattern}: {names}"
        raise RunError("every figure needs a finished run with its analysis", got=got, key="runs", fix=fix)
    return {name: folder for name, folder in found.items() if folder is not None}


def run_folders(pattern: str) -> list[Path]:
    paths = [
        Path(path) for path in sorted(Path().glob(pattern) if not Path(pattern).is_absolute() else absolute(pattern))
    ]
    return [path for path in paths if (path / "provenance" / "overrides.json").is_file() and path.parent.name[0] != "_"]


def absolute(pattern: str) -> Iterator[Path]:
    return Path("/").glob(pattern.lstrip("/"))


def train_missing(items: Sequence[Item], pattern: str) -> None:
    """Run the commands of all items whose finding is missing, in order, each once."""
    folders, root = run_folders(pattern), pattern.partition("*")[0].rstrip("/") or "."
    wanted = [item.commands for item in items if find(item, folders) is None]
    for command in dict.fromkeys(itertools.chain.from_iterable(wanted)):
        words = shlex.split(command)
        words = [sys.executable, *words[1:]] + ([f"paths.root={root}"] if "mechlab.train" in words else [])
        print(f"$ {command}", flush=True)
        subprocess.run(words, check=True)


def draw(place: Path, name: str) -> Figure:
    """Draw a figure of a finding from its saved files, with the sentence that names network, task and seed."""
    finding = answers.read_finding(place)
    key = f"analysis.{finding['analysis']}" if "analysis" in finding else place.name
    parameters = finding.get("parameters") or sets.read_answer(place)[0]["parameters"]
    analysis = prepare(parameters, key, (Analysis, SetAnalysis), lenient=True)()
    out = Artifacts(place, finding.get("subject", ""))
    figures = out.with_subject(analysis.figures(out))
    if name not in figures:
        raise ConfigError(
            "figure must be one that the analysis draws", got=name, key=key, fix=did_you_mean(name, figures)
        )
    return figures[name]


def as_png(figure: Figure) -> bytes:
    """Return a figure as PNG of at most 1,200 pixels across and 200 kB."""
    raw = io.BytesIO()
    figure.savefig(raw, format="png", dpi=min(150.0, WIDEST / figure.get_figwidth()), bbox_inches="tight")
    image = Image.open(raw).convert("RGB")
    if image.width > WIDEST:
        image = image.resize((WIDEST, round(image.height * WIDEST / image.width)), Image.Resampling.LANCZOS)
    return small(image)


def panel_alone(figure: Figure, panel: int, title: str) -> Figure:
    """Return a figure with one of its panels alone, in a square, with a title and without small print."""
    kept = figure.axes[panel]
    small = [text for text in kept.texts if text.get_label() in (style.HEADER, style.BESIDE)]
    for part in [*(axis for axis in figure.axes if axis is not kept), *figure.legends, *figure.texts, *small]:
        part.remove()
    figure.suptitle("")
    kept.set_subplotspec(GridSpec(1, 1, figure=figure)[0])
    figure.set_size_inches(SQUARE, SQUARE)
    style.title(kept, title)
    return figure


def text_alone(text: str, title: str) -> Figure:
    """Return a square picture of a program, without its docstring."""
    lines = re.sub(r'\n *""".*?"""', "", text, flags=re.DOTALL).strip()
    figure, (axis,) = style.new_figure(width=SQUARE, height=SQUARE)
    axis.set_axis_off()
    style.title(axis, title)
    options = {"family": "monospace", "fontsize": style.TEXT + 2, "va": "top", "linespacing": 1.5}
    axis.text(0, 0.96, lines, transform=axis.transAxes, color=style.INK, **options)
    return figure


def teaser(item: Item, place: Path, panel: int, title: str) -> bytes:
    """Return a square picture of a panel of a figure, or of a program, as PNG."""
    name = item.figure.partition("/")[2]
    figure = (
        text_alone((place / name).read_text(), title) if item.is_text else panel_alone(draw(place, name), panel, title)
    )
    raw = io.BytesIO()
    figure.savefig(raw, format="png", dpi=TEASER / SQUARE)
    return small(Image.open(raw))


def small(image: Image.Image) -> bytes:
    """Return an image as PNG of at most 200 kB, with as many colours as fit."""
    for colours in (None, 256, 64):
        saved = io.BytesIO()
        (image.convert("RGB") if colours is None else image.convert("RGB").quantize(colours)).save(
            saved, "PNG", optimize=True
        )
        if saved.tell() <= MOST:
            break
    return saved.getvalue()


def about(item: Item, place: Path) -> dict[str, Any]:
    """Return what the page says about the run of a figure; the program itself, where that is shown."""
    finding = answers.read_finding(place)
    runs = (
        list(sets.read_answer(place)[0]["runs"])
        if item.of_set
        else [f"{place.parents[2].name}/{place.parents[1].name}"]
    )
    root = place.parents[2] if item.of_set else place.parents[3]
    environment = read_json(root / runs[0] / "provenance" / "environment.json") or {}
    used = {key: value for key, value in finding["scalars"].items() if f"{{{key}:" in item.caption}
    text = {"text": (place / item.figure.partition("/")[2]).read_text()} if item.is_text else {}
    return {
        "runs": runs,
        "subject": finding.get("subject", ""),
        "version": environment["packages"]["mechlab"],
        "date": max(str(read_status(root / run)["updated"])[:10] for run in runs),
        "scalars": used,
        **text,
    }


def page(gallery: Gallery, records: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the text of the page."""
    lines = ["# Gallery", "", *INTRODUCTION.strip().splitlines(), ""]
    for question, chapter in gallery.questions.items():
        lines += [
            f"## {chapter['title']}",
            "",
            f"{chapter['text'].strip()} More: [{chapter['title']}]({chapter['page']}).",
            "",
        ]
        for item in gallery.items:
            if item.question == question:
                lines += _section(item, records[item.name])
    return "\n".join(lines).rstrip() + "\n"


INTRODUCTION = """
Every figure on this page was drawn by one of the analyses, from the run that the command below it makes. The sentence
at its upper left names network, task and seed. `python scripts/gallery.py --train` makes all runs, the figures and this page.
Commands are for one processor core; most take one to five minutes. A figure opens in full size when it is selected.
"""


def _section(item: Item, record: Mapping[str, Any]) -> list[str]:
    target = f"figures/gallery_{item.name}.png"
    image = [f"[![{item.title}]({target})]({target})"]
    if item.is_text:
        image = ["```py", *record["text"].strip().splitlines(), "```"]
    elif record["width"] > SCROLLED and record["width"] > 1.5 * record["height"]:  # small print needs the width
        image = [
            f'<div style="overflow-x: auto" markdown><div style="min-width: {SCROLLED // 2}px" markdown>',
            "",
            *image,
        ]
        image += ["", "</div></div>"]
    dated = f"# mechlab {record['version']}, {record['date']}"
    caption = item.caption.strip().format_map(Scalars(item.name, record["scalars"]))
    return [f"### {item.title}", "", *image, "", caption, "", "```sh", dated, *item.commands, "```", ""]


class Scalars(dict):
    """The scalars of a caption; a name without a value raises ConfigError."""

    def __init__(self, name: str, values: Mapping[str, float]):
        super().__init__(values)
        self.name = name

    def __missing__(self, key: str) -> float:
        raise ConfigError("a caption may use the recorded scalars only", got=key, key=self.name, fix="see finding.json")


def write(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def make(gallery: Gallery, pattern: str, docs: Path, only: Sequence[str] = ()) -> None:
    """Draw the figures, and write them, their records and the page below a folder."""
    items = [item for item in gallery.items if not only or item.name in only]
    found = find_all(items, pattern)
    kept = read_json(docs / "gallery.json") or {} if (docs / "gallery.json").exists() else {}
    records = {item.name: kept[item.name] for item in gallery.items if item.name in kept}
    for item in items:
        records[item.name] = about(item, found[item.name])
        if not item.is_text:
            png = as_png(draw(found[item.name], item.figure.partition("/")[2]))
            write(docs / "figures" / f"gallery_{item.name}.png", png)
            records[item.name] |= dict(zip(("width", "height"), Image.open(io.BytesIO(png)).size, strict=True))
            print(f"figures/gallery_{item.name}.png: {len(png):,} bytes", flush=True)
    for question, wanted in gallery.teasers.items():
        for item in (item for item in items if item.name == wanted["figure"]):
            png = teaser(item, found[item.name], wanted.get("panel", 0), wanted["title"])
            write(docs / "figures" / f"teaser_{question}.png", png)
    ordered = {item.name: records[item.name] for item in gallery.items if item.name in records}
    write(docs / "gallery.json", json.dumps(ordered, indent=1) + "\n")
    if len(ordered) == len(gallery.items):
        write(docs / "gallery.md", page(gallery, ordered))


def main(words: Sequence[str]) -> None:
    """Read the arguments and make the gallery."""
    known = {"runs": "runs/*/*", "only": "", "docs": str(ROOT / "docs")}
    for word in words:
        key, equals, value = word.partition("=")
        if word != "--train" and (not equals or key not in known):
            raise ConfigError("arguments are runs=GLOB, only=NAME,..., docs=FOLDER and --train", got=word)
        if equals:
            known[key] = value
    gallery, only = read_list(), [name for name in known["only"].split(",") if name]
    names = [item.name for item in gallery.items]
    for name in only:
        if name not in names:
            raise ConfigError("only must name figures of the list", got=name, key="only", fix=did_you_mean(name, names))
    if "--train" in words:
        train_missing([item for item in gallery.items if not only or item.name in only], known["runs"])
    make(gallery, known["runs"], Path(known["docs"]), only)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except MechlabError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
