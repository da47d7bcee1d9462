"""Which irreps of the group a network multiplies with, and how much of it they explain."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from mechlab.analyses.groups.irreps_over_training import learning_order, over_training
from mechlab.analyses.groups.pairs import pair_network, split_pairs
from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import Interval, above, at_least, between
from mechlab.groups.group_metrics import GroupMetrics, network_metrics
from mechlab.groups.irrep import Irrep
from mechlab.groups.network import PairNetwork
from mechlab.groups.representations import irreps
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mechlab.record.run import Run

GUESS = 0.9  # of the loss of a uniform guess, for the claim `excluded`
FEWEST_PAIRS = 30  # held-out pairs for claims
DRAWN = 400  # order of the largest group whose logits are drawn
OF_CURVES = 5  # the order of a group up to which losses are computed over training is smaller by this factor


class Irreps(Analysis):
    """The irreps of the group that a network computes its logits with: the similarity of the logits with each
    character, the fractions of variance explained (FVE) of embeddings, hidden units and unembedding, and the losses of
    what the key irreps explain (restricted) and leave (excluded).

    At the end of training also all of it over the recorded steps: the order in which irreps were learned, and the
    phases of training. All pairs are evaluated in float64, so that losses below the resolution of training are exact.
    Test losses are over the test pairs of the task: where whole cosets are held out, over these. The similarity on
    held-out pairs is over all pairs that were not trained on, those for validation among them. Networks whose hidden
    units are not known have the metrics of logits alone. See `mechlab.groups.metrics` for the definitions.

    Args:
        key: similarity above which an irrep other than the trivial one is a key irrep, as published; or
            "null_hypothesis" for those whose similarity on held-out pairs exceeds what random relabelling of the
            outputs gives.
        learned: similarity above which an irrep counts as learned. The order of learning has at most one irrep for each
            recorded step, and key irreps that stay below come last.
        level: probability that the similarity of any irrep exceeds its limit under the null hypothesis.
        restricted: largest restricted loss in nats for the claim `restricted`.
        unexplained: largest share of the variance of the effective embeddings that key irreps leave, relative to what
            they leave of a random table, for the claim `embeddings`.
        checkpoints: maximal number of recorded steps of the curves, about evenly spaced in the logarithm; 0 for none.
        order: largest order of a group for which losses are computed, at a cost of its cube; up to a fifth of it they
            are also computed over training.

    Source: Chughtai et al., "A Toy Model of Universality", arXiv 2302.03025.
    """

    needs = Needs(kind="static", ground_truth=("group",))
    headline = ("key_irreps", "restricted_loss_with_trivial")

    def __init__(
        self,
        key: Annotated[float, Interval(0, 1, open_high=True)] | Literal["null_hypothesis"] = 0.005,
        learned: Annotated[float, Interval(0, 1, open_low=True, open_high=True)] = 0.05,
        level: Annotated[float, Interval(0, 1, open_low=True, open_high=True)] = 0.001,
        restricted: Annotated[float, above(0)] = 0.01,
        unexplained: Annotated[float, Interval(0, 1, open_low=True)] = 0.1,
        checkpoints: Annotated[int, between(0, 10_000)] = 100,
        order: Annotated[int, at_least(1)] = 1000,
    ):
        self.key, self.learned, self.level = key, learned, level
        self.restricted, self.unexplained, self.checkpoints, self.order = restricted, unexplained, checkpoints, order

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Measure the network, an untrained one, and the recorded steps of training; save tables."""
        network = pair_network(run, run.model())
        train, test = (split_pairs(run, split) for split in ("train", "test"))
        every = irreps(network.group)
        key = "null" if self.key == "null_hypothesis" else self.key
        options = {"level": self.level, "losses": network.order <= self.order, "test": test}
        measured = network_metrics(network, train, key=key, **options)
        names = [name for name, is_key in zip(measured.names, measured.key, strict=True) if is_key]
        untrained = network_metrics(pair_network(run, run.untrained()), train, key=names, **options)

        table = _table(measured, every)
        options["losses"] = network.order <= self.order // OF_CURVES
        curves = over_training(run, self.checkpoints, train, key=names, **options)
        scalars = {
            "key_irreps": float(len(names)),
            "irreps_beyond_null": float(measured.beyond_null.sum()),
            **{name: value for name, value in measured.scalars.items() if math.isfinite(value)},
        }
        if scalars.get("restricted_loss"):
            scalars["test_over_restricted"] = measured.test_loss / measured.restricted_loss
        if curves is not None:
            table["order"] = learning_order(curves.similarity, measured.key, self.learned)
            scalars |= curves.phases.scalars
            curves.save(out)
        out.save_table("irreps", table)
        _save_slices(out, network, measured, every)
        claims, notes = self._claims(measured, untrained, every, train)
        if curves is None and self.checkpoints and not run.is_live and not isinstance(run.moment, int):
            notes["curves"] = "There are no curves over training: no steps were recorded (history=sparse)."
        return Finding({name: float(value) for name, value in scalars.items() if math.isfinite(value)}, claims, notes)

    def _claims(
        self, measured: GroupMetrics, untrained: GroupMetrics, every: list[Irrep], train: np.ndarray
    ) -> tuple[dict[str, Claim], dict[str, str]]:
        n, held_out = len(every[0].matrices), int((~train).sum())
        if held_out < FEWEST_PAIRS:
            return {}, {"few_pairs": f"Claims need {FEWEST_PAIRS} held-out pairs; there are {held_out}."}
        claims, notes = {}, {}
        beyond = measured.held_out_similarity / measured.null_similarity
        claims["similarity"] = Claim(
            "The similarity of every key irrep on held-out pairs is at least the limit that random relabelling of the "
            f"outputs exceeds with probability {self.level:g}; the value is the smallest ratio.",
            value=float(np.nan_to_num(beyond[measured.key]).min()) if measured.key.any() else 0.0,
            threshold=1.0,
            holds=bool(measured.key.any() and measured.beyond_null[measured.key].all()),
            kind="statistical",
            null=float(np.nan_to_num(beyond_of(untrained)).max()),
        )
        if math.isfinite(measured.embed_x_fve):
            left, null = (_unexplained(of, every, measured.key) for of in (measured, untrained))
            claims["embeddings"] = Claim(
                f"Key irreps leave at most {self.unexplained:g} of the variance of either effective embedding, "
                "relative to what they leave of a random table.",
                value=left,
                threshold=self.unexplained,
                holds=left <= self.unexplained < null,
                kind="exact",
                null=null,
            )
        if math.isfinite(measured.loss):
            claims |= self._loss_claims(measured, untrained, math.log(n))
        else:
            notes["losses"] = f"Losses are computed for groups of an order up to {self.order} (order)."
        return claims, notes

    def _loss_claims(self, measured: GroupMetrics, untrained: GroupMetrics, chance: float) -> dict[str, Claim]:
        restricted, excluded = measured.restricted_loss_with_skip, measured.excluded_loss_with_skip
        return {
            "restricted": Claim(
                "The mean loss over all pairs of the logits' projection on the matrix elements rho(a b) of the key and "
                f"the trivial irreps is at most {self.restricted:g} nats.",
                value=restricted,
                threshold=self.restricted,
                holds=restricted <= self.restricted,
                kind="exact",
                null=untrained.restricted_loss_with_skip,
            ),
            "excluded": Claim(
                f"Without this projection the mean loss over the training pairs is at least {GUESS:g} of that of a "
                "uniform guess, and with it at most half.",
                value=excluded,
                threshold=GUESS * chance,
                holds=excluded >= GUESS * chance and measured.train_loss <= chance / 2,
                kind="exact",
                null=measured.train_loss,
            ),
        }

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the irreps, slices of the logits, and where there are some the curves over training."""
        from mechlab.plotting.irreps import irreps_figure, slices_figure
        from mechlab.plotting.irreps_over_training import curves_figures

        table = out.table("irreps")
        figures = {"irreps": irreps_figure(table)}
        if (out.folder / "slices.csv").exists():
            figures["slices"] = slices_figure(out.arrays("slices")["slices"], out.table("slices"))
        if (out.folder / "training.csv").exists():
            tables = (out.table(name) for name in ("training", "irreps_over_training", "phases"))
            figures |= curves_figures(*tables, table)
        return figures


def beyond_of(metrics: GroupMetrics) -> np.ndarray:
    """Return the held-out similarities relative to their limits under the null hypothesis (I - 1,), of all irreps but
    the trivial one."""
    return (metrics.held_out_similarity / metrics.null_similarity)[1:]


def _unexplained(metrics: GroupMetrics, every: list[Irrep], key: np.ndarray) -> float:
    """Return the variance of the worse of both embeddings that key irreps leave, relative to that of a random table."""
    sizes = np.array([irrep.size for irrep in every])
    chance = 1 - sizes[key].sum() / sizes.sum()
    left = 1 - min(metrics.embed_x[key].sum(), metrics.embed_y[key].sum())
    return max(0.0, float(left / chance)) if chance > 0 else 1.0


def _table(measured: GroupMetrics, every: list[Irrep]) -> pd.DataFrame:
    import pandas as pd

    columns = {"name": measured.names, "similarity": measured.similarity, "key": measured.key, "order": np.nan}
    columns |= {"dimension": [irrep.dimension for irrep in every], "kind": [irrep.kind for irrep in every]}
    return pd.DataFrame(columns | measured.per_irrep)


def _save_slices(out: Artifacts, network: PairNetwork, measured: GroupMetrics, every: list[Irrep]) -> None:
    """Save the logits (n, n) of one class c for all pairs, and the characters tr rho(a b c^-1) of the two irreps with
    the largest similarity, with c the element after the identity."""
    import pandas as pd

    group, n = network.group, network.order
    if n > DRAWN:
        return
    c = (group.identity + 1) % n
    logits = np.concatenate([network.logits(rows)[:, :, c].double().numpy() for rows in network.blocks()])
    quotient = group.table[group.table, group.inverses[c]]  # (n, n), a b c^-1
    best = 1 + np.argsort(-measured.similarity[1:], kind="stable")[:2]
    titles = [every[i].name for i in best]
    slices = np.stack([logits, *(every[i].character[quotient] for i in best)])
    out.save_arrays("slices", slices=slices.astype(np.float32))
    out.save_table("slices", pd.DataFrame({"title": ["logits", *titles], "class": group.labels[c]}))
