"""Projections of a network's states to the plane and to space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from mechlab.analyses.given_words import WordAnalysis, WordSource, given_words
from mechlab.analyses.labelled_states import By, LabelledStates, labelled_states, supported_finding
from mechlab.automata.words.trie import trie_states
from mechlab.clustering.kmeans import kmeans, starts_for
from mechlab.clustering.projections import (
    LINEAR,
    METHODS,
    fit_projection,
    nearest_mean,
    nearest_neighbour,
    tsne,
)
from mechlab.clustering.scores import ambiguity
from mechlab.core.analysis import Claim, Finding, Needs
from mechlab.core.constraints import Filled, above, at_least, between
from mechlab.core.task import Split, Task
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

    from mechlab.record.run import Run

Method = Literal[METHODS]
DRAWN = 2000  # number of states in a picture
LETTERS = 6  # of an evaluation word whose trajectory is drawn


class Pictures(WordAnalysis):
    """Projections of a network's states to the plane and to space, coloured by the ground truth's state and by cluster,
    with the trajectories of a few words as arrows.

    Linear projections are fitted to a random half of the distinct prefixes. The score of a projection is the accuracy,
    on the other half, of classifying the ground truth's state from the first half: by the nearest mean of a state, and
    by the nearest prefix. t-SNE has no map for further points: it is fitted to a sample of all prefixes without labels,
    and scored on half of the sample. Accuracies weight prefixes by occurrence.

    Args:
        reduce: methods of projection; LDA is supervised by the ground truth's state.
        dimensions: 2, 3 or both.
        words: number of evaluation words, or words of one's own; see `WordSource`.
        split: split of drawn words.
        by: kind of labels: the "state"; the "transition", which is the state before the last letter, and the letter;
            for a pushdown automaton also the "height" or "top" of its stack.
        multiple: clusters (k-means) per state of the ground truth.
        points: number of prefixes for t-SNE.
        trajectories: words whose trajectories are drawn, in letters (separated by spaces where letters have long
            names), or a number of distinct evaluation words, of which the first 6 letters are drawn.
        threshold: least share of held-out prefixes for the claim `seen`, about the best linear projection to most
            directions.

    Source: Muškardin et al., arXiv 2306.16854, and its published code.
    """

    needs = Needs(kind="sequence", ground_truth=("automaton", "pushdown"))
    version = 2

    def __init__(
        self,
        reduce: Annotated[tuple[Method, ...], Filled()] = ("pca", "lda", "tsne"),
        dimensions: Annotated[tuple[Literal[2, 3], ...], Filled()] = (2, 3),
        words: WordSource = 2000,
        split: Split = "val",
        by: By = "state",
        multiple: Annotated[float, above(0)] = 4.0,
        points: Annotated[int, at_least(10)] = 300,
        trajectories: Annotated[int, at_least(0)] | tuple[str, ...] = 3,
        threshold: Annotated[float, between(0, 1)] = 0.9,
    ):
        self.reduce, self.dimensions, self.words, self.split, self.by = reduce, dimensions, words, split, by
        self.multiple, self.points, self.trajectories, self.threshold = multiple, points, trajectories, threshold

    def check(self, name: str, task_name: str, task: Task, key: str, model: Any = None) -> None:
        """Raise ConfigError if the task has no automaton, or a word has a letter that is not in its alphabet."""
        super().check(name, task_name, task, key, model)
        for word in self.trajectories if isinstance(self.trajectories, tuple) else ():
            given_words([word], task.ground_truth().alphabet, f"{key}.trajectories")

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Project and score; save the points, the trajectories of words, and the scores of each projection."""
        import pandas as pd

        observed = labelled_states(run, self.words, self.split, self.by)
        states, count = observed.states.astype(np.float64), observed.prefixes.count
        for_clusters, for_rows, for_words, *streams = rng.spawn(3 + len(METHODS))
        k = max(1, round(self.multiple * observed.machine_states * observed.factor))
        starts = starts_for(states, k)
        clusters = kmeans(states, k, for_clusters, starts)
        order = for_rows.permutation(len(states))
        trajectory, letters = self._trajectories(run.model(), observed, run.task.ground_truth().alphabet, for_words)

        table, arrays, drawn = [], {}, order[:DRAWN]
        for method in dict.fromkeys(self.reduce):
            for dimensions in dict.fromkeys(self.dimensions):
                stream = np.random.default_rng([dimensions, int(streams[METHODS.index(method)].integers(2**31))])
                rows = order if method in LINEAR else order[: self.points]
                plane, on_trajectory, line = _project(
                    method, states[rows], observed.labels[rows], trajectory, dimensions, stream
                )
                accuracies = _accuracies(plane, observed.labels[rows], count[rows])
                table.append({"method": method, "dimensions": dimensions, **line, **accuracies})
                arrays[f"{method}.{dimensions}"] = plane[: len(drawn)].astype(np.float32)
                arrays[f"{method}.{dimensions}.ways"] = on_trajectory.astype(np.float32)

        out.save_arrays("states", labels=observed.labels[drawn], clusters=clusters[drawn], **arrays)
        out.save_table("projections", pd.DataFrame(table))
        out.save_table("ways", letters)
        out.save_table("names", pd.DataFrame({"state": observed.names}))
        out.save_table("letters", pd.DataFrame({"letter": run.task.ground_truth().alphabet}))
        common = float(np.bincount(observed.labels, count).max() / count.sum())
        weighted = ambiguity(clusters, observed.labels, count).weighted
        scalars = {"weighted": weighted, "most_common": common, "prefixes": float(len(states)), "starts": float(starts)}
        for row in table:
            start = f"{row['method']}_{row['dimensions']}d"
            measured = [name for name in row if name in ("explained", "nearest_mean", "nearest_neighbour")]
            scalars |= {f"{start}_{name}": float(row[name]) for name in measured}
        return supported_finding(scalars, self._claims(scalars), observed.prefixes)

    def _claims(self, scalars: dict[str, float]) -> dict[str, Claim]:
        most = max(self.dimensions, default=0)
        values = [scalars[f"{method}_{most}d_nearest_mean"] for method in self.reduce if method in LINEAR and most]
        if not values:
            return {}
        claim = Claim(
            f"In a linear projection to {most} directions, the nearest mean gives the right state for at least "
            f"{self.threshold:g} of held-out prefixes.",
            value=max(values),
            threshold=self.threshold,
            holds=max(values) >= self.threshold,
            kind="statistical",
            null=scalars["most_common"],
        )
        return {"seen": claim}

    def _trajectories(
        self, model: nn.Module, observed: LabelledStates, alphabet: tuple[str, ...], rng: np.random.Generator
    ) -> tuple[np.ndarray, Any]:
        """Return the states (L, F) along words, the initial state first for each, and a table of the word and
        the letter read (-1 for none) of each, as numbers."""
        import pandas as pd

        if isinstance(self.trajectories, int):
            given = observed.prefixes.words
            begun = dict.fromkeys(map(tuple, given[rng.permutation(len(given)), :LETTERS].tolist()))
            words = [[letter for letter in word if letter >= 0] for word in list(begun)[: self.trajectories]]
        else:
            words = [given_words([word], alphabet, "trajectories")[0] for word in self.trajectories]
        start = model.initial_state(1).detach().cpu().numpy()
        trie = trie_states(model, words)
        lengths = [len(word) for word in words]
        states = np.split(trie.states[trie.index], np.cumsum(lengths)[:-1]) if words else []
        parts = [part for after in states for part in (start, after)]
        rows = [(n, letter) for n, word in enumerate(words) for letter in (-1, *word)]
        table = pd.DataFrame(rows, columns=["word", "letter"])
        return np.concatenate([np.zeros((0, start.shape[1])), *parts]), table

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw one figure of all 2-D projections and one of all 3-D projections."""
        from mechlab.plotting.pictures import projections_figure

        saved, letters_read, table = out.arrays("states"), out.table("ways"), out.table("projections")
        names = [str(name) for name in out.table("names")["state"]]
        letters = [str(letter) for letter in out.table("letters")["letter"]]
        letters_read["letter"] = [letters[index] if index >= 0 else "" for index in letters_read["letter"]]
        figures = {}
        for dimensions, lines in table.groupby("dimensions"):
            clouds = [(line, saved[f"{line.method}.{dimensions}"]) for line in lines.itertuples()]
            trajectories = [saved[f"{line.method}.{dimensions}.ways"] for line in lines.itertuples()]
            labels, clusters = saved["labels"], saved["clusters"]
            figures[f"states_{dimensions}d"] = projections_figure(
                clouds, trajectories, letters_read, labels, clusters, names
            )
        return figures


def _project(
    method: str,
    states: np.ndarray,
    labels: np.ndarray,
    trajectory: np.ndarray,
    dimensions: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """Return the projections of states (P, F) and of trajectories (L, F), and if linear the explained shares of the
    variance: by all directions, and along each."""
    if method == "tsne":
        both = tsne(np.concatenate([states, trajectory]), dimensions, rng)
        return both[: len(states)], both[len(states) :], {}
    half = slice(0, max(1, len(states) // 2))
    projection = fit_projection(method, states[half], labels[half], dimensions, rng)
    along = {f"explained_{n}": float(share) for n, share in enumerate(projection.shares(states), 1)}
    return projection(states), projection(trajectory), {"explained": projection.explained(states), **along}


def _accuracies(plane: np.ndarray, labels: np.ndarray, count: np.ndarray) -> dict[str, float]:
    """Return the accuracies of classifying the second half of the rows from the first half, by method."""
    half = max(1, len(plane) // 2)
    held_out = slice(half, None) if half < len(plane) else slice(0, None)
    classifiers = {"nearest_mean": nearest_mean, "nearest_neighbour": nearest_neighbour}
    predicted = {name: f(plane[:half], labels[:half], plane[held_out]) for name, f in classifiers.items()}
    weights = count[held_out]
    return {name: float(np.average(p == labels[held_out], weights=weights)) for name, p in predicted.items()}
