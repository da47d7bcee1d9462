"""Figures of the neurons of a network that multiplies in a group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mechlab.plotting.style import (
    COLOURS,
    FAINT,
    INK,
    SOFT,
    direct_labels,
    legend,
    line_look,
    log_axis,
    new_figure,
    note,
    number,
    points_axis,
    row_names,
    sample_size,
    scatter_kinds,
    side_column,
    steps_axis,
    threshold,
    title,
    whole_numbers,
)

if TYPE_CHECKING:
    import pandas as pd

DEAD = "dead"
SHOWN = 24  # rows of a figure of clusters, and irreps with a colour of their own


def purity_figure(neurons: pd.DataFrame, untrained: pd.DataFrame, pure: float) -> Figure:
    """Draw histograms of purity and of the cosine with a circuit, of trained and of untrained neurons.

    Args:
        neurons: a row for each neuron: `irrep`, `purity`, `circuit`.
        untrained: the same of an untrained network.
        pure: the purity from which a neuron counts as pure.
    """
    figure, axes = new_figure(panels=2, width=3.3, height=2.7)
    live, null = neurons[neurons["irrep"] != DEAD], untrained[untrained["irrep"] != DEAD]
    for axis, column, low, name in (
        (axes[0], "purity", 0.0, "share of energy in one irrep"),
        (axes[1], "circuit", -1.0, "cosine of U with the product of A and B"),
    ):
        bins = np.linspace(low, 1, 41)
        axis.hist(null[column], bins, color=FAINT, label="untrained")
        axis.hist(live[column], bins, color=COLOURS[0], alpha=0.8, label="trained")
        axis.set(xlabel=name, ylabel="neurons" if column == "purity" else "", xlim=(low, 1.02))
        whole_numbers(axis, "y")
        title(axis, {"purity": "Purity", "circuit": "Agreement with a circuit"}[column])
    dead = len(neurons) - len(live)
    sample_size(axes[0], len(live), "neurons" + (f", and {dead} dead" if dead else ""))
    threshold(axes[0], pure, "above", along="x", label="")
    axes[1].set_xticks([-1, -0.5, 0, 0.5, 1], ["−1", "−0.5", "0", "0.5", "1"])
    note(axes[1], f"shaded on the left: purity ≥ {number(pure)}")
    legend(figure, handles=axes[0].get_legend_handles_labels()[0], loc="outside lower center", ncols=2)
    return figure


def clusters_figure(clusters: pd.DataFrame) -> Figure:
    """Draw the number of neurons of each irrep before and after the nonlinearity, and the fractions of variance of a
    cluster's activations by matrix elements.

    Args:
        clusters: a row for each irrep, the largest cluster first: `irrep`, `neurons`, `before`, `after`, `fve_a`,
            `fve_b` and `fve_ab`.
    """
    shown = clusters.head(SHOWN)
    figure, (counts, shares) = new_figure(panels=2, width=3.0, height=max(1.9, 1.1 + 0.24 * len(shown)))
    places = np.arange(len(shown))
    for side, (column, name) in enumerate((("before", "before"), ("after", "after the nonlinearity"))):
        where = places + 0.19 * (2 * side - 1)
        counts.barh(where, shown[column], height=0.36, color=COLOURS[side], label=name, zorder=1)
    counts.set_xlabel("neurons")
    whole_numbers(counts, "x")
    row_names(counts, shown["irrep"])
    title(counts, "Neurons by irrep")
    left = np.zeros(len(shown))
    for column, colour, name in (("fve_a", 2, "ρ(a)"), ("fve_b", 4, "ρ(b)"), ("fve_ab", 3, "ρ(ab)")):
        shares.barh(places, shown[column], left=left, height=0.6, color=COLOURS[colour], label=name, zorder=1)
        left = left + shown[column].to_numpy()
    shares.set(xlabel="share of variance explained", xlim=(0, 1))
    shares.set_yticks(places, [""] * len(shown))
    shares.tick_params(axis="y", length=0)
    shares.set_ylim(counts.get_ylim())
    title(shares, "Activations of each cluster")
    if len(shown) < len(clusters):
        note(counts, f"the largest {len(shown)} of {len(clusters)} clusters")
    options = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.42 * 1.9 / figure.get_figheight()), "columnspacing": 1}
    legend(counts, ncols=2, **options)
    legend(shares, ncols=3, **options)
    return figure


def ablations_figure(clusters: pd.DataFrame, loss: float, restricted: float, classes: int) -> Figure:
    """Draw the loss without each part of each cluster.

    Args:
        clusters: as for `clusters_figure`, with `loss_without_a`, `loss_without_b`, `loss_without_ab`, `loss_without`.
        loss: of the intact network.
        restricted: of the network whose unembedding is restricted to the irreps of the clusters.
        classes: elements of the group, whose logarithm is the loss of a uniform guess.
    """
    shown = clusters.head(SHOWN)
    figure, (axis,) = new_figure(width=4.4, height=max(2.2, 1.5 + 0.22 * len(shown)))
    places = np.arange(len(shown))
    axis.hlines(places, 0, 1, color=FAINT, linewidth=0.5, zorder=0, transform=axis.get_yaxis_transform())
    parts = (("_a", "ρ(a)", 2, "^"), ("_b", "ρ(b)", 4, "v"), ("_ab", "ρ(ab)", 3, "o"), ("", "all neurons", 7, "x"))
    for ending, name, colour, marker in parts:
        values = shown[f"loss_without{ending}"]
        marks = {"markersize": 5, "zorder": 3, "markeredgewidth": 1.2 if marker == "x" else 0.0}
        axis.plot(values, places, marker, color=COLOURS[colour], label=f"without {name}", **marks)
    lines = ((loss, "intact", "-"), (restricted, "U restricted", (0, (4, 2))), (np.log(classes), "uniform", ":"))
    for value, name, dashes in lines:
        axis.axvline(value, color=INK, linewidth=0.9, linestyle=dashes, label=f"{name}: {number(value)}", zorder=1)
    log_axis(axis, "x")
    axis.set_xlabel("loss (nats)")
    row_names(axis, shown["irrep"])
    side_column(axis, "neurons", [str(count) for count in shown["neurons"]])
    title(axis, "Loss without parts of each cluster")
    if len(shown) < len(clusters):
        note(axis, f"the largest {len(shown)} of {len(clusters)} clusters")
    legend(figure, loc="outside lower center", ncols=2, columnspacing=1.4)
    return figure


def change_of_basis_figure(basis: np.ndarray, irrep: str, explained: float) -> Figure:
    """Draw the linear map from the neurons of a cluster to the matrix elements of rho(a b).

    Args:
        basis: (d^2, k), a column for each neuron, neurons with equal vectors side by side.
        irrep: its name.
        explained: share of the variance of rho(a b) that is recovered linearly.
    """
    size, count = basis.shape
    figure, (axis,) = new_figure(width=min(7.5, 3.6 + 0.03 * count), height=min(5.5, 1.7 + 0.1 * size))
    limit = np.abs(basis).max() or 1.0
    image = axis.imshow(basis, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    _elements(axis, "y", size, "ρ(ab)")
    axis.set(xlabel=f"neurons of {irrep}, by their vectors a and c", xticks=[])
    _bar(figure, image, [axis], "coefficient")
    sample_size(axis, count, f"neurons; {explained:.1%} of the variance of ρ(ab) is recovered linearly")
    title(axis, f"Change of basis from neurons to {irrep}")
    return figure


def unembedding_figure(
    learned: Sequence[np.ndarray], predicted: Sequence[np.ndarray], names: Sequence[str], errors: Sequence[float]
) -> Figure:
    """Draw the unembedding as a bilinear form of rho(a b) and rho(c^-1), for several clusters, and below the first one
    what the character of a b c^-1 gives.

    Args:
        learned: (d^2, d^2) each.
        predicted: the multiple of the character that is nearest to each.
        names: of the irreps.
        errors: the share of the squares of each that the character does not give.
    """
    figure, axes = new_figure(panels=len(learned), width=2.5, height=4.9, rows=2)
    for place, (values, ideal) in enumerate(zip(learned, predicted, strict=True)):
        limit = np.abs(values).max() or 1.0
        options = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit, "interpolation": "nearest"}
        heading = f"network: {errors[place]:.2%} of squares differ"
        for row, (matrix, kind) in enumerate(((values, heading), (ideal, "nearest multiple of the character"))):
            axis = axes[place + row * len(learned)]
            image = axis.imshow(matrix, **options)
            _elements(axis, "y", len(matrix), "ρ(ab)" if place == 0 else "")
            _elements(axis, "x", len(matrix), "ρ(c⁻¹)" if row else "")
            note(axis, kind)
        title(axes[place], names[place])
        _bar(figure, image, [axes[place], axes[place + len(learned)]], "coefficient", shrink=0.5)
    return figure


def one_dimensional_figure(activations: np.ndarray, neurons: Sequence[int], irreps: Sequence[str]) -> Figure:
    """Draw the activation of neurons of one-dimensional irreps over all pairs, elements sorted by the irrep's value.

    Args:
        activations: (k, E, E).
        neurons: (k,) their numbers.
        irreps: (k,) the names of their irreps.
    """
    columns = min(4, len(activations))
    rows = -(-len(activations) // columns)
    figure, axes = new_figure(panels=columns, width=1.75, height=2.0 * rows + 0.3, rows=rows)
    limit = activations.max() or 1.0
    low = min(0.0, activations.min())
    for axis, values, neuron, irrep in zip(axes, activations, neurons, irreps, strict=False):
        image = axis.imshow(values, cmap="viridis", vmin=low, vmax=limit, interpolation="nearest")
        axis.set(xticks=[], yticks=[], xlabel="b", ylabel="a")
        note(axis, irrep)
        title(axis, f"Neuron {neuron}")
    for axis in axes[len(activations) :]:
        axis.set_visible(False)
    _bar(figure, image, axes[: len(activations)], "activation", shrink=0.8)
    figure.supxlabel("elements sorted by the value of the irrep", fontsize=7, color=SOFT)
    return figure


def plane_figure(points: dict[str, np.ndarray], irreps: Sequence[str]) -> Figure:
    """Draw neurons in the plane, by their irrep: the principal components of the unembedding, and t-SNE of what they
    read of each factor.

    Args:
        points: "unembedding" (k, 2) with "shares" (2,) of the variance; "a" and "b" (k, 2) where there are enough
            neurons.
        irreps: (k,) the names of their irreps.
    """
    names = list(dict.fromkeys(sorted(irreps, key=lambda name: -list(irreps).count(name))))
    kinds = np.array([names.index(name) for name in irreps])
    drawn = [name for name in ("unembedding", "a", "b") if name in points]
    figure, axes = new_figure(panels=len(drawn), width=2.7, height=3.0)
    for axis, name in zip(axes, drawn, strict=True):
        scatter_kinds(axis, points[name], kinds, names)
        if name == "unembedding":
            first, second = (f"principal component {i + 1} ({share:.0%})" for i, share in enumerate(points["shares"]))
            axis.set(xlabel=first, ylabel=second)
            points_axis(axis, "x", points[name][:, 0])
            points_axis(axis, "y", points[name][:, 1])
            title(axis, "Unembedding")
        else:
            axis.set(xlabel="t-SNE 1", ylabel="t-SNE 2", xticks=[], yticks=[])
            title(axis, "Function of a" if name == "a" else "Function of b")
    sample_size(axes[0], len(kinds), "neurons")
    handles = sorted(axes[0].collections, key=lambda dots: names.index(str(dots.get_label())))[:SHOWN]
    legend(figure, handles=handles, loc="outside lower center", ncols=min(8, len(handles)), columnspacing=1.2)
    return figure


def training_figure(training: pd.DataFrame) -> Figure:
    """Draw the medians of purity and of the cosine with a circuit, and the number of neurons of each irrep, over
    training.

    Args:
        training: a row for each step: `step`, `purity`, `circuit`, `dead`, and `neurons_<irrep>`.
    """
    figure, (medians, counts) = new_figure(panels=2, width=3.3, height=2.7)
    steps = training["step"]
    for place, (column, name) in enumerate((("purity", "purity"), ("circuit", "circuit cosine"))):
        medians.plot(steps, training[column], label=name, **line_look(place, len(steps)))
    medians.set_ylabel("median over neurons")
    steps_axis(medians, steps)
    points_axis(medians, "y", training[["purity", "circuit"]].to_numpy().ravel())
    legend(medians, loc="best")
    title(medians, "Neurons over training")
    numbers = {name.removeprefix("neurons_"): training[name] for name in training if name.startswith("neurons_")}
    largest = sorted(numbers, key=lambda name: -numbers[name].iloc[-1])[:8]
    for place, name in enumerate(largest):
        counts.plot(steps, numbers[name], label=name, **line_look(place, len(steps)))
    counts.set(ylabel="neurons")
    steps_axis(counts, steps)
    whole_numbers(counts, "y")
    title(counts, "Neurons by irrep")
    if len(largest) < len(numbers):
        note(counts, f"{len(largest)} of {len(numbers)} irreps")
    direct_labels(counts)
    return figure


def _elements(axis: Axes, along: str, size: int, name: str) -> None:
    """Name the matrix elements ij of a (d, d) matrix on an axis; all if there are few."""
    d = round(size**0.5)
    names = [f"{i + 1}{k + 1}" if d < 10 else f"{i + 1},{k + 1}" for i in range(d) for k in range(d)]
    chosen = range(0, size, 1 if size <= 16 else d)
    (axis.set_yticks if along == "y" else axis.set_xticks)(chosen, [names[i] for i in chosen])
    axis.tick_params(axis=along, length=0, labelsize=5.5 if size > 9 else 6.5, rotation=90 if along == "x" else 0)
    if name:
        label = f"matrix elements of {name}"
        (axis.set_ylabel if along == "y" else axis.set_xlabel)(label)
    for side in axis.spines.values():
        side.set(visible=True, color=INK, linewidth=0.6)


def _bar(figure: Figure, image: object, axes: Sequence[Axes], name: str, shrink: float = 0.9) -> None:
    bar = figure.colorbar(image, ax=list(axes), shrink=shrink, aspect=25)
    bar.ax.tick_params(labelsize=6.5, color=INK, labelcolor=INK)
    bar.outline.set(edgecolor=INK, linewidth=0.6)
    if name:
        bar.set_label(name, size=7, color=INK)
