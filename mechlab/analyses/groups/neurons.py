"""Whether each neuron of a network that multiplies in a group is part of a circuit of one irrep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import Interval, at_least, between
from mechlab.groups.network import PairNetwork
from mechlab.record.artifacts import Artifacts
from mechlab.record.run import spaced_steps

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mechlab.analyses.groups.neuron_tables import Losses
    from mechlab.record.run import Run

LEAST_NEURONS = 10  # for a claim on neurons
LEAST_CLUSTER = 4  # neurons of a cluster that counts in the claim on ablations
LEARNED = 0.9  # accuracy of the intact network below which an ablation shows nothing
RARE = 0.95  # quantile over untrained neurons
RATIO = 2.0  # of losses, for the claim on ablations
CLUSTER_MEANS = ("fve_a", "fve_b", "fve_ab", "recovered_explained", "map_error", "row_error")  # over neurons
NULL_PAIRS = 2000  # of the untrained network's losses


class Neurons(Analysis):
    """The Fourier transform of every neuron: its irrep, its purity, the rank of its transforms, and the vectors that it
    shares with others; and what the neurons of each irrep hold together.

    A neuron is a function of the left factor, one of the right factor (what its nonlinearity reads), and one of the
    answer (its row of the unembedding). Its purity is the share of their energy, without means, in one irrep; in a
    circuit each transform has rank one there, and that of the unembedding is the product of the two others. The null is
    an untrained network of the same shape.

    Neurons of an irrep are a cluster. The table of clusters has the fractions of variance of its activations that are
    functions of rho(a), rho(b) and rho(a b), the loss without each, the error of rho(a b) recovered linearly from the
    activations, that of the unembedding in the basis of the irrep, and for the vectors a, b and c of the circuit the
    number of distinct ones up to sign and scale, the size of their orbit, and whether the group maps the set to itself.

    Args:
        pure: the purity from which a neuron counts as pure, and least median for the claim `pure`.
        aligned: least median cosine for the claim `circuit`, and least median rank-one share for `rank_one`.
        same: the cosine from which two vectors count as one up to sign and scale.
        dead: a neuron is dead if it is constant, or if its size (the norm of its functions of the factors times that of
            its unembedding) is at most this share of the largest.
        pairs: number of pairs, at least, over which losses after ablations are taken: all pairs of randomly chosen left
            factors; the claim on ablations needs all.
        steps: maximal number of recorded steps at which purity is measured, about evenly spaced in the logarithm; 0
            for none.

    Source: Chughtai et al., arXiv 2302.03025, and the notebook beside it; Wu et al., arXiv 2410.07476.
    """

    needs = Needs(kind="static", ground_truth=("group",), model=("hidden", "preactivations", "unembedding"))
    other_model = "choose model=group_mlp, model=mlp or model=group_transformer"
    headline = ("purity", "circuit")

    def __init__(
        self,
        pure: Annotated[float, Interval(0, 1, open_low=True)] = 0.95,
        aligned: Annotated[float, Interval(0, 1, open_low=True)] = 0.95,
        same: Annotated[float, Interval(0, 1, open_low=True, open_high=True)] = 0.99,
        dead: Annotated[float, Interval(0, 1, open_high=True)] = 1e-3,
        pairs: Annotated[int, at_least(1)] = 50_000,
        steps: Annotated[int, between(0, 1000)] = 16,
    ):
        self.pure, self.aligned, self.same, self.dead, self.pairs, self.steps = pure, aligned, same, dead, pairs, steps

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Measure neurons, clusters and, at the end of training, purity over training; save tables and arrays."""
        import pandas as pd

        from mechlab.analyses.groups import neuron_tables as tables

        group = run.task.ground_truth().group
        trained, untrained = (
            tables.Moment.of(PairNetwork.of_model(model, group), self.dead) for model in (run.model(), run.untrained())
        )
        for_rows, for_null, for_plane = rng.spawn(3)
        rows = _some(group.order, self.pairs, for_rows)
        neurons, null = tables.neuron_table(trained), tables.neuron_table(untrained)
        losses = tables.losses(trained, rows)
        null_losses = tables.losses(untrained, _some(group.order, min(self.pairs, NULL_PAIRS), for_null))
        clusters = tables.cluster_table(trained, losses, self.same)
        null_clusters = tables.cluster_table(untrained, null_losses, self.same)
        over_training = self._over_training(run)
        for name, table in (("neurons", neurons), ("untrained", null), ("clusters", clusters)):
            out.save_table(name, table)
        out.save_table("training", over_training)
        intact, restricted = losses[-1, "none"], losses[-1, "restricted"]
        overall = {"loss": intact.loss, "restricted": restricted.loss, "pairs": len(rows) * group.order}
        out.save_table("losses", pd.DataFrame([overall | {"classes": group.order}]))
        tables.save_pictures(out, trained, for_plane)
        live, live_null = neurons[neurons["irrep"] != "dead"], null[null["irrep"] != "dead"]
        claims, notes = {}, {}
        if len(live) >= LEAST_NEURONS and len(live_null) >= LEAST_NEURONS:
            claims = self._claims(live, live_null)
        else:
            notes["few_neurons"] = f"Claims on neurons need {LEAST_NEURONS} that are not dead; there are {len(live)}."
        if len(rows) < group.order:
            share = f"{len(rows) * group.order:,} of {group.order**2:,} pairs"
            notes["pairs"] = f"Losses are over {share}; the claim on ablations needs all of them (pairs)."
        elif (counted := clusters[clusters["neurons"] >= LEAST_CLUSTER]).empty:
            notes["clusters"] = f"The claim on ablations needs a cluster of {LEAST_CLUSTER} neurons."
        else:
            claims["ablation"] = _ablation_claim(counted, null_clusters, losses)
        return Finding(self._scalars(neurons, live, live_null, clusters, losses), claims, notes)

    def _over_training(self, run: Run) -> pd.DataFrame:
        """Return the medians of the neurons and the number of neurons of each irrep at recorded steps; no rows where
        none are recorded, and at a step before the end of training."""
        import pandas as pd

        from mechlab.analyses.groups.neuron_tables import purity_at

        if self.steps == 0 or isinstance(run.moment, int) or not run.history.steps:
            return pd.DataFrame({"step": []})
        group, rows = run.task.ground_truth().group, []
        for step in spaced_steps(run, self.steps):
            medians, counts = purity_at(PairNetwork.of_model(run.at(step).model(), group), self.dead)
            rows.append({"step": step, **medians, **{f"neurons_{name}": count for name, count in counts.items()}})
        table = pd.DataFrame(rows)
        counts = [name for name in table if name.startswith("neurons_")]
        return table.assign(**{name: table[name].fillna(0).astype(int) for name in counts})

    def _scalars(
        self,
        neurons: pd.DataFrame,
        live: pd.DataFrame,
        null: pd.DataFrame,
        clusters: pd.DataFrame,
        losses: Losses,
    ) -> dict[str, float]:
        weights = clusters["neurons"] / max(1, clusters["neurons"].sum())
        can_fail = live[live["can_fail"]]
        scalars = {
            "purity": live["purity"].median(),
            "circuit": live["circuit"].median(),
            "pure_share": (live["purity"] >= self.pure).mean(),
            "neurons": len(live),
            "dead": len(neurons) - len(live),
            "irreps": len(clusters),
            **{name: live[name].median() for name in ("purity_a", "purity_b", "purity_u")},
            **{f"rank_one_{part}": can_fail[f"rank_one_{part}"].median() for part in "abu"},
            **{f"cos_{part}": can_fail[f"cos_{part}"].median() for part in "abc"},
            "additive": live["additive"].median(),
            "after_agrees": (live["after"] == live["irrep"]).mean(),
            **{name: (clusters[name] * weights).sum() for name in CLUSTER_MEANS if name in clusters},
            "loss": losses[-1, "none"].loss,
            "accuracy": losses[-1, "none"].accuracy,
            "restricted_loss": losses[-1, "restricted"].loss,
            "restricted_accuracy": losses[-1, "restricted"].accuracy,
            "untrained_purity": null["purity"].median(),
            "untrained_circuit": null["circuit"].median(),
        }
        return {name: float(value) for name, value in scalars.items() if np.isfinite(value)}

    def _claims(self, live: pd.DataFrame, null: pd.DataFrame) -> dict[str, Claim]:
        """Return the claims on medians over neurons. Each also needs the median to be rare in an untrained network, so
        that it is no property of the group (of one with a single large irrep, whose neurons are all nearly pure)."""

        def claim(name: str, column: str, threshold: float, rows: pd.DataFrame, chance: pd.DataFrame) -> Claim:
            values, rare = rows[column], float(chance[column].quantile(RARE))
            return Claim(
                f"Half of the {len(rows)} neurons {name} of at least {threshold:g}, which at most {1 - RARE:.0%} of "
                "untrained neurons have.",
                value=float(values.median()),
                threshold=threshold,
                holds=bool(values.median() >= threshold > rare),
                kind="exact",
                null=float(chance[column].median()),
            )

        circuit = "have a cosine of the unembedding's transform with the product of the embeddings'"
        claims = {
            "pure": claim("have a purity", "purity", self.pure, live, null),
            "circuit": claim(circuit, "circuit", self.aligned, live, null),
        }
        rows, chance = (
            table[table["can_fail"]].assign(
                least=lambda part: part[["rank_one_a", "rank_one_b", "rank_one_u"]].min(axis=1)
            )
            for table in (live, null)
        )
        if min(len(rows), len(chance)) >= LEAST_NEURONS:
            name = "with transforms that can have a higher rank have a rank-one share, the least of the three,"
            claims["rank_one"] = claim(name, "least", self.aligned, rows, chance)
        return claims

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw purity, clusters before and after the nonlinearity, ablations, the change of basis, the unembedding in
        the basis of irreps, neurons of one-dimensional irreps, neurons in the plane, and purity over training."""
        from mechlab.plotting import group_neurons as plots

        neurons, clusters, overall = (out.table(name) for name in ("neurons", "clusters", "losses"))
        irrep, training = neurons["irrep"].to_numpy(), out.table("training")
        figures = {"purity": plots.purity_figure(neurons, out.table("untrained"), self.pure)}
        if len(training):
            figures["training"] = plots.training_figure(training)
        if not len(clusters):
            return figures
        figures["clusters"] = plots.clusters_figure(clusters)
        figures["ablations"] = plots.ablations_figure(clusters, *overall.iloc[0][["loss", "restricted", "classes"]])
        pictured = clusters.head(len(list(out.folder.glob("cluster_*.safetensors"))))
        arrays = [out.arrays(f"cluster_{place}") for place in range(len(pictured))]
        first = pictured.iloc[0]
        figures["change_of_basis"] = plots.change_of_basis_figure(
            arrays[0]["basis"], first["irrep"], first["recovered_explained"]
        )
        figures["unembedding"] = plots.unembedding_figure(
            [part["unembedding"] for part in arrays],
            [part["predicted"] for part in arrays],
            pictured["irrep"].tolist(),
            pictured["map_error"].tolist(),
        )
        plane = out.arrays("plane")
        figures["plane"] = plots.plane_figure(plane, irrep[plane["neurons"]])
        if (out.folder / "one_dimensional.safetensors").exists():
            facets = out.arrays("one_dimensional")
            chosen = facets["neurons"]
            figures["one_dimensional"] = plots.one_dimensional_figure(facets["activations"], chosen, irrep[chosen])
        return figures


def _some(order: int, pairs: int, rng: np.random.Generator) -> np.ndarray:
    """Return random left factors that have at least so many pairs with all right factors; all if there are no more."""
    return np.sort(rng.permutation(order)[: -(-pairs // order)])


def _ablation_claim(clusters: pd.DataFrame, null: pd.DataFrame, losses: Losses) -> Claim:
    def least_ratio(table: pd.DataFrame) -> float:
        return float((table["loss_without_ab"] / table[["loss_without_a", "loss_without_b"]].max(axis=1)).min())

    return Claim(
        f"In each of the {len(clusters)} clusters of at least {LEAST_CLUSTER} neurons, the loss without rho(ab) is at "
        f"least {RATIO:g} times that without rho(a) and that without rho(b), and the accuracy of the intact network is "
        f"at least {LEARNED:g}.",
        value=least_ratio(clusters),
        threshold=RATIO,
        holds=bool(losses[-1, "none"].accuracy >= LEARNED and least_ratio(clusters) >= RATIO),
        kind="exact",
        null=least_ratio(null) if len(null) else None,
    )
