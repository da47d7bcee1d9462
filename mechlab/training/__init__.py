"""Training with Lightning: module, data, recording, resuming, callbacks."""
