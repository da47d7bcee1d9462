"""Analyses that ask what program a network computes, and where it holds."""
