"""Figures about noise in constructed networks."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from mechlab.plotting.style import COLOURS, legend, new_figure


def dose_figure(doses: pd.DataFrame) -> Figure:
    """Draw accuracy and weighted ambiguity against the standard deviation of the noise: each network, and means.

    Args:
        doses: a row for each network, with columns noise, accuracy and weighted.
    """
    figure, (panel,) = new_figure(width=4.0)
    mean = doses.groupby("noise").mean()
    kinds = {"accuracy": "share of words right", "weighted": "weighted ambiguity of the states"}
    for colour, (column, name) in zip(COLOURS, kinds.items(), strict=False):
        panel.plot(mean.index, mean[column], color=colour, label=name)
        panel.scatter(doses["noise"], doses[column], s=9, color=colour, alpha=0.6, linewidths=0)
    panel.set(xlabel="standard deviation of the noise in the weights", ylim=(-0.03, 1.03))
    legend(panel)
    return figure
