"""Tables of the cosets on which neurons are constant, and of what interventions on these do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mechlab.groups.coset_interventions import Replaced, is_relu, replaced, scores, symmetry_ablations
from mechlab.groups.coset_membership import (
    SIDES,
    adjusted,
    coset_labels,
    exchange_blocks,
    random_blocks,
    within_blocks,
)

if TYPE_CHECKING:
    from mechlab.analyses.groups.cosets import Membership

FACTORS = ("left", "right")
Move = Callable[[np.ndarray, np.random.Generator], np.ndarray]
MOVES: dict[str, Move] = {
    "within_cosets": within_blocks,
    "within_random": lambda labels, rng: within_blocks(random_blocks(labels, rng), rng),
    "exchange_cosets": exchange_blocks,
}


def neuron_table(found: Membership) -> pd.DataFrame:
    """Return a row for each live neuron and factor: irrep, and the largest subgroup on whose cosets it is constant,
    with the number of the conjugate inside its class, or empty cells."""
    subgroups, rows = found.subgroups, []
    first = np.searchsorted(subgroups.class_of, np.arange(len(subgroups.classes)))
    for unit in found.live:
        for factor, best in zip(FACTORS, found.best, strict=True):
            number = int(best.subgroup[unit])
            which = subgroups.classes[subgroups.class_of[number]] if number >= 0 else None
            rows.append(
                {
                    "neuron": unit,
                    "irrep": found.neurons.irreps[found.neurons.irrep[unit]].name,
                    "factor": factor,
                    "subgroup": which.name if which else None,
                    "conjugate": number - first[subgroups.class_of[number]] if which else np.nan,
                    "order": which.order if which else np.nan,
                    "index": which.index if which else np.nan,
                    "cosets": SIDES[best.side[unit]] if which else None,
                    "r2": best.r2[unit],
                    "adjusted": best.adjusted[unit],
                    "null": best.null[unit],
                }
            )
    columns = [
        "neuron",
        "irrep",
        "factor",
        "subgroup",
        "conjugate",
        "order",
        "index",
        "cosets",
        "r2",
        "adjusted",
        "null",
    ]
    return pd.DataFrame(rows, columns=columns)


def summary_table(neurons: pd.DataFrame) -> pd.DataFrame:
    """Return the number of neurons and the median R^2 by irrep, factor, subgroup class and side of its cosets; "none"
    for neurons without a subgroup."""
    named = neurons.fillna({"subgroup": "none", "cosets": "none"})
    groups = named.groupby(["irrep", "factor", "subgroup", "cosets"])
    table = groups.agg(neurons=("neuron", "size"), r2=("r2", "median"))
    return table.reset_index().sort_values(["irrep", "factor", "neurons"], ascending=[True, True, False])


def membership_table(found: Membership, level: float) -> pd.DataFrame:
    """Return a row for each irrep that has neurons, factor, side and proper nontrivial subgroup class: medians over the
    irrep's neurons of the R^2 of the best conjugate, and of the best of as many random partitions (the quantile
    c / (c + 1) of the sample, for c conjugates); and the share of neurons with an adjusted R^2 of at least `level`."""
    subgroups, n, rows = found.subgroups, found.network.group.order, []
    for irrep in sorted(found.neurons.vectors, key=lambda number: -len(found.neurons.of(number))):
        units = found.neurons.of(irrep)
        for factor, r2, nulls in zip(FACTORS, found.r2, found.nulls, strict=True):
            for side in SIDES:
                for number, which in enumerate(subgroups.classes):
                    if not 1 < which.order < n:
                        continue
                    best = r2[side][subgroups.class_of == number][:, units].max(0)
                    null = np.quantile(nulls[which.order][:, units], which.conjugates / (which.conjugates + 1), axis=0)
                    fit = adjusted(best, np.array(which.order), n)
                    rows.append(
                        {
                            "irrep": found.neurons.irreps[irrep].name,
                            "neurons": len(units),
                            "factor": factor,
                            "cosets": side,
                            "subgroup": which.name,
                            "order": which.order,
                            "index": which.index,
                            "conjugates": which.conjugates,
                            "r2": np.median(best),
                            "adjusted": np.median(fit),
                            "null": np.median(null),
                            "share": (fit >= level).mean(),
                        }
                    )
    return pd.DataFrame(rows)


def intervention_table(
    found: Membership, draws: int, pairs: int, noise: float, rng: np.random.Generator
) -> pd.DataFrame:
    """Return a row for each draw of each intervention, with loss in nats and accuracy; "intact" first."""
    network, rows = found.network, []
    n = network.order
    elements = np.sort(rng.permutation(n)[: max(1, min(n, round(pairs / n)))])

    def add(name: str, draw: int, change: Callable) -> None:
        loss, accuracy = scores(network, elements, change)
        rows.append({"intervention": name, "draw": draw, "loss": loss, "accuracy": accuracy})

    add("intact", 0, lambda block, hidden: hidden)
    together = _together(found)
    for name, move in MOVES.items() if together else ():
        for draw in range(draws):
            parts = [
                Replaced(units, *(np.arange(n) if labels is None else move(labels, rng) for labels in both))
                for units, both in together
            ]
            add(name, draw, replaced(network, parts))
    if is_relu(network):
        for draw in range(draws):
            for name, change in symmetry_ablations(network, found.read, noise, rng).items():
                if draw == 0 or name == "noise":
                    add(name, draw, change)
    return pd.DataFrame(rows)


def _together(found: Membership) -> list[tuple[np.ndarray, list[np.ndarray | None]]]:
    """Return the live neurons that share the subgroups of both factors, with the labels of the cosets (n,) of each
    factor, None for a factor without a subgroup; neurons without any subgroup are left out."""
    keys = np.stack([part for best in found.best for part in (best.subgroup, best.side)], 1)  # (h, 4)
    keys = keys[found.live]
    groups = []
    for key in np.unique(keys, axis=0):
        labels = [
            coset_labels(found.network.group, found.subgroups.masks[subgroup], side) if subgroup >= 0 else None
            for subgroup, side in (key[:2], key[2:])
        ]
        if any(label is not None for label in labels):
            groups.append((found.live[(keys == key).all(1)], labels))
    return groups
