"""Finite automata: definitions, runs over words, languages, samplers."""

from mechlab.automata.construction import Construction, construct
from mechlab.automata.equivalence import equivalent, minimise
from mechlab.automata.words.trie import TrieStates, trie_states

__all__ = ["Construction", "TrieStates", "construct", "equivalent", "minimise", "trie_states"]
