"""The claims of an analysis, and which of its figures stand beside them."""

from __future__ import annotations

from dataclasses import dataclass, field

from mechlab.reporting.entries import Heading
from mechlab.reporting.listings import Listing
from mechlab.reporting.shots import Shots
from mechlab.reporting.table import Table

WIDE = 740  # pixels of a figure that stands below the claims instead of beside them
COLUMN, WIDEST = 630, 710  # least and most pixels of the figures beside claims
PAGE, FRAME = 1264, 44  # pixels of the page's width, and around a figure
ROW, LINE, LETTERS, CAPTION = 33, 21, 75, 70  # pixels of a row, pixels and letters of a line of text, and of a caption


@dataclass
class Evidence:
    """The claims of an analysis with its figures.

    Args:
        tables: claims, or the main scalars of an analysis that makes none.
        notes: its sentences.
        shots: its figures; those that can stand beside claims come first.
        listings: programs that it saved.
    """

    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    shots: Shots = field(default_factory=Shots)
    listings: list[Listing] = field(default_factory=list, kw_only=True)

    @property
    def beside(self) -> int:
        """The number of figures that stand beside the claims: as many as are about as tall, and none if they are wide
        or if all of them fit into one row below low claims."""
        shown = self.shots.shown
        if not self.tables or not shown or shown[0].picture.width > WIDE:
            return 0
        room, number = self._height(), 0
        in_a_row = sum(shot.picture.width + FRAME for shot in shown) <= PAGE
        if len(shown) > 1 and in_a_row and room < 0.8 * shown[0].picture.height:
            return 0
        for shot in shown:
            height = shot.picture.height + CAPTION
            if shot.picture.width > WIDE or (number and room < 0.7 * height):
                break
            number, room = number + 1, room - height
        return number

    @property
    def column(self) -> int:
        """The width of the figures beside the claims in pixels."""
        widths = (shot.picture.width + FRAME // 2 for shot in self.shots.shown[: self.beside])
        return min(max(COLUMN, *widths), WIDEST)

    def one_row_below(self) -> None:
        """Move figures behind that repeat a figure of another cell, beyond one row below the claims."""
        shots, room, number = self.shots, PAGE, self.beside
        for shot in shots.shown[number:]:
            room -= PAGE // 2 if shot.half else min(shot.picture.width + FRAME, PAGE)
            if room < -FRAME and shot.title in {other.title for other in shots.shown[:number]}:
                break
            number += 1
        shots.shown, shots.further = shots.shown[:number], [*shots.shown[number:], *shots.further]

    def _height(self) -> int:
        """Return about how tall the claims are, in pixels."""
        groups = [(heading, len(rows)) for table in self.tables for heading, rows in table.groups]
        headings = [f"{heading.text} {heading.small}" for heading, _ in groups if isinstance(heading, Heading)]
        lines = sum(1 + len(text) // LETTERS for text in (*self.notes, *headings))
        return ROW * (1 + sum(rows for _, rows in groups)) + LINE * lines
