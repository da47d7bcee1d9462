"""Sweeps: frozen manifests of jobs, run on one machine or as SLURM arrays."""
