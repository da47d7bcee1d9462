"""Conversion of pushdown automata to and from plain data, for `mechlab.automata.definition`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

from mechlab.automata.names import Names, is_list
from mechlab.automata.pushdown.pushdown import ACTIONS, BOTTOM, ERROR, Pushdown, Rule


def pushdown_of(
    alphabet: Names, states: Names, initial: int, rows: list[list[Any]], accepting: list[bool], says: Any
) -> Pushdown:
    """Return the pushdown automaton of the parts of a definition; the initial state becomes the first.

    Args:
        rows: for each state and letter a list of {target, action, guard}, or None for no transition.
        accepting: for each state True if it accepts.
        says: "class" or "state"; see `Pushdown`.

    Raises:
        ValueError: a part is invalid, or two transitions fit at once.
    """
    if BOTTOM in alphabet.texts:
        raise ValueError(
            f"a pushdown must have letters other than {BOTTOM}, the bottom of the stack. Got it as a letter."
        )
    if says not in ("class", "state"):
        raise ValueError(f"says must be class or state. Got {says!r} instead.")
    names = states.texts
    targets = states if ERROR in names else replace(states, texts=(*names, ERROR))
    rules = [
        _rule(entry, state, letter, alphabet, targets)
        for state, row in zip(names, rows, strict=True)
        for letter, entries in zip(alphabet.texts, row, strict=True)
        for entry in _entries(entries, f"transitions[{state}][{letter}]")
    ]
    accepts = [state for state, accepted in zip(names, accepting, strict=True) if accepted]
    absorbing = all(rule.target == ERROR and rule.action == "none" for rule in rules if rule.state == ERROR)
    if not absorbing or ERROR in accepts or names[initial] == ERROR:
        must = f"the state {ERROR}, for when no transition fits, must not be initial, accepting, or have ways out"
        raise ValueError(f"{must}. Got such a state of this name.")
    order = [names[initial], *(state for state in names if state not in (names[initial], ERROR))]
    machine = Pushdown.of(alphabet.texts, order, accepts, [rule for rule in rules if rule.state != ERROR])
    return replace(machine, says=says)


def definition_of(machine: Pushdown) -> dict[str, Any]:
    """Return the pushdown automaton as plain data, without the state err."""
    own = machine.states[:-1]
    return {
        "kind": "pushdown",
        "alphabet": list(machine.alphabet),
        "classes": ["reject", "accept"],
        "states": list(own),
        "initial": own[0],
        "transitions": [[_transitions(machine, q, a) for a in range(len(machine.alphabet))] for q in range(len(own))],
        "accepting": [state for state, accepts in zip(machine.states, machine.accepting, strict=True) if accepts],
        "says": machine.says,
    }


def _transitions(machine: Pushdown, state: int, letter: int) -> list[dict[str, Any]]:
    """Return the transitions of a state and letter, merged where they differ in the guard only."""
    symbols = (*machine.alphabet, BOTTOM)
    possible = machine.possible[state, letter].nonzero()[0].tolist()
    successors, actions = machine.successors[state, letter].tolist(), machine.actions[state, letter].tolist()
    entries = sorted((successors[i], actions[i], i) for i in possible)
    merged = []
    for (target, action), group in groupby(entries, key=lambda entry: entry[:2]):
        guard: list[str] | None = [symbols[i] for _, _, i in group]
        guard = None if len(guard) == len(symbols) else guard
        merged.append({"target": machine.states[target], "action": ACTIONS[action], "guard": guard})
    return merged


def _entries(entries: Any, key: str) -> list[Any]:
    if entries is not None and not is_list(entries):
        raise ValueError(f"{key} must be a list of {{target, action, guard}}. Got {entries!r} instead.")
    return list(entries or ())


def _rule(entry: Any, state: str, letter: str, alphabet: Names, targets: Names) -> Rule:
    key = f"transitions[{state}][{letter}]"
    if not isinstance(entry, Mapping) or "target" not in entry or not entry.keys() <= {"target", "action", "guard"}:
        raise ValueError(f"{key} must be a list of {{target, action, guard}}. Got {entry!r} in it.")
    target = targets.texts[targets.index(entry["target"], f"the target in {key}")]
    action = "none" if entry.get("action") is None else entry["action"]
    if action not in ACTIONS:
        raise ValueError(f"the action in {key} must be one of {', '.join(ACTIONS)}. Got {action!r} instead.")
    return Rule(state, letter, _guard(entry.get("guard"), alphabet, f"the guard in {key}"), action, target)


def _guard(guard: Any, alphabet: Names, key: str) -> tuple[str, ...] | None:
    """Return the symbols allowed on top of the stack; None for any."""
    if guard is None:
        return None
    symbols = replace(alphabet, field="letters and $", texts=(*alphabet.texts, BOTTOM))
    if isinstance(guard, str) and guard not in symbols.texts and guard:
        guard = list(guard)  # letters of one character each
    allowed = guard if is_list(guard) and guard else [guard]
    return tuple(symbols.texts[symbols.index(symbol, key)] for symbol in allowed)
