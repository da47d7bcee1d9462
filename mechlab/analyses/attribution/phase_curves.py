"""The curves of a run by which its training is divided into phases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mechlab.analyses.attribution.balance import ALL, LINES

if TYPE_CHECKING:
    import pandas as pd

    from mechlab.record.run import Run

LOSS = "val/loss"
TINY = 1e-12  # of the largest value of a curve, below which its logarithm is not taken


@dataclass(frozen=True)
class Curves:
    """The curves of a run, averaged over rows of neighbouring steps.

    Args:
        table: columns step (in the middle of each row), first, norm, the loss if it was logged, `data:COMPONENT` and
            `decay:COMPONENT`.
        steps: optimiser steps of the run.
    """

    table: pd.DataFrame
    steps: int

    def __len__(self) -> int:
        return len(self.table)

    @classmethod
    def of_run(cls, run: Run, points: int) -> Curves:
        """Return the curves of a run with at most this many rows; the loss is interpolated where it was not logged."""
        import pandas as pd

        balance = run.artifacts("balance").table("steps")
        logged = run.metrics
        logged = logged.dropna(subset=[LOSS]) if LOSS in logged else logged[:0]
        steps = len(balance)
        rows = min(points, steps)
        edges = np.arange(rows) * steps // rows
        means = balance.groupby(np.searchsorted(edges, balance["step"], side="right") - 1).mean()
        middle = means["step"] + 0.5
        columns = {"step": middle, "first": edges, "norm": means["norm"]}
        if len(logged):
            columns[LOSS] = np.interp(middle, logged["step"], logged[LOSS])
        masses = means[[name for name in means if name.partition(":")[0] in LINES]]
        return cls(pd.DataFrame({**columns, **masses}), steps)

    @property
    def times(self) -> np.ndarray:
        """The steps (n,) in the middle of the rows."""
        return self.table["step"].to_numpy()

    @property
    def scaled(self) -> np.ndarray:
        """Logarithms (n, F) of the curves that vary, each with variance 1; those of all parameters are left out."""
        values = self.table.drop(columns=["step", "first", *(f"{line}:{ALL}" for line in LINES)]).to_numpy()
        values = values[:, (values > 0).any(0)]
        logs = np.log(np.maximum(values, TINY * values.max(0, initial=0)))
        spread = logs.std(0)
        varies = spread > 1e-9 * np.maximum(np.abs(logs).max(0, initial=0), 1)
        return (logs[:, varies] - logs[:, varies].mean(0)) / spread[varies]

    def between(self, row: int, low: int, high: int) -> dict[str, int]:
        """Return the first step of a phase that begins at a row, and of the rows at the ends of its interval."""
        first = self.table["first"].to_numpy()
        return {"step": first[row], "step_low": first[low], "step_high": first[high]}

    def described(self, changes: np.ndarray) -> list[dict[str, float]]:
        """Return a row for each phase: its steps, loss and norm at both ends, and its mean masses."""
        edges = [*self.table["first"], self.steps]
        rows = []
        for phase, chosen in enumerate(np.split(np.arange(len(self)), changes), start=1):
            part = self.table.iloc[chosen]
            row = {"phase": phase, "first": edges[chosen[0]], "stop": edges[chosen[-1] + 1]}
            for name in (LOSS, "norm"):
                if name in part:
                    row |= {f"{name}_at_start": part[name].iloc[0], f"{name}_at_end": part[name].iloc[-1]}
            data, decay = (part[f"{line}:{ALL}"].mean() for line in LINES)
            rows.append({**row, "data": data, "decay": decay})
        return rows
