"""The run directory and its format: lock, status, history, artifacts, digests, and the Run that reads them."""
