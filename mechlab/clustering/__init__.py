"""Clustering of network states, and scores of clusters against the states of an automaton."""

from mechlab.clustering.scores import AmbiguityScores, ambiguity

__all__ = ["AmbiguityScores", "ambiguity"]
