"""Write docs/gallery.md: figures of recorded runs, each with its caption and the command that made its run.

python scripts/gallery.py                       of the runs below runs/
python scripts/gallery.py "runs=other/*/*"      of runs elsewhere
python scripts/gallery.py --train               train what is missing first
python scripts/gallery.py only=automata_states  renew some figures, keep the others

`scripts/gallery.yaml` lists the figures. They are drawn anew from the arrays and tables that the analyses saved, as
PNG below docs/figures; docs/gallery.json records of which run each of them is.
"""

from __future__ import annotations

import glob
import io
import itertools
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import yaml  # noqa: E402
from PIL import Image  # noqa: E402

from mechlab.core.errors import ConfigError, MechlabError, RunError, did_you_mean  # noqa: E402
from mechlab.record import answers, sets  # noqa: E402
from mechlab.record.files import atomic, read_json  # noqa: E402
from mechlab.record.status import read_status  # noqa: E402
from scripts.gallery_page import Gallery, Item, decisive, page  # noqa: E402
from scripts.gallery_pictures import as_png, draw  # noqa: E402

LIST = ROOT / "scripts" / "gallery.yaml"


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
        commands = content["runs"][run]["command"].strip().splitlines()
        made = {"commands": tuple(commands), "takes": content["runs"][run]["takes"]}
        items.append(Item(name, **made, chosen=tuple(entry.pop("chosen", ())), **entry))
    return Gallery(content["questions"], items)


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
    """Return the run directories that a glob names."""
    paths = [Path(path) for path in sorted(glob.glob(pattern))]
    return [path for path in paths if (path / "provenance" / "overrides.json").is_file()]


def train_missing(items: Sequence[Item], pattern: str) -> None:
    """Run the commands of all items whose finding is missing, in order, each once."""
    folders, root = run_folders(pattern), pattern.partition("*")[0].rstrip("/") or "."
    wanted = [item.commands for item in items if find(item, folders) is None]
    for command in dict.fromkeys(itertools.chain.from_iterable(wanted)):
        words = shlex.split(command)
        words = [sys.executable, *words[1:]] + ([f"paths.root={root}"] if "mechlab.train" in words else [])
        print(f"$ {command}", flush=True)
        subprocess.run(words, check=True)


def about(item: Item, place: Path) -> dict[str, Any]:
    """Return what the page says about the run of a figure; the program itself, where that is shown."""
    finding = answers.read_finding(place)
    root, runs = place.parents[3], [f"{place.parents[2].name}/{place.parents[1].name}"]
    if item.of_set:
        root, runs = place.parents[2], list(sets.read_answer(place)[0]["runs"])
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
