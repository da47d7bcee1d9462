"""What a reader of the report sees first: verdict, what varies, claims beside figures; and how it is escaped."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from synthetic_runs import claim, write, write_run, write_status

from mechlab.report import report
from mechlab.reporting.cells import make_cells
from mechlab.reporting.claims import direction
from mechlab.reporting.collect import read_run
from mechlab.reporting.entries import Heading, Number, Span, rounded
from mechlab.reporting.evidence import Evidence
from mechlab.reporting.front import ranges, varies
from mechlab.reporting.page import _templates
from mechlab.reporting.pictures import Picture
from mechlab.reporting.record import ReportedClaim
from mechlab.reporting.request import Request
from mechlab.reporting.section import make_sections
from mechlab.reporting.set_part import COLUMNS, narrow
from mechlab.reporting.shots import OPEN, Shot, Shots
from mechlab.reporting.table import Table
from mechlab.reporting.verdict import verdict

HOSTILE = "<img src=x onerror=alert(1)>{{ 7 * 7 }}{% raw %}\"'&"


def made(statement: str, value: float | None, holds: bool, threshold: float = 0.5) -> ReportedClaim:
    return ReportedClaim(statement, "exact", value, threshold, None, holds)


@pytest.mark.parametrize(
    ("claims", "sign"),
    [
        ([made("It is at most 0.5.", 0.7, False)], "≤"),
        ([made("It is at least 0.5.", 0.2, False)], "≥"),
        ([made("The number above 0.9 is 0.5.", 0.5, True)], "="),
        ([made("It is below half.", 0.2, True), made("It is below half.", 0.7, False)], "≤"),
        ([made("It is below half.", 0.7, False)], "≤"),
        ([made("It lies above the other.", 0.2, False)], "≥"),
        ([made("Of at least 10 words it is at most 0.5.", 0.7, True)], "≥"),  # the words name both: the value decides
        ([made("Nothing is known.", None, False)], ""),
    ],
)
def test_the_direction_of_a_threshold(claims: list[ReportedClaim], sign: str) -> None:
    assert direction(claims) == sign


def test_numbers_are_short_and_whole_numbers_whole() -> None:
    assert [rounded(value) for value in (42.0, 20_000.0, 0.123456, 1e9)] == ["42", "20000", "0.1235", "1e+09"]
    assert [digits.text for digits in Span((0.12344, 0.12342)).main] == ["0.1234"]
    assert ranges([7, 1, 2, 3, 5]) == "1–3, 5, 7"


def test_the_verdict_names_what_fails(tmp_path: Path) -> None:
    findings = {
        "probe": {"scalars": {"rank": 1.0}, "claims": {"small": claim("It is at most 0.5.", 0.7, 0.5, False, None)}}
    }
    runs = [write_run(tmp_path, "tomita", "gru", 3, 8, seed, findings=findings) for seed in range(4)]
    write_status(runs[0], "failed", reason="the loss must be finite")
    write_status(runs[1], "preempted", step=40)
    (section,) = make_sections(make_cells(map(read_run, runs), ()), ())
    state, claims = verdict([section])
    assert state.text == "2 of 4 runs finished; 1 failed and 1 preempted." and state.grade == "some"
    assert [line.split(":")[0] for line in state.exceptions] == ["failed", "preempted"]
    assert "the loss must be finite" in state.exceptions[0] and "step 40" in state.exceptions[1]
    assert (claims.grade, claims.text) == ("no", "0 of 2 claims hold; these fail:")
    assert claims.exceptions == ["probe: small (holds in 0 of 2)"]


def test_what_varies_is_what_separates_cells(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, "tomita", model, 3, 8, seed) for model in ("gru", "rnn") for seed in (0, 1, 2)]
    (section,) = make_sections(make_cells(map(read_run, runs), ()), ())
    assert section.varied == ["model"] and varies(section) == "model gru, rnn; seeds 0–2"
    (alone,) = make_sections(make_cells(map(read_run, runs[:1]), ()), ())
    assert varies(alone) == "model gru; index 3; seed 0"


class Outline(HTMLParser):
    """Reads a page: each heading, image and table with the names of the elements that it lies in."""

    VOID = frozenset({"meta", "link", "img", "br"})

    def __init__(self, html: str):
        super().__init__()
        self.path: list[str] = []
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in ("h1", "h2", "h3", "img", "table", "nav"):
            self.found.append((dict(attributes).get("alt") or tag, tuple(self.path)))
        if tag not in self.VOID:
            self.path.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.path.pop() == tag


def page_of(folder: Path) -> str:
    return report(Request((str(folder / "runs"),), out=folder / "report.html")).read_text(encoding="utf-8")


@pytest.mark.ci
def test_figures_stand_open_beside_the_claims_of_their_analysis(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs", "tomita", "gru", 3, 8, 7)
    text = page_of(tmp_path)
    found = Outline(text).found
    shots = [(name, path) for name, path in found if name.startswith(("curve", "plane"))]
    assert [name for name, _ in shots] == [
        f"{name}: gru on tomita (index 3), seed 7, step 1,000" for name in ("curve", "plane")
    ]
    assert all("article" in path and "details" not in path for _, path in shots)
    kinds = [name for name, path in found if "details" not in path]
    assert kinds[:4] == ["h1", "table", "nav", "h2"]  # the overview, then the task
    article = re.search(r"<article>.*?</article>", text, re.DOTALL)[0]
    assert "The error is at most 0.05." in article and "≤ <data" in article and "0.4" in article
    finding = {"scalars": {}, "claims": {}, "subject": "gru (hidden 8) on tomita (index 3), seed 7", "at": "best"}
    write(run / "analyses" / "probe" / "finding.json", json.dumps(finding))
    assert "gru (hidden 8) on tomita (index 3), seed 7, best" in page_of(tmp_path)


def test_templates_escape_what_comes_from_records(tmp_path: Path) -> None:
    """Names, sentences and paths of a hostile record are text, neither tags nor expressions of the template."""
    notes = {"probe": {"scalars": {HOSTILE: 1.0}, "claims": {}, "notes": {"x": HOSTILE}}}
    run = write_run(tmp_path / "runs", "tomita", "gru", 3, 8, 0, findings=notes)
    write(run / "analyses" / "probe" / "finding.json", json.dumps({"scalars": {}, "claims": {}, "subject": HOSTILE}))
    (run / "analyses" / "probe" / "plane.png").rename(run / "analyses" / "probe" / "<i>x' onload=y.png")
    text = page_of(tmp_path)
    assert "<img src=x" not in text and "<i>" not in text and "' onload=y" not in text
    assert text.count("{{ 7 * 7 }}{% raw %}") >= 3 and "49{%" not in text
    assert _templates().autoescape is True
    templates = Path(__file__).parents[2] / "mechlab" / "reporting" / "templates"
    for path in templates.glob("*.html"):
        assert set(re.findall(r"(.)\|safe", path.read_text())) <= {"'"}, "only constants are written unescaped"


def shot(width: int, height: int = 300) -> Shot:
    return Shot(Picture("data:,", width, height), "x", "y")


def claims_table(rows: int) -> Table:
    return Table(
        "claims", "claims", ["holds", "measured"], [(Heading("A statement.", "x"), [["yes", Number(1.0)]] * rows)]
    )


def test_as_many_figures_stand_beside_claims_as_are_as_tall() -> None:
    four = [shot(400) for _ in range(OPEN)]
    assert Evidence([claims_table(2)], [], Shots(four)).beside == 1
    assert Evidence([claims_table(30)], [], Shots(four)).beside == 3
    assert Evidence([claims_table(2)], [], Shots([shot(900)])).beside == 0
    assert Evidence([], [], Shots(four)).beside == 0
    assert Evidence([claims_table(1)], [], Shots([shot(400), shot(400)])).beside == 0  # a row below low claims
    evidence = Evidence([claims_table(2)], [], Shots([shot(400) for _ in range(9)]))
    evidence.one_row_below()
    assert (len(evidence.shots.shown), len(evidence.shots.further)) == (3, 6)


def test_a_wide_table_of_a_set_is_narrowed_to_the_columns_that_vary() -> None:
    same = [Number(float(n)) for n in range(5)]
    rows = [[f"{place}", *same, *(Number(float(place + n)) for n in range(9))] for place in range(3)]
    table = Table("runs", "seeds: runs", ["seed", *(f"c{n}" for n in range(14))], [(None, rows)])
    made = narrow(table, "seeds-runs.csv")
    assert made.columns == ["seed", *(f"c{n}" for n in range(5, 5 + COLUMNS - 1))]
    assert "c0 0, c1 1, c2 2" in made.caption and "4 further columns in seeds-runs.csv" in made.caption
    assert narrow(Table("x", "x", ["a", "b"], [(None, [["1", "2"]])]), "x.csv").columns == ["a", "b"]
