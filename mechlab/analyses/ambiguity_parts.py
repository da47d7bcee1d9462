"""Parts of the analysis of ambiguity that follow the clustering: each saves a table and returns its scalars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mechlab.analyses.labelled_states import By, LabelledStates, labels_of
from mechlab.automata.automaton import Automaton
from mechlab.automata.extraction.conformance import outputs_of
from mechlab.automata.extraction.word_classifier import WordClassifier
from mechlab.automata.factors import Factor, closed_factors, named_factors, part_numbers
from mechlab.automata.partitions import quotient
from mechlab.automata.pushdown.pushdown import Pushdown
from mechlab.automata.words.prefixes import distinct_prefixes
from mechlab.automata.words.trie import prefix_states
from mechlab.clustering.bisimulation import successor_errors
from mechlab.clustering.by_length import ambiguity_by_length
from mechlab.clustering.centres import centres_of
from mechlab.clustering.intervention import replace_states
from mechlab.clustering.nulls import permuted_ambiguity
from mechlab.clustering.plane import principal_plane
from mechlab.clustering.scores import ambiguity, cluster_ambiguity, contingency
from mechlab.record.artifacts import Artifacts

if TYPE_CHECKING:
    from mechlab.record.run import Run

REPLACED = 500  # number of states that are replaced by their cluster's mean

Given = Mapping[str, Sequence]


def save_states(out: Artifacts, observed: LabelledStates, clusters: np.ndarray, separation: np.ndarray) -> None:
    """Save the states in the plane of their principal components, a table of clusters and one of automaton states."""
    import pandas as pd

    prefixes, labels, states, names = observed.prefixes, observed.labels, observed.states, observed.names
    plane, shares = principal_plane(states.astype(np.float64))
    columns = {"labels": labels, "clusters": clusters, "length": prefixes.length, "count": prefixes.count}
    out.save_arrays("states", plane=plane.astype(np.float32), shares=shares, **columns)

    table = contingency(clusters, labels, prefixes.count)
    numbers, distinct = np.unique(clusters, return_counts=True)
    after = successor_errors(clusters, prefixes.parent, prefixes.letter, prefixes.count)
    lines = {
        "cluster": numbers,
        "size": table.sum(1).astype(int),
        "prefixes": distinct,
        "ambiguity": cluster_ambiguity(table),
        "conflict": after.by_cluster,
        "state": [names[label] for label in np.unique(labels)[table.argmax(1)]],
    }
    out.save_table("clusters", pd.DataFrame(lines))

    ratios = np.full(len(names), np.nan)
    ratios[np.unique(labels)] = separation
    distinct = np.bincount(labels, minlength=len(names))
    size = np.bincount(labels, prefixes.count, minlength=len(names)).astype(int)
    lines = {"state": names, "prefixes": distinct, "size": size, "separation": ratios}
    out.save_table("states", pd.DataFrame(lines))


def by_factor(
    out: Artifacts,
    truth: Automaton | Pushdown,
    observed: LabelledStates,
    clusters: np.ndarray,
    given: Given | None,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Save the ambiguity against each factor of the states, and return it as `factor_<name>`."""
    import pandas as pd

    count, lines = observed.prefixes.count, []
    for factor, source in partitions(truth, observed.names, given):
        blocks = factor.blocks[observed.labels]
        line = {
            "factor": factor.name,
            "source": source,
            "closed": _closed(truth, factor),
            "blocks": len(np.unique(blocks)),
            "weighted": ambiguity(clusters, blocks, count).weighted,
            "null_permuted": permuted_ambiguity(clusters, blocks, count, rng),
            "states": factor.groups(observed.names),
        }
        lines.append(line)
    if lines:
        out.save_table("factors", pd.DataFrame(lines))
    return {f"factor_{line['factor']}": line["weighted"] for line in lines}


def partitions(truth: Automaton | Pushdown, names: Sequence[str], given: Given | None) -> list[tuple[Factor, str]]:
    """Return the factors of a ground truth with their sources: "given" ones first, then those "found" by search.

    Raises:
        ValueError: a given factor is not a partition of the states.
    """
    specified = named_factors(given or {}, names)
    by_state = isinstance(truth, Automaton) and part_numbers(truth)[1] == tuple(names)
    every = closed_factors(truth) if by_state else ()
    taken, known = {factor.name for factor in specified}, {factor.blocks.tobytes() for factor in specified}
    others = [factor for factor in every if factor.blocks.tobytes() not in known]
    renamed = [Factor(f"found_{f.name}", f.blocks) if f.name in taken else f for f in others]
    return [(factor, "given") for factor in specified] + [(factor, "found") for factor in renamed]


def by_suffix_length(
    out: Artifacts, run: Run, observed: LabelledStates, clusters: np.ndarray, letters: int, rng: np.random.Generator
) -> dict[str, float]:
    """Save the effect of replacing a state by its cluster's mean on the predictions after each of `letters` letters.

    `kept` is the share of replaced states with an unchanged prediction, `right` the share with the ground truth's
    output; `control` and `right_control` are the same for the mean of another cluster, and `right_own` is the share of
    right predictions without replacement.
    """
    import pandas as pd

    prefixes, network, truth = observed.prefixes, WordClassifier(run.model()), run.task.ground_truth()
    start = prefixes.index[rng.integers(len(prefixes.index), size=REPLACED)]
    suffixes = rng.integers(len(truth.alphabet), size=(REPLACED, letters))
    classes = replace_states(network.step, observed.states, clusters, prefixes.count, start, suffixes, rng)

    words = np.pad(np.maximum(prefixes.words[prefixes.row[start]], 0), ((0, 0), (0, letters)))
    places = np.arange(REPLACED)[:, None], prefixes.length[start][:, None] + np.arange(letters)
    words[places] = suffixes
    targets = outputs_of(truth, words)[places]

    shares = {"letters": np.arange(1, letters + 1), "states": np.full(letters, REPLACED)}
    shares |= {"kept": (classes.mean == classes.own).mean(0), "right": (classes.mean == targets).mean(0)}
    shares["right_own"] = (classes.own == targets).mean(0)
    if classes.other is not None:
        shares |= {
            "control": (classes.other == classes.own).mean(0),
            "right_control": (classes.other == targets).mean(0),
        }
    out.save_table("causal", pd.DataFrame(shares))
    return {
        f"causal_{name}": float(share.mean()) for name, share in shares.items() if name not in ("letters", "states")
    }


def by_word_length(
    out: Artifacts,
    run: Run,
    observed: LabelledStates,
    clusters: np.ndarray,
    weights: np.ndarray | None,
    by: By,
    sizes: tuple[int, int],
    rng: np.random.Generator,
) -> dict[str, float]:
    """Save the ambiguity of the same clusters on uniform words, sizes[1] of each length up to sizes[0]."""
    import pandas as pd

    model, truth, (longest, words) = run.model(), run.task.ground_truth(), sizes

    def read(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        prefixes = distinct_prefixes(words)
        ends = prefixes.index.reshape(words.shape)[:, -1]
        return prefix_states(model, prefixes)[ends], labels_of(truth, prefixes, by)[0][ends]

    centres = centres_of(observed.states.astype(np.float64), clusters, weights)
    lines = ambiguity_by_length(read, centres, len(truth.alphabet), range(1, longest + 1), words, rng)
    fitted = int(observed.prefixes.length.max())
    out.save_table(
        "lengths", pd.DataFrame([{**line, "words": words, "fitted": line["length"] <= fitted} for line in lines])
    )
    return {"longest": lines[-1]["weighted"], "longest_balanced": lines[-1]["balanced"]}


def _closed(truth: Automaton | Pushdown, factor: Factor) -> bool | None:
    """Return True if a factor is closed under the transitions of an automaton; None if it is not a partition of its
    states, as for a pushdown automaton."""
    if isinstance(truth, Pushdown):
        return None
    number, names = part_numbers(truth)
    if len(factor.blocks) != len(names):
        return None
    try:
        quotient(quotient(truth.transitions, number), factor.blocks)
    except ValueError:
        return False
    return True
