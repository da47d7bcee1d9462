"""Finite automata: definitions, runs over words, languages, samplers."""

from mechlab.automata.equivalence import equivalent, minimise
from mechlab.automata.trie import TrieStates, trie_states

__all__ = ["TrieStates", "equivalent", "minimise", "trie_states"]
