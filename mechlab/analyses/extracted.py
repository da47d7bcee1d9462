"""What was extracted from a network, and the files that it is kept in."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np

from mechlab.automata.automaton import Automaton
from mechlab.automata.definition import to_definition
from mechlab.automata.dot import to_dot
from mechlab.automata.extraction.word_classifier import WordClassifier
from mechlab.automata.mealy import mealy_of
from mechlab.automata.pushdown.visibly import SingleEntryVPA
from mechlab.record.artifacts import Artifacts

Machine = Automaton | SingleEntryVPA


@dataclass(frozen=True, eq=False)
class Extracted:
    """What was extracted from a network.

    Args:
        machine: minimal if it is finite.
        agreed: whether it passed all tests within the budget.
        rounds: what each round found.
        scalars: further numbers by name.
        network: what was asked.
    """

    machine: Machine
    agreed: bool
    rounds: list[dict[str, float]]
    scalars: dict[str, float]
    network: WordClassifier


def named(automaton: Automaton) -> Automaton:
    """Return the automaton with its states called q0, q1, ...; the states of a Mealy machine are so called already."""
    if automaton.mealy:
        return automaton
    return replace(automaton, states=[f"q{i}" for i in range(len(automaton.states))], parts=())


def save_machine(machine: Machine, out: Artifacts) -> None:
    """Save an automaton as automaton.dot, as a table of what each state says and where each letter leads, and, if it is
    finite, as the definition automaton.json. The first state is the initial one. A Mealy machine's table has the state
    that a letter leads to, and what is said on the way, as "state/output"."""
    import pandas as pd

    if isinstance(machine, SingleEntryVPA):
        out.save_bytes("automaton.dot", machine.to_dot().encode())
        out.save_table("automaton", pd.DataFrame(machine.table(), columns=["state", "letter", "pops", "to"]))
        return
    columns = ["state", *machine.alphabet]
    if machine.mealy:  # states of one part lead alike
        first = [machine.parts.index(name) for name in mealy_of(machine).states]
        rows = [[machine.parts[i], *(machine.states[to] for to in machine.transitions[i])] for i in first]
    else:
        columns.insert(1, "output")
        rows = [
            [name, machine.classes[output], *(machine.states[target] for target in targets)]
            for name, output, targets in zip(machine.states, machine.outputs, machine.transitions, strict=True)
        ]
    out.save_bytes("automaton.dot", to_dot(machine).encode())
    out.save_bytes("automaton.json", (json.dumps(to_definition(machine), indent=2) + "\n").encode())
    out.save_table("automaton", pd.DataFrame(rows, columns=columns))


def save_counterexample(word: tuple[int, ...], found: Extracted, truth: Automaton, out: Artifacts) -> None:
    """Save a table of a word on which an extracted automaton and the ground truth differ: what each says after each
    letter, and what the network tells; the first line is the empty word, after which a network tells nothing."""
    import pandas as pd

    words = np.array([word], np.int64).reshape(1, -1)
    said = [one.outputs[one.run(words)[0]] for one in (truth, found.machine)]
    told = found.network.outputs(words)[0]
    rows = [
        {
            "letter": "" if t == 0 else truth.alphabet[word[t - 1]],
            "truth": "" if t == 0 and truth.mealy else truth.classes[said[0][t]],
            "extracted": "" if t == 0 and truth.mealy else truth.classes[said[1][t]],
            "network": "" if t == 0 else truth.classes[told[t - 1]],
        }
        for t in range(len(word) + 1)
    ]
    out.save_table("counterexample", pd.DataFrame(rows))
