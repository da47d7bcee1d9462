"""Statistics over runs: means with bootstrap intervals, correlations. Numpy only, since the report waits for it."""
