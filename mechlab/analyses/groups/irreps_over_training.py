"""The irreps of a network that multiplies in a group over the recorded steps of its training."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mechlab.analyses.groups.pairs import pair_network
from mechlab.groups.group_metrics import network_metrics
from mechlab.groups.phases import Phases, phases
from mechlab.record.artifacts import Artifacts
from mechlab.record.run import spaced_steps

if TYPE_CHECKING:
    import pandas as pd

    from mechlab.record.run import Run


@dataclass(frozen=True, eq=False)
class Curves:
    """Metrics at T recorded steps.

    Args:
        training: a row for each step, with every metric that is one number.
        by_irrep: a row for each step and irrep, with every metric of single irreps.
        similarity: (T, I), of the logits with the characters of the I irreps.
        phases: of the training.
    """

    training: pd.DataFrame
    by_irrep: pd.DataFrame
    similarity: np.ndarray
    phases: Phases

    def save(self, out: Artifacts) -> None:
        """Save the tables."""
        import pandas as pd

        out.save_table("training", self.training)
        out.save_table("irreps_over_training", self.by_irrep)
        out.save_table("phases", pd.DataFrame([asdict(self.phases)]))


def over_training(run: Run, count: int, train: np.ndarray, **options: Any) -> Curves | None:
    """Return the metrics at recorded steps; None at a step before the end of training, and where none are recorded.

    Args:
        run: at its moment.
        count: maximal number of steps.
        train: mask (n, n) of the pairs trained on.
        options: of `network_metrics`; the key irreps are those of the end of training.
    """
    import pandas as pd

    if not count or run.is_live or isinstance(run.moment, int) or not run.history.steps:
        return None
    steps, rows, parts, similarity = spaced_steps(run, count), [], [], []
    for step in steps:
        network = pair_network(run, run.at(step).model())
        measured = network_metrics(network, train, **options)
        rows.append({"step": step, **measured.scalars})
        parts.append(pd.DataFrame({"step": step, "name": measured.names, **measured.per_irrep}))
        similarity.append(measured.similarity)
    training = pd.DataFrame(rows).dropna(axis=1, how="all")
    curves = {name: training[name].to_numpy() for name in training}
    found = phases(np.array(steps), curves) if "test_loss" in curves else Phases()
    return Curves(training, pd.concat(parts, ignore_index=True), np.stack(similarity), found)


def learning_order(similarity: np.ndarray, key: np.ndarray, learned: float) -> np.ndarray:
    """Return the place (I,) of each key irrep in the order of learning, from 1; NaN for all others.

    At each step the first of the key irreps that has newly become similar comes next, and no other at the same step;
    irreps that never become similar come last. Both go by the order of the list of irreps.

    Args:
        similarity: (T, I) at the recorded steps.
        key: (I,) bool.
        learned: least similarity.

    Source: the published code of Chughtai et al., arXiv 2302.03025.
    """
    chosen: list[int] = []
    for now in similarity:
        new = [i for i in np.flatnonzero(key & (now > learned)) if i not in chosen]
        chosen += new[:1]
    chosen += [i for i in np.flatnonzero(key) if i not in chosen]
    order = np.full(len(key), np.nan)
    order[chosen] = np.arange(1, len(chosen) + 1)
    return order
