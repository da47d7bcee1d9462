"""Variable binding in recurrent networks: linear history-dependent systems and their spectra."""
