"""Whether the neurons of a network that multiplies in a group are functions of cosets, and act as such."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
import torch

from mechlab.analyses.groups.coset_tables import intervention_table, membership_table, neuron_table, summary_table
from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import Interval, above, at_least
from mechlab.groups import irreps
from mechlab.groups.activations import Functions, functions
from mechlab.groups.coset_membership import (
    Best,
    Subgroups,
    all_subgroups,
    best_subgroups,
    membership,
    random_partitions,
)
from mechlab.groups.network import PairNetwork
from mechlab.groups.neurons import NeuronTransforms, transform_neurons
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mechlab.record.run import Run

LEAST_NEURONS = 10  # for a claim
LEARNED = 0.9  # accuracy below which an intervention shows nothing
DAMAGED = 0.5  # of the accuracy, at most, after what must change a network of cosets
UNCHANGED = 0.01  # of the accuracy, at most, that permutations inside cosets may cost


@dataclass(frozen=True, eq=False)
class Membership:
    """The neurons of a network and the cosets on which they are constant, of the left and of the right factor."""

    network: PairNetwork
    read: Functions
    neurons: NeuronTransforms
    subgroups: Subgroups
    r2: tuple[dict[str, np.ndarray], dict[str, np.ndarray]]
    nulls: tuple[dict[int, np.ndarray], dict[int, np.ndarray]]
    best: tuple[Best, Best]

    @property
    def live(self) -> np.ndarray:
        """The numbers of the neurons that are not dead."""
        return np.flatnonzero(~self.neurons.dead)

    @property
    def share(self) -> float:
        """The share of the live neurons whose functions of both factors are constant on cosets."""
        both = (self.best[0].subgroup >= 0) & (self.best[1].subgroup >= 0)
        return float(both[self.live].mean()) if len(self.live) else 0.0


class Cosets(Analysis):
    """Neurons that are functions of cosets: for every subgroup up to conjugacy and all its conjugates, the share R^2 of
    the variance of what a neuron reads of the left and of the right factor that left or right cosets explain.

    R^2 grows with the number of cosets. It is adjusted by what random partitions into blocks of the same size explain
    on average, and must exceed the R^2 of each of a sample of these; a neuron's subgroup is the largest that passes.
    The table of memberships has for each irrep and class the median over neurons of the best conjugate, beside the
    median of as many random partitions.

    Interventions on the neurons that have a subgroup: permutations of the factors inside their cosets, which must not
    change the network; the same inside random blocks of the same sizes; and permutations of whole cosets, which must.
    Of networks with relu, also the symmetries of the circuit: signs, absolute values, exchange of the factors, noise.

    Args:
        level: least adjusted R^2 of a subgroup on whose cosets a neuron is constant.
        share: least share of the live neurons that are constant on cosets in both factors, for the claim `cosets`.
        partitions: number of random partitions for each block size.
        draws: number of random permutations (noises) for each intervention.
        pairs: number of pairs, about, over which losses and accuracies are taken: all pairs of randomly chosen left
            factors.
        noise: standard deviation of the noise, relative to that of a neuron's functions of the factors.
        dead: a neuron is dead if its size is at most this share of the largest.

    Source: Stander et al., "Grokking group multiplication with cosets", arXiv 2312.06581.
    """

    needs = Needs(kind="static", ground_truth=("group",), model=("hidden", "preactivations", "unembedding"))
    other_model = "choose model=group_mlp, model=mlp or model=group_transformer"
    headline = ("coset_share", "r2")

    def __init__(
        self,
        level: Annotated[float, Interval(0, 1, open_low=True, open_high=True)] = 0.95,
        share: Annotated[float, Interval(0, 1, open_low=True)] = 0.9,
        partitions: Annotated[int, at_least(20)] = 100,
        draws: Annotated[int, at_least(2)] = 4,
        pairs: Annotated[int, at_least(1)] = 2500,
        noise: Annotated[float, above(0)] = 0.1,
        dead: Annotated[float, Interval(0, 1, open_high=True)] = 1e-3,
    ):
        self.level, self.share, self.partitions, self.draws = level, share, partitions, draws
        self.pairs, self.noise, self.dead = pairs, noise, dead

    @torch.no_grad()
    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Measure memberships of the trained and the untrained network; intervene; save the tables."""
        group = run.task.ground_truth().group
        for_trained, for_null, for_causal = rng.spawn(3)
        trained = self._membership(PairNetwork.of_model(run.model(), group), for_trained)
        untrained = self._membership(PairNetwork.of_model(run.untrained(), group), for_null)
        neurons = neuron_table(trained)
        effects = intervention_table(trained, self.draws, self.pairs, self.noise, for_causal)
        out.save_table("neurons", neurons)
        out.save_table("subgroups", summary_table(neurons))
        out.save_table("memberships", membership_table(trained, self.level))
        out.save_table("interventions", effects)
        scalars = {
            "coset_share": trained.share,
            "r2": float(np.nan_to_num(neurons["r2"].median())) if len(neurons) else 0.0,
            "coset_share_untrained": untrained.share,
            "neurons": float(len(trained.live)),
            "subgroups": float(neurons["subgroup"].dropna().nunique()),
        }
        for name, rows in effects.groupby("intervention", sort=False):
            scalars |= {f"{name}_accuracy": rows["accuracy"].mean(), f"{name}_loss": rows["loss"].mean()}
        claims, notes = self._claims(trained, untrained, effects)
        return Finding({name: float(value) for name, value in scalars.items()}, claims, notes)

    def _membership(self, network: PairNetwork, rng: np.random.Generator) -> Membership:
        group, read = network.group, functions(network)
        small = read.size <= self.dead * read.size.max()
        neurons = transform_neurons(read.a, read.b, read.u, irreps(group), small)
        subgroups = all_subgroups(group)
        orders = [int(order) for order in np.unique(subgroups.orders) if 1 < order < group.order]
        parts = (read.a, read.b)
        r2 = tuple(membership(subgroups, part, group) for part in parts)
        nulls = tuple(
            {order: random_partitions(part, order, self.partitions, rng) for order in orders} for part in parts
        )
        best = tuple(best_subgroups(subgroups, *measured, self.level) for measured in zip(r2, nulls, strict=True))
        return Membership(network, read, neurons, subgroups, r2, nulls, best)

    def _claims(
        self, trained: Membership, untrained: Membership, effects: pd.DataFrame
    ) -> tuple[dict[str, Claim], dict[str, str]]:
        group = trained.network.group
        if not trained.nulls[0]:
            return {}, {"no_subgroup": f"{group.name} has no subgroups but itself and the trivial one: no claims."}
        if min(len(trained.live), len(untrained.live)) < LEAST_NEURONS:
            few = f"Claims need {LEAST_NEURONS} neurons that are not dead; there are {len(trained.live)}."
            return {}, {"few_neurons": few}
        claims = {
            "cosets": Claim(
                f"At least {self.share:g} of the neurons that are not dead are constant on cosets of a proper "
                f"subgroup, with an adjusted R^2 of at least {self.level:g}, in both factors.",
                value=trained.share,
                threshold=self.share,
                holds=trained.share >= self.share > untrained.share,
                kind="statistical",
                null=untrained.share,
            )
        }
        accuracy = {name: rows["accuracy"].to_numpy() for name, rows in effects.groupby("intervention")}
        if accuracy["intact"][0] < LEARNED or trained.share < 0.5:
            cause = f"an accuracy of {LEARNED:g} and half of the neurons on cosets"
            return claims, {"not_learned": f"Claims on interventions need {cause}."}
        return claims | self._causal_claims(accuracy), {}

    def _causal_claims(self, accuracy: dict[str, np.ndarray]) -> dict[str, Claim]:
        intact = float(accuracy["intact"][0])
        within, random, exchanged = (accuracy[name] for name in ("within_cosets", "within_random", "exchange_cosets"))
        least, most = intact - UNCHANGED, DAMAGED * intact
        return {
            "invariant": Claim(
                f"Permutations of the factors inside the cosets of each neuron leave an accuracy of at least {least:g} "
                f"in each of {self.draws} draws; inside random blocks of the same sizes, of at most {most:g}.",
                value=float(within.mean()),
                threshold=least,
                holds=bool(within.min() >= least and random.max() <= most),
                kind="statistical",
                null=float(random.mean()),
                interval=(float(within.min()), float(within.max())),
            ),
            "exchange": Claim(
                f"Permutations of whole cosets leave an accuracy of at most {most:g} in each of {self.draws} draws.",
                value=float(exchanged.mean()),
                threshold=most,
                holds=bool(exchanged.max() <= most),
                kind="statistical",
                null=float(within.mean()),
                interval=(float(exchanged.min()), float(exchanged.max())),
            ),
        }

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw R^2 by subgroup, and accuracies and losses after interventions."""
        from mechlab.plotting.cosets import interventions_figure, memberships_figure

        figures = {"interventions": interventions_figure(out.table("interventions"))}
        if len(memberships := out.table("memberships")):
            figures["memberships"] = memberships_figure(memberships, self.level)
        return figures
