"""The part of the page about one task: its cells side by side, as tables and figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mechlab.plotting.report import LINES, Learning, MeanInterval, forest, learning
from mechlab.reporting.cells import NAMES, Cell, varying
from mechlab.reporting.collect import read_curves
from mechlab.reporting.pictures import file_name
from mechlab.reporting.table import Code, Ends, Entry, Mean, Number, Span, Table, Verdict
from mechlab.statistics.bootstrap import summarise

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOREST_ROWS = 40
PANELS = 6  # forest plots of a task
LEARNED = 2  # metrics whose curves are drawn
LABEL = 28  # letters of a word in a label
LINE = 44  # letters beside a forest plot, which has little room
CLAIM = ("holds", "measured", "least … greatest", "intervals of runs", "threshold", "chance")
NUMBERS = 1500  # rows of the table of all numbers in the page


@dataclass
class Section:
    """The cells of one task.

    Args:
        task: its name, or the names of several that were joined.
        cells: its cells.
        by: the keys that define the cells, if any.
    """

    task: str
    cells: list[Cell]
    by: Sequence[str]

    @cached_property
    def keys(self) -> list[str]:
        """The keys that differ between the cells, and always the model."""
        if self.by:
            return list(self.by)
        differing = [key for key in varying([cell.records for cell in self.cells]) if key != "task"]
        return differing if "model" in differing else ["model", *differing]

    @cached_property
    def done(self) -> list[Cell]:
        """The cells with at least one run whose numbers count."""
        return [cell for cell in self.cells if cell.done]

    @cached_property
    def distinguishing(self) -> list[str]:
        """The first key, and each later key that separates cells which the keys before it did not."""
        chosen: list[str] = []
        for key in self.keys:
            kinds = [len({tuple(map(cell.value, keys)) for cell in self.cells}) for keys in (chosen, [*chosen, key])]
            if not chosen or kinds[1] > kinds[0]:
                chosen.append(key)
        return chosen

    def label(self, cell: Cell) -> str:
        """Return the label of a cell: the values that distinguish it from the others."""
        values = [(key, cell.value(key)) for key in self.distinguishing]
        words = [value if key in NAMES else f"{_short(key)}={value}" for key, value in values]
        return " ".join(_cut(word, LABEL) for word in words)

    def results(self) -> Table:
        """Return the table of final metrics: one row for each cell."""
        metrics = self._main_metrics()
        rows: list[list[Entry]] = []
        for cell in self.cells:
            claims = [claim.holds for claims in cell.claims.values() for claim in claims]
            held = Verdict(sum(claims), len(claims)) if claims else "–"
            means = [Mean(cell.numbers.get(name)) for name in metrics]
            rows.append([f"{cell.number}", *self._start(cell), Number(len(cell.done)), *means, held])
        columns = ["cell", *map(_short, self.keys), "n", *metrics, "claims hold"]
        caption = f"{self.task}: final metrics, mean [95 % bootstrap interval] over n finished runs"
        return Table("results", caption, columns, [(None, rows)])

    def claims(self) -> Table | None:
        """Return the table of claims: each with all cells that make it."""
        groups: list[tuple[str | None, list[list[Entry]]]] = []
        for key in dict.fromkeys(key for cell in self.done for key in cell.claims):
            made = [(cell, cell.claims[key]) for cell in self.done if key in cell.claims]
            statements = list(dict.fromkeys(claim.statement for _, claims in made for claim in claims))
            kinds = dict.fromkeys(claim.kind for _, claims in made for claim in claims)
            statement = statements[0] + (f" (and {len(statements) - 1} variants)" if len(statements) > 1 else "")
            groups.append((f"{'/'.join(key)}, {' or '.join(kinds)}: {statement}", [self._claim(*row) for row in made]))
        if not groups:
            return None
        columns = ["cell", *map(_short, self.keys), *CLAIM]
        held = "with the number of runs of which they hold and the outer ends of these runs' intervals"
        caption = f"{self.task}: claims, {held}"
        return Table("claims", caption, columns, groups)

    def notes(self) -> list[str]:
        """Return each note of the findings, with the cells whose runs have it."""
        cells: dict[str, list[str]] = {}
        for cell in self.done:
            sentences = dict.fromkeys(f"{key[0]}: {note}" for run in cell.done for key, note in run.notes.items())
            for note in sentences:
                cells.setdefault(note, []).append(f"{cell.number}")
        return [f"{note} (cell {', '.join(numbers)})" for note, numbers in cells.items()]

    def expected(self) -> Table | None:
        """Return the table of expected numbers beside the measured ones."""
        rows: list[list[Entry]] = []
        for cell in self.done:
            for metric, compared in cell.expected.items():
                first = compared[0]
                measured = [row.measured for row in compared if row.measured is not None]
                deviations = [row.deviation for row in compared if row.deviation is not None]
                verdicts = [row.within for row in compared if row.within is not None]
                rows.append([
                    f"{cell.number}",
                    *self._start(cell),
                    Code(metric),
                    Number(first.published),
                    Number(first.corrected),
                    Mean(summarise(measured) if measured else None),
                    Number(summarise(deviations).mean if deviations else None, signed=True),
                    Number(first.tolerance),
                    Verdict(sum(verdicts), len(verdicts)) if verdicts else "not measured",
                    first.source,
                ])  # fmt: skip
        if not rows:
            return None
        measures = ["metric", "published", "corrected", "measured", "deviation", "tolerance", "within", "source"]
        columns = ["cell", *map(_short, self.keys), *measures]
        return Table("expected", f"{self.task}: expected numbers beside the measured ones", columns, [(None, rows)])

    def numbers(self) -> Table | None:
        """Return the table of all metrics and scalars, or None where it is too long for a page."""
        names = list(dict.fromkeys(name for cell in self.done for name in cell.numbers))
        groups = []
        for name in names:
            cells = [cell for cell in self.done if name in cell.numbers]
            rows = [self._number(cell, name) for cell in cells]
            groups.append((name, rows))
        if not 0 < sum(len(rows) for _, rows in groups) <= NUMBERS:
            return None
        columns = ["cell", *map(_short, self.keys), "n", "mean [95 % interval]", "least … greatest"]
        return Table("numbers", f"{self.task}: every metric and scalar", columns, groups)

    def forests(self) -> Iterator[tuple[str, Figure, str]]:
        """Yield (name, figure, text) of main metrics and the values of claims, cells side by side."""
        cells = self.done[:FOREST_ROWS]
        for metric in self._main_metrics()[:1]:
            rows = [_interval(self.label(cell), cell.numbers[metric]) for cell in cells if metric in cell.numbers]
            yield f"forest-{file_name(metric)}", forest(metric, rows), f"{metric} of each cell, mean and interval"
        for key in list(dict.fromkeys(key for cell in cells for key in cell.claims))[: PANELS - 1]:
            made = [(cell, cell.claims[key]) for cell in cells if key in cell.claims]
            thresholds = {claim.threshold for _, claims in made for claim in claims}
            threshold = thresholds.pop() if len(thresholds) == 1 else None
            values = [(cell, [claim.value for claim in claims if claim.value is not None]) for cell, claims in made]
            rows = [_interval(self.label(cell), summarise(numbers)) for cell, numbers in values if numbers]
            if rows:
                name = "/".join(key)
                text = f"claim {name} of each cell, mean and interval, with its threshold"
                yield f"forest-{file_name(name)}", forest(name, rows, threshold), text

    def curves(self) -> Iterator[tuple[list[Cell], list[tuple[str, Figure, str]]]]:
        """Yield (cells, figures) of how cells learned, eight cells at a time; a figure is (name, figure, text)."""
        for start in range(0, len(self.done), LINES):
            cells = self.done[start : start + LINES]
            read = [(cell, [read_curves(record, _learned) for record in cell.done]) for cell in cells]
            names = list(dict.fromkeys(name for _, runs in read for curves in runs for name in curves))[:LEARNED]
            figures = []
            for name in names:
                curves = [(cell, [run[name] for run in runs if run.get(name, ([],))[0]]) for cell, runs in read]
                lines = [Learning(self.label(cell), runs) for cell, runs in curves if runs]
                if lines:
                    text = f"{name} against the optimiser step: {', '.join(line.label for line in lines)}"
                    figures.append((f"learning-{start // LINES + 1}-{file_name(name)}", learning(name, lines), text))
            if figures:
                yield cells, figures

    def _start(self, cell: Cell) -> list[Entry]:
        return [cell.value(key) for key in self.keys]

    def _main_metrics(self) -> list[str]:
        """Return the metrics of the results: of the test if there are any, else of validation, else of training."""
        names = dict.fromkeys(name for cell in self.done for name in cell.numbers)
        for split in ("test", "val", "train"):
            if metrics := sorted((name for name in names if name.startswith(f"{split}/")), key=_loss_last):
                return metrics
        return []

    def _claim(self, cell: Cell, claims: list[Any]) -> list[Entry]:
        values, thresholds, nulls = (
            tuple(value for claim in claims if (value := getattr(claim, name)) is not None)
            for name in ("value", "threshold", "null")
        )
        verdict = Verdict(sum(claim.holds for claim in claims), len(claims))
        measured = Mean(summarise(values) if values else None)
        intervals = [claim.interval for claim in claims if claim.interval is not None]
        low = min((ends[0] for ends in intervals), default=None)
        high = max((ends[1] for ends in intervals), default=None)
        numbers = [measured, Span(values), Ends(low, high), Span(thresholds), Span(nulls)]
        return [f"{cell.number}", *self._start(cell), verdict, *numbers]

    def _number(self, cell: Cell, name: str) -> list[Entry]:
        summary = cell.numbers[name]
        return [f"{cell.number}", *self._start(cell), Number(summary.n), Mean(summary), Span(summary.values)]


def make_sections(cells: Sequence[Cell], by: Sequence[str]) -> list[Section]:
    """Return the cells by task, in order; cells that join several tasks stand together."""
    tasks: dict[str, list[Cell]] = {}
    for cell in cells:
        tasks.setdefault(cell.task, []).append(cell)
    return [Section(task, group, by) for task, group in tasks.items()]


def _learned(columns: list[str]) -> list[str]:
    """Return the columns of metrics.csv whose curves are drawn: validation where there is one, else training."""
    for split in ("val", "train"):
        names = [name for name in columns if name.startswith(f"{split}/") and not name.endswith("learning_rate")]
        if names:
            return sorted(names, key=_loss_last)[:LEARNED]
    return []


def _loss_last(name: str) -> tuple[bool, bool, str]:
    return name.endswith("/loss"), not name.endswith("/accuracy"), name


def _interval(label: str, summary: Any) -> MeanInterval:
    return MeanInterval(_cut(label, LINE), summary.values, summary.mean, summary.low, summary.high)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _short(key: str) -> str:
    """Return a config key without the group task or model: index for task.index."""
    return key.removeprefix("task.").removeprefix("model.")
