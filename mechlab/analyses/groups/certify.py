"""Proved lower bounds on the accuracy of a network that multiplies in a group, and what each proof costs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import numpy as np
import torch

from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import Interval, at_least
from mechlab.groups import irreps
from mechlab.groups.certificates import Certificate, by_energy, certificates
from mechlab.groups.network import PairNetwork
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.record.run import Run


class Certify(Analysis):
    """Lower bounds on the share of all n^2 pairs that a network multiplies right, each with its floating point
    operations: by brute force, and by what the network's irreps explain of its logits. See
    `mechlab.groups.certificates.certificates` for the bounds.

    What is certified is the network in float64, in real arithmetic from the hidden activations on: rounding is bounded
    and counts against the network. The cost is that of checking a bound; the choice of irreps is free, since any choice
    gives a bound that holds. The null is the untrained network.

    Args:
        most: number of irreps, at most, in the nested sets of which each gives a bound; those with the most energy in
            the unembedding come first.
        accuracy: least certified share of the pairs, for both claims.
        cost: largest cost, as a share of that of brute force, for the claim `cheaper`.
    """

    needs = Needs(kind="static", ground_truth=("group",), model=("hidden", "unembedding"))
    other_model = "choose model=group_mlp or model=group_transformer"
    headline = ("certified", "cheapest_cost")

    def __init__(
        self,
        most: Annotated[int, at_least(1)] = 16,
        accuracy: Annotated[float, Interval(0, 1, open_low=True)] = 0.95,
        cost: Annotated[float, Interval(0, 1, open_low=True)] = 0.75,
    ):
        self.most, self.accuracy, self.cost = most, accuracy, cost

    @torch.no_grad()
    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Compute the bounds of the trained and the untrained network; save a row for each."""
        import pandas as pd

        bounds, order = self._bounds(run, run.model())
        untrained, _ = self._bounds(run, run.untrained())
        nulls = {(bound.bound, bound.irreps): bound.certified for bound in untrained}
        rows = [
            {**asdict(bound), "untrained": nulls.get((bound.bound, bound.irreps), float("nan"))} for bound in bounds
        ]
        out.save_table("certificates", pd.DataFrame(rows))
        out.save_table("order", order)
        brute = next(bound for bound in bounds if bound.bound == "brute_force")
        enough = [bound for bound in bounds if bound.certified >= self.accuracy]
        cheapest = min(enough, key=lambda bound: bound.cost, default=brute)
        scalars = {
            "certified": brute.certified,
            "cheapest_cost": cheapest.cost,
            "cheapest_certified": cheapest.certified,
            "cheapest_irreps": cheapest.irreps,
            "untrained_certified": nulls["brute_force", 0],
        }
        for name in dict.fromkeys(bound.bound for bound in bounds if bound.bound != "brute_force"):
            scalars[name] = max(bound.certified for bound in bounds if bound.bound == name)
        return Finding(
            {name: float(value) for name, value in scalars.items()}, self._claims(run, bounds, untrained, brute)
        )

    def _bounds(self, run: Run, model: torch.nn.Module) -> tuple[list[Certificate], object]:
        import pandas as pd

        group = run.task.ground_truth().group
        network = PairNetwork.of_model(model, group)
        ordered, energies = by_energy(network, irreps(group))
        names = [irrep.name for irrep in ordered]
        dimensions = [irrep.size for irrep in ordered]
        order = pd.DataFrame({"irrep": names, "dimensions": dimensions, "energy": energies.round(9)})
        return certificates(network, ordered, self.most), order

    def _claims(
        self, run: Run, bounds: list[Certificate], untrained: list[Certificate], brute: Certificate
    ) -> dict[str, Claim]:
        best, null = (self._best_within(which) for which in (bounds, untrained))
        return {
            "accurate": Claim(
                f"Brute force in float64 proves that at least {self.accuracy:g} of all pairs are multiplied right.",
                value=brute.certified,
                threshold=self.accuracy,
                holds=brute.certified >= self.accuracy,
                kind="exact",
                null=untrained[0].certified,
            ),
            "cheaper": Claim(
                f"A bound that costs at most {self.cost:g} of brute force proves that at least {self.accuracy:g} of "
                "all pairs are multiplied right.",
                value=best,
                threshold=self.accuracy,
                holds=best >= self.accuracy,
                kind="exact",
                null=null,
            ),
        }

    def _best_within(self, bounds: list[Certificate]) -> float:
        """Return the largest certified share of the bounds that cost little enough; 0 if none does."""
        return max((bound.certified for bound in bounds if bound.cost <= self.cost), default=0.0)

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the certified shares against the cost."""
        from mechlab.plotting.certificates import certificates_figure

        return {"certificates": certificates_figure(out.table("certificates"), self.accuracy)}
