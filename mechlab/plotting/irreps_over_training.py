"""Figures of the irreps of a network of pairs of group elements over training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mechlab.plotting.irreps import SHARES
from mechlab.plotting.style import INK, SOFT, legend, line_look, log_axis, new_figure, steps_axis, title

if TYPE_CHECKING:
    import pandas as pd

ALL = 10  # irreps up to which all are drawn, and not the key ones alone
PHASES = {
    "memorised": "memorised",
    "circuit": "circuit formation",
    "clean_up": "clean-up",
    "settled": "end of clean-up",
}
LINES = ((0, (1, 1.5)), (0, (4, 2)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2)))  # dashes of the steps of `PHASES`


def curves_figures(
    training: pd.DataFrame, by_irrep: pd.DataFrame, phases: pd.DataFrame, irreps: pd.DataFrame
) -> dict[str, Figure]:
    """Draw the curves of a training by name: similarity, variance and, where they are known, losses and progress.

    Args:
        training: a row for each recorded step, with the metrics that are one number.
        by_irrep: a row for each step and irrep, with the metrics of single irreps.
        phases: one row, the steps of the phases of training, missing for those that it does not have.
        irreps: a row for each irrep at the end of training.
    """
    curves = _Curves(training, by_irrep, phases, irreps)
    figures = {"similarity": curves.similarity()}
    if curves.known([*SHARES]):
        figures["variance"] = curves.variance()
    if "test_loss" in training:
        figures["losses"] = curves.losses()
    figures["progress"] = curves.progress()
    return figures


class _Curves:
    """The tables of a training, and the irreps that are drawn."""

    def __init__(
        self, training: pd.DataFrame, by_irrep: pd.DataFrame, phases: pd.DataFrame, irreps: pd.DataFrame
    ) -> None:
        self.training, self.by_irrep, self.steps = training, by_irrep, training["step"]
        self.phases = {name: phases[name].iloc[0] for name in PHASES if phases[name].notna().any()}
        others = irreps.iloc[1:]
        shown = others if len(others) <= ALL else others[others["key"]]
        if shown.empty:
            shown = others.nlargest(ALL, "similarity")
        self.names = shown.sort_values(["order", "similarity"], ascending=[True, False], kind="stable")["name"].tolist()

    def known(self, metrics: Sequence[str]) -> list[str]:
        return [name for name in metrics if self.by_irrep[name].notna().any()]

    def similarity(self) -> Figure:
        figure, (axis,) = new_figure(width=5.6, height=3.2 + 0.1 * max(0, len(self.names) - 12))
        self._each(axis, "similarity", "Similarity of the logits with characters", "cosine")
        self._legend(figure, axis, beside=True)
        return figure

    def variance(self) -> Figure:
        metrics = self.known([*SHARES])
        columns = 3
        rows = -(-len(metrics) // columns)
        figure, axes = new_figure(panels=columns, rows=rows, width=2.9, height=2.5 * rows + 0.4)
        for axis, name in zip(axes, metrics, strict=False):
            self._each(axis, name, _capital(SHARES[name]), "")
            total = self.by_irrep[self.by_irrep["name"].isin(self.names)].groupby("step")[name].sum()
            axis.plot(self.steps, total.reindex(self.steps), color=INK, linewidth=1.4, label="sum of these")
            axis.set_ylim(0, None)
        for axis in axes[::columns]:
            axis.set_ylabel("fraction of variance explained")
        self._finish(figure, axes, metrics, columns)
        return figure

    def losses(self) -> Figure:
        columns = 3
        hidden = "restricted_loss" in self.training
        figure, axes = new_figure(panels=columns, rows=1 + hidden, width=2.9, height=2.7 * (1 + hidden) + 0.7)
        panels = []
        for level, place in ((("", "hidden units"),) if hidden else ()) + (("logit_", "logits"),):
            panels += [
                (None, f"Key irreps, {place}"),
                (f"{level}excluded", f"Without one irrep, {place}"),
                (f"{level}restricted", f"One irrep alone, {place}"),
            ]
        for axis, (metric, heading) in zip(axes, panels, strict=True):
            if metric is None:
                level = "" if "hidden" in heading else "logit_"
                self._total(axis, level)
                title(axis, heading)
            else:
                self._each(axis, metric, heading, "")
            log_axis(axis, "y")
        for axis in axes[::columns]:
            axis.set_ylabel("mean cross entropy (nats)")
        self._finish(figure, axes, panels, columns)
        return figure

    def progress(self) -> Figure:
        wanted = [
            ("logit_fve", "Logit variance in characters", False),
            ("test_accuracy", "Accuracy", False),
            ("squared_weights", "Sum of squared weights", True),
            ("restricted_loss", "Test loss over restricted loss", True),
        ]
        wanted = [row for row in wanted if row[0] in self.training]
        figure, axes = new_figure(panels=len(wanted), width=2.6, height=2.7)
        for axis, (name, heading, log) in zip(axes, wanted, strict=True):
            values = self.training[name]
            if name == "restricted_loss":
                values = self.training["test_loss"] / values
            axis.plot(self.steps, values, label="test", **line_look(0, len(self.steps)))
            if name == "test_accuracy":
                axis.plot(
                    self.steps, self.training["train_accuracy"], label="training", **line_look(1, len(self.steps))
                )
                legend(axis, loc="best")
            self._frame(axis)
            title(axis, heading)
            if log:
                log_axis(axis, "y")
        if self.phases:
            legend(figure, handles=self._phase_lines(), loc="outside lower center", ncols=len(self.phases))
        return figure

    def _total(self, axis: Axes, level: str) -> None:
        """Draw the losses of all key irreps, and of the network."""
        lines = {"training": "train_loss", "test": "test_loss"}
        lines |= {"restricted": f"{level}restricted_loss", "excluded": f"{level}excluded_loss"}
        for place, (label, name) in enumerate(lines.items()):
            axis.plot(self.steps, self.training[name], label=label, **line_look((1, 0, 2, 3)[place], len(self.steps)))
        self._frame(axis)
        legend(axis, loc="lower left", handlelength=1.4, labelspacing=0.2)

    def _each(self, axis: Axes, metric: str, heading: str, label: str) -> None:
        """Draw a metric of each irrep."""
        table = self.by_irrep.pivot(index="step", columns="name", values=metric).reindex(self.steps)
        for place, name in enumerate(self.names):
            axis.plot(self.steps, table[name], label=name, **line_look(place, len(self.steps)))
        axis.set_ylabel(label)
        self._frame(axis)
        title(axis, heading)

    def _frame(self, axis: Axes) -> None:
        steps_axis(axis, self.steps)
        for name, step in self.phases.items():
            dashes = LINES[list(PHASES).index(name)]
            axis.axvline(step, color=SOFT, linewidth=0.8, linestyle=dashes, zorder=0, label=f"_{name}")

    def _finish(self, figure: Figure, axes: Sequence[Axes], panels: Sequence[object], columns: int) -> None:
        for place, axis in enumerate(axes):
            if place >= len(panels):
                axis.set_visible(False)
            elif place + columns < len(panels):  # the panel below has it
                axis.set_xlabel("")
        drawn = next(axis for axis in axes if any(line.get_label() == self.names[0] for line in axis.lines))
        self._legend(figure, drawn)

    def _legend(self, figure: Figure, axis: Axes, beside: bool = False) -> None:
        """Write the legend of irreps and phases below the panels, or beside them."""
        handles = [line for line in axis.lines if not str(line.get_label()).startswith("_")] + self._phase_lines()
        if beside:
            legend(figure, handles=handles, loc="outside right center", handlelength=2.4)
        else:
            legend(figure, handles=handles, loc="outside lower center", ncols=min(len(handles), 6), columnspacing=1.4)

    def _phase_lines(self) -> list[Line2D]:
        """Return a line for the legend for each phase, with its step."""
        places = {name: dashes for name, dashes in zip(PHASES, LINES, strict=True) if name in self.phases}
        return [
            Line2D(
                [], [], color=SOFT, linewidth=0.8, linestyle=dashes, label=f"{PHASES[name]}: {self.phases[name]:,.0f}"
            )
            for name, dashes in places.items()
        ]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
