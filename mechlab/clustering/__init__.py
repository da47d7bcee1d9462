"""Clustering of network states, and scores of clusters against the states of an automaton."""

from mechlab.clustering.scores import Ambiguity, ambiguity

__all__ = ["Ambiguity", "ambiguity"]
