"""Fifteen context-free languages as deterministic pushdown automata."""

from __future__ import annotations

from typing import Literal

from mechlab.automata.pushdown.pushdown import Pushdown, Rule

Grammar = Literal["L1", "L2", "L3", "L4", "L5", "L6", "L7", "L8", "L9", "L10", "L11", "L12", "L13", "L14", "L15"]

# The accepting state, and rules "state letters guard action target", where any of the letters is read and * guards
# nothing. The start is q0.
_GRAMMARS = {
    "L1": ("q2", "q0 a * push q1; q1 a * push q1; q1 b a pop q2; q2 b a pop q2"),
    "L2": ("q2", "q0 ab * push q1; q1 ab * push q1; q1 cd ab pop q2; q2 cd ab pop q2"),
    "L3": (
        "q2",
        "q0 a * push q0a; q0 c * push q0c; q0a b * push q1; q0c d * push q1; q1 a * push q1a; q1 c * push q1c;"
        "q1a b * push q1; q1c d * push q1; q1 e bd pop q2e; q1 g bd pop q2g; q2e f ac pop q2; q2g h ac pop q2;"
        "q2 e bd pop q2e; q2 g bd pop q2g",
    ),
    "L4": (
        "q2",
        "q0 a * push q01; q01 b * push q1; q1 a * push q11; q11 b * push q1; q1 c b pop q21; q21 d a pop q2;"
        "q2 c b pop q21",
    ),
    "L5": (
        "q2",
        "q0 a * push q01; q01 b * push q02; q02 c * push q1; q1 a * push q11; q11 b * push q12; q12 c * push q1;"
        "q1 d c pop q21; q21 e b pop q22; q22 f a pop q2; q2 d c pop q21",
    ),
    "L6": (
        "q2",
        "q0 a * push q0a; q0 c * push2 q1; q0a b * push q1; q1 a * push q1a; q1 c * push2 q1; q1a b * push q1;"
        "q1 d * pop q2d; q1 f * pop2 q2; q2d e * pop q2; q2 d * pop q2d; q2 f * pop2 q2",
    ),
    "L7": ("q1", "q0 ([ * push q1; q1 ([ * push q1; q1 ) ( pop q1; q1 ] [ pop q1"),
    "L8": ("q1", "q0 ([{ * push q1; q1 ([{ * push q1; q1 ) ( pop q1; q1 ] [ pop q1; q1 } { pop q1"),
    "L9": ("q1", "q0 ([{< * push q1; q1 ([{< * push q1; q1 ) ( pop q1; q1 ] [ pop q1; q1 } { pop q1; q1 > < pop q1"),
    "L10": (
        "q1",
        "q0 a * push qa; qa b * none qb; qb c * none qc; qc d * none qd; qd e * none q1; q1 a * push qa;"
        "q1 v a pop qv; qv w * none qw; qw x * none qx; qx y * none qy; qy z * none q1",
    ),
    "L11": (
        "q1",
        "q0 a * push qa; q0 c * push q1; qa b * none q1; q1 a * push qa; q1 c * push q1; q1 d ac pop qd;"
        "q1 f ac pop q1; qd e * none q1",
    ),
    "L12": ("q2", "q0 ([ * push q1; q1 ([ * push q1; q1 ) ( pop q2; q1 ] [ pop q2; q2 ) ( pop q2; q2 ] [ pop q2"),
    "L13": ("q1", "q0 ( * push q1; q0 abc * none q1; q1 ( * push q1; q1 ) ( pop q1; q1 abc * none q1"),
    "L14": (
        "q1",
        "q0 ([ * push q1; q0 abc * none q1; q1 ([ * push q1; q1 ) ( pop q1; q1 ] [ pop q1; q1 abc * none q1",
    ),
    "L15": (
        "q1",
        "q0 ( * push q1; q0 a * none qa; q0 d * none q1; q1 ( * push q1; q1 ) ( pop q1; q1 a * none qa; q1 d * none q1;"
        "qa b * none qb; qb c * none q1",
    ),
}

# What the published files say in so many words; without it the letters would lead to err as well, but not be possible.
_EXPLICIT = {
    "L1": "q0 b * none err; q2 a * none err",
    "L2": "q0 cd * none err; q2 ab * none err",
    "L4": "q0 b * none err; q01 a * none err; q1 b * none err; q11 a * none err",
}


def grammar(name: Grammar, compat: Literal["none", "published"] = "none") -> Pushdown:
    """Return the pushdown automaton of one of the languages, none of which holds the empty word.

    L1 a^k b^k; L2 {a,b}^k {c,d}^k; L3 (ab|cd)^k (ef|gh)^k; L4 (ab)^k (cd)^k; L5 (abc)^k (def)^k; L6 (ab|c)^k (de|f)^k;
    L7, L8, L9 balanced brackets of 2, 3, 4 kinds; L10 brackets abcde and vwxyz; L11 brackets ab or c, and de or f;
    L12 brackets of 2 kinds, all opened before the first is closed; L13, L14 brackets of 1, 2 kinds with a, b, c
    anywhere; L15 brackets of 1 kind with abc and d anywhere. Letters are sorted.

    Args:
        name: L1 to L15.
        compat: "published" lets > close { in L9, and never <, as the published file does, and counts as possible the
            letters that it sends to err in so many words (L1, L2, L4).

    Raises:
        ValueError: there is no such grammar.

    Source: Muškardin et al., arXiv 2306.16854, and its published code.

    >>> grammar("L1").outputs([[0, 0, 1, 1, 1]]).tolist()
    [[0, 0, 0, 1, 0]]
    """
    if name not in _GRAMMARS:
        raise ValueError(f"there are the grammars L1 to L15. Got {name!r} instead.")
    accepting, text = _GRAMMARS[name]
    if compat == "published":
        text = text.replace("> <", "> {") + ";" + _EXPLICIT.get(name, "")
    lines = [line.split() for line in text.split(";") if line]
    rules = [
        Rule(state, letter, None if guard == "*" else guard, action, target)
        for state, letters, guard, action, target in lines
        for letter in letters
    ]
    alphabet = sorted({rule.letter for rule in rules})
    states = dict.fromkeys(rule.state for rule in rules)  # q0 first
    return Pushdown.of(alphabet, states, [accepting], rules)
