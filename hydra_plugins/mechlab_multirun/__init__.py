"""What mechlab adds to Hydra. Hydra finds plugins in the namespace package `hydra_plugins` only."""
