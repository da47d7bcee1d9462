"""Automata as plain data for JSON and YAML: every list in index order, nothing sorted.

    {"kind": "dfa", "alphabet": ["0", "1"], "classes": ["reject", "accept"], "states": ["even", "odd"],
     "initial": "even", "transitions": [[0, 1], [1, 0]], "accepting": ["even"]}

States, letters and classes are given by name or index. transitions[q][a], state_output[q] (moore) and
transition_output[q][a] (mealy) are lists in index order, or mappings by name. accepting (dfa, pushdown) lists states,
or holds true or false (1 or 0) for each. Of a pushdown automaton, transitions[q][a] is a list of
{target, action, guard}: actions are none (the default), push, push2, pop and pop2; the guard is what must be on top of
the stack, letters or "$" for its bottom, null for anything. The state err is added to it, and may be a target.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mechlab.automata.automaton import Automaton, accepting_class
from mechlab.automata.dot import read_dot
from mechlab.automata.mealy import mealy_of, moore_of_mealy
from mechlab.automata.names import Names, is_list
from mechlab.automata.pushdown.definition import definition_of, pushdown_of
from mechlab.automata.pushdown.pushdown import Pushdown

VERDICTS = ("reject", "accept")
_NEEDED = ("kind", "alphabet", "states", "initial", "transitions")
_ALSO = {  # further keys of each kind: (required, optional)
    "dfa": (("accepting",), ("classes", "parts")),
    "moore": (("classes", "state_output"), ("parts",)),
    "mealy": (("classes", "transition_output"), ()),
    "pushdown": (("accepting",), ("classes", "says")),
}


def is_path(text: str) -> bool:
    """Return True if a text is the path of an automaton's file rather than a name: it has a suffix or a folder.

    >>> is_path("coffee"), is_path("coffee.dot"), is_path("machines/coffee")
    (False, True, True)
    """
    return bool(Path(text).suffix) or Path(text).name != text


def read_automaton(path: str | Path) -> Automaton | Pushdown:
    """Return the automaton of a .dot file (see `mechlab.automata.dot`) or of a .json file (see `from_definition`).

    Raises:
        OSError: there is no such file.
        ValueError: the file does not hold a deterministic automaton; the message begins with its path.
    """
    path = Path(path)
    if path.suffix == ".dot":
        return read_dot(path)
    if path.suffix != ".json":
        raise ValueError(f"{path}: the file of an automaton must end in .dot or .json. Got {path.suffix!r} instead.")
    try:
        return from_definition(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:  # a JSONDecodeError and a UnicodeDecodeError are each one
        raise ValueError(f"{path}: {error}") from error


def accepts_first(path: str | Path) -> bool:
    """Return True if a file defines a pushdown automaton whose first class is the accepting one; in a `Pushdown` it is
    always the second.

    Raises:
        OSError, ValueError: as `read_automaton`.
    """
    if Path(path).suffix != ".json":
        return False
    definition = json.loads(Path(path).read_text(encoding="utf-8"))
    classes = definition.get("classes")
    return definition["kind"] == "pushdown" and bool(classes) and _accept("pushdown", Names.of("classes", classes)) == 0


def from_definition(definition: Mapping[str, Any]) -> Automaton | Pushdown:
    """Return the automaton that plain data defines: a mapping of `kind` (dfa, moore, mealy or pushdown), `alphabet`,
    `states`, `initial`, `transitions`, and `accepting`, `state_output` or `transition_output`.

    States, letters and classes are given by name or index. `transitions[q][a]` is the target of state q and letter a,
    in lists in index order or mappings by name; in a pushdown automaton it is a list of {target, action, guard}.

    A Mealy machine becomes a Moore machine with the Mealy machine's states as parts (see `moore_of_mealy`). The
    classes of a DFA are reject and accept by default; for two others see `accepting_class`. In a pushdown automaton the
    initial state becomes the first state, and reject the first class.

    Raises:
        ValueError: something is missing, unknown, of a wrong shape, or the automaton not deterministic and complete.

    >>> from_definition({"kind": "dfa", "alphabet": ["a"], "states": ["q"], "initial": 0, "transitions": [[0]],
    ...                  "accepting": [True]}).outputs.tolist()
    [1]
    """
    kind = _kind(definition)
    alphabet, states = (Names.of(field, definition[field]) for field in ("alphabet", "states"))
    classes = Names.of("classes", VERDICTS if definition.get("classes") is None else definition["classes"])
    initial = states.index(definition["initial"], "initial")
    rows = _table(definition, "transitions", states, alphabet, may_lack=kind == "pushdown")
    if kind == "pushdown":
        _accept(kind, classes)
        accepting, says = _accepting(definition["accepting"], states), definition.get("says", "class")
        return pushdown_of(alphabet, states, initial, rows, accepting, says)
    transitions = _indices(rows, states, "transitions", states, alphabet)
    if kind == "mealy":
        names = _table(definition, "transition_output", states, alphabet)
        outputs = _indices(names, classes, "transition_output", states, alphabet)
        return moore_of_mealy(alphabet.texts, classes.texts, states.texts, initial, transitions, outputs)
    if kind == "dfa":
        accept = _accept(kind, classes)
        outputs = [accept if accepts else 1 - accept for accepts in _accepting(definition["accepting"], states)]
    else:
        names = states.row(definition["state_output"], "state_output")
        outputs = [classes.index(name, f"state_output[{q}]") for q, name in zip(states.texts, names, strict=True)]
    parts = tuple(definition.get("parts") or ())
    return Automaton(alphabet.texts, classes.texts, states.texts, initial, transitions, outputs, parts)


def to_definition(automaton: Automaton | Pushdown) -> dict[str, Any]:
    """Return the automaton as plain data; `from_definition` is the inverse.

    A pushdown automaton has `says`, and a Moore machine has `parts` where these are not its states.
    """
    if isinstance(automaton, Pushdown):
        return definition_of(automaton)
    if automaton.mealy:
        machine, classes = mealy_of(automaton), automaton.classes
        return {
            "kind": "mealy",
            "alphabet": list(automaton.alphabet),
            "classes": list(classes),
            "states": list(machine.states),
            "initial": machine.states[machine.initial],
            "transitions": [[machine.states[target] for target in row] for row in machine.transitions],
            "transition_output": [[classes[output] for output in row] for row in machine.outputs],
        }
    states, outputs = automaton.states, [automaton.classes[output] for output in automaton.outputs]
    dfa = automaton.classes == VERDICTS
    definition = {
        "kind": "dfa" if dfa else "moore",
        "alphabet": list(automaton.alphabet),
        "classes": list(automaton.classes),
        "states": list(states),
        "initial": states[automaton.initial],
        "transitions": [[states[target] for target in row] for row in automaton.transitions],
    }
    if dfa:
        definition["accepting"] = [state for state, output in zip(states, outputs, strict=True) if output == "accept"]
    else:
        definition["state_output"] = outputs
    if automaton.parts != states:
        definition["parts"] = list(automaton.parts)
    return definition


def _kind(definition: Mapping[str, Any]) -> str:
    """Return the kind of a definition that has the keys of its kind."""
    if not isinstance(definition, Mapping):
        raise ValueError(f"an automaton must be a mapping. Got {type(definition).__name__} instead.")
    kind = definition.get("kind")
    if not isinstance(kind, str) or kind not in _ALSO:
        raise ValueError(f"kind must be one of {', '.join(_ALSO)}. Got {kind!r} instead.")
    needed, known = (*_NEEDED, *_ALSO[kind][0]), (*_NEEDED, *_ALSO[kind][0], *_ALSO[kind][1])
    if missing := [key for key in needed if key not in definition]:
        raise ValueError(f"a {kind} must have {', '.join(needed)}. Got no {', '.join(missing)}.")
    for key in map(str, definition):  # other keys are ignored, unless one looks like a misspelt key
        if key not in known and (meant := get_close_matches(key, known, 1)):
            raise ValueError(f"a {kind} has {', '.join(known)}. Got {key!r}; did you mean {meant[0]!r}?")
    return kind


def _table(
    definition: Mapping[str, Any], key: str, states: Names, alphabet: Names, may_lack: bool = False
) -> list[list[Any]]:
    """Return the entries of a table with a row for each state and a column for each letter."""
    rows = states.row(definition[key], key, may_lack)
    rows = [{} if row is None and may_lack else row for row in rows]
    return [alphabet.row(row, f"{key}[{q}]", may_lack) for q, row in zip(states.texts, rows, strict=True)]


def _indices(rows: list[list[Any]], of: Names, key: str, states: Names, alphabet: Names) -> list[list[int]]:
    return [
        [of.index(value, f"{key}[{q}][{a}]") for a, value in zip(alphabet.texts, row, strict=True)]
        for q, row in zip(states.texts, rows, strict=True)
    ]


def _accepting(given: Any, states: Names) -> list[bool]:
    """Return for each state True if it accepts."""
    if isinstance(given, Mapping) or (is_list(given) and given and all(isinstance(one, bool) for one in given)):
        flags = states.row(given, "accepting")
        if not all(isinstance(flag, bool) for flag in flags):
            raise ValueError(f"accepting must hold true or false for each state. Got {given!r} instead.")
        return flags
    if not is_list(given):
        raise ValueError(f"accepting must be a list of states. Got {given!r} instead.")
    repeated = any(one in given[:i] for i, one in enumerate(given))
    if repeated and len(given) == len(states) and set(given) <= {0, 1}:
        return [bool(one) for one in given]
    if repeated:
        raise ValueError(f"accepting must list each state once, or true or false for each. Got {given!r} instead.")
    accepts = {states.index(one, "accepting") for one in given}
    return [i in accepts for i in range(len(states))]


def _accept(kind: str, classes: Names) -> int:
    """Return the index of the accepting one of two classes."""
    if len(classes) != 2:
        raise ValueError(f"the classes of a {kind} must be two, reject and accept. Got {', '.join(classes.texts)}.")
    return accepting_class(classes.texts)
