"""The transitions of a large automaton as a matrix of states."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from mechlab.plotting.style import COLOURS, FAINT, INK, TEXT, legend, look, new_figure, shortened, title

NAMED = 80  # states at most have their names on the axes
MOST_LETTERS = 24  # with marks of their own
SIDE = 0.11  # of a cell with a name, in inches


def matrix_figure(
    names: Sequence[str],
    letters: Sequence[str],
    transitions: np.ndarray,
    initial: int,
    accepting: Sequence[bool] | None = None,
    outputs: Sequence[str] = (),
    heading: str = "",
) -> Figure:
    """Draw a mark for each letter from each state (row) to each state (column), letters by colour and marker.

    Rows of accepting states are tinted. With more than 24 letters all marks are alike.

    Args:
        names, letters, transitions, initial, accepting, heading: as in `automaton_figure`.
        outputs: the class of each state, written beside its name; none by default.
    """
    n, m = transitions.shape
    side = max(SIDE * min(n, NAMED), 3.0)
    figure, (axis,) = new_figure(width=side + 1.2, height=side + 1.0)
    for i in np.flatnonzero(accepting) if accepting is not None else ():
        axis.axhspan(i - 0.5, i + 0.5, color=COLOURS[2], alpha=0.12, linewidth=0, zorder=0)
    distinct = m <= MOST_LETTERS
    rows = np.arange(n)
    for letter, name in enumerate(letters):
        mark = look(letter) if distinct else {"color": INK, "marker": "s"}
        same = transitions == transitions[:, [letter]]  # letters with the same target share its cell, side by side
        share, before = same.sum(1), same[:, :letter].sum(1)
        columns = transitions[:, letter] + (before - (share - 1) / 2) * 0.9 / share
        size = (0.7 * 72 * side / n) ** 2 / share**1.3
        label = name if distinct else None
        axis.scatter(columns, rows, s=size, linewidths=0, alpha=0.9, label=label, zorder=2, **mark)
    shown = rows if n <= NAMED else rows[:: -(-n // 40)]
    axis.set_xticks(shown, [shortened(names[i], 12) for i in shown], rotation=90)
    with_output = [f"{shortened(names[i], 12)}  {shortened(outputs[i], 12)}" if outputs else names[i] for i in shown]
    axis.set_yticks(shown, with_output)
    axis.tick_params(labelsize=TEXT - 2.5 if n > 25 else TEXT - 1, length=0, pad=1.5)
    axis.xaxis.tick_top()
    axis.xaxis.set_label_position("top")
    for words in (*axis.get_xticklabels(), *axis.get_yticklabels()):
        words.set_parse_math(False)
    axis.set(xlim=(-0.5, n - 0.5), ylim=(n - 0.5, -0.5), aspect="equal", xlabel="to state", ylabel="from state")
    if n <= NAMED:
        axis.hlines(rows[4::5] + 0.5, -0.5, n - 0.5, color=FAINT, linewidth=0.4, zorder=1)
        axis.vlines(rows[4::5] + 0.5, -0.5, n - 0.5, color=FAINT, linewidth=0.4, zorder=1)
    begin = f"initial state {names[initial]}"
    tint = ", accepting states tinted" if accepting is not None else ""
    if distinct:
        legend(figure, loc="outside lower left", ncols=min(m, 8), title=begin + tint, title_fontsize=TEXT - 1)
    else:
        axis.set_xlabel(f"to state; {begin}{tint}")
    title(axis, heading)
    return figure
