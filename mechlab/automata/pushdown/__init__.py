"""Pushdown automata and the fifteen context-free grammars."""
