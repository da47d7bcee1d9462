"""What does the space of a network's states look like?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from mechlab.analyses.reached import By, Reached, reached, supported
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
from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import Filled, above, at_least, between
from mechlab.core.errors import ConfigError
from mechlab.core.task import Split, Task
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

    from mechlab.record.run import Run

Method = Literal[METHODS]
DRAWN = 2000  # states in a picture
LETTERS = 6  # of an evaluation word whose way is drawn


class Pictures(Analysis):
    """Draw the states that a network reaches in the plane and in space, coloured by the ground truth's state and by
    cluster, with the ways of a few words as arrows.

    Linear projections are fitted to half of the distinct prefixes, drawn at random. A projection is scored by how well
    it tells the ground truth's state of the others, from which the states of the first half are: by the nearest mean
    of a state, and by the nearest prefix. t-SNE has no map for further points: it sees a sample of all prefixes without
    their states, and is scored on half of the sample. Shares count how often prefixes occur.

    Args:
        reduce: methods of projection; LDA is supervised by the ground truth's state.
        dimensions: 2, 3 or both.
        words: number of evaluation words.
        split: split that they are taken from.
        by: what labels tell: the "state"; the "transition", which is the state before the last letter, and the letter;
            of a pushdown automaton also the "height" or "top" of its stack.
        multiple: clusters (k-means) per state of the ground truth.
        points: prefixes that t-SNE sees.
        trajectories: words whose ways are drawn, in letters (separated by spaces where letters have long names), or
            how many evaluation words, of which the first 6 letters are drawn.
        threshold: least share of unseen prefixes for the claim `seen`, about the best linear projection to most
            directions.

    Source: Muskardin et al., arXiv 2306.16854, and its published code.
    """

    needs = Needs(kind="sequence", ground_truth=("automaton", "pushdown"))
    version = 2

    def __init__(
        self,
        reduce: Annotated[tuple[Method, ...], Filled()] = ("pca", "lda", "tsne"),
        dimensions: Annotated[tuple[Literal[2, 3], ...], Filled()] = (2, 3),
        words: Annotated[int, at_least(1)] = 2000,
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
        """Raise ConfigError if the question makes no sense for the task, or a word holds what is no letter of it."""
        super().check(name, task_name, task, key, model)
        for word in self.trajectories if isinstance(self.trajectories, tuple) else ():
            letters_of(word, task.ground_truth().alphabet, f"{key}.trajectories")

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Project and score; save the points, the ways of words, and the scores of each projection."""
        import pandas as pd

        found = reached(run, self.words, self.split, self.by)
        states, count = found.states.astype(np.float64), found.prefixes.count
        for_clusters, for_rows, for_words, *streams = rng.spawn(3 + len(METHODS))
        k = max(1, round(self.multiple * found.machine_states * found.factor))
        starts = starts_for(states, k)
        clusters = kmeans(states, k, for_clusters, starts)
        order = for_rows.permutation(len(states))
        paths, ways = self._ways(run.model(), found, run.task.ground_truth().alphabet, for_words)

        table, arrays, drawn = [], {}, order[:DRAWN]
        for method in dict.fromkeys(self.reduce):
            for dimensions in dict.fromkeys(self.dimensions):
                stream = np.random.default_rng([dimensions, int(streams[METHODS.index(method)].integers(2**31))])
                rows = order if method in LINEAR else order[: self.points]
                plane, on_way, line = _project(method, states[rows], found.labels[rows], paths, dimensions, stream)
                told = _told(plane, found.labels[rows], count[rows])
                table.append({"method": method, "dimensions": dimensions, **line, **told})
                arrays[f"{method}.{dimensions}"] = plane[: len(drawn)].astype(np.float32)
                arrays[f"{method}.{dimensions}.ways"] = on_way.astype(np.float32)

        out.save_arrays("states", labels=found.labels[drawn], clusters=clusters[drawn], **arrays)
        out.save_table("projections", pd.DataFrame(table))
        out.save_table("ways", ways)
        out.save_table("names", pd.DataFrame({"state": found.names}))
        out.save_table("letters", pd.DataFrame({"letter": run.task.ground_truth().alphabet}))
        common = float(np.bincount(found.labels, count).max() / count.sum())
        weighted = ambiguity(clusters, found.labels, count).weighted
        scalars = {"weighted": weighted, "most_common": common, "prefixes": float(len(states)), "starts": float(starts)}
        for row in table:
            start = f"{row['method']}_{row['dimensions']}d"
            measured = {name: value for name, value in row.items() if name not in ("method", "dimensions")}
            scalars |= {f"{start}_{name}": float(value) for name, value in measured.items()}
        return supported(scalars, self._claims(scalars), found.prefixes)

    def _claims(self, scalars: dict[str, float]) -> dict[str, Claim]:
        most = max(self.dimensions, default=0)
        values = [scalars[f"{method}_{most}d_nearest_mean"] for method in self.reduce if method in LINEAR and most]
        if not values:
            return {}
        claim = Claim(
            f"In a linear projection to {most} directions, the nearest mean tells the state of at least "
            f"{self.threshold:g} of unseen prefixes.",
            value=max(values),
            threshold=self.threshold,
            holds=max(values) >= self.threshold,
            kind="statistical",
            null=scalars["most_common"],
        )
        return {"seen": claim}

    def _ways(
        self, model: nn.Module, found: Reached, alphabet: tuple[str, ...], rng: np.random.Generator
    ) -> tuple[np.ndarray, Any]:
        """Return the states (L, F) on the ways of words, the initial one first on each, and a table with the word's
        number and the index of the letter read (-1 for none) of each."""
        import pandas as pd

        if isinstance(self.trajectories, int):
            given = found.prefixes.words
            chosen = rng.permutation(len(given))[: self.trajectories]
            words = [[int(letter) for letter in word[:LETTERS] if letter >= 0] for word in given[chosen]]
        else:
            words = [letters_of(word, alphabet, "trajectories") for word in self.trajectories]
        start = model.initial_state(1).detach().cpu().numpy()
        trie = trie_states(model, words)
        lengths = [len(word) for word in words]
        reached = np.split(trie.states[trie.index], np.cumsum(lengths)[:-1]) if words else []
        parts = [part for states in reached for part in (start, states)]
        rows = [(n, letter) for n, word in enumerate(words) for letter in (-1, *word)]
        table = pd.DataFrame(rows, columns=["word", "letter"])
        return np.concatenate([np.zeros((0, start.shape[1])), *parts]), table

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw all projections to the plane, and all to space."""
        from mechlab.plotting.pictures import projections_figure

        saved, ways, table = out.arrays("states"), out.table("ways"), out.table("projections")
        names = [str(name) for name in out.table("names")["state"]]
        letters = [str(letter) for letter in out.table("letters")["letter"]]
        ways["letter"] = [letters[index] if index >= 0 else "" for index in ways["letter"]]
        figures = {}
        for dimensions, lines in table.groupby("dimensions"):
            clouds = [(line, saved[f"{line.method}.{dimensions}"]) for line in lines.itertuples()]
            on_ways = [saved[f"{line.method}.{dimensions}.ways"] for line in lines.itertuples()]
            labels, clusters = saved["labels"], saved["clusters"]
            figures[f"states_{dimensions}d"] = projections_figure(clouds, on_ways, ways, labels, clusters, names)
        return figures


def letters_of(word: str, alphabet: tuple[str, ...], key: str) -> list[int]:
    """Return the letter indices of a word, or raise ConfigError."""
    letters = word.split() if " " in word or word in alphabet else list(word)
    unknown = [letter for letter in letters if letter not in alphabet]
    if unknown or not letters:
        fix = f"the letters are {', '.join(alphabet)}; separate long names by spaces"
        raise ConfigError("words must be of the task's letters", got=repr(word), key=key, fix=fix)
    return [alphabet.index(letter) for letter in letters]


def _project(
    method: str, states: np.ndarray, labels: np.ndarray, ways: np.ndarray, dimensions: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """Return states (P, F) and those on the ways (L, F) in few dimensions, and what is known of the projection."""
    if method == "tsne":
        both = tsne(np.concatenate([states, ways]), dimensions, rng)
        return both[: len(states)], both[len(states) :], {}
    half = slice(0, max(1, len(states) // 2))
    projection = fit_projection(method, states[half], labels[half], dimensions, rng)
    return projection(states), projection(ways), {"explained": projection.explained(states)}


def _told(plane: np.ndarray, labels: np.ndarray, count: np.ndarray) -> dict[str, float]:
    """Return the shares of the second half of the rows whose labels the first half tells."""
    half = max(1, len(plane) // 2)
    asked = slice(half, None) if half < len(plane) else slice(0, None)
    tellers = {"nearest_mean": nearest_mean, "nearest_neighbour": nearest_neighbour}
    right = {name: tell(plane[:half], labels[:half], plane[asked]) == labels[asked] for name, tell in tellers.items()}
    return {name: float(np.average(hits, weights=count[asked])) for name, hits in right.items()}
