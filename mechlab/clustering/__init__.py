"""Clusters of network states against the states of an automaton."""

from mechlab.clustering.scores import Ambiguity, ambiguity

__all__ = ["Ambiguity", "ambiguity"]
