"""The gallery: its page agrees with its list and its records, its figures exist and are small, and the script draws the
figures of the right runs."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

from mechlab.core.errors import ConfigError, RunError
from mechlab.record import sets

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from scripts import gallery, gallery_page, gallery_pictures  # noqa: E402

DOCS = ROOT / "docs"
RECORDED = ROOT / "tests" / "data" / "recorded_runs" / "tomita-gru" / "5a74412561-s0"
LIST = """
questions:
  automata: {title: Automata, page: automata.md, text: "Which automaton?"}
runs:
  quick: {command: python -m mechlab.train task=tomita model=gru task.index=3 analysis=conformance, takes: a minute}
figures:
  lengths:
    question: automata
    title: Accuracy by length
    run: quick
    figure: conformance/by_length
    caption: "{accuracy:.3f} of {words:.0f} words"
"""


def records() -> dict[str, dict]:
    return json.loads((DOCS / "gallery.json").read_text())


def plant(root: Path, name: str, overrides: list[str]) -> Path:
    run = root / "tomita-gru" / name
    shutil.copytree(RECORDED, run)
    (run / "provenance" / "overrides.json").write_text(json.dumps(overrides))
    return run


def small_list(folder: Path):
    path = folder / "gallery.yaml"
    path.write_text(LIST)
    return gallery.read_list(path)


def test_the_page_is_that_of_the_list_and_the_records():
    listed = gallery.read_list()
    assert gallery.page(listed, records()) == (DOCS / "gallery.md").read_text(), "run python scripts/gallery.py"
    assert set(records()) == {item.name for item in listed.items}


def test_every_figure_is_readable_and_small():
    figures = {name: record for name, record in records().items() if "text" not in record}
    assert {path.name for path in (DOCS / "figures").glob("gallery_*")} == {f"gallery_{name}.png" for name in figures}
    for name, record in figures.items():
        path = DOCS / "figures" / f"gallery_{name}.png"
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert (record["width"], record["height"]) == image.size
            assert 400 <= image.width <= gallery_pictures.WIDEST
        assert path.stat().st_size <= gallery_pictures.MOST


def test_every_question_has_figures():
    listed = gallery.read_list()
    for question in listed.questions:
        assert len([item for item in listed.items if item.question == question]) >= 3


def test_the_command_of_a_run_is_printed_once_for_all_its_figures():
    text, listed = (DOCS / "gallery.md").read_text(), gallery.read_list()
    for item in listed.items:
        assert text.count("\n".join((*item.commands, "```"))) == 1
        assert f"; {item.takes} of processor time\n{item.commands[0]}\n" in text


def test_the_figure_of_the_run_with_these_overrides_is_drawn(tmp_path: Path):
    words = ["task=tomita", "model=gru", "task.index=3"]
    plant(tmp_path / "runs", "a-s0", [*words, "trainer.max_steps=5"])  # another setting
    wanted = plant(tmp_path / "runs", "b-s0", ["paths.root=elsewhere", *words, "analysis=[conformance]", "seed=0"])
    plant(tmp_path / "runs", "c-s1", [*words, "seed=1"])
    gallery.make(small_list(tmp_path), str(tmp_path / "runs" / "*" / "*"), tmp_path / "docs")
    record = json.loads((tmp_path / "docs" / "gallery.json").read_text())["lengths"]
    assert record["runs"] == [f"tomita-gru/{wanted.name}"]
    text = (tmp_path / "docs" / "gallery.md").read_text()
    assert "0.005 of 200 words" in text
    assert "task.index=3 analysis=conformance" in text
    with Image.open(tmp_path / "docs" / "figures" / "gallery_lengths.png") as image:
        assert image.format == "PNG"


def test_a_missing_run_is_named_with_its_command(tmp_path: Path):
    plant(tmp_path / "runs", "a-s0", ["task=tomita", "model=gru"])
    with pytest.raises(RunError, match="1 of 1 are missing") as error:
        gallery.make(small_list(tmp_path), str(tmp_path / "runs" / "*" / "*"), tmp_path / "docs")
    assert "python -m mechlab.train task=tomita model=gru task.index=3" in str(error.value)
    assert not (tmp_path / "docs").exists()


def test_a_caption_refuses_a_number_that_is_not_recorded():
    item = gallery.Item("a", "automata", "A", ("python -m mechlab.train",), "a minute", "b/c", "{unknown:.2f}")
    with pytest.raises(ConfigError, match="recorded scalars"):
        gallery_page.section(item, {"width": 500, "height": 400, "version": "0", "date": "2026-01-01", "scalars": {}})


@pytest.mark.parametrize(
    "others, size",
    [([["seed=0"], ["seed=1"]], 2), ([["seed=0", "optimizer.lr=1"], ["seed=1", "optimizer.lr=1"]], 0)],
)
def test_a_set_may_differ_from_the_command_in_what_varies_alone(tmp_path: Path, monkeypatch, others, size):
    runs = [plant(tmp_path, f"{i}-s{i}", ["task=tomita", "model=gru", *words]) for i, words in enumerate(others)]
    about = {"runs": {f"tomita-gru/{run.name}": {} for run in runs}}
    monkeypatch.setattr(sets, "read_answer", lambda place: (about, {}))
    command = "python -m mechlab.train -m task=tomita model=gru seed=0,1 analysis=seeds"
    item = gallery.Item("a", "automata", "A", (command,), "a minute", "seeds/mean", "", of_set=True)
    assert gallery.size_of_set(item, tmp_path / "_sets" / "x" / "seeds") == size
