"""Figures of attribution: influences, masses, terms of the decomposition, and the examples of largest influence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from mechlab.plotting.style import COLOURS, INK, TEXT, legend, new_figure, title

if TYPE_CHECKING:
    import pandas as pd

LINES = ("-", "--", ":", "-.")  # for components beyond the number of colours
COLUMNS = 1500  # training examples beyond which a heat map sums neighbours


def influence_map(influence: np.ndarray, train: np.ndarray, explained: np.ndarray, sort: str) -> Figure:
    """Draw the influences (X, N) of training examples on explained ones, both sorted by the numbers that go with them.

    Args:
        train: (N,) label or sum of tokens of each training example.
        explained: (X,) that of each explained example; of no effect where one scalar covers them all.
        sort: what the numbers are.
    """
    values, examples = influence[:, np.argsort(train, kind="stable")], influence.shape[1]
    if len(values) == len(explained):
        values = values[np.argsort(explained, kind="stable")]
    if values.shape[1] > COLUMNS:
        edges = np.linspace(0, values.shape[1], COLUMNS + 1).astype(int)[:-1]
        values = np.add.reduceat(values, edges, axis=1)
    figure, (axis,) = new_figure(width=6.4, height=3.2)
    limit = np.quantile(np.abs(values), 0.99) or 1.0
    place = (-0.5, examples - 0.5, len(values) - 0.5, -0.5)
    options = {"aspect": "auto", "interpolation": "nearest", "extent": place}
    image = axis.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, **options)
    name = {"label": "label", "sum": "sum of tokens"}.get(sort, sort)
    axis.set(xlabel=f"training example, by {name}", ylabel=f"explained example, by {name}")
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_locator(MaxNLocator(integer=True))
    if len(values) == 1:
        axis.set(yticks=[], ylabel="all explained")
    bar = figure.colorbar(image, ax=axis, shrink=0.9)
    bar.ax.tick_params(labelsize=TEXT - 1, color=INK, labelcolor=INK)
    title(axis, "Influence of training examples")
    return figure


def mass_over_steps(mass: pd.DataFrame) -> Figure:
    """Draw the sum of absolute scores of each component at each step, for data and for decay.

    Args:
        mass: columns `data:COMPONENT` and `decay:COMPONENT`, a row for each step.
    """
    figure, axes = new_figure(panels=2, width=3.6, height=3.0)
    for axis, line in zip(axes, ("data", "decay"), strict=True):
        columns = [column for column in mass.columns if column.startswith(f"{line}:")]
        width = max(1, len(mass) // 200)  # neighbouring steps are averaged
        for number, column in enumerate(columns):
            values = mass[column].rolling(width, min_periods=1, center=True).mean()
            turn, colour = divmod(number, len(COLOURS))
            kind = {"linestyle": LINES[turn % len(LINES)], "color": COLOURS[colour]}
            axis.plot(values, linewidth=0.9, label=column.partition(":")[2], **kind)
        if mass[columns].to_numpy().max(initial=0) > 0:
            axis.set_yscale("log")
        axis.set(xlabel="optimiser step", ylabel="mean absolute score")
        title(axis, f"Mass of {line} by component")
    legend(axes[-1], loc="upper left", bbox_to_anchor=(1.02, 1.02))
    return figure


def sizes_of_terms(steps: pd.DataFrame, terms: dict[str, np.ndarray], movement: np.ndarray) -> Figure:
    """Draw data against decay over the steps, and the size of each term of the decomposition beside the movement.

    Args:
        steps: columns step, data_mass and decay_mass.
        terms: (X, C) each.
        movement: (X, C) final less initial scalars.
    """
    figure, (over, total) = new_figure(panels=2, width=3.6, height=3.0)
    for number, name in enumerate(("data", "decay")):
        over.plot(steps["step"], steps[f"{name}_mass"], linewidth=0.9, color=COLOURS[number], label=name)
    if (steps[["data_mass", "decay_mass"]].to_numpy() > 0).all():
        over.set_yscale("log")
    over.tick_params(which="both", labelsize=TEXT - 1)
    over.set(xlabel="optimiser step", ylabel="mean absolute score")
    legend(over)
    title(over, "Data against decay")
    sizes = {"movement": np.abs(movement).mean(), **{name: np.abs(term).mean() for name, term in terms.items()}}
    total.bar(range(len(sizes)), sizes.values(), color=[INK, *COLOURS[: len(terms)]])
    total.set_xticks(range(len(sizes)), list(sizes), rotation=45, ha="right")
    least = min((value for value in sizes.values() if value > 0), default=1.0)
    total.set_yscale("symlog", linthresh=max(least, 1e-12))
    total.set(ylabel="mean absolute value")
    title(total, "Terms of the decomposition")
    return figure


def top_examples(examples: pd.DataFrame, shown: int = 4) -> Figure:
    """Draw the most helpful and harmful training examples of the first explained ones.

    Args:
        examples: columns explained, kind, train, influence and maybe input; see `top_examples` in
            `analyses.attribution.explained_examples`.
        shown: explained examples that get a panel.
    """
    chosen = list(dict.fromkeys(examples["explained"]))[:shown]
    figure, axes = new_figure(panels=len(chosen), width=2.6, height=3.4)
    for axis, example in zip(axes, chosen, strict=True):
        rows = examples[examples["explained"] == example].drop_duplicates("train").sort_values("influence")
        colours = [COLOURS[0] if kind == "helpful" else COLOURS[3] for kind in rows["kind"]]
        axis.barh(range(len(rows)), rows["influence"], color=colours)
        texts = [_name(row) for row in rows.to_dict("records")]
        axis.set_yticks(range(len(rows)), texts, fontsize=TEXT - 3)
        axis.set(xlabel="influence")
        if axis is axes[0]:
            kinds = {"helpful": COLOURS[0], "harmful": COLOURS[3]}
            legend(axis, handles=[Patch(color=colour, label=kind) for kind, colour in kinds.items()], loc="lower right")
        title(axis, "All explained" if example < 0 else f"Example {example}")
    return figure


def _name(row: dict[str, object]) -> str:
    """Return how a training example is called on an axis."""
    text = row.get("input")
    return f"{row['train']}: {text}" if isinstance(text, str) and text else str(row["train"])
