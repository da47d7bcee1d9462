"""The ambiguity of clusters over many networks: by method, against their accuracy, and over the epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np

from mechlab.analyses.ambiguity_tables import (
    CORRELATIONS,
    DESCRIBED,
    POINTS,
    Row,
    correlation_rows,
    curve_rows,
    method_rows,
    network_table,
    scalars_of,
)
from mechlab.analyses.clustered_networks import CLUSTERINGS, READ, ClusteredNetwork, clustered_networks
from mechlab.core.analysis import Claim, Finding
from mechlab.core.constraints import at_least, between
from mechlab.core.errors import ConfigError
from mechlab.core.set_analysis import SetAnalysis, SetNeeds
from mechlab.record.artifacts import Artifacts
from mechlab.statistics.correlation import RESAMPLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.record.run import Run

SHOWN = ("k_means_8", "lda", "DBSCAN", "k_means_4")  # methods of the figures and claims; else the first ones
MOST = 3


class AmbiguityOverRuns(SetAnalysis):
    """Summarise the weighted ambiguity of networks by method of clustering, and its correlation with their accuracy.

    Networks of one automaton are not independent: intervals are percentiles of a bootstrap that resamples automata,
    each with all its networks, and there are none for fewer than three automata.

    Args:
        accuracy_from: least accuracy of the networks; None for any. Accuracy is that of `conformance`, of the test or
            of the validation, the first that as many runs as possible have.
        model: models, or types of cell (relu, tanh, gru, lstm), of the networks; empty for all.
        separable: only networks of which LDA and logistic regression leave nothing ambiguous.
        fewest: automata below which no claim is made.

    Source: Muškardin et al., arXiv 2306.16854; the cluster bootstrap, Davison and Hinkley 1997, section 3.8.
    """

    needs = SetNeeds(runs=3, analyses=(CLUSTERINGS,), files=READ)

    def __init__(
        self,
        accuracy_from: Annotated[float, between(0, 1)] | None = None,
        model: tuple[str, ...] = (),
        separable: bool = False,
        fewest: Annotated[int, at_least(3)] = 5,
    ):
        self.accuracy_from, self.model, self.separable, self.fewest = accuracy_from, model, separable, fewest

    def run(self, runs: Sequence[Run], out: Artifacts, rng: np.random.Generator) -> Finding:
        """Save the tables of networks, methods, correlations and curves; claim that ambiguity falls with accuracy."""
        import pandas as pd

        networks, metric = clustered_networks(runs)
        selected = [network for network in networks if self.passes(network)]
        if not selected:
            must, got = "a network must pass the filters", f"{len(networks)} networks, {self.filters()}"
            raise ConfigError(
                must, got=got, key="analysis.ambiguity_over_runs", fix="a lower accuracy_from, or model=[]"
            )
        table = network_table(selected)
        methods = list(dict.fromkeys(name for network in selected for name in network.ambiguity))
        by_method, correlations = list(method_rows(table, methods)), list(correlation_rows(table, methods, metric))
        out.save_table("networks", table)
        out.save_table("by_method", pd.DataFrame(by_method))
        out.save_table("against_accuracy", pd.DataFrame(correlations, columns=CORRELATIONS))
        out.save_table("epochs", pd.DataFrame(list(curve_rows(selected)), columns=POINTS))
        automata = table["automaton"].nunique()
        notes = self._notes(len(selected), len(networks), automata, metric)
        claims = {} if automata < self.fewest else self._claims(correlations, methods, metric)
        return Finding(
            {"networks": len(selected), "automata": automata} | scalars_of(by_method, correlations), claims, notes
        )

    def passes(self, network: ClusteredNetwork) -> bool:
        """True if a network passes the filters; a model's name stands for all its types of cell."""
        accurate = self.accuracy_from is None or (network.accuracy or 0.0) >= self.accuracy_from
        chosen = not self.model or bool({network.cell_type, network.model} & set(self.model))
        return accurate and chosen and (network.separable or not self.separable)

    def filters(self) -> str:
        """Return the filters as they are typed; empty if there are none."""
        words = [] if self.accuracy_from is None else [f"accuracy_from={self.accuracy_from:g}"]
        words += [f"model=[{','.join(self.model)}]"] if self.model else []
        return " ".join([*words, *(["separable=true"] if self.separable else [])])

    def _notes(self, selected: int, total: int, automata: int, metric: str) -> dict[str, str]:
        filtered = f" (of {total} whose states were clustered; {self.filters()})" if self.filters() else ""
        notes = {
            "networks": f"Automata: {automata}, networks: {selected}{filtered}. Accuracy is {metric}.",
            "intervals": f"Intervals are percentiles of {RESAMPLES:,} resamples of automata, each with all its "
            "networks: networks of one automaton are not independent. With few automata they are too narrow.",
            "figures": "Boxes reach from the lower to the upper quartile, whiskers to the most extreme network within "
            "1.5 times their distance. Lines are least-squares fits over all networks.",
        }
        few = f"No claim is made of fewer than {self.fewest} automata."
        return notes | ({"fewest": few} if automata < self.fewest else {})

    def _claims(self, correlations: Sequence[Row], methods: Sequence[str], metric: str) -> dict[str, Claim]:
        of_method = {row["method"]: row for row in correlations}
        made = [of_method[method] for method in shown(methods) if method in of_method]
        return {
            f"falls_{row['method']}": Claim(
                f"The ambiguity by {row['method']} falls with {metric}: Spearman's correlation is below 0 (upper end "
                "of the 95 % interval over automata).",
                value=row["spearman"],
                threshold=0.0,
                holds=row["spearman_high"] < 0,
                kind="statistical",
                null=0.0,
                interval=(row["spearman_low"], row["spearman_high"]),
            )
            for row in made
            if row["spearman_high"] is not None and row["spearman"] is not None
        }

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw boxes by method; for a few methods ambiguity against accuracy and against the epoch."""
        from mechlab.plotting.report import Learning, learning
        from mechlab.plotting.survey import against_accuracy, boxes

        networks, epochs = out.table("networks"), out.table("epochs")
        correlations = {row["method"]: row for row in out.table("against_accuracy").to_dict("records")}
        methods = [name for name in networks.columns if name not in DESCRIBED]
        figures = {"by_method": boxes({name: networks[name].dropna().tolist() for name in methods})}
        for method in shown(methods):
            if method in correlations:
                pairs = networks[["accuracy", method, "cell_type"]].dropna()
                row = {name: None if value != value else value for name, value in correlations[method].items()}
                drawn = pairs["accuracy"].to_numpy(), pairs[method].to_numpy(), pairs["cell_type"].tolist()
                figures[f"accuracy_{method}"] = against_accuracy(method, row["accuracy"], *drawn, row)
            cells = []
            for cell_type, rows in epochs[epochs["method"] == method].groupby("cell_type"):
                curves = [
                    (run["epoch"].tolist(), run["ambiguity"].tolist()) for _, run in rows.groupby("run", sort=False)
                ]
                cells.append(Learning(str(cell_type), curves))
            if cells:
                figures[f"epochs_{method}"] = learning(f"ambiguity of {method}", cells, "epoch", named=True)
        return figures


def shown(methods: Sequence[str]) -> list[str]:
    """Return the methods that are drawn, and about which claims are made."""
    known = [method for method in SHOWN if method in methods]
    return (known or list(methods))[:MOST]
