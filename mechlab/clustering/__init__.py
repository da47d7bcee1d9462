"""Clusters of network states against the states of an automaton."""
