"""Causal tests of where a network holds its variables: removing subspaces, and changing single variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from mechlab.analyses.binding.changed_states import Moment
from mechlab.analyses.binding.linear_network import LinearNetwork, held_out_inputs
from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import Filled, above, at_least, between
from mechlab.core.errors import ConfigError
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mechlab.core.task import Task
    from mechlab.record.run import Run

CHANCE = 0.5  # share of right signs of any constant guess
LEARNED = 0.9  # accuracy of the intact network below which a removal shows nothing
LEAST_SEQUENCES = 30  # for a claim


class Causal(Analysis):
    """Accuracy of a network's future after its state is changed once, by removing a subspace or setting one variable.

    The state is changed `settle` steps after the last input. A subspace is the invariant one of the eigenvalues of
    largest modulus, as many as the theoretical rank; the span of the published variable memories; or a random one. The
    part of the state in it is removed (set to its mean over sequences), or is all that is kept, or is that of another
    sequence. What a nonlinearity regenerates of an invariant part can grow again, so there is a removal at each of s
    steps too; of a subspace that is not invariant this takes a further part at each step.

    Scalars of subspaces are accuracies named by the subspace and the change, such as `invariant_removed`; `intact` is
    the unchanged network, and `_donor` the accuracy on the future of the other sequence. Those of variables are named
    by the basis and the change: `decoder_flip_changed` is the accuracy on the outputs that the rule changes,
    `decoder_flip_stays` that on the others, and `decoder_flip_worst` the former for the variable where it is least.

    A variable is flipped, swapped with another one or set to that of another sequence: its decoded value is changed
    along its column of a basis, and the future is compared with the rule's from the changed variables. The control is a
    change of the same size along a random direction.

    Args:
        sequences: number of held-out sequences; at least 30 for claims.
        settle: steps between the last input and the change; null for s, after which a linear rule has rewritten its
            window and the traces of the inputs in decaying directions are gone.
        horizon: steps after a removal over which the accuracy is taken.
        flip_horizon: steps after a change of variables.
        draws: number of random subspaces.
        doses: multiples of the flip: at 0 nothing is changed, at 1 the variable has its opposite value.
        dose_sequences: number of the sequences for the doses.
        tolerance: largest distance from chance for the claim `ablation_invariant`.
        counterfactual: least accuracy for the claims `flip` and `exchange`.

    Source: Karuvally et al., arXiv 2310.02430, for the theory that is tested.
    """

    needs = Needs(kind="sequence", ground_truth=("companion matrix",), model=("jacobian",))
    other_model = "choose a recurrent model, such as model=rnn, or analysis=[]"
    headline = ("decoder_flip_changed", "invariant_removed_at_s_steps")

    def __init__(
        self,
        sequences: Annotated[int, between(2, 10_000)] = 100,
        settle: Annotated[int, between(0, 10_000)] | None = None,
        horizon: Annotated[int, between(1, 10_000)] = 100,
        flip_horizon: Annotated[int, between(1, 10_000)] = 50,
        draws: Annotated[int, between(1, 1000)] = 8,
        doses: Annotated[tuple[Annotated[float, at_least(0)], ...], Filled()] = (0, 0.25, 0.5, 0.75, 1, 1.5, 2),
        dose_sequences: Annotated[int, between(2, 10_000)] = 25,
        tolerance: Annotated[float, above(0)] = 0.05,
        counterfactual: Annotated[float, between(0, 1)] = 0.95,
    ):
        self.sequences, self.settle, self.horizon, self.flip_horizon = sequences, settle, horizon, flip_horizon
        self.draws, self.doses, self.dose_sequences = draws, doses, dose_sequences
        self.tolerance, self.counterfactual = tolerance, counterfactual

    def check(self, name: str, task_name: str, task: Task, key: str, model: Any = None) -> None:
        """See Analysis; a rule that does not copy past cells with signs, some of them on cycles, is refused too."""
        super().check(name, task_name, task, key, model)
        truth = task.ground_truth()
        if not (np.isin(truth.F, (-1, 0, 1)).all() and (np.abs(truth.F).sum(0) == 1).all() and truth.rank):
            raise ConfigError(
                f"analysis={name} needs a rule that copies past cells with signs, some of them on a cycle",
                got=f"task={task_name}, with other weights",
                key=key,
                fix=f"leave {name} out of {key.partition('.')[0]}=[...], or choose another task",
            )

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Make every change; save tables of subspaces, of changes, of single variables and of doses."""
        from mechlab.analyses.binding import causal_tables as tables  # pandas is slow to import

        network = LinearNetwork.of(run)
        s = network.truth.s
        settle = s if self.settle is None else self.settle
        moment = Moment.of(network, held_out_inputs(run.task, self.sequences, settle + s, rng), settle)
        ablations = tables.ablations(moment, self.horizon, self.draws, rng)
        bases = tables.coordinates(moment, rng)
        changes, cells = tables.changes(moment, bases, self.flip_horizon, rng)
        doses = tables.doses_of_flips(moment.first(self.dose_sequences), bases, self.flip_horizon, self.doses)
        for name, table in {"ablations": ablations, "changes": changes, "doses": doses, "cells": cells}.items():
            out.save_table(name, table.assign(settle=settle))
        notes = {}
        if "decoder" not in bases:
            notes["decoder"] = "No persistent subspace is well-conditioned, so that there is no decoder to change by."
        if self.sequences < LEAST_SEQUENCES:
            notes["too_few_sequences"] = f"Claims need {LEAST_SEQUENCES} sequences; there are {self.sequences}."
            return Finding(_scalars(ablations, changes), {}, notes)
        claims = self._ablation_claims(ablations, s) | self._flip_claim(changes)
        return Finding(_scalars(ablations, changes), claims, notes)

    def _ablation_claims(self, table: pd.DataFrame, s: int) -> dict[str, Claim]:
        rows = {key: group.sort_values("accuracy").iloc[0] for key, group in table.groupby(["space", "action"])}
        intact, random = rows["whole", "intact"], rows["random", "removed"]
        gone, exchanged = rows["invariant", "removed at s steps"], rows["invariant", "exchanged"]
        learned, halfway = intact["accuracy_low"] >= LEARNED, (CHANCE + intact["accuracy"]) / 2
        distance = max(CHANCE - gone["accuracy_low"], gone["accuracy_high"] - CHANCE)
        over = f"over the next {self.horizon} steps (interval over {self.sequences} sequences)"
        provided = f"and that of the intact network no less than {LEARNED:g}"
        dimensions = f"of {gone['dimension']} dimensions"
        return {
            "ablation_invariant": Claim(
                f"Without the invariant subspace {dimensions}, removed at each of {s} steps, the accuracy {over} is "
                f"within {self.tolerance:g} of chance, {CHANCE:g}, {provided}.",
                value=gone["accuracy"],
                threshold=CHANCE + self.tolerance,
                holds=bool(learned and distance <= self.tolerance),
                kind="statistical",
                null=random["accuracy"],
                interval=(gone["accuracy_low"], gone["accuracy_high"]),
            ),
            "ablation_random": Claim(
                f"Without any one of {self.draws} random subspaces {dimensions}, the accuracy {over} is at least "
                f"halfway from chance to that of the intact network, {provided}.",
                value=random["accuracy"],
                threshold=halfway,
                holds=bool(learned and random["accuracy_low"] >= halfway),
                kind="statistical",
                null=rows["invariant", "removed"]["accuracy"],
                interval=(random["accuracy_low"], random["accuracy_high"]),
            ),
            "exchange": Claim(
                f"With the part in the invariant subspace {dimensions} from another sequence, the network continues "
                f"that sequence with an accuracy of at least {self.counterfactual:g} {over}.",
                value=exchanged["donor"],
                threshold=self.counterfactual,
                holds=bool(exchanged["donor_low"] >= self.counterfactual),
                kind="statistical",
                null=table.loc[table["space"] == "random", "donor"].max(),
                interval=(exchanged["donor_low"], exchanged["donor_high"]),
            ),
        }

    def _flip_claim(self, table: pd.DataFrame) -> dict[str, Claim]:
        flips = table[table["change"] == "flip"].set_index("basis")
        if "decoder" not in flips.index:
            return {}
        row, least = flips.loc["decoder"], self.counterfactual
        if not np.isfinite(row["changed"]):
            return {}
        return {
            "flip": Claim(
                f"After a flip of any one of {row['variables']} variables along the decoder's basis, the accuracy of "
                f"the counterfactual future over the next {self.flip_horizon} steps is at least {least:g}, both on "
                f"the outputs that change and on the others (interval over {self.sequences} sequences).",
                value=row["changed"],
                threshold=least,
                holds=bool(min(row["changed_low"], row["stays_low"]) >= least),
                kind="statistical",
                null=flips.loc["random", "changed"],
                interval=(row["changed_low"], row["changed_high"]),
            )
        }

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the ablations, the flips of each variable, and the doses."""
        from mechlab.plotting.causal import ablations_figure, doses_figure, flips_figure

        return {
            "ablations": ablations_figure(out.table("ablations")),
            "flips": flips_figure(out.table("cells")),
            "dose": doses_figure(out.table("doses")),
        }


def _scalars(ablations: pd.DataFrame, changes: pd.DataFrame) -> dict[str, float]:
    """Return the accuracies after each change, means over random subspaces; what has no value is left out."""
    scalars = {}
    for (space, action), group in ablations.groupby(["space", "action"]):
        name = action if space == "whole" else f"{space}_{action.replace(' ', '_')}"
        scalars[name] = group["accuracy"].mean()
        if action == "exchanged":
            scalars[f"{name}_donor"] = group["donor"].mean()
    for row in changes.to_dict("records"):
        for measure in ("changed", "stays", "worst"):
            scalars[f"{row['basis']}_{row['change']}_{measure}"] = row[measure]
    scalars |= {"dimension": ablations["dimension"].iloc[1], "variables": changes["variables"].iloc[0]}
    return {name: float(value) for name, value in scalars.items() if np.isfinite(value)}
