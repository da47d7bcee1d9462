"""Variable binding in recurrent networks: linear history-dependent systems, their spectra and how to compare spectra."""
