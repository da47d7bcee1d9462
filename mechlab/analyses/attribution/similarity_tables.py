"""Tables and claims about the similarity of examples by component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mechlab.analyses.attribution.score_cosines import Slices
from mechlab.core.analysis import Claim
from mechlab.kernels.related_pairs import RelatedPairs, classical_scaling, correlation_of_pairs

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.95
FEWEST = 30  # examples, and pairs of either kind, for a claim


def by_key(
    whole: np.ndarray,
    first: np.ndarray,
    components: Sequence[str],
    related: Mapping[str, np.ndarray],
    permutations: int,
    resamples: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Return how well the cosines separate pairs of examples that have a key in common from others.

    Args:
        whole, first: cosines (G, X, X) of the scores of the whole training, and of its first step alone.
        components: their names (G,).
        related: key -> (X, X) bool.
        permutations: of the examples.
        resamples: of the examples, the same for all components.

    Returns:
        Columns component, key, pairs, others (numbers of pairs), auc, low and high (bootstrap interval), chance (95 %
        quantile with permuted examples), chance_of_largest (that of the largest area of all components), first_step
        (the area of the first step), gain, gain_low and gain_high (the difference to it). Intervals cover all
        components together: 95 % of resamples, by Bonferroni's rule.
    """
    import pandas as pd

    X, rows = whole.shape[-1], []
    orders = np.stack([rng.permutation(X) for _ in range(permutations)])
    counts = rng.multinomial(X, np.full(X, 1 / X), size=resamples)
    ends = [(1 - LEVEL) / (2 * len(components)), 1 - (1 - LEVEL) / (2 * len(components))]
    for key, relation in related.items():
        null, own = [], []
        for name, matrix, control in zip(components, whole, first, strict=True):
            pairs, before = RelatedPairs(matrix, relation), RelatedPairs(control, relation)
            null.append(pairs.permuted(orders))
            drawn, drawn_before = pairs.resampled(counts), before.resampled(counts)
            low, high = _ends(drawn, ends)
            gain_low, gain_high = _ends(drawn - drawn_before, ends)
            own.append(
                {"component": name, "key": key, "pairs": pairs.sizes[0], "others": pairs.sizes[1], "auc": pairs.auc}
                | {"low": low, "high": high, "chance": _ends(null[-1], [LEVEL])[0], "first_step": before.auc}
                | {"gain": pairs.auc - before.auc, "gain_low": gain_low, "gain_high": gain_high}
            )
        known = [values for values in null if np.isfinite(values).all()]
        largest = float(np.quantile(np.max(known, 0), LEVEL, method="higher")) if known else np.nan
        rows += [row | {"chance_of_largest": largest} for row in own]
    return pd.DataFrame(rows)


def by_slice(
    cosines: np.ndarray, slices: Slices, components: Sequence[str], related: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """Return the areas of cosines (B, G, X, X) by slice of training: columns first, stop, component, key and auc."""
    import pandas as pd

    rows = [
        {"first": start, "stop": stop, "component": name, "key": key, "auc": RelatedPairs(matrix, relation).auc}
        for (start, stop), matrices in zip(slices, cosines, strict=True)
        for name, matrix in zip(components, matrices, strict=True)
        for key, relation in related.items()
    ]
    return pd.DataFrame(rows, columns=["first", "stop", "component", "key", "auc"])


def similar_examples(
    cosines: np.ndarray, components: Sequence[str], examples: pd.DataFrame, chosen: Sequence[int], top: int
) -> pd.DataFrame:
    """Return the most and the least similar examples of some examples.

    Args:
        cosines: (G, R, R).
        components: their names (G,).
        examples: R rows with columns example, split, label and input.
        chosen: rows of the examples to list.
        top: number of either kind.

    Returns:
        Columns component, explained, label, input, kind (nearest or farthest), rank, cosine, and split, example,
        other_label and other_input of the other example.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    facts = examples.to_dict("records")
    for name, matrix in zip(components, cosines, strict=True):
        for row in chosen:
            order = [k for k in np.argsort(-matrix[row], kind="stable") if k != row and np.isfinite(matrix[row, k])]
            own = {"component": name, "explained": facts[row]["example"], "label": facts[row]["label"]}
            for kind, others in (("nearest", order[:top]), ("farthest", order[::-1][:top])):
                for rank, k in enumerate(others):
                    entry = own | {"input": facts[row]["input"], "kind": kind, "rank": rank + 1}
                    entry |= {"cosine": matrix[row, k], "split": facts[k]["split"], "example": facts[k]["example"]}
                    rows.append(entry | {"other_label": facts[k]["label"], "other_input": facts[k]["input"]})
    columns = ["component", "explained", "label", "input", "kind", "rank", "cosine", "split", "example"]
    return pd.DataFrame(rows, columns=[*columns, "other_label", "other_input"])


def between_components(cosines: np.ndarray, components: Sequence[str]) -> pd.DataFrame:
    """Return the correlations over pairs of examples between the cosines (G, X, X) of components, a row and a column
    for each."""
    import pandas as pd

    values = [[correlation_of_pairs(left, right) for right in cosines] for left in cosines]
    return pd.DataFrame({"component": list(components), **dict(zip(components, np.transpose(values), strict=True))})


def embedding(
    cosines: np.ndarray,
    components: Sequence[str],
    examples: pd.DataFrame,
    method: Literal["scaling", "tsne"],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Return places of examples in the plane: columns component, example, split, label, sum, x, y, and for classical
    scaling the share of the variance along the axes.

    Args:
        cosines: (G, R, R).
        components: their names (G,).
        examples: R rows with columns example, split, label and sum.
        method: "scaling", or "tsne" of the leading 30 axes of classical scaling.
    """
    import pandas as pd

    from mechlab.clustering.projections import tsne

    tables = []
    for name, matrix in zip(components, cosines, strict=True):
        points, shares = classical_scaling(matrix, 2 if method == "scaling" else 30)
        known = np.isfinite(points[:, 0])
        if method == "tsne" and known.sum() > 3:
            placed = np.full((len(points), 2), np.nan)
            placed[known] = tsne(points[known], 2, rng)
            points, shares = placed, np.full(2, np.nan)
        columns = {"x": points[:, 0], "y": points[:, 1], "x_share": shares[0], "y_share": shares[1]}
        tables.append(examples[["example", "split", "label", "sum"]].assign(component=name, **columns))
    return pd.concat(tables, ignore_index=True)


def claims(keys: pd.DataFrame, examples: int, least: float) -> tuple[dict[str, Claim], dict[str, str]]:
    """Return the claims that equal labels go with similar scores, and a note where they are not made.

    The component is that whose area exceeds that of the first training step most; intervals and the null take the
    choice among components into account.

    Args:
        keys: see `by_key`.
        examples: number of examples that were compared.
        least: threshold of the area.
    """
    best = best_component(keys)
    if best is None:
        return {}, {"no_claims": "No claim is made: the examples have no labels, or there are no pairs to compare."}
    if min(examples, best["pairs"], best["others"]) < FEWEST:
        sizes = f"{examples} examples with {best['pairs']} pairs of equal and {best['others']} of different labels"
        return {}, {"no_claims": f"No claim is made from {sizes}: each number must be at least {FEWEST}."}
    where, null = f"in {best['component']}", float(np.nanmax(best[["chance_of_largest", "first_step"]].astype(float)))
    made = {
        "follows_label": Claim(
            f"Examples of equal label have the more similar scores {where}: the area under the ROC curve of their "
            f"cosines is at least {least:g}, above that of permuted labels, and above that of the first training step "
            "alone (95 % interval over examples).",
            value=float(best["auc"]),
            threshold=least,
            holds=bool(best["low"] >= least and best["low"] > null),
            kind="statistical",
            null=null,
            interval=(float(best["low"]), float(best["high"])),
        )
    }
    if np.isfinite(best["gain"]):
        made["label_is_learned"] = Claim(
            f"The area under the ROC curve {where} is larger for the whole training than for its first step alone "
            "(95 % interval over examples).",
            value=float(best["gain"]),
            threshold=0.0,
            holds=bool(best["gain_low"] > 0),
            kind="statistical",
            null=0.0,
            interval=(float(best["gain_low"]), float(best["gain_high"])),
        )
    return made, {}


def best_component(keys: pd.DataFrame) -> pd.Series | None:
    """Return the row of the component whose area for labels exceeds that of the first step most; None without labels
    or scores."""
    labels = keys[(keys["key"] == "label") & keys["auc"].notna()] if len(keys) else keys
    return labels.loc[(labels["auc"] - labels["first_step"].fillna(0.5)).idxmax()] if len(labels) else None


def _ends(values: np.ndarray, quantiles: Sequence[float]) -> list[float]:
    """Return quantiles of the values that are known; NaN if most are not."""
    known = values[np.isfinite(values)]
    if len(known) < 0.9 * len(values):
        return [np.nan] * len(quantiles)
    return [float(end) for end in np.quantile(known, quantiles)]
