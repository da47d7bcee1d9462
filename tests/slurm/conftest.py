"""A private SLURM for the tests of this folder, which run when MECHLAB_SLURM=1 is set."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cluster import Cluster, missing
from place import Place, checkout


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A SLURM of one node, started for these tests and ended after them."""
    if os.environ.get("MECHLAB_SLURM") != "1":
        pytest.skip("minutes on a real SLURM: set MECHLAB_SLURM=1")
    if reason := missing():
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="mechlab-slurm-"))
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def code(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository."""
    return checkout(tmp_path_factory.mktemp("code"))


@pytest.fixture
def place(cluster: Cluster, code: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Place]:
    """Make working directories to submit sweeps from."""
    return lambda own_code=None: Place(tmp_path_factory.mktemp("place"), own_code or code)
