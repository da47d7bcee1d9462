"""The report of recorded runs, as one page and as tables; nothing of a run is executed."""
