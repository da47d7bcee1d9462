"""Every task trains on every model that reads its inputs, for a step."""

from __future__ import annotations

import pytest
import torch

from mechlab.core.model import outputs_of
from mechlab.core.seeding import Streams
from mechlab.core.step import batch_loss


@pytest.mark.ci
def test_every_task_trains_on_every_model_for_a_step(registry, task):
    task_name, task = task, registry.shared_task(task)
    batch = task.generate(8, "train", torch.Generator().manual_seed(0))
    names = [name for name in registry.partners("model") if registry.fits(name, task_name)]
    assert task.spec.kind == "static" or len(names) >= 14
    for name in names:
        with Streams(0).globally("init"):
            model = registry.prepared("model", name)(task.blueprint())
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        loss = batch_loss(outputs_of(model, batch.inputs), batch, task.spec)
        loss.backward()
        optimizer.step()
        after = batch_loss(outputs_of(model, batch.inputs), batch, task.spec)
        assert loss.isfinite() and after.isfinite() and after != loss, name
