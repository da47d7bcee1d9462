"""The cells of one task, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from mechlab.reporting.cells import ABSENT, NAMES, Cell, varying

LABEL = 28  # letters of a word in a label
SPLITS = ("test", "val", "train")
PARTS = ("task.", "model.")  # keys that describe an experiment best
NOTHING = ("null", ABSENT)  # values that a label leaves out
OUTCOMES = ("expected.", "analysis.")  # keys that follow from the others


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
        """The keys that separate the cells: each is the one that separates most of those that the keys before it did
        not, first of model and task; the first key if there is nothing to separate."""
        chosen: list[str] = []
        for rank in range(3):
            candidates = [key for key in self.keys if _rank(key) == rank]
            kinds = self._kinds(chosen)
            while candidates:
                best = max(candidates, key=lambda key: (self._kinds([*chosen, key]), key in NAMES))
                if self._kinds([*chosen, best]) <= kinds:
                    break
                chosen, kinds = [*chosen, best], self._kinds([*chosen, best])
                candidates.remove(best)
        return sorted(chosen, key=lambda key: (key not in NAMES, _rank(key), self.keys.index(key))) or self.keys[:1]

    @cached_property
    def varied(self) -> list[str]:
        """The keys that separate the cells, and the model if it differs."""
        model = ["model"] if self._kinds(["model"]) > 1 and "model" not in self.distinguishing else []
        return [*model, *self.distinguishing]

    @cached_property
    def main_metrics(self) -> list[str]:
        """The metrics of the results, the loss last: of the test if there are any, else of validation or training."""
        names = dict.fromkeys(name for cell in self.done for name in cell.numbers)
        for split in SPLITS:
            if metrics := sorted((name for name in names if name.startswith(f"{split}/")), key=loss_last):
                return metrics
        return []

    @cached_property
    def claims(self) -> list[tuple[str, str]]:
        """The (analysis, slug) of every claim, in order."""
        return list(dict.fromkeys(key for cell in self.done for key in cell.claims))

    def label(self, cell: Cell) -> str:
        """Return the label of a cell: the values that distinguish it from the others, as many as it takes."""
        return self._labels[cell.number]

    @cached_property
    def _labels(self) -> dict[int, str]:
        values = {cell.number: [cell.value(key) for key in self.varied] for cell in self.cells}
        tails = list(map(self._tail, self.varied))
        labels = {}
        for number, own in values.items():
            words, alike = [], list(values.values())
            for place, value in enumerate(own):
                if words and len(alike) == 1:
                    break
                alike = [other for other in alike if other[place] == value]
                if value not in NOTHING or not words:
                    words.append(value if self.varied[place] in NAMES else f"{tails[place]}={value}")
            labels[number] = " ".join(cut(word, LABEL) for word in words)
        return labels

    def _tail(self, key: str) -> str:
        """Return the last word of a key, or more of it where another key ends alike."""
        tail = key.rpartition(".")[2]
        return tail if sum(other.rpartition(".")[2] == tail for other in self.varied) == 1 else short(key)

    def _kinds(self, keys: Sequence[str]) -> int:
        return len({tuple(map(cell.value, keys)) for cell in self.cells})


def make_sections(cells: Sequence[Cell], by: Sequence[str]) -> list[Section]:
    """Return the cells by task, in order; cells that join several tasks stand together."""
    tasks: dict[str, list[Cell]] = {}
    for cell in cells:
        tasks.setdefault(cell.task, []).append(cell)
    return [Section(task, group, by) for task, group in tasks.items()]


def loss_last(name: str) -> tuple[bool, bool, str]:
    """Return the order of a metric: accuracy first, loss last."""
    return name.endswith("/loss"), not name.endswith("/accuracy"), name


def cut(text: str, length: int) -> str:
    """Return text of at most so many letters."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def short(key: str) -> str:
    """Return a config key without the group task or model: index for task.index."""
    return key.removeprefix("task.").removeprefix("model.")


def _rank(key: str) -> int:
    """Return the place of a key among those that may separate cells."""
    return 0 if key in NAMES or key.startswith(PARTS) else 2 if key.startswith(OUTCOMES) else 1
