"""Which irreps networks of many seeds learn of one group, how many, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np

from mechlab.analyses.groups.group_runs import IRREPS, READ, group_runs
from mechlab.analyses.groups.learned import Learned, learned_by
from mechlab.analyses.groups.learning_curves import CURVES, PROGRESS, curve_rows, progress_rows
from mechlab.core.analysis import Claim, Finding
from mechlab.core.constraints import at_least, between
from mechlab.core.set_analysis import SetAnalysis, SetNeeds
from mechlab.groups.learned_irreps import independent_share, mean_agreement
from mechlab.record.artifacts import Artifacts
from mechlab.statistics.bootstrap import RESAMPLES, bootstrap
from mechlab.statistics.correlation import cluster_interval, whole
from mechlab.statistics.wilson import wilson

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.record.run import Run

DRAWS = 200  # samples of networks that learn irreps independently


class Universality(SetAnalysis):
    """Count the key irreps of networks that multiply in one group and differ in their seed: how often each irrep is
    learned, how many are, which sets, and in which order, among the networks that generalise. Key irreps of others are
    noise above a threshold.

    Irreps that an automorphism of the group takes into each other are alike for a network. So irreps are counted
    together by orbit as well, and sets count as equal if one automorphism takes one into the other.

    Claims. `weak` universality: key irreps explain the weights of all networks; the null is the share of dimensions of
    the functions on the group that the key irreps have. `strong` universality: most networks learn the same set; the
    null is the share of the most frequent set among networks that learn each irrep independently. `order`: two networks
    learn the irreps that they share in the same order; the null is .5.

    Args:
        accuracy: the least test accuracy of a network that generalises.
        explained: the fraction of variance of claim `weak`.
        fewest: seeds that generalise below which no claim is made.

    Source: Chughtai et al., arXiv 2302.03025, its section on universality.
    """

    needs = SetNeeds(runs=2, analyses=(IRREPS,), files=READ, equal=("task.group", "model._target_"))

    def __init__(
        self,
        accuracy: Annotated[float, between(0, 1)] = 0.99,
        explained: Annotated[float, between(0, 1)] = 0.9,
        fewest: Annotated[int, at_least(3)] = 5,
    ):
        self.accuracy, self.explained, self.fewest = accuracy, explained, fewest

    def run(self, runs: Sequence[Run], out: Artifacts, rng: np.random.Generator) -> Finding:
        """Save tables of networks, irreps, orbits, numbers of irreps, sets, and of losses and similarities over
        training."""
        import pandas as pd

        networks = group_runs(runs)
        learned = learned_by(networks, self.accuracy)
        for name, table in learned.tables().items():
            out.save_table(name, table)
        general = [run for run, network in zip(runs, networks, strict=True) if network.accuracy >= self.accuracy]
        out.save_table("over_training", pd.DataFrame(curve_rows(general), columns=CURVES))
        out.save_table("progress", pd.DataFrame(progress_rows(runs), columns=PROGRESS))
        n, every = len(learned.sets), len(runs)
        low, high = wilson(n, every)
        scalars = {"networks": every, "generalising": n}
        scalars |= {"rate_generalising": n / every, "rate_generalising_low": low, "rate_generalising_high": high}
        claims: dict[str, Claim] = {}
        if n:
            measured = self._measured(learned, rng)
            scalars |= {name: value for name, value in measured.items() if np.isfinite(value)}
            claims = self._claims(measured, n) if len(set(learned.seeds)) >= self.fewest else {}
        return Finding({name: float(value) for name, value in scalars.items()}, claims, self._notes(learned, claims))

    def _measured(self, learned: Learned, rng: np.random.Generator) -> dict[str, float]:
        n, largest = len(learned.sets), learned.largest_class
        counts, agreement = learned.sets.sum(1), learned.agreement

        def order(weights: np.ndarray) -> np.ndarray:
            return mean_agreement(agreement, weights)

        low, high = cluster_interval(order, range(n))
        agreed = whole(order, n)
        values = {
            "key_irreps": counts.mean(),
            **_ends("key_irreps", bootstrap(counts)),
            "different_irreps": learned.sets.any(0).sum(),
            "different_sets": len({each.tobytes() for each in learned.sets}),
            "different_sets_up_to_automorphism": len(set(learned.classes.tolist())),
            "same_set": largest / n,
            **_ends("same_set", wilson(largest, n)),
            "same_set_null": independent_share(learned.sets, learned.images, DRAWS, rng),
            "explained": learned.explained.mean(),
            **_ends("explained", bootstrap(learned.explained)),
            "explained_null": learned.dimensions.mean(),
            "same_order": np.nan if agreed is None else agreed,
            **_ends("same_order", (np.nan, np.nan) if low is None or high is None else (low, high)),
        }
        return {name: float(value) for name, value in values.items()}

    def _claims(self, measured: dict[str, float], n: int) -> dict[str, Claim]:
        statements = {
            "weak": (
                "explained",
                self.explained,
                f"Key irreps explain the weights of the {n} networks that generalise: of embeddings and unembedding, "
                f"whichever is explained least, a fraction above {self.explained:g} of the variance (lower end of the "
                "95 % bootstrap interval of the mean). The null is their share of all dimensions.",
            ),
            "strong": (
                "same_set",
                0.5,
                f"Most of the {n} networks that generalise learn the same set of irreps, up to automorphism: the share "
                "of the most frequent set is above 0.5 (lower end of the 95 % Wilson interval). The null is that of "
                "networks that learn each irrep independently, as often as these do.",
            ),
            "order": (
                "same_order",
                0.5,
                f"Any two of the {n} networks that generalise learn the irreps that they share in the same order: the "
                "share of pairs of irreps in the same order is above 0.5 (lower end of the 95 % interval).",
            ),
        }
        claims = {}
        for slug, (name, least, statement) in statements.items():
            value, low, high = (measured[f"{name}{end}"] for end in ("", "_low", "_high"))
            if np.isfinite([value, low, high]).all():
                claims[slug] = Claim(
                    statement,
                    value=value,
                    threshold=least,
                    holds=low > least,
                    kind="statistical",
                    null=measured.get(f"{name}_null", 0.5),
                    interval=(low, high),
                )
        return claims

    def _notes(self, learned: Learned, claims: dict[str, Claim]) -> dict[str, str]:
        notes = {
            "generalising": f"Irreps, sets and orders are counted over networks of test accuracy {self.accuracy:g} or "
            "more; the table of irreps counts the others beside them.",
            "intervals": f"Intervals of shares are Wilson's, those of means are percentiles of {RESAMPLES:,} bootstrap "
            "means over networks; all are 95 %.",
        }
        if not learned.quotient:
            notes["automorphisms"] = "The group has too many automorphisms to list, so that no irreps count as alike."
        if not claims:
            notes["fewest"] = f"No claim is made of fewer than {self.fewest} seeds that generalise."
        return notes

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw how often irreps are learned, how many are, and losses and similarities over training."""
        from mechlab.plotting.universality import grokking, irrep_frequency, learning_order, number_of_irreps

        figures = {"irrep_frequency": irrep_frequency(out.table("irreps"))}
        figures["key_irreps"] = number_of_irreps(out.table("numbers"))
        for name, draw, table in (
            ("learning_order", learning_order, "over_training"),
            ("grokking", grokking, "progress"),
        ):
            if len(rows := out.table(table)):
                figures[name] = draw(rows)
        return figures


def _ends(name: str, ends: tuple[float, float]) -> dict[str, float]:
    return dict(zip((f"{name}_low", f"{name}_high"), ends, strict=True))
