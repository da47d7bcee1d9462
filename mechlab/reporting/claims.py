"""The claims of an analysis on the page: in rows of cells where there are few, else in a row each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from mechlab.reporting.cells import Cell
from mechlab.reporting.entries import Bound, Code, Entry, Heading, Mean, Span, Truth
from mechlab.reporting.front import cell_name, ranges, without_empty
from mechlab.reporting.paper import CLAIM, claim_entries, known, statement_of
from mechlab.reporting.record import ReportedClaim
from mechlab.reporting.section import Section
from mechlab.reporting.table import Table
from mechlab.statistics.bootstrap import Summary, summarise

BRIEF = ("holds", "measured", "threshold", "chance")
STATEMENTS = 6  # claims of an analysis that stand with their statements, a row for each cell
CLAIM_ROWS = 16  # of a table of claims that has a row for each cell
EACH_ROWS = 600  # of the claims of an analysis in each cell
SHORT = 3  # digits of ranges
SIGNS = {"at most": "≤", "at least": "≥"}
OPPOSITE = {"≤": "≥", "≥": "≤"}


def claims_of(section: Section, analysis: str) -> Table:
    """Return the claims of an analysis: a row for each cell, or a row for each claim where those would be too many."""
    made = _made(section, analysis)
    caption = f"{analysis}: claims over all cells, from the least to the greatest"
    if len(made) > STATEMENTS:
        groups: list[Any] = [(None, [[Code(slug), *_brief(_joined(cells))] for (_, slug), cells in made.items()])]
        return without_empty(Table("claims", caption, ["claim", *BRIEF], groups))
    if not _in_rows(made):
        groups = [
            (_heading(key, cells), [[f"{len(cells)} cells", *_brief(_joined(cells))]]) for key, cells in made.items()
        ]
        return without_empty(Table("claims", caption, ["cell", *BRIEF], groups))
    named = len(section.done) > 1
    groups = []
    for key, cells in made.items():
        joined = _joined(cells)
        rows = [[*([cell_name(section, cell)] if named else []), *_brief(claims, joined)] for cell, claims in cells]
        groups.append((_heading(key, cells), rows))
    return without_empty(Table("claims", f"{analysis}: claims", [*(["cell"] if named else []), *BRIEF], groups))


def claims_in_each(section: Section, analysis: str) -> Table | None:
    """Return the claims of an analysis in each cell with all that is known; None if that is too long for the page, or
    is no more than `claims_of` shows."""
    made = _made(section, analysis)
    if _in_rows(made) and all(len(claims) == 1 for cells in made.values() for _, claims in cells):
        return None
    groups: list[Any] = []
    for (_, slug), cells in made.items():
        rows = [[cell_name(section, cell), *claim_entries(claims)] for cell, claims in cells]
        groups.append((Heading(statement_of(_joined(cells)), slug), rows))
    table = without_empty(Table("each", f"{analysis}: claims in each cell", ["cell", *CLAIM], groups))
    return table if table.rows <= EACH_ROWS else None


def direction(claims: Sequence[ReportedClaim]) -> str:
    """Return on which side of its threshold a claim holds, ≤ or ≥, = where it was met exactly, or nothing.

    It is read from the statement, and where that names none or both sides, from the values of claims that hold, or
    else of those that fail.
    """
    words = {sign for words, sign in SIGNS.items() for claim in claims if words in claim.statement}
    if len(words) == 1:
        return words.pop()
    sides = Counter(side(claim) for claim in claims if claim.holds)
    sides = sides or Counter(OPPOSITE.get(side(claim), "") for claim in claims)
    return sides.most_common(1)[0][0] if sides else ""


def side(claim: ReportedClaim) -> str:
    """Return how a claim's value compares with its threshold, or nothing where one of them is not known."""
    if claim.value is None or claim.threshold is None:
        return ""
    return "=" if claim.value == claim.threshold else "≤" if claim.value < claim.threshold else "≥"


def notes_of(section: Section, analysis: str) -> list[str]:
    """Return each note of an analysis, with the cells whose runs have it."""
    cells: dict[str, list[int]] = {}
    for cell in section.done:
        for note in dict.fromkeys(note for run in cell.done for key, note in run.notes.items() if key[0] == analysis):
            cells.setdefault(note, []).append(cell.number)
    if len(section.done) == 1:
        return list(cells)
    return [f"{note} (cell {ranges(numbers)})" for note, numbers in cells.items()]


def _in_rows(made: dict[tuple[str, str], list]) -> bool:
    """True if claims stand with their statements, a row for each cell."""
    return len(made) <= STATEMENTS and sum(map(len, made.values())) <= CLAIM_ROWS


def _made(section: Section, analysis: str) -> dict[tuple[str, str], list[tuple[Cell, list[ReportedClaim]]]]:
    """Return the cells that make each claim of an analysis, and the claims of their runs."""
    return {
        key: [(cell, cell.claims[key]) for cell in section.done if key in cell.claims]
        for key in section.claims
        if key[0] == analysis
    }


def _heading(key: tuple[str, str], cells: Sequence[tuple[Cell, list[ReportedClaim]]]) -> Heading:
    """Return a claim's statement, and its slug and kind as the remark."""
    joined = _joined(cells)
    return Heading(statement_of(joined), f"{key[1]}, {' or '.join(dict.fromkeys(claim.kind for claim in joined))}")


def _joined(cells: Sequence[tuple[Cell, list[ReportedClaim]]]) -> list[ReportedClaim]:
    return [claim for _, claims in cells for claim in claims]


def _brief(claims: list[ReportedClaim], all_of_them: list[ReportedClaim] | None = None) -> list[Entry]:
    """Return the entries in the order of BRIEF: of the runs of one cell, or of all cells (`all_of_them` is None)."""
    values = known(claims, "value")
    measured: Entry = Span(values, SHORT)
    if all_of_them is not None:
        low, high = (claims[0].interval or (None, None)) if len(claims) == 1 else (None, None)
        alone = Summary(values, values[0], low, high) if len(values) == 1 else None
        measured = Mean(alone or (summarise(values) if values else None))
    bound = Bound(known(claims, "threshold"), SHORT, direction(all_of_them or claims))
    return [
        Truth(sum(claim.holds for claim in claims), len(claims)),
        measured,
        bound,
        Span(known(claims, "null"), SHORT),
    ]
