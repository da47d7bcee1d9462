"""What networks that multiply in one group learned: irreps by network, and their tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mechlab.analyses.groups.group_runs import GroupRun
from mechlab.analyses.groups.published import published_seeds
from mechlab.core.errors import ConfigError
from mechlab.groups import irreps
from mechlab.groups.automorphisms import irrep_images, irrep_orbits
from mechlab.groups.learned_irreps import classes_of_sets, order_agreement
from mechlab.statistics.wilson import wilson

if TYPE_CHECKING:
    import pandas as pd

    from mechlab.groups import Irrep

WEIGHTS = ("embed_x_fve", "embed_y_fve", "unembed_fve")


@dataclass(frozen=True)
class Learned:
    """The key irreps of networks that multiply in one group of K nontrivial irreps; N of them generalise.

    Args:
        every: all networks.
        networks: those that generalise.
        irreps: the nontrivial irreps.
        images: (m, K), how automorphisms permute them.
        orbits: their names by orbit.
        quotient: False where the group has too many automorphisms, and none is considered.
        order: the number of elements of the group.
    """

    every: Sequence[GroupRun]
    networks: Sequence[GroupRun]
    irreps: Sequence[Irrep]
    images: np.ndarray
    orbits: Sequence[Sequence[str]]
    quotient: bool
    order: int

    @cached_property
    def names(self) -> list[str]:
        """The names of the irreps."""
        return [irrep.name for irrep in self.irreps]

    @cached_property
    def sets(self) -> np.ndarray:
        """The key irreps (N, K) of the networks that generalise, bool."""
        return self.sets_of(self.networks)

    def sets_of(self, networks: Sequence[GroupRun]) -> np.ndarray:
        """Return the key irreps of networks, bool, a row for each."""
        rows = [[name in set(network.key_irreps) for name in self.names] for network in networks]
        return np.array(rows, bool).reshape(len(networks), len(self.names))

    @cached_property
    def classes(self) -> np.ndarray:
        """The class (N,) of each network's set up to automorphism."""
        return classes_of_sets(self.sets, self.images)

    @cached_property
    def largest_class(self) -> int:
        """The number of networks with the most frequent set up to automorphism."""
        return int(np.bincount(self.classes).max())

    @cached_property
    def agreement(self) -> np.ndarray:
        """The agreement (N, N) of the orders in which two networks learned irreps; see `order_agreement`."""
        return order_agreement([network.order for network in self.networks])

    @property
    def seeds(self) -> list[int]:
        """The seeds (N,) of the networks that generalise."""
        return [network.seed for network in self.networks]

    @property
    def explained(self) -> np.ndarray:
        """The least of the fractions of variance (N,) of embeddings and unembedding that key irreps explain."""
        return np.array([min(network.scalars.get(name, np.nan) for name in WEIGHTS) for network in self.networks])

    @property
    def dimensions(self) -> np.ndarray:
        """The share (N,) of the dimensions of functions on the group that key irreps have."""
        return self.sets @ np.array([irrep.size for irrep in self.irreps]) / self.order

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the tables of networks, irreps, orbits, numbers of key irreps, and sets."""
        import pandas as pd

        return {
            "networks": pd.DataFrame([self._network(network) for network in self.every]),
            "irreps": pd.DataFrame(self._irreps()),
            "orbits": pd.DataFrame(self._orbits()),
            "numbers": pd.DataFrame(self._numbers(), columns=["irreps", *_share(0, 0), "published_rate"]),
            "sets": pd.DataFrame(self._sets(), columns=["irreps", "class", *_share(0, 0)]),
        }

    def _network(self, network: GroupRun) -> dict[str, Any]:
        row = {"run": network.name, "seed": network.seed, "hidden": network.hidden, "test_accuracy": network.accuracy}
        numbers = {name: network.scalars.get(name) for name in ("test_loss", *WEIGHTS)}
        keys = network.key_irreps
        return {
            **row,
            "generalises": network in self.networks,
            "irreps": " ".join(keys),
            "number": len(keys),
            **numbers,
        }

    def _irreps(self) -> list[dict[str, Any]]:
        """Return a row for each irrep; `first` networks learned it before all others."""
        first = Counter(network.order[0] for network in self.networks if network.order)
        others = [network for network in self.every if network not in self.networks]
        noise, known = self.sets_of(others).sum(0), self._published()
        orbit_of = {name: orbit for orbit in self.orbits for name in orbit}
        rows = []
        for place, irrep in enumerate(self.irreps):
            row = {"irrep": irrep.name, "dimension": irrep.dimension, "orbit": " ".join(orbit_of[irrep.name])}
            row |= _share(int(self.sets[:, place].sum()), len(self.networks)) | {"first": first[irrep.name]}
            row |= {"others": len(others), "learned_by_others": int(noise[place])}
            rows.append(row | {"published_rate": known.get("learned", {}).get(irrep.name)})
        return rows

    def _orbits(self) -> list[dict[str, Any]]:
        """Return a row for each orbit of irreps: how many networks learned one of them, and how many they learned."""
        rows = []
        for orbit in self.orbits:
            chosen = self.sets[:, [self.names.index(name) for name in orbit]]
            mean = float(chosen.sum(1).mean()) if len(chosen) else None
            row = {"orbit": " ".join(orbit), "irreps": len(orbit), "dimension": self._dimension(orbit[0])}
            rows.append({**row, **_share(int(chosen.any(1).sum()), len(chosen)), "irreps_per_network": mean})
        return rows

    def _dimension(self, name: str) -> int:
        return self.irreps[self.names.index(name)].dimension

    def _numbers(self) -> list[dict[str, Any]]:
        counts, known = self.sets.sum(1), self._published().get("key_irreps", {})
        highest = max([0, *counts.tolist(), *map(int, known)])
        rows = []
        for number in range(min([highest, *counts.tolist()]), highest + 1):
            published = (known.get(str(number), 0.0)) if known else None
            row = {"irreps": number, **_share(int((counts == number).sum()), len(counts))}
            rows.append(row | {"published_rate": published})
        return rows

    def _sets(self) -> list[dict[str, Any]]:
        """Return a row for each set of key irreps, frequent ones first; the class is numbered in this order."""
        found = Counter(
            (" ".join(np.array(self.names)[chosen]), int(number))
            for chosen, number in zip(self.sets, self.classes if len(self.sets) else [], strict=True)
        )
        numbers = {number: place for place, number in enumerate(dict.fromkeys(c for (_, c), _ in found.most_common()))}
        n = len(self.networks)
        return [{"irreps": text, "class": numbers[c], **_share(count, n)} for (text, c), count in found.most_common()]

    def _published(self) -> dict[str, dict[str, float]]:
        """Return the published shares of networks that learned each irrep, and so many irreps, if there are any."""
        first = self.every[0]
        table = published_seeds(first.group.name, first.model)
        if table is None or any(network.hidden != 128 for network in self.every):
            return {}
        counts = {name: table[name] for name in ("learned", "key_irreps")}
        return {name: {key: count / table["networks"] for key, count in each.items()} for name, each in counts.items()}


def learned_by(runs: Sequence[GroupRun], accuracy: float) -> Learned:
    """Return the key irreps of networks.

    Args:
        runs: networks of one group.
        accuracy: the least test accuracy of a network that generalises.
    """
    of = runs[0].group
    nontrivial = irreps(of)[1:]
    names = [irrep.name for irrep in nontrivial]
    try:
        images = irrep_images(of)[:, 1:] - 1
        orbits = [[name for name in names if name in orbit] for orbit in irrep_orbits(of)]
        orbits = [orbit for orbit in orbits if orbit]
        quotient = True
    except ConfigError:
        images, orbits, quotient = np.arange(len(names))[None], [[name] for name in names], False
    networks = [run for run in runs if run.accuracy >= accuracy]
    return Learned(runs, networks, nontrivial, images, orbits, quotient, of.order)


def _share(passed: int, n: int) -> dict[str, Any]:
    low, high = wilson(passed, n)
    return {"networks": passed, "of": n, "rate": passed / n if n else None, "low": low, "high": high}
