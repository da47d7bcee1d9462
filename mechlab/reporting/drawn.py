"""The figures of a task that the report draws itself: cells side by side, and their learning curves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from mechlab.plotting.report import LINES, Learning, MeanInterval, forest, learning
from mechlab.reporting.cells import Cell
from mechlab.reporting.claims import direction
from mechlab.reporting.collect import read_curves
from mechlab.reporting.pictures import drawn, file_name
from mechlab.reporting.section import Section, cut, loss_last
from mechlab.statistics.bootstrap import summarise

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOREST_ROWS = 24
PANELS = 5  # claims of a task that are drawn
LEARNED = 2  # metrics whose curves are drawn
BETTER: dict[str, Any] = {"≤": "below", "≥": "above"}  # side of a threshold on which a claim holds
TITLE = 48  # letters above a figure
LINE = 32  # letters beside a forest plot, which has little room


@dataclass(frozen=True)
class Plot:
    """A drawn figure in the page: its SVG and its caption."""

    svg: Markup
    caption: str = ""


class Drawer:
    """Draws the figures of a task and saves them beside the page.

    Args:
        section: the task.
        folder: of the figures.
        name: with which the names of the files begin.
    """

    def __init__(self, section: Section, folder: Path, name: str):
        self.section, self.folder, self.name = section, folder, name
        self._claims = section.claims[:PANELS]

    def metric(self) -> Plot | None:
        """Return the main metric of the cells side by side; None for a single cell."""
        for metric in self.section.main_metrics[:1]:
            cells = [cell for cell in self.section.done[:FOREST_ROWS] if metric in cell.numbers]
            if len(cells) > 1:
                rows = [self._interval(cell, cell.numbers[metric]) for cell in cells]
                plot = self._plot(
                    f"forest-{file_name(metric)}", forest(cut(metric, TITLE), rows), f"{metric} of each cell"
                )
                single = all(cell.numbers[metric].n == 1 for cell in cells)
                caption = "One run each." if single else "Dots are means, bars their 95 % intervals, ticks single runs."
                cut_off = f" The first {FOREST_ROWS} cells." if len(self.section.done) > FOREST_ROWS else ""
                return replace(plot, caption=caption + cut_off)
        return None

    def claims(self, analysis: str) -> Iterator[Plot]:
        """Yield the values of an analysis's claims in the cells side by side, for the first claims of a task."""
        for key in (key for key in self._claims if key[0] == analysis):
            made = [(cell, cell.claims[key]) for cell in self.section.done[:FOREST_ROWS] if key in cell.claims]
            thresholds = {claim.threshold for _, claims in made for claim in claims}
            threshold = thresholds.pop() if len(thresholds) == 1 else None
            better = BETTER.get(direction([claim for _, claims in made for claim in claims]))
            values = [(cell, [claim.value for claim in claims if claim.value is not None]) for cell, claims in made]
            rows = [self._interval(cell, summarise(numbers)) for cell, numbers in values if numbers]
            if len(rows) > 1:
                name = "/".join(key)
                yield self._plot(
                    f"forest-{file_name(name)}",
                    forest(cut(name, TITLE), rows, threshold, better),
                    f"{name} of each cell",
                )

    def curves(self) -> Iterator[tuple[list[Cell], list[Plot]]]:
        """Yield (cells, plots) of how cells learned, eight cells at a time."""
        for start in range(0, len(self.section.done), LINES):
            cells = self.section.done[start : start + LINES]
            read = [(cell, [read_curves(record, _learned) for record in cell.done]) for cell in cells]
            names = list(dict.fromkeys(name for _, runs in read for curves in runs for name in curves))[:LEARNED]
            plots = []
            for name in names:
                curves = [(cell, [run[name] for run in runs if run.get(name, ([],))[0]]) for cell, runs in read]
                lines = [Learning(self.section.label(cell), runs) for cell, runs in curves if runs]
                if lines:
                    file = f"learning-{start // LINES + 1}-{file_name(name)}"
                    text = f"{name} against the optimiser step: {', '.join(line.label for line in lines)}"
                    plots.append(self._plot(file, learning(cut(name, TITLE), lines), text))
            if plots:
                yield cells, plots

    def _plot(self, file: str, figure: Figure, text: str) -> Plot:
        return Plot(Markup(drawn(figure, self.folder / f"{self.name}-{file}", f"{self.section.task}: {text}")))

    def _interval(self, cell: Cell, summary: Any) -> MeanInterval:
        label = cut(f"{cell.number} {self.section.label(cell)}", LINE)
        return MeanInterval(label, summary.values, summary.mean, summary.low, summary.high)


def _learned(columns: list[str]) -> list[str]:
    """Return the columns of metrics.csv whose curves are drawn: validation where there is one, else training."""
    for split in ("val", "train"):
        names = [name for name in columns if name.startswith(f"{split}/") and not name.endswith("learning_rate")]
        if names:
            return sorted(names, key=loss_last)[:LEARNED]
    return []
