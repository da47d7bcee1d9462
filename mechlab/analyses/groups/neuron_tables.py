"""Tables and arrays of the neurons of a network that multiplies in a group, and of their clusters by irrep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from mechlab.clustering.plane import principal_plane
from mechlab.clustering.projections import tsne
from mechlab.groups.activations import Activations, Functions, activations, functions
from mechlab.groups.cluster_ablations import Changed, ablated
from mechlab.groups.clusters import activation_energies, recover
from mechlab.groups.irrep import DIVISOR
from mechlab.groups.lines import Lines
from mechlab.groups.network import PairNetwork
from mechlab.groups.neurons import NeuronTransforms, transform_neurons
from mechlab.groups.representations import irreps
from mechlab.record.artifacts import Artifacts

PUBLISHED_BEFORE, PUBLISHED_AFTER = 1.0, 110.0  # energies above which the source assigned a neuron of S5 to an irrep
PICTURED = 4  # clusters with a picture of their unembedding
FACETS = 8  # neurons of one-dimensional irreps with a picture of their activation
SIDE = 240  # elements of the group in such a picture
LEAST_EMBEDDED = 5  # neurons for t-SNE
Losses = Mapping[tuple[int, str], Changed]


@dataclass(frozen=True, eq=False)
class Moment:
    """A network, and what its h neurons compute."""

    network: PairNetwork
    functions: Functions
    activations: Activations
    neurons: NeuronTransforms

    @classmethod
    def of(cls, network: PairNetwork, dead: float) -> Moment:
        """Return what a network's neurons compute; neurons are dead that are constant, or of at most a share `dead` of
        the largest size."""
        read, done = functions(network), activations(network)
        small = (read.size <= dead * read.size.max()) | (done.deviation <= 1e-12 * np.abs(done.a).max())
        return cls(network, read, done, transform_neurons(read.a, read.b, read.u, irreps(network.group), small))

    @property
    def clusters(self) -> dict[int, np.ndarray]:
        """The numbers of the neurons of each irrep that has any, by the number of the irrep."""
        return {number: self.neurons.of(number) for number in self.neurons.vectors}

    def names(self, numbers: np.ndarray) -> list[str]:
        """Return the names of irreps by number, "dead" for -1."""
        return [self.neurons.irreps[number].name if number >= 0 else "dead" for number in numbers]


def neuron_table(moment: Moment) -> pd.DataFrame:
    """Return a row for each neuron; see `NeuronTransforms` for purity, rank-one shares and cosines.

    `after` is the irrep with the most energy of the activation in the matrix elements of rho(a), rho(b) and rho(a b),
    and `after_share` its share of the activation's variance. `can_fail` is whether transforms at the irrep can have a
    rank above one.
    """
    neurons, held = moment.neurons, _held(moment)
    variance = np.diagonal(moment.activations.gram)
    table = {
        "neuron": np.arange(len(neurons.irrep)),
        "irrep": moment.names(neurons.irrep),
        "purity": neurons.mean_purity,
        "circuit": neurons.circuit,
        "can_fail": [
            number >= 0 and neurons.irreps[number].dimension > DIVISOR[neurons.irreps[number].kind]
            for number in neurons.irrep
        ],
    }
    for measure, parts, values in (
        ("purity", "abu", neurons.purity),
        ("rank_one", "abu", neurons.rank_one),
        ("cos", "abc", neurons.cosines),
        ("mean", "abu", neurons.energy[:, :, 0]),
    ):
        table |= {f"{measure}_{part}": values[row] for row, part in enumerate(parts)}
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = held[:, 1:].max(1) / variance
    return pd.DataFrame(table).assign(
        size=moment.functions.size,
        active=moment.activations.active,
        additive=moment.functions.additive,
        after=moment.names(np.where(neurons.dead, -1, held[:, 1:].argmax(1) + 1)),
        after_share=np.where(neurons.dead, np.nan, shares),
    )


def losses(moment: Moment, rows: np.ndarray) -> Losses:
    """Return the losses after ablations, over pairs with the left factors `rows`; see `ablated`."""
    return ablated(moment.network, moment.activations, moment.clusters, moment.neurons.irreps, rows)


def cluster_table(moment: Moment, changed: Losses, same: float) -> pd.DataFrame:
    """Return a row for each irrep that has neurons, the largest cluster first.

    `before` and `after` count neurons by most energy of their functions of the factors, and of their activation; with
    `_published` those whose energy (of the function of the left factor; of the activation) is above the thresholds of
    the source.
    """
    neurons, sums = moment.neurons, moment.activations
    read = np.stack([moment.functions.a, moment.functions.b])
    absolute = neurons.energy[:2] * np.square(read).sum(1)[:, :, None]  # (2, h, R)
    before = _winner(neurons.energy[:2].mean(0), neurons.dead)
    held = _held(moment)
    after = _winner(held, neurons.dead)
    rows = []
    for number, members in moment.clusters.items():
        irrep = neurons.irreps[number]
        found = recover(sums, moment.functions.u, irrep, members)
        energy = activation_energies(sums, [irrep])[:, members, 0].sum(1)
        total = np.diagonal(sums.gram)[members].sum()
        row = {
            "irrep": irrep.name,
            "dimension": irrep.dimension,
            "kind": irrep.kind,
            "neurons": len(members),
            "before": int((before == number).sum()),
            "after": int((after == number).sum()),
            "before_published": int((absolute[0, :, number] > PUBLISHED_BEFORE).sum()),
            "after_published": int((held[:, number] > PUBLISHED_AFTER).sum()),
            "purity": np.median(neurons.mean_purity[members]),
            "circuit": np.median(neurons.circuit[members]),
            **{f"fve_{name}": share for name, share in zip(("a", "b", "ab"), energy / total, strict=True)},
            "recovered_error": found.error,
            "recovered_explained": found.explained,
            "map_error": found.map_error,
            "row_error": found.row_error,
        }
        for part, name in (("a", "_a"), ("b", "_b"), ("ab", "_ab"), ("all", "")):
            row[f"loss_without{name}"] = changed[number, part].loss
            row[f"accuracy_without{name}"] = changed[number, part].accuracy
        for name in ("a", "b", "c"):
            row |= _set_of_lines(neurons.vectors[number][name], moment.network.group.table, name, same)
        rows.append(row)
    return pd.DataFrame(sorted(rows, key=lambda row: -row["neurons"]), columns=None if rows else ["irrep", "neurons"])


def purity_at(network: PairNetwork, dead: float) -> tuple[dict[str, float], dict[str, int]]:
    """Return medians of a network's neurons, and the number of neurons of each irrep, without dead ones."""
    read = functions(network)
    found = irreps(network.group)
    neurons = transform_neurons(read.a, read.b, read.u, found, read.size <= dead * read.size.max())
    live = ~neurons.dead
    if not live.any():
        return {"purity": np.nan, "circuit": np.nan, "dead": float(len(live))}, {}
    medians = {
        "purity": float(np.median(neurons.mean_purity[live])),
        "circuit": float(np.median(neurons.circuit[live])),
    }
    counts = {found[number].name: int((neurons.irrep == number).sum()) for number in neurons.vectors}
    return medians | {"dead": float((~live).sum())}, counts


def save_pictures(out: Artifacts, moment: Moment, rng: np.random.Generator) -> None:
    """Save what the figures of neurons need beside the tables; nothing where all neurons are dead."""
    if not moment.clusters:
        return
    neurons = moment.neurons
    by_size = sorted(moment.clusters.items(), key=lambda item: -len(item[1]))
    for place, (number, members) in enumerate(by_size[:PICTURED]):
        found = recover(moment.activations, moment.functions.u, neurons.irreps[number], members)
        d, order = neurons.irreps[number].dimension, _order(neurons.vectors[number])
        out.save_arrays(
            f"cluster_{place}",
            neurons=members[order],
            basis=found.basis[order].reshape(len(members), -1).T.copy(),
            unembedding=found.unembedding.reshape(d * d, d * d),
            predicted=found.predicted.reshape(d * d, d * d),
        )
    live = np.flatnonzero(~neurons.dead)
    plane, shares = principal_plane(moment.functions.u[live] - moment.functions.u[live].mean(1, keepdims=True))
    arrays = {"neurons": live, "unembedding": plane, "shares": shares}
    if len(live) >= LEAST_EMBEDDED:
        for name, values in (("a", moment.functions.a), ("b", moment.functions.b)):
            arrays[name] = tsne((values - values.mean(0))[:, live].T, 2, rng)
    out.save_arrays("plane", **arrays)
    linear = [number for number in moment.clusters if neurons.irreps[number].dimension == 1]
    chosen = np.flatnonzero(np.isin(neurons.irrep, linear))
    chosen = np.sort(chosen[np.argsort(-moment.functions.size[chosen], kind="stable")][:FACETS])
    if len(chosen):
        out.save_arrays("one_dimensional", neurons=chosen, activations=_facets(moment, chosen))


def _facets(moment: Moment, chosen: np.ndarray) -> np.ndarray:
    """Return activations (k, E, E) of chosen neurons, over elements sorted by the value of each neuron's irrep, at most
    240 evenly chosen ones."""
    facets = []
    for neuron in chosen:
        character = moment.neurons.irreps[moment.neurons.irrep[neuron]].character
        order = np.argsort(-character, kind="stable")
        order = order[np.linspace(0, len(order) - 1, min(SIDE, len(order))).round().astype(int)]
        wanted = torch.from_numpy(order)
        rows = [moment.network.hidden(block)[:, wanted, int(neuron)] for block in wanted.split(16)]
        facets.append(torch.cat(rows).float().numpy())
    return np.stack(facets)


def _held(moment: Moment) -> np.ndarray:
    """Return the energy (h, R) of the activations in all three kinds of matrix elements."""
    return activation_energies(moment.activations, moment.neurons.irreps).sum(0)


def _winner(energy: np.ndarray, dead: np.ndarray) -> np.ndarray:
    """Return the nontrivial irrep (h,) with most energy (h, R), -1 for dead neurons."""
    return np.where(dead, -1, np.nan_to_num(energy[:, 1:]).argmax(1) + 1)


def _set_of_lines(lines: Lines, table: np.ndarray, name: str, same: float) -> dict[str, float]:
    """Return the number of distinct lines, the size of the orbit of the most frequent one, and the share of images of
    lines under the group that are a line of the set."""
    distinct = lines.distinct(same)
    orbit = distinct[np.arange(1)].orbit_sizes(table, same)[0]
    closed = (distinct.closure() >= same).mean()
    return {f"distinct_{name}": len(distinct), f"orbit_{name}": orbit, f"closed_{name}": closed}


def _order(vectors: Mapping[str, Lines], same: float = 0.95) -> np.ndarray:
    """Return the order of a cluster's neurons by their vector a, and then c, equal ones side by side."""
    groups = [lines.cosines(lines.distinct(same)).argmax(1) for lines in (vectors["c"], vectors["a"])]
    return np.lexsort(groups)
