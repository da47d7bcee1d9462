"""An automaton extracted from a network, and the files in which it is saved."""

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
class ExtractionResult:
    """An automaton extracted from a network, with measurements of the extraction.

    Args:
        machine: the automaton, minimal if it is finite.
        agreed: True if it passed all tests within the budget.
        rounds: measurements of each round.
        scalars: further numbers by name.
        network: the network.
    """

    machine: Machine
    agreed: bool
    rounds: list[dict[str, float]]
    scalars: dict[str, float]
    network: WordClassifier


def named(automaton: Automaton) -> Automaton:
    """Return the automaton with states named q0, q1, ...; those of a Mealy machine have these names already."""
    if automaton.mealy:
        return automaton
    return replace(automaton, states=[f"q{i}" for i in range(len(automaton.states))], parts=())


def save_machine(machine: Machine, out: Artifacts) -> None:
    """Save an automaton as automaton.dot, as a table of outputs and transitions, and, if finite, as the definition
    automaton.json. The first state is the initial one. The entries of a Mealy machine's table are "target/output"."""
    import pandas as pd

    if isinstance(machine, SingleEntryVPA):
        out.save_bytes("automaton.dot", machine.to_dot().encode())
        out.save_table("automaton", pd.DataFrame(machine.table(), columns=["state", "letter", "pops", "to"]))
        return
    columns = ["state", *machine.alphabet]
    if machine.mealy:  # states of one part have the same transitions
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


def save_counterexample(word: tuple[int, ...], result: ExtractionResult, truth: Automaton, out: Artifacts) -> None:
    """Save a table of a word on which an extracted automaton and the ground truth differ: the outputs of both and the
    network's predictions after each letter; the first row is the empty word, for which a network has no prediction."""
    import pandas as pd

    words = np.array([word], np.int64).reshape(1, -1)
    expected, extracted = (machine.outputs[machine.run(words)[0]] for machine in (truth, result.machine))
    predicted = result.network.outputs(words)[0]
    rows = [
        {
            "letter": "" if t == 0 else truth.alphabet[word[t - 1]],
            "truth": "" if t == 0 and truth.mealy else truth.classes[expected[t]],
            "extracted": "" if t == 0 and truth.mealy else truth.classes[extracted[t]],
            "network": "" if t == 0 else truth.classes[predicted[t - 1]],
        }
        for t in range(len(word) + 1)
    ]
    out.save_table("counterexample", pd.DataFrame(rows))
