"""The recorded matrix of what runs on what: it is whole, its page follows from it, and its cells are as recorded."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import matplotlib
import pytest
from matrix_table.cell import Cell
from matrix_table.choice import SUBJECTS
from matrix_table.page import COLUMNS, FAMILIES, MEANINGS, page
from matrix_table.sizes import STEPS
from matrix_table.trials import Trials

from mechlab.contracts.registry import SECOND_NAMES, Registry

DOCS = Path(__file__).resolve().parents[2] / "docs"
with (DOCS / "matrix.csv").open(encoding="utf-8", newline="") as file:
    ROWS = list(csv.DictReader(file))
CELLS = {Cell(*(row[name] for name in COLUMNS[:5])): (row["outcome"], row["reason"]) for row in ROWS}
PAIRS = sorted({cell.pair for cell, (outcome, _) in CELLS.items() if outcome not in ("not tried", "crash")})
SAMPLE = [  # analysis, task, model of cells that are quickly tried: one that works, and refusals of each kind
    ("swap", "tomita", "gru"),
    ("families", "tomita", "gru"),
    ("retraining", "tomita", "gru"),
]


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry([])


@pytest.fixture(scope="module")
def trials(registry, tmp_path_factory) -> Trials:
    matplotlib.use("Agg")
    return Trials(registry, tmp_path_factory.mktemp("trials"))


def failure(trials: Trials, cell: Cell) -> str:
    """Return how the outcome of a cell differs from the recorded one; "" if it does not. A cell that works gives a
    finding, and one that does not is refused before training, with its reason; an analysis of a set may also refuse
    its runs."""
    expected = CELLS[cell]
    trained = expected[0] == "works" or cell.analysis in trials.choice.registry.names("set_analysis")
    result = trials.result(cell) if trained else trials.refusal(cell)
    actual = ("no refusal before training", "") if result is None else (result.outcome, result.reason)
    if actual == expected:
        return ""
    words = [f"{cell}:", f"  expected {' | '.join(expected)}", f"  actual   {' | '.join(actual)}"]
    return "\n".join([*words, trials.tracebacks.get(cell, "")])


@pytest.mark.ci
@pytest.mark.filterwarnings("ignore:There is a performance drop")  # torch differentiates attention example by example
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: "-".join(filter(None, pair)))
def test_cells_are_as_recorded(trials, pair):
    cells = [
        cell for cell, (outcome, _) in CELLS.items() if cell.pair == pair and outcome not in ("not tried", "crash")
    ]
    failures = [text for cell in cells if (text := failure(trials, cell))]
    assert not failures, "\n".join([f"{len(failures)} of {len(cells)} cells differ", *failures])


@pytest.mark.parametrize("chosen", SAMPLE, ids="-".join)
def test_a_sample_of_cells_is_as_recorded(trials, chosen):
    cells = [cell for cell in CELLS if (cell.analysis, cell.task, cell.model) == chosen]
    assert cells
    text = failure(trials, cells[0])
    assert not text, text


def test_every_analysis_model_and_task_is_in_the_matrix(registry):
    expected = Counter()
    for subject in SUBJECTS:
        for name in registry.partners(subject):
            expected.update((subject, name, analysis) for analysis in _analyses(registry))
    assert Counter((row["subject"], row[row["subject"]], row["analysis"]) for row in ROWS) == expected


def test_every_analysis_has_a_place_on_the_page(registry):
    assert sorted(_analyses(registry)) == sorted(name for names in FAMILIES.values() for name in names)


def test_the_page_follows_from_the_recorded_matrix():
    assert (DOCS / "matrix.md").read_text(encoding="utf-8") == page(ROWS, STEPS)


def test_outcomes_are_known_and_refusals_have_a_reason():
    assert {row["outcome"] for row in ROWS} <= set(MEANINGS)
    assert all(row["reason"] for row in ROWS if row["outcome"] in ("kind", "ground truth", "not supported"))


def test_no_cell_is_a_defect():
    assert not [row for row in ROWS if row["outcome"] == "crash"]


def _analyses(registry) -> list[str]:
    return [name for name in registry.partners("analysis") if name not in SECOND_NAMES]
