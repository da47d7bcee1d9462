"""The report: what runs left behind, as one page and as tables; nothing of a run is executed."""
