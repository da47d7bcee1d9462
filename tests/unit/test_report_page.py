"""The page of a report: whole, self-contained, safe, and with the numbers of its tables."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from synthetic_runs import claim, figure, write, write_run, write_status

from mechlab.core.errors import ConfigError
from mechlab.record import sets
from mechlab.report import report
from mechlab.reporting.request import Request, parse

HOSTILE = "<script>alert('1')</script>\"&' onload=x"
EXPECTED = {"published": 0.98, "corrected": 0.97, "tolerance": 0.02, "source": "a paper, table 2"}
EXPECTED |= {"measured": 0.9754321, "deviation": 0.0054321, "within": True}


class Reader(HTMLParser):
    """Reads a page: its tags, text, numbers by table, and whether every tag is closed."""

    VOID = frozenset({"meta", "link", "img", "br"})

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.captions: list[str] = []
        self.numbers: dict[str, list[float]] = {}
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag == "data":
            self.numbers.setdefault(self.captions[-1], []).append(float(dict(attributes)["value"]))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, text: str) -> None:
        if "caption" in self._open:
            self.captions.append(text)
        self.text.append(text)


def make(folder: Path, *by: str) -> str:
    """Report all runs of a folder and return the page."""
    return report(Request((str(folder / "runs"),), by)).read_text(encoding="utf-8")


def table(folder: Path, name: str) -> list[dict[str, str]]:
    """Return the rows of a table of the report."""
    with open(folder / "runs" / "report" / f"{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A report of two tasks, two models and three seeds, with a failed, a preempted and three damaged runs."""
    folder = tmp_path_factory.mktemp("report")
    root = folder / "runs"
    for task in ("tomita", "repeat_copy"):
        for model in ("rnn", "gru"):
            for seed in range(3):
                expected = {"test/accuracy": EXPECTED} if task == "tomita" else {}
                write_run(root, task, model, 3, 16, seed, expected=expected)
    runs = [write_run(root, "tomita", "gru", 5, 16, seed) for seed in range(6)]
    write_status(runs[0], "failed", traceback="Traceback ...\n  line\nNotFinite: the loss must be finite\n")
    write_status(runs[1], "preempted", step=400)
    write(runs[2] / "result.json", '{"metrics": [1')
    write(runs[3] / "metrics.csv", "nonsense\n")
    write(runs[3] / "analyses" / "probe" / "curve.png", b"nonsense")
    write(runs[4] / "provenance" / "config.yaml", "a: [1\nb: {")
    (runs[5] / "result.json").unlink()
    return folder, make(folder)


def test_the_page_is_well_formed_and_has_its_parts(made: tuple[Path, str]) -> None:
    page = Reader(made[1])
    names = [name for name, _ in page.tags]
    assert names.count("h1") == names.count("main") == names.count("title") == 1
    assert {"2", "3"} <= {name[1] for name in names if re.fullmatch(r"h\d", name)}
    assert names.count("caption") == names.count("table") >= 6
    assert all(attributes.get("alt") for name, attributes in page.tags if name == "img")
    plots = [attributes for name, attributes in page.tags if name == "svg" and attributes.get("role") == "img"]
    assert len(plots) >= 4 and all(attributes["aria-label"] for attributes in plots)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids)), "an id must be in the page once"
    links = [attributes["href"] for name, attributes in page.tags if name == "a"]
    assert {link[1:] for link in links} <= set(ids)


def test_the_page_needs_nothing_from_elsewhere(made: tuple[Path, str]) -> None:
    html = re.sub(r"base64,[^\"]*", "base64,", made[1])
    assert not re.search(r"https?:|//[a-z]|@import|<script|<iframe|\sstyle=\"[^\"]*url\((?!#)", html, re.IGNORECASE)
    for name, attributes in Reader(html).tags:
        for key in ("src", "href"):
            assert (attributes.get(key) or "#").startswith(("data:", "#")), (name, attributes[key][:80])


def test_the_page_is_dark_and_light_and_fits_a_phone(made: tuple[Path, str]) -> None:
    assert "prefers-color-scheme: dark" in made[1]
    assert 'name="viewport" content="width=device-width' in made[1]
    drawn = "".join(re.findall(r"<svg.*?</svg>", made[1], re.DOTALL))
    assert set(re.findall(r"(?:fill|stroke): *(#\w+)", drawn)) <= {"#000000"}, "plots take the page's colours"
    boxes = [attributes for name, attributes in Reader(made[1]).tags if attributes.get("class") == "scroll"]
    assert len(boxes) == made[1].count("<table")


def test_contrast_is_enough_in_both_schemes(made: tuple[Path, str]) -> None:
    blocks = re.findall(r":root \{(.*?)\}", made[1], re.DOTALL)
    schemes = [re.findall(r"--([\w-]+): (#\w{6})", block) for block in blocks]
    assert len(schemes) == 2
    pairs = [(text, "page") for text in ("ink", "ink-soft", "accent")] + [("ink", "card")]
    pairs += [(verdict, f"{verdict}-back") for verdict in ("yes", "no", "some")]
    for colours in map(dict, schemes):
        for text, back in pairs:
            assert contrast(colours[text], colours[back]) >= 4.5, (text, back)
        for number in range(8):
            assert contrast(colours[f"plot-{number}"], colours["page"]) >= 2.7, number


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colours (WCAG 2.1)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_every_number_of_the_page_is_in_the_tables(made: tuple[Path, str]) -> None:
    folder, html = made
    names = ("metrics", "claims", "expected")
    values = {value for name in names for row in table(folder, name) for value in numbers(row)}
    shown = Reader(html).numbers
    assert {number for found in shown.values() for number in found} <= values
    captions = " ".join(shown)
    assert all(words in captions for words in ("Final metrics", "Every metric", "claims", "Expected numbers"))


def numbers(row: dict[str, str]) -> list[float]:
    found = []
    for value in row.values():
        try:
            found.append(float(value))
        except ValueError:
            continue
    return found


def test_what_went_wrong_is_told(made: tuple[Path, str]) -> None:
    folder, html = made
    told = {(Path(row["run"]).name[-1], row["kind"], row["file"]): row["reason"] for row in table(folder, "failures")}
    assert told["0", "failed", "status.json"] == "NotFinite: the loss must be finite"
    assert set(told) == {
        ("0", "failed", "status.json"),
        ("2", "damaged", "result.json"),
        ("3", "damaged", "metrics.csv"),
        ("3", "damaged", "analyses/probe/curve.png"),
        ("4", "damaged", "provenance/config.yaml"),
        ("5", "damaged", "result.json"),
    }
    page = " ".join(Reader(html).text)
    assert "NotFinite: the loss must be finite" in page
    assert "preempted" in page and "400" in page
    states = {row["status"] for row in table(folder, "runs")}
    assert states == {"done", "failed", "preempted"}


def test_expected_numbers_stand_beside_measured_ones(made: tuple[Path, str]) -> None:
    rows = table(made[0], "expected")
    assert [(row["task"], row["model"]) for row in rows] == [("tomita", "gru"), ("tomita", "rnn")]
    for row in rows:
        assert (float(row["published"]), float(row["corrected"]), float(row["tolerance"])) == (0.98, 0.97, 0.02)
        assert (float(row["mean"]), float(row["deviation"])) == (0.9754321, 0.0054321)
        assert (row["within"], row["n"], row["source"]) == ("3", "3", "a paper, table 2")


@pytest.fixture
def without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the plots of the page, which take longer than all the rest."""
    for name, nothing in {"metric": None, "claims": (), "curves": ()}.items():
        monkeypatch.setattr(f"mechlab.reporting.drawn.Drawer.{name}", lambda *_, nothing=nothing: nothing)


@pytest.mark.usefixtures("without_plots")
def test_an_expected_number_that_was_not_measured_is_neither_met_nor_missed(tmp_path: Path) -> None:
    missing = EXPECTED | {"measured": None, "deviation": None, "within": None}
    write_run(tmp_path / "runs", "tomita", "gru", 3, 8, 0, expected={"test/accuracy": EXPECTED, "probe/other": missing})
    html = make(tmp_path)
    assert "not measured: probe/other of tomita gru" in html and "1 of 1 expected number met" in html
    assert [row["n"] for row in table(tmp_path, "expected")] == ["1", "0"]


@pytest.mark.usefixtures("without_plots")
def test_a_claim_has_its_interval_and_a_finding_its_notes(tmp_path: Path) -> None:
    note = "Too few words: 12 where 50 are needed."
    for seed, (low, high) in enumerate([(0.1, 0.3), (0.2, 0.4)]):
        made = {**claim("It is at most 0.5.", 0.25, 0.5, True, 0.4), "interval": [low, high]}
        findings = {"probe": {"scalars": {"rank": 1.0}, "claims": {"small": made}, "notes": {"few": note}}}
        write_run(tmp_path / "runs", "tomita", "gru", 3, 8, seed, findings=findings)
    html = make(tmp_path)
    assert re.search(r'<span class="interval">\[<data value="0.1">0.1</data>, <data value="0.4">0.4</data>\]', html)
    assert f"<li>{note}</li>" in html
    row = table(tmp_path, "claims")[0]
    ends = [float(row[f"interval_{end}"]) for end in ("low_min", "low_max", "high_min", "high_max")]
    assert ends == [0.1, 0.2, 0.3, 0.4]


def write_set(root: Path, members: list[Path], name: str = "probe_set", **changes: Any) -> Path:
    """Write an answer about a set of runs with a claim, a note, expected numbers and a table, and return its folder."""
    made = {**claim(f"{name} is at most 0.5.", 0.25, 0.5, True, 0.4), "interval": [0.125, 0.375]}
    finding = {"scalars": {"mean": 0.25, "mean_low": 0.125, "mean_high": 0.375}, "claims": {"small": made}}
    expected = {f"{name}/mean": {**EXPECTED, "measured": 0.25, "within": False}}
    read = {sets.run_name(run): {"files": sets.digests_of(run, ["result.json"])} for run in members}
    about = {"analysis": name, "parameters": {"level": 0.8}, "reads": ["result.json"], "runs": read}
    folder = root / sets.FOLDER / "0123456789" / name
    write(folder.parent / "set.json", json.dumps({**about, "expected": expected, **changes}))
    write(folder / "finding.json", json.dumps({**finding, "notes": {"few": f"{name} has a note."}}))
    write(folder / "by_size.csv", "size,mean,mean_low,mean_high\n3,0.5,0.25,0.75\n4,0.25,,\n")
    return folder


@pytest.mark.usefixtures("without_plots")
def test_an_answer_about_a_set_is_shown_with_interval_note_and_expected_number(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    write_set(root, [write_run(root, "tomita", "gru", 3, 8, seed) for seed in range(2)])
    html = make(tmp_path)
    page = Reader(html)
    assert "probe_set of 2 runs" in page.text and "level=0.8" in page.text and "probe_set has a note." in page.text
    claims = page.numbers["probe_set: claims"]
    assert claims == [0.25, 0.125, 0.375, 0.5, 0.4]
    assert page.numbers["probe_set: by size"] == [3, 0.5, 0.25, 0.75, 4, 0.25]
    assert page.numbers["probe_set: expected numbers beside the measured ones"][:3] == [0.98, 0.97, 0.25]
    assert 'href="#set-1"' in html
    tex = (root / "report" / "probe_set-0123456789-by_size.tex").read_text()
    assert "[$0.25$, $0.75$]" in tex


@pytest.mark.usefixtures("without_plots")
def test_an_answer_about_other_runs_too_or_an_earlier_record_is_not_shown(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    runs = [write_run(root, "tomita", "gru", 3, 8, seed) for seed in range(3)]
    write_set(root, runs[:2])
    part = report(Request((str(runs[0]), str(runs[2])), out=tmp_path / "part.html")).read_text(encoding="utf-8")
    assert "probe_set" not in part
    result = json.loads((runs[0] / "result.json").read_text())
    write(runs[0] / "result.json", json.dumps({**result, "metrics": {"test/accuracy": 0.5}}))
    html = make(tmp_path)
    assert "probe_set of 2 runs" not in html and "out of date" in html


@pytest.mark.usefixtures("without_plots")
@pytest.mark.parametrize(
    "changes", [{"reads": ["../../*"]}, {"runs": {"/etc": {"files": {}}}}, {"reads": None}, {"expected": {"x": 1}}]
)
def test_a_damaged_or_hostile_answer_about_a_set_is_reported_as_damaged(tmp_path: Path, changes: dict) -> None:
    root = tmp_path / "runs"
    run = write_run(root, "tomita", "gru", 3, 8, 0)
    write_set(root, [run], **changes)
    html = make(tmp_path)
    assert "probe_set of" not in html
    assert "damaged" in html or "/etc" in str(changes)


@pytest.mark.usefixtures("without_plots")
def test_hostile_words_in_an_answer_about_a_set_are_only_text(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    name = "<script>alert('1')<script>"
    folder = write_set(root, [write_run(root, "tomita", "gru", 3, 8, 0)], name, parameters={HOSTILE: HOSTILE})
    write(folder / "table<b>.csv", f"{HOSTILE.replace(',', '')}\n<script>\n")
    write(folder / "figure.png", figure("plane"))
    write(folder / "figure.svg", '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
    page = Reader(make(tmp_path))
    assert not {"script", "iframe"} & {tag for tag, _ in page.tags}
    assert not [attributes for _, attributes in page.tags if any(word.startswith("on") for word in attributes)]


def test_means_are_those_of_the_runs(made: tuple[Path, str]) -> None:
    runs, cells = table(made[0], "runs"), table(made[0], "metrics")
    for row in cells:
        mine = [run for run in runs if run["cell"] == row["cell"] and run["status"] == "done"]
        values = [float(run[row["metric"]]) for run in mine if run[row["metric"]]]
        assert float(row["mean"]) == pytest.approx(sum(values) / len(values))
        assert int(row["n"]) == len(values)


def test_hostile_words_are_only_text(tmp_path: Path) -> None:
    findings = {HOSTILE: {"scalars": {HOSTILE: 1.0}, "claims": {HOSTILE: claim(HOSTILE, 1.0, 1.0, True, None)}}}
    rows = {HOSTILE: {"published": 1.0, "source": HOSTILE, "measured": 1.0, "deviation": 0.0, "within": True}}
    metrics = {"test/accuracy": 1.0, f"test/{HOSTILE}": 0.5}
    run = write_run(tmp_path / "runs", "tomita", "gru", 3, 8, 0, findings=findings, metrics=metrics, expected=rows)
    other = write_run(tmp_path / "runs", "tomita", "gru", 3, 9, 0)
    write(run / "provenance" / "overrides.json", json.dumps([f"task={HOSTILE}"]))
    config = {"name": f"{HOSTILE}-{HOSTILE}", "seed": 0, "model": {HOSTILE: HOSTILE}}
    write(run / "provenance" / "config.yaml", json.dumps(config))
    write_status(other, "failed", reason=HOSTILE)
    write(run / "metrics.csv", 'step,"val/<script>"\n1,0.5\n2,0.7\n')
    html = make(tmp_path)
    page = Reader(html)
    assert not {"script", "iframe"} & {name for name, _ in page.tags}
    assert not [attributes for _, attributes in page.tags if any(name.startswith("on") for name in attributes)]
    assert HOSTILE in "".join(page.text)
    assert all("<script" not in path.name for path in (tmp_path / "runs" / "report" / "figures").iterdir())


@pytest.mark.usefixtures("without_plots")
def test_no_cell_of_a_table_is_a_formula(tmp_path: Path) -> None:
    formula = '=HYPERLINK("http://x")'
    findings = {formula: {"scalars": {formula: -0.5}, "claims": {formula: claim(formula, -1.0, 1.0, True, None)}}}
    run = write_run(tmp_path / "runs", "tomita", "gru", 3, 8, 0, findings=findings)
    other = write_run(tmp_path / "runs", "tomita", "gru", 3, 9, 0)
    config = {"name": "@a-+b", "seed": 0, "model": {"hidden": -8, "=key": formula}}
    write(run / "provenance" / "config.yaml", json.dumps(config))
    write_status(other, "failed", reason="-1+cmd|' /C calc'!A0")
    make(tmp_path)
    seen = set()
    for name in ("metrics", "claims", "runs", "failures"):
        with open(tmp_path / "runs" / "report" / f"{name}.csv", newline="") as file:
            for cell in (cell for row in csv.reader(file) for cell in row if cell.startswith(tuple("=+-@'"))):
                seen.add(cell)
                assert cell.startswith("'") or float(cell) < 0, cell
    assert f"'{formula}" in seen and "-0.5" in seen and "'-1+cmd|' /C calc'!A0" in seen and "-8" in seen


def test_a_report_that_cannot_be_written_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "runs", "tomita", "gru", 3, 8, 0)
    write(tmp_path / "file", "")
    write(tmp_path / "page", "")
    write(tmp_path / "folder.html" / "file", "")
    monkeypatch.setattr("mechlab.reporting.collect.read_run", None)  # nothing is computed before
    for out, told in {
        "file/report.html": "is writable",
        "page.html": "need a folder beside it",
        "folder.html": "with an ending",
        f"{'a' * 300}.html": "can be written",
    }.items():
        with pytest.raises(ConfigError, match=told):
            report(parse([f"runs={tmp_path}/runs", f"out={tmp_path}/{out}"]))


@pytest.mark.usefixtures("without_plots")
def test_configurations_do_not_execute(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs", "tomita", "gru", 3, 8, 0)
    write(run / "provenance" / "config.yaml", f"!!python/object/apply:os.mkdir ['{tmp_path / 'made'}']")
    make(tmp_path)
    assert not (tmp_path / "made").exists()
    assert "config.yaml" in table(tmp_path, "failures")[0]["file"]


CONTENTS = ["null", "[]", '"x"', '{"metrics": null}', '{"metrics": {"a": "b"}}', "\udcff", ""]
MAPPINGS = CONTENTS[3:5]


@pytest.mark.parametrize(
    ("file", "whole"),
    [
        ("result.json", []),
        ("status.json", []),
        ("provenance/overrides.json", ["[]", "null"]),  # null: another program than train made the run
        ("provenance/environment.json", MAPPINGS),
    ],
)
def test_any_damaged_file_leaves_a_report(tmp_path: Path, file: str, whole: list[str]) -> None:
    for seed, content in enumerate(CONTENTS):
        run = write_run(tmp_path / "runs", "tomita", "gru", 3, 8, seed)
        write(run / file, content.encode(errors="surrogateescape"))
    make(tmp_path)
    rows = table(tmp_path, "failures")
    assert {row["file"] for row in rows} == {file}
    assert {CONTENTS[int(row["seed"])] for row in rows} == set(CONTENTS) - set(whole)


def test_a_report_of_nothing_finished(tmp_path: Path) -> None:
    write_status(tmp_path / "runs" / "tomita-gru" / "aa-s0", "pending")
    html = make(tmp_path)
    assert "No run of this task has finished" in html
    assert table(tmp_path, "failures") == []


def test_latex_is_escaped(made: tuple[Path, str]) -> None:
    text = (made[0] / "runs" / "report" / "results-task-1.tex").read_text()
    assert text.count(r"\\") == 3 and r"\bottomrule" in text
    assert r"repeat\_copy" not in text.splitlines()[0] and text.splitlines()[0].startswith("%")
    assert "−" not in text
