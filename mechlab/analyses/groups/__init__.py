"""Analyses of networks that multiply in a group."""
