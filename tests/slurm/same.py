"""Whether two runs ended alike."""

from __future__ import annotations

from pathlib import Path

import torch

from mechlab.record.history import History


def check_same(one: Path, other: Path) -> None:
    """Assert that two finished runs left the same curves, weights and record of training, bit for bit."""
    for name in ("metrics.csv", "checkpoints/weights.safetensors"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    histories = [History(run / "history") for run in (one, other)]
    steps = histories[0].steps
    assert steps == histories[1].steps
    for step in steps:
        for kind in ("params", "optimizer"):
            a, b = (getattr(history, kind)(step) for history in histories)
            assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a), (step, kind)
        assert torch.equal(*(torch.as_tensor(history.batch_indices(step)) for history in histories)), step
