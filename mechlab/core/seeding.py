"""Named streams of randomness: every draw comes from a generator that its name and the root seed determine."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

_GLOBAL_GENERATOR = threading.RLock()


def seed_of(root: int, *name: str | int) -> int:
    """Return the 63-bit seed of a named stream: a hash of the root seed and the name, alike on every machine."""
    text = "/".join(map(str, (root, *name)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@dataclass(frozen=True)
class Streams:
    """The random streams of one run, each with a name such as init, data, order, evaluation, noise or analysis."""

    root: int

    def torch(self, *name: str | int, device: str | torch.device = "cpu") -> torch.Generator:
        """Return a fresh torch generator for the named stream on `device`."""
        return torch.Generator(device=device).manual_seed(seed_of(self.root, *name))

    def numpy(self, *name: str | int) -> np.random.Generator:
        """Return a fresh numpy generator for the named stream."""
        return np.random.default_rng(seed_of(self.root, *name))

    @contextlib.contextmanager
    def globally(self, *name: str | int) -> Iterator[None]:
        """Seed torch's global CPU generator inside the block and put it back after.

        Torch initialises modules from the global generator and offers no other way.
        """
        with global_generator():
            torch.random.default_generator.manual_seed(seed_of(self.root, *name))
            yield


@contextlib.contextmanager
def global_generator() -> Iterator[None]:
    """Reserve torch's global CPU generator for this thread inside the block and put its state back after."""
    with _GLOBAL_GENERATOR, torch.random.fork_rng(devices=[]):
        yield
