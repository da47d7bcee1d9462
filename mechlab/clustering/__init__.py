"""Clustering of network states, and scores of clusters against the states of an automaton."""

from mechlab.clustering.scores import AmbiguityScores, ambiguity

Ambiguity = AmbiguityScores  # the first name of the result

__all__ = ["Ambiguity", "AmbiguityScores", "ambiguity"]
