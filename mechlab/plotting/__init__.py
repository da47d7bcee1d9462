"""Figures, drawn from saved artifacts only."""
