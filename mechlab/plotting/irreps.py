"""Figures of the irreps that a network of pairs of group elements computes with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from mechlab.plotting.style import INK, TEXT, legend, look, new_figure, note, row_names, title

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 20  # irreps in a figure, those with the largest similarity
SHARES = {  # of variance, by the columns of the table
    "embed_x": "left embedding",
    "embed_y": "right embedding",
    "unembed": "unembedding",
    "hidden_a": "hidden, ρ(a)",
    "hidden_b": "hidden, ρ(b)",
    "hidden_ab": "hidden, ρ(ab)",
}


def irreps_figure(table: pd.DataFrame) -> Figure:
    """Draw the similarity of the logits with each irrep's character, and the fractions of variance explained.

    Args:
        table: a row for each irrep, with the columns name, similarity, key, held_out_similarity, null_similarity and
            those of `SHARES`.
    """
    shown = table.iloc[1:].sort_values("similarity", ascending=False, kind="stable").head(SHOWN)
    shares = {name: text for name, text in SHARES.items() if shown[name].notna().any()}
    figure, axes = new_figure(panels=2 if shares else 1, width=3.8, height=1.1 + 0.24 * max(4, len(shown)))
    rows = np.arange(len(shown))
    colours = [look(0)["color"] if key else look(7)["color"] for key in shown["key"]]
    axes[0].barh(rows, shown["similarity"], color=colours, height=0.7, alpha=0.85, linewidth=0)
    null = shown["null_similarity"]
    axes[0].vlines(null, rows - 0.4, rows + 0.4, color=INK, linewidth=1.0)
    axes[0].axvline(0, color=INK, linewidth=0.6)
    axes[0].set_xlabel("similarity of the logits (cosine)")
    title(axes[0], "Logits and characters")
    note(axes[0], "blue: key irrep; line: limit for relabelled outputs")
    names = [f"{name} ({dimension}d)" for name, dimension in zip(shown["name"], shown["dimension"], strict=True)]
    row_names(axes[0], names)
    for place, (name, text) in enumerate(shares.items()):
        axes[1].scatter(shown[name], rows, s=16, label=text, linewidths=0, alpha=0.9, **look(place))
    if shares:
        axes[1].set(xlabel="fraction of variance explained", yticks=rows)
        axes[1].set_ylim(len(shown) - 0.4, -0.6)
        axes[1].tick_params(axis="y", length=0, labelleft=False)
        axes[1].grid(axis="y", color="#eeeeee", linewidth=0.6)
        title(axes[1], "Variance explained")
        legend(figure, loc="outside lower center", ncols=min(len(shares), 6), columnspacing=1.0)
    return figure


def slices_figure(slices: np.ndarray, table: pd.DataFrame) -> Figure:
    """Draw heat maps over the pairs (a, b): the logits of one class c, and the characters of irreps.

    Args:
        slices: (K, n, n).
        table: the columns title, and class: the name of c.
    """
    figure, axes = new_figure(panels=len(slices), width=2.7, height=2.4)
    for axis, values, name in zip(axes, slices, table["title"], strict=True):
        centred = values - values.mean() if name == "logits" else values
        limit = float(np.abs(centred).max()) or 1.0
        image = axis.imshow(centred, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest", aspect="equal")
        axis.set(xlabel="right factor b", ylabel="left factor a")
        bar = figure.colorbar(image, ax=axis, shrink=0.75, pad=0.03)
        bar.ax.tick_params(labelsize=TEXT - 1, color=INK, labelcolor=INK)
        bar.outline.set_visible(False)
        title(axis, f"Logits of c = {table['class'][0]}" if name == "logits" else f"Character of {name}")
        note(axis, "less their mean" if name == "logits" else "tr ρ(a b c⁻¹)")
    return figure
