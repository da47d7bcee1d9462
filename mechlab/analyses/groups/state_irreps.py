"""The irreps in which the states of a recurrent network represent a product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from mechlab.analyses.labelled_states import Part, labelled_states, supported_finding
from mechlab.automata.words.trie import prefix_states
from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import at_least, between
from mechlab.core.errors import ConfigError
from mechlab.core.task import Split, Task
from mechlab.groups.fourier import fractions
from mechlab.groups.representations import irreps
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mechlab.record.run import Run

P = 0.01  # greatest p-value of a claim


class StateIrreps(Analysis):
    """Fourier transform on the group of a recurrent network's mean state after each product.

    The mean states are a function on the group, x -> F(x); centred, its squared norm is a sum over the nontrivial
    irreps. The share of an irrep is compared with that under random permutations of the elements, for which it is
    size / (n - 1) on average. Two shares accompany it: that of the states' variance which lies between the n products,
    of the trained and of the untrained network.

    Args:
        words: number of evaluation words, whose prefixes are taken once each.
        split: of the words.
        part: of the state; see `SequenceModel.columns`.
        permutations: random permutations of the elements.
        threshold: least share of variance between products, for the claim `separated`.

    Source: the effective embeddings of Chughtai et al., arXiv 2302.03025, for states in place of embeddings.
    """

    version = 2
    needs = Needs(kind="sequence", ground_truth=("Cayley graph",))
    headline = ("between", "largest")

    def __init__(
        self,
        words: Annotated[int, at_least(1)] = 1000,
        split: Split = "val",
        part: Part = "all",
        permutations: Annotated[int, at_least(100)] = 1000,
        threshold: Annotated[float, between(0, 1)] = 0.5,
    ):
        self.words, self.split, self.part = words, split, part
        self.permutations, self.threshold = permutations, threshold

    def check(self, name: str, task_name: str, task: Task, key: str, model: Any = None) -> None:
        """Raise ConfigError also if the group has fewer than three elements."""
        super().check(name, task_name, task, key, model)
        if (order := task.ground_truth().group.order) < 3:
            must, got = f"analysis={name} needs a group of three or more elements", f"{order} elements"
            raise ConfigError(must, got=got, key="task.group", fix="task.group=S3")

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Transform the mean states; save the share of each irrep."""
        import pandas as pd

        group = run.task.ground_truth().group
        trained = labelled_states(run, self.words, self.split, part=self.part)
        means, between = _means(trained.states, trained.labels, group.order)
        model = run.untrained()
        untrained = prefix_states(model, trained.prefixes)[:, model.columns(self.part)]
        control = _means(untrained, trained.labels, group.order)[1]
        learned = irreps(group)[1:]
        sizes = np.array([irrep.size for irrep in learned]) / (group.order - 1)
        share = fractions(means, learned)
        drawn = np.stack([fractions(means[rng.permutation(group.order)], learned) for _ in range(self.permutations)])
        low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
        columns = {"share": share, "chance": sizes, "chance_low": low, "chance_high": high}
        out.save_table("irreps", pd.DataFrame({"irrep": [irrep.name for irrep in learned], **columns}))
        spread = np.maximum(drawn.std(0), 1e-9)  # 0 for an irrep that is alone
        excess, by_chance = (share - sizes) / spread, ((drawn - sizes) / spread).max(1)
        largest = float(excess.max())
        p = (1 + int((by_chance >= largest - 1e-6).sum())) / (1 + self.permutations)
        scalars = {"between": between, "untrained_between": control, "largest": largest, "p": p}
        claims = self._claims(scalars, learned[int(excess.argmax())].name, float(by_chance.mean()))
        return supported_finding(scalars, claims, trained.prefixes)

    def _claims(self, scalars: dict[str, float], name: str, chance: float) -> dict[str, Claim]:
        return {
            "separated": Claim(
                f"At least {self.threshold:g} of the variance of the states lies between products.",
                value=scalars["between"],
                threshold=self.threshold,
                holds=scalars["between"] >= self.threshold,
                kind="statistical",
                null=scalars["untrained_between"],
            ),
            "irreps": Claim(
                f"The states prefer irreps, {name} most: the largest share, in standard deviations above its mean over "
                f"permutations of the elements, is exceeded by at most {P:g} of them.",
                value=scalars["largest"],
                threshold=chance,
                holds=scalars["p"] <= P,
                kind="statistical",
                null=chance,
            ),
        }

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the share of each irrep."""
        from mechlab.plotting.state_irreps import shares

        return {"irreps": shares(out.table("irreps"))}


def _means(states: np.ndarray, labels: np.ndarray, n: int) -> tuple[np.ndarray, float]:
    """Return the centred mean states (n, F) of n labels, and the share of the states' variance between them."""
    counts = np.bincount(labels, minlength=n)
    means = np.zeros((n, states.shape[1]))
    np.add.at(means, labels, states)
    means /= np.maximum(counts, 1)[:, None]
    centred = states - states.mean(0)
    between = means - states.mean(0)
    total = np.square(centred).sum()
    share = float((counts[:, None] * np.square(between)).sum() / total) if total > 0 else float("nan")
    return means - means.mean(0), share
