"""Finite automata: definitions, runs over words, languages, samplers."""
