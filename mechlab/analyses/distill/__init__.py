"""Analyses of networks of threshold units and of the programs that they are distilled to."""
