"""Analyses: one thin file each, which opens a run, calls the mathematics and returns a finding."""
