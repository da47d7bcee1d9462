"""Automata of the literature by name."""

from __future__ import annotations

from typing import get_args

from mechlab.automata.automaton import Automaton
from mechlab.automata.mealy import moore_of_mealy
from mechlab.automata.pushdown.grammars import Grammar, grammar
from mechlab.automata.pushdown.pushdown import Pushdown
from mechlab.automata.tomita import tomita
from mechlab.core.errors import did_you_mean

REGULAR = ("angluin", "coffee", "parentheses", *(f"tomita{i}" for i in range(1, 8)))
CONTEXT_FREE: tuple[str, ...] = get_args(Grammar)


def named(name: str, depth: int = 3) -> Automaton | Pushdown:
    """Return the automaton of a name: angluin, coffee, parentheses, tomita1 to tomita7, or a pushdown automaton L1 to
    L15 (see `grammar`).

    Args:
        depth: of the parentheses.

    Raises:
        ValueError: there is no automaton of this name; the message lists them.

    >>> len(named("coffee").alphabet), named("L7").alphabet
    (4, ('(', ')', '[', ']'))
    """
    if name in CONTEXT_FREE:
        return grammar(name)
    if name not in REGULAR:
        raise ValueError(f"there is no automaton named {name!r}; {suggestion(name, (*REGULAR, *CONTEXT_FREE))}")
    if name.startswith("tomita"):
        return tomita(int(name[-1]))
    return parentheses(depth) if name == "parentheses" else {"angluin": angluin, "coffee": coffee}[name]()


def suggestion(name: str, names: tuple[str, ...]) -> str:
    """Return a hint with the closest of the names, if one is close, and all of them.

    >>> suggestion("cofee", ("angluin", "coffee"))
    "did you mean 'coffee'? The names are angluin, coffee"
    """
    closest = did_you_mean(name, names)
    listed = f"The names are {', '.join(names)}"
    return f"{closest} {listed}" if closest.startswith("did you mean") else listed


def angluin() -> Automaton:
    """Return the automaton that accepts words with an even number of a and an even number of b.

    Source: Angluin (1987), "Learning regular sets from queries and counterexamples".
    """
    parities = [(i, j) for i in (0, 1) for j in (0, 1)]
    return Automaton(
        alphabet=("a", "b"),
        classes=("reject", "accept"),
        states=["-".join(("even", "odd")[parity] for parity in pair) for pair in parities],
        initial=0,
        transitions=[[parities.index((1 - i, j)), parities.index((i, 1 - j))] for i, j in parities],
        outputs=[int(pair == (0, 0)) for pair in parities],
    )


def parentheses(depth: int) -> Automaton:
    """Return the automaton that accepts balanced parentheses nested at most `depth` deep, and the empty word.

    Its states are the numbers of open parentheses, 0 to depth, and a sink for one opened or closed too many.

    Raises:
        ValueError: the depth is below 1.

    >>> parentheses(2).run([[0, 0, 1, 1], [0, 0, 0, 1]]).tolist()
    [[0, 1, 2, 1, 0], [0, 1, 2, 3, 3]]
    """
    if depth < 1:
        raise ValueError(f"depth must be at least 1. Got {depth} instead.")
    sink = depth + 1
    return Automaton(
        alphabet=("(", ")"),
        classes=("reject", "accept"),
        states=[*(f"open{i}" for i in range(sink)), "sink"],
        initial=0,
        transitions=[[i + 1, i - 1 if i else sink] for i in range(sink)] + [[sink, sink]],
        outputs=[int(i == 0) for i in range(sink + 1)],
    )


def coffee() -> Automaton:
    """Return the coffee machine as a Moore machine of seven states over button, clean, pod and water.

    The machine wants a pod and water, in either order, then the button, and cleaning before the next cup; any
    other input breaks it for good. Its outputs are check, coffee, and star where it breaks. It is not minimal: d (first
    the pod, then water) and dp (first water, then the pod) are equivalent.

    Source: Steffen, Howar and Merten (2011), "Introduction to active automata learning from a practical perspective",
    a Mealy machine; the output of a transition depends on its target only, so that no state is split.
    """
    after = {  # button, clean, pod, water
        "a": ("f", "a", "b", "c"),
        "b": ("f", "a", "b", "d"),
        "c": ("f", "a", "dp", "c"),
        "d": ("e", "a", "d", "d"),
        "dp": ("e", "a", "dp", "dp"),
        "e": ("f", "a", "f", "f"),
        "f": ("f", "f", "f", "f"),
    }
    classes, states = ("check", "coffee", "star"), tuple(after)
    transitions = [[states.index(target) for target in row] for row in after.values()]
    output = {"e": "coffee", "f": "star"}
    outputs = [[classes.index(output.get(target, "check")) for target in row] for row in after.values()]
    alphabet = ("button", "clean", "pod", "water")
    return moore_of_mealy(alphabet, classes, states, 0, transitions, outputs)
