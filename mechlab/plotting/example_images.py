"""Training examples of largest influence, for tasks whose inputs are images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mechlab.plotting.path_kernel import OUTPUT, scalar_of
from mechlab.plotting.style import COLOURS, INK, SOFT, TEXT, new_figure
from mechlab.plotting.text import number

if TYPE_CHECKING:
    import pandas as pd


def images_of_examples(
    examples: pd.DataFrame,
    explained: np.ndarray,
    train: np.ndarray,
    explained_ids: np.ndarray,
    train_ids: np.ndarray,
    shown: int = 4,
    each: int = 5,
) -> Figure:
    """Draw a row for each explained example: its image, and those of the most helpful and harmful training examples
    with their labels and influences.

    Args:
        examples: columns explained, kind, rank, train, influence and label; see `top_examples` in
            `analyses.attribution.tables`.
        explained: (X, H, W) or (X, H, W, 3) images of the explained examples, which may be none.
        train: (K, H, W) or (K, H, W, 3) images of the training examples in the table.
        explained_ids, train_ids: (X,) and (K,) ids of the images.
        shown: number of rows.
        each: number of helpful and of harmful examples.
    """
    chosen = list(dict.fromkeys(examples["explained"]))[:shown]
    figure, axes = new_figure(
        panels=2 * each + 1, width=0.72, height=0.5 + 1.05 * len(chosen), rows=max(1, len(chosen))
    )
    scalar = scalar_of(examples) or OUTPUT
    heading = f"Training images: whether helpful or harmful, label index, and influence on {scalar}"
    left = {"x": 4.0 / (72 * figure.get_figwidth()), "ha": "left"}
    figure.suptitle(heading, fontsize=TEXT - 1, color=SOFT, **left).set_parse_math(False)
    ends = (min(train.min(), explained.min(initial=np.inf)), max(train.max(), explained.max(initial=-np.inf)))
    for axis in axes:
        axis.set(xticks=[], yticks=[])
        axis.set_axis_off()
    for row, example in enumerate(chosen):
        first, *others = axes[row * (2 * each + 1) : (row + 1) * (2 * each + 1)]
        if (place := np.flatnonzero(explained_ids == example)).size:
            _image(first, explained[place[0]], ends)
            _words(first, f"image {example}", INK)
        else:
            _words(first, "all explained" if example == -1 else str(example), INK)
        table = examples[examples["explained"] == example]
        for kind, colour, panels in (("helpful", COLOURS[0], others[:each]), ("harmful", COLOURS[3], others[each:])):
            entries = table[table["kind"] == kind].sort_values("rank").head(each).to_dict("records")
            for axis, entry in zip(panels, entries, strict=False):
                _image(axis, train[np.searchsorted(train_ids, entry["train"])], ends)
                _words(axis, f"{kind}, {number(entry['label'])}\n{_signed(entry['influence'])}", colour)
    return figure


def _image(axis: Axes, pixels: np.ndarray, ends: tuple[float, float]) -> None:
    """Draw an image whose darkest and brightest pixels are those of all images."""
    low, high = ends
    axis.imshow((pixels - low) / (high - low) if high > low else 0 * pixels, cmap="gray_r", vmin=0, vmax=1)


def _signed(value: float) -> str:
    """Return a number with its sign and two digits."""
    return f"{'+' if value > 0 else ''}{number(value, 2)}"


def _words(axis: Axes, text: str, colour: str) -> None:
    axis.set_title(text, fontsize=TEXT - 2, color=colour, pad=2)
