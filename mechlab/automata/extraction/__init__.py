"""Automata extracted from recurrent networks, by clusters of states or by queries, and conformance tests."""
