"""The networks of a report whose states were clustered, and which of them are looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mechlab.reporting.cells import shown
from mechlab.reporting.record import Record
from mechlab.reporting.request import Filters

ANALYSIS = "clusterings"
FEWEST = 3  # networks that make a survey
SEPARATORS = ("lda", "lr")  # a network is perfectly separable if neither leaves any ambiguity
ACCURACIES = ("conformance/accuracy", "test/accuracy", "val/accuracy")  # the first that as many as possible have
HELD_OUT = "_held_out"
DATA = {  # task keys that say which words are drawn and what is asked about them; all others make the automaton
    "seed", "words", "val_words", "test_words", "max_length", "test_lengths", "sampler", "supervise", "compat",
    "stack_limit", "break_on_impossible", "target",
}  # fmt: skip


@dataclass(frozen=True)
class Network:
    """One network.

    Args:
        record: its run.
        kind: type of its cell: the model's name, or of an Elman network its activation.
        automaton: what tells the automaton from others: the task's settings, without those of the words.
        accuracy: None if it is not known.
        ambiguity: weighted ambiguity, by method.
    """

    record: Record
    kind: str
    automaton: tuple[str, ...]
    accuracy: float | None
    ambiguity: dict[str, float]

    @property
    def separable(self) -> bool:
        """Whether LDA and logistic regression both tell every state."""
        return all(self.ambiguity.get(method) == 0 for method in SEPARATORS)


@dataclass(frozen=True)
class Survey:
    """The networks to look at.

    Args:
        networks: those that pass the filters.
        found: how many there are in all.
        metric: what their accuracy is.
        filters: what they passed.
    """

    networks: list[Network]
    found: int
    metric: str
    filters: Filters

    @property
    def methods(self) -> list[str]:
        """The methods that any network was clustered by, in the order of the analysis."""
        return list(dict.fromkeys(method for network in self.networks for method in network.ambiguity))

    @property
    def kinds(self) -> list[str]:
        """The types of cells, in order."""
        return sorted({network.kind for network in self.networks})

    @property
    def automata(self) -> int:
        """How many automata there are."""
        return len({network.automaton for network in self.networks})

    def with_method(self, method: str, kind: str | None = None) -> list[Network]:
        """Return the networks that were clustered by a method, of one type of cell if given."""
        return [one for one in self.networks if method in one.ambiguity and kind in (None, one.kind)]

    def pairs(self, method: str) -> tuple[np.ndarray, np.ndarray, list[Network]]:
        """Return accuracies (n,), ambiguities (n,), and the networks of which both are known."""
        networks = [network for network in self.with_method(method) if network.accuracy is not None]
        return *(np.array(values, float) for values in _columns(networks, method)), networks


def survey(records: Sequence[Record], filters: Filters) -> Survey | None:
    """Return the networks whose states were clustered by many methods; None where there are fewer than three."""
    clustered = [record for record in records if record.counts and _ambiguity(record)]
    if len(clustered) < FEWEST:
        return None
    metric = max(ACCURACIES, key=lambda name: sum(name in record.numbers for record in clustered))
    networks = [_network(record, metric) for record in clustered]
    kept = [network for network in networks if passes(network, filters)]
    return Survey(kept, len(networks), metric, filters)


def passes(network: Network, filters: Filters) -> bool:
    """Tell whether a network passes the filters; a type of cell goes by the model's name as well."""
    least = filters.accuracy_from
    tests: list[Callable[[], bool]] = [
        lambda: least is None or (network.accuracy is not None and network.accuracy >= least),
        lambda: not filters.model or bool({network.kind, network.record.model} & set(filters.model)),
        lambda: not filters.separable or network.separable,
    ]
    return all(test() for test in tests)


def _network(record: Record, metric: str) -> Network:
    task = {key.removeprefix("task."): value for key, value in record.config.items() if key.startswith("task.")}
    automaton = tuple(f"{key}={shown(value)}" for key, value in sorted(task.items()) if key not in DATA)
    elman = record.model.split("_")[0] == "rnn"
    kind = str(record.config.get("model.activation", record.model)) if elman else record.model
    return Network(record, kind, (record.task, *automaton), record.numbers.get(metric), _ambiguity(record))


def _ambiguity(record: Record) -> dict[str, float]:
    """Return the weighted ambiguity by method: the analysis makes a claim about each."""
    methods = [slug for analysis, slug in record.claims if analysis == ANALYSIS]
    names = [name for method in methods for name in (method, f"{method}{HELD_OUT}")]
    return {name: record.numbers[f"{ANALYSIS}/{name}"] for name in names if f"{ANALYSIS}/{name}" in record.numbers}


def _columns(networks: list[Network], method: str) -> tuple[list[float | None], list[float]]:
    return [network.accuracy for network in networks], [network.ambiguity[method] for network in networks]
