"""The seven languages of Tomita as minimal complete automata."""

from __future__ import annotations

from mechlab.automata.automaton import Automaton

# For each language: the targets of 0 and of 1, one pair for each state; then the accepting states.
# State 0 is the initial one. A rejecting state that leads to itself only is named sink, the others s0, s1, ...
_LANGUAGES: dict[int, tuple[list[tuple[int, int]], set[int]]] = {
    1: ([(1, 0), (1, 1)], {0}),  # 1*
    2: ([(3, 1), (2, 3), (3, 1), (3, 3)], {2}),  # (10)^k, k >= 1
    3: ([(0, 1), (2, 0), (3, 4), (2, 3), (4, 4)], {0, 1, 3}),  # no odd block of 0s after an odd block of 1s
    4: ([(1, 0), (2, 0), (3, 0), (3, 3)], {0, 1, 2}),  # no factor 000
    5: ([(1, 2), (0, 3), (3, 0), (2, 1)], {0}),  # an even number of 0s and an even number of 1s
    6: ([(1, 2), (2, 0), (0, 1)], {0}),  # as many 0s as 1s, modulo 3
    7: ([(0, 1), (2, 1), (2, 3), (4, 3), (4, 4)], {0, 1, 2, 3}),  # 0*1*0*1*
}


def tomita(index: int) -> Automaton:
    """Return the automaton of a Tomita language, over the letters "0" and "1".

    The automata have 2, 4, 5, 4, 4, 3 and 5 states. The second language is without the empty word, as in the files
    published with the source.

    Args:
        index: 1 to 7.

    Raises:
        ValueError: there is no such language.

    Source: Tomita (1982), "Dynamic construction of finite automata from examples using hill-climbing"; conventions of
    Muškardin et al., arXiv 2306.16854.

    >>> tomita(4).run([[0, 0, 0, 1]]).tolist()
    [[0, 1, 2, 3, 3]]
    """
    if index not in _LANGUAGES:
        raise ValueError(f"index must be a whole number from 1 to 7. Got {index!r} instead.")
    transitions, accepting = _LANGUAGES[index]

    def name(state: int) -> str:
        return "sink" if set(transitions[state]) == {state} and state not in accepting else f"s{state}"

    return Automaton(
        alphabet=("0", "1"),
        classes=("reject", "accept"),
        states=tuple(map(name, range(len(transitions)))),
        initial=0,
        transitions=transitions,
        outputs=[int(state in accepting) for state in range(len(transitions))],
    )
