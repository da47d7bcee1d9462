"""States over time are computed only when somebody reads them: training, evaluation and the record never do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from small_tasks import Echo, small_recipe, train

from mechlab.core.model import Trace
from mechlab.models.lstm import LSTM, Deferred


class Unreadable(LSTM):
    """An LSTM whose states over time must not be read."""

    def parts(self, read, hidden, before):
        def compute():
            raise AssertionError("the states were read")

        return Deferred(compute)


def test_a_network_whose_states_cannot_be_read_trains(tmp_path):
    plain, strict = (
        replace(small_recipe(Echo(), steps=20), make_model=lambda spec, made=made: made(spec, hidden=4))
        for made in (LSTM, Unreadable)
    )
    runs = train(tmp_path / "plain", plain), train(tmp_path / "strict", strict)
    weights = [run.model().state_dict() for run in runs]
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])
    inputs = strict.source().evaluation("val").inputs
    trace = runs[1].model()(inputs)
    assert isinstance(trace, Trace) and trace.outputs.isfinite().all()
    with pytest.raises(AssertionError, match="were read"):  # the control
        _ = trace.states
