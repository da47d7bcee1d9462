"""A network's hidden states and their ambiguity over training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import torch

from mechlab.analyses.given_words import WordAnalysis, WordSource
from mechlab.analyses.labelled_states import By, LabelledStates, evaluation, labelled_states, supported_finding
from mechlab.automata.words.prefixes import Prefixes
from mechlab.clustering.kmeans import kmeans, starts_for
from mechlab.clustering.methods import LabelledPoints, cluster
from mechlab.clustering.projections import LINEAR, fit_projection
from mechlab.clustering.scores import ambiguity
from mechlab.core.analysis import Claim, Finding, Needs
from mechlab.core.constraints import above, at_least
from mechlab.core.model import outputs_of
from mechlab.core.task import Split
from mechlab.record.artifacts import Artifacts
from mechlab.record.run import spaced_steps

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mechlab.record.run import Run

Method = Literal[LINEAR]
DRAWN = 800  # number of states in a picture
SPLITS = 3  # of the rows into folds, at each step


class StatesOverTraining(WordAnalysis):
    """A network's hidden states over training: in one common plane, and by the ambiguity of their clusters.

    At each recorded step the network reads the distinct prefixes of the evaluation words. Its states are clustered by
    k-means and classified by LDA (fitted to all prefixes, and cross-validated five-fold: a mean over three random
    splits). The table has the weighted ambiguity of both, and the accuracy on the same words.

    Args:
        reduce: projection to the common plane; "lda" is supervised by the ground truth's state.
        fit: states to which it is fitted: those of the "last" step, or of "all" steps.
        frames: maximal number of the recorded steps, about evenly spaced in the logarithm of the step.
        words: number of evaluation words, or words of one's own; see `WordSource`.
        split: split of drawn words.
        by: kind of labels: the "state"; the "transition", which is the state before the last letter, and the letter;
            for a pushdown automaton also the "height" or "top" of its stack.
        multiple: clusters (k-means) per state of the ground truth.

    Source: Muškardin et al., arXiv 2306.16854, and its published code, on a few epochs and without a common plane.
    """

    needs = Needs(kind="sequence", ground_truth=("automaton", "pushdown"), history="sparse")
    version = 2

    def __init__(
        self,
        reduce: Method = "pca",
        fit: Literal["last", "all"] = "last",
        frames: Annotated[int, at_least(2)] = 25,
        words: WordSource = 500,
        split: Split = "val",
        by: By = "state",
        multiple: Annotated[float, above(0)] = 4.0,
    ):
        self.reduce, self.fit, self.frames, self.words = reduce, fit, frames, words
        self.split, self.by, self.multiple = split, by, multiple

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Cluster, score and project at each step; save the table of scores, and the points and clusters."""
        import pandas as pd

        steps = spaced_steps(run, self.frames)
        for_plane, for_rows, *streams = rng.spawn(2 + len(steps))
        moments = [self._at(run.at(step), stream) for step, stream in zip(steps, streams, strict=True)]
        states = [here.states.astype(np.float64) for here, _, _ in moments]
        labels, names = moments[-1][0].labels, moments[-1][0].names
        shown = np.sort(for_rows.permutation(len(labels))[:DRAWN])

        chosen = states if self.fit == "all" else states[-1:]
        fitted = np.concatenate(chosen), np.tile(labels, len(chosen))
        projection = fit_projection(self.reduce, *fitted, 2, for_plane)
        planes = np.stack([projection(here[shown]) for here in states])  # (S, R, 2)

        epoch = run.recipe.steps_per_epoch or 1
        lines = [
            {"step": step, "epoch": step / epoch, **line} for step, (_, _, line) in zip(steps, moments, strict=True)
        ]
        along = np.stack([projection.shares(here) for here in states])  # (S, 2)
        explained = [projection.explained(here) for here in states]
        table = pd.DataFrame(lines).assign(explained=explained, explained_1=along[:, 0], explained_2=along[:, 1])
        clusters = np.stack([grouped[shown] for _, grouped, _ in moments])  # (S, R)
        out.save_arrays("states", planes=planes.astype(np.float32), labels=labels[shown], clusters=clusters)
        out.save_table("training", table)
        out.save_table("names", pd.DataFrame({"state": names}))
        return self._finding(table, moments[-1][0].prefixes)

    def _at(self, run: Run, rng: np.random.Generator) -> tuple[LabelledStates, np.ndarray, dict[str, float]]:
        """Return the labelled states at one moment, the cluster (P,) of each prefix, and the scores."""
        observed, batch, model = (
            labelled_states(run, self.words, self.split, self.by),
            evaluation(run, self.words, self.split),
            run.model(),
        )
        n, count = observed.machine_states * observed.factor, observed.prefixes.count
        k = max(1, round(self.multiple * n))
        starts = starts_for(observed.states, k)
        clusters = kmeans(observed.states, k, rng, starts)
        rows = LabelledPoints(
            observed.states.astype(np.float64),
            observed.labels,
            observed.prefixes.index,
            observed.machine_states,
            observed.factor,
        )
        lda = cluster("lda", rows, rng, splits=SPLITS)
        held_out = [ambiguity(classes, observed.labels, count).weighted for classes in lda.held_out]
        with torch.no_grad():
            accuracy = run.task.score(outputs_of(model, batch.inputs), batch)["accuracy"]
        return (
            observed,
            clusters,
            {
                "accuracy": float(accuracy.mean()),
                "weighted": ambiguity(clusters, observed.labels, count).weighted,
                "lda": ambiguity(lda.clusters, observed.labels, count).weighted,
                "lda_held_out": float(np.mean(held_out)),
                "starts": starts,
            },
        )

    def _finding(self, table: pd.DataFrame, prefixes: Prefixes) -> Finding:
        measured = ("accuracy", "weighted", "lda", "lda_held_out")
        first, last = ({name: float(table[name].iloc[row]) for name in measured} for row in (0, -1))
        start = {f"{name}_first": value for name, value in first.items()}
        scalars = {**last, **start, "steps": float(len(table)), "prefixes": float(len(prefixes))}
        scalars["starts"] = float(table["starts"].iloc[-1])  # of k-means
        claim = Claim(
            "The weighted ambiguity of k-means clusters at the last step is below half of that at the first.",
            value=last["weighted"],
            threshold=first["weighted"] / 2,
            holds=last["weighted"] < first["weighted"] / 2,
            kind="statistical",
            null=first["weighted"],
        )
        return supported_finding(scalars, {"halved": claim}, prefixes)

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw the states at the steps where they change most side by side, and the scores against the step."""
        from mechlab.plotting.animation import frames_figure, scores_figure

        table = out.table("training")
        return {"frames": frames_figure(*self._saved(out), table, self.reduce), "scores": scores_figure(table)}

    def animations(self, out: Artifacts) -> dict[str, bytes]:
        """Draw an animation of the states over the steps where they change most, beside the scores."""
        from mechlab.plotting.animation import moving_states

        moving = moving_states(*self._saved(out), out.table("training"), self.reduce, out.subject)
        return {"states": moving}

    def _saved(self, out: Artifacts) -> tuple[np.ndarray, np.ndarray, list[str]]:
        saved = out.arrays("states")
        return saved["planes"], saved["labels"], [str(name) for name in out.table("names")["state"]]
