"""Finite automata: definitions, runs over words, languages, samplers."""

from mechlab.automata.construction import Construction, construct
from mechlab.automata.definition import read_automaton
from mechlab.automata.equivalence import equivalent, minimise
from mechlab.automata.library import named
from mechlab.automata.words.trie import TrieStates, trie_states

__all__ = [
    "Construction",
    "TrieStates",
    "construct",
    "equivalent",
    "minimise",
    "named",
    "read_automaton",
    "trie_states",
]
