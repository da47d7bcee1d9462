"""Automata as text in the DOT language, in the dialect of AALpy and of the automata wiki (automata.cs.ru.nl).

Accepting states of a DFA have the shape doublecircle; states of a Moore machine have the label "state|output",
transitions of a Mealy machine the label "letter/output". An edge from __start0 points at the initial state. A DFA with
classes other than reject and accept has both the shapes and the outputs, so that it can be read as either.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from pathlib import Path

from mechlab.automata.automaton import Automaton, accepting_class
from mechlab.automata.mealy import mealy_of, moore_of_mealy

START = "__start0"
RECORD = "\\|{}<>"  # special characters in the label of a record
BACKSLASH = "\\"
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|->|[\[\]{}=,;]|(?:(?!->)[^\s\[\]{}=,;"])+')
_COMMENT = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/|^\s*#[^\n]*', re.DOTALL | re.MULTILINE)


def read_dot(path: str | Path) -> Automaton:
    """Return the automaton of a file; see `from_dot`.

    Raises:
        OSError: there is no such file.
        ValueError: the file does not hold a complete deterministic automaton; the message begins with its path.
    """
    try:
        return from_dot(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:  # a UnicodeDecodeError is one
        raise ValueError(f"{path}: {error}") from error


def from_dot(text: str) -> Automaton:
    """Return the DFA, Moore or Mealy machine that a text in the DOT language describes.

    It is a Moore machine if every state's label has an output, a DFA if some state is a double circle, a Mealy machine
    if every transition's label has an output, and else a DFA that accepts nothing. Mealy machines become Moore machines
    (see `moore_of_mealy`). Letters and classes are sorted; the classes of a DFA are reject and accept. States are in
    the order of the text; their names are their labels where these are distinct.

    Raises:
        ValueError: the text does not describe a complete deterministic automaton.
    """
    graph = _parse(text)
    nodes, edges = graph.nodes, graph.edges
    if graph.initial not in nodes:
        raise ValueError(f"an edge from {START} must point at a state. Got {graph.initial!r} instead.")
    if not edges:
        raise ValueError("there must be transitions. Got none.")
    labels = [_split(attributes.get("label", ""), "|") for attributes in nodes.values()]
    double = ["doublecircle" in attributes.get("shape", "") for attributes in nodes.values()]
    edge_labels = [_split(label, "/") for _, _, label in edges]
    moore = all(len(parts) == 2 for parts in labels)
    mealy = not moore and not any(double) and all(len(parts) == 2 and all(parts) for parts in edge_labels)

    letters = [parts[0] if mealy else _plain(label) for parts, (_, _, label) in zip(edge_labels, edges, strict=True)]
    alphabet, states = tuple(sorted(set(letters))), list(nodes)
    names = [parts[0] for parts in labels] if moore else [_plain(a.get("label", "")) for a in nodes.values()]
    names = names if all(names) and len(set(names)) == len(names) else states
    targets = [(source, letter, target) for (source, target, _), letter in zip(edges, letters, strict=True)]
    transitions = [[states.index(target) for target in row] for row in _table(states, alphabet, targets, True)]
    initial = states.index(graph.initial)
    if mealy:
        classes = tuple(sorted({parts[1] for parts in edge_labels}))
        pairs = zip(targets, edge_labels, strict=True)
        entries = [(source, letter, parts[1]) for (source, letter, _), parts in pairs]
        outputs = [[classes.index(name) for name in row] for row in _table(states, alphabet, entries, False)]
        return moore_of_mealy(alphabet, classes, names, initial, transitions, outputs)
    classes = tuple(sorted({parts[1] for parts in labels})) if moore else ("reject", "accept")
    outputs = [classes.index(parts[1]) for parts in labels] if moore else [int(accepts) for accepts in double]
    return Automaton(alphabet, classes, names, initial, transitions, outputs)


def to_dot(automaton: Automaton) -> str:
    """Return the automaton in the DOT language: a Mealy machine if it is one, a DFA if it has two classes, else a Moore
    machine. Of two classes, `accepting_class` is that of the accepting states.

    `from_dot` is the inverse, up to the order of letters and classes and to classes that no state has.
    """
    if automaton.mealy:
        return _mealy_dot(automaton)
    dfa, plain = len(automaton.classes) == 2, set(automaton.classes) == {"reject", "accept"}
    lines = ["digraph automaton {"]
    for i, (name, output) in enumerate(zip(automaton.states, automaton.outputs, strict=True)):
        label = _escaped(name, BACKSLASH if plain else RECORD)
        if not plain:
            label += "|" + _escaped(automaton.classes[output], RECORD)
        shape = "record, style=rounded"
        if dfa:
            shape = "doublecircle" if output == accepting_class(automaton.classes) else "circle"
        lines.append(f"s{i} [label={_quoted(label)}, shape={shape}];")
    for i, successors in enumerate(automaton.transitions):
        for letter, target in zip(automaton.alphabet, successors, strict=True):
            lines.append(f"s{i} -> s{target} [label={_quoted(_escaped(letter, BACKSLASH))}];")
    return "\n".join([*lines, *_ending(automaton.initial)])


def _mealy_dot(automaton: Automaton) -> str:
    machine, lines = mealy_of(automaton), ["digraph automaton {"]
    for i, name in enumerate(machine.states):
        lines.append(f"s{i} [label={_quoted(_escaped(name, BACKSLASH + '|'))}];")
    for i, (targets, outputs) in enumerate(zip(machine.transitions, machine.outputs, strict=True)):
        for letter, target, output in zip(automaton.alphabet, targets, outputs, strict=True):
            label = _escaped(letter, BACKSLASH + "/") + "/" + _escaped(automaton.classes[output], BACKSLASH)
            lines.append(f"s{i} -> s{target} [label={_quoted(label)}];")
    return "\n".join([*lines, *_ending(machine.initial)])


def _ending(initial: int) -> list[str]:
    return [f'{START} [shape=none, label=""];', f'{START} -> s{initial} [label=""];', "}", ""]


@dataclass
class _Graph:
    """Nodes and edges in the order of the text; labels contain their backslashes."""

    nodes: dict[str, dict[str, str]] = field(default_factory=dict)  # name -> attributes
    edges: list[tuple[str, str, str]] = field(default_factory=list)  # source, target, label
    initial: str | None = None


def _parse(text: str) -> _Graph:
    text = _COMMENT.sub(lambda match: match[1] or " ", text)
    tokens = _TOKEN.findall(text)
    if _TOKEN.sub("", text).strip() or "digraph" not in tokens[:2] or "{" not in tokens[:4] or tokens[-1] != "}":
        raise ValueError("the text must be one directed graph in the DOT language, digraph NAME { ... }")
    tokens = tokens[tokens.index("{") + 1 : -1]
    graph, i = _Graph(), 0
    while i < len(tokens):
        if tokens[i] == ";":
            i += 1
            continue
        chain, i = [_name(tokens, i)], i + 1
        while tokens[i : i + 1] == ["->"]:
            chain.append(_name(tokens, i + 1))
            i += 2
        if tokens[i : i + 1] == ["="]:  # an attribute of the whole graph
            i += 2
            continue
        attributes = {}
        if tokens[i : i + 1] == ["["]:
            end = tokens.index("]", i) if "]" in tokens[i:] else len(tokens)
            attributes = _attributes(tokens[i + 1 : end])
            i = end + 1
        _add(graph, chain, attributes)
    return graph


def _name(tokens: list[str], i: int) -> str:
    if i >= len(tokens) or tokens[i] in {"->", "[", "]", "{", "}", "=", ","}:
        got = f"{tokens[i]!r}" if i < len(tokens) else "the end"
        raise ValueError(f"a state's name must follow {' '.join(tokens[max(i - 4, 0) : i])!r}. Got {got} instead.")
    return _unquoted(tokens[i])


def _attributes(tokens: list[str]) -> dict[str, str]:
    tokens = [token for token in tokens if token not in (",", ";")]
    if len(tokens) % 3 or any(token != "=" for token in tokens[1::3]):
        raise ValueError(f"attributes must be [key=value, ...]. Got [{' '.join(tokens)}] instead.")
    return {_unquoted(key): _unquoted(value) for key, value in zip(tokens[::3], tokens[2::3], strict=True)}


def _add(graph: _Graph, chain: list[str], attributes: dict[str, str]) -> None:
    if len(chain) == 1:
        if chain[0] not in (START, "graph", "node", "edge"):
            graph.nodes.setdefault(chain[0], {}).update(attributes)
    elif chain[0] == START:
        if graph.initial not in (None, chain[1]):
            raise ValueError(f"there must be one initial state. Got {graph.initial!r} and {chain[1]!r} instead.")
        graph.initial = chain[1]
    else:
        label = attributes.get("label", "").strip()
        if not label:
            raise ValueError(f"every transition must have a letter. Got none from {chain[0]!r} to {chain[1]!r}.")
        graph.edges += [(source, target, label) for source, target in itertools.pairwise(chain)]


def _table(
    states: list[str], alphabet: tuple[str, ...], entries: list[tuple[str, str, str]], targets: bool
) -> list[list[str]]:
    """Return the values of entries as a table with a row for each state and a column for each letter."""
    table: dict[tuple[str, str], str] = {}
    for state, letter, value in entries:
        for name in (state, value) if targets else (state,):
            if name not in states:
                raise ValueError(f"transitions must join states that are described. Got {name!r}, which is not.")
        if (state, letter) in table:
            raise ValueError(
                f"a state must have one transition for each letter. Got two for {letter!r} from {state!r}."
            )
        table[state, letter] = value
    for state, letter in itertools.product(states, alphabet):
        if (state, letter) not in table:
            raise ValueError(f"a state must have a transition for each letter. Got none for {letter!r} from {state!r}.")
    return [[table[state, letter] for letter in alphabet] for state in states]


def _split(label: str, mark: str) -> list[str]:
    """Return the one or two parts of a label at the first mark that no backslash precedes."""
    if mark == "|" and label.startswith("{") and label.endswith("}"):
        label = label[1:-1]
    match = re.match(rf"((?:[^\\{mark}]|\\.)*){re.escape(mark)}(.*)", label, re.DOTALL)
    return [_plain(part.strip()) for part in (match.groups() if match else [label])]


def _plain(label: str) -> str:
    return re.sub(r"\\(.)", r"\1", label)


def _unquoted(token: str) -> str:
    return token[1:-1].replace('\\"', '"') if token.startswith('"') else token


def _quoted(label: str) -> str:
    return '"' + label.replace('"', '\\"') + '"'


def _escaped(text: str, marks: str) -> str:
    """Return the text with a backslash before each mark in it."""
    return re.sub(f"([{re.escape(marks)}])", r"\\\1", text)
