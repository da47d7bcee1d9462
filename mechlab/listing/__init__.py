"""The list of runs: rows, conditions and the table that `mechlab.runs ls` prints."""
