"""Irreps in recurrent states: planted representations, and states that ignore the product."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mechlab.analyses.groups.state_irreps import StateIrreps
from mechlab.core.errors import ConfigError
from mechlab.core.model import SequenceModel
from mechlab.groups import irreps
from mechlab.record.artifacts import Artifacts
from mechlab.tasks.group_words import GroupWords
from mechlab.tasks.tomita import Tomita


class Planted(SequenceModel):
    """A network whose state is a representation of the product, as flattened matrices, and some noise."""

    def __init__(self, task, names, noise=0.05):
        super().__init__(task.spec)
        truth = task.ground_truth()
        blocks = [irrep.matrices.reshape(truth.group.order, -1) for irrep in irreps(truth.group) if irrep.name in names]
        self.table = torch.from_numpy(np.concatenate(blocks, 1))
        self.moves, self.start, self.noise = torch.from_numpy(truth.transitions.copy()), truth.initial, noise
        self.rng = torch.Generator().manual_seed(0)

    def initial_state(self, batch):
        return self.table[self.start].expand(batch, -1).clone()

    def step(self, x, state):
        at = torch.cdist(state, self.table).argmin(1)
        after = torch.where(x.any(1), self.moves[at, x.argmax(1)], at)
        noise = self.noise * torch.randn(len(x), self.table.shape[1], generator=self.rng, dtype=torch.float64)
        return state.new_zeros(len(x), self.spec.outputs), self.table[after] + noise


class Memoryless(SequenceModel):
    """A network whose state is random."""

    def __init__(self, task):
        super().__init__(task.spec)
        self.rng = torch.Generator().manual_seed(1)

    def initial_state(self, batch):
        return torch.zeros(batch, 6, dtype=torch.float64)

    def step(self, x, state):
        after = torch.randn(len(x), 6, generator=self.rng, dtype=torch.float64)
        return state.new_zeros(len(x), self.spec.outputs), after


def found(task, model, folder):
    run = SimpleNamespace(
        task=task, spec=task.spec, model=lambda: model, untrained=lambda: Memoryless(task), evaluation=task.examples
    )
    out = Artifacts(folder)
    analysis = StateIrreps(words=200)
    finding = analysis.run(run, out, np.random.default_rng(0))
    assert set(analysis.figures(out)) == {"irreps"}
    return finding, out.table("irreps").set_index("irrep")


@pytest.fixture(scope="module")
def task():
    return GroupWords("A4", words=1000, val_words=200, test_words=200)


def test_a_planted_irrep_has_the_share_of_its_matrices(task, tmp_path):
    finding, table = found(task, Planted(task, ["standard"]), tmp_path)
    assert table.loc["standard", "share"] > 0.99 and table["share"].sum() == pytest.approx(1)
    assert finding.scalars["between"] > 0.9 > finding.scalars["untrained_between"]
    assert finding.claims["separated"].holds and finding.claims["irreps"].holds  # though its size is 9 of 11
    assert table["chance"].sum() == pytest.approx(1)


def test_an_irrep_of_small_size_is_preferred(task, tmp_path):
    """Only a character of A4 / V4 has all of its variance in an irrep of size 2; random states have none preferred."""
    name = next(irrep.name for irrep in irreps(task.ground_truth().group) if irrep.kind == "complex")
    finding, table = found(task, Planted(task, [name]), tmp_path)
    assert table.loc[name, "share"] > 0.99 and finding.claims["irreps"].holds
    assert finding.scalars["largest"] > 3


def test_states_that_ignore_the_product_prefer_no_irrep(task, tmp_path):
    finding, _ = found(task, Memoryless(task), tmp_path)
    assert not finding.claims["separated"].holds and not finding.claims["irreps"].holds
    assert finding.scalars["between"] < 0.1


def test_other_automata_are_refused():
    with pytest.raises(ConfigError, match="Cayley graph"):
        StateIrreps().check("state_irreps", "tomita", Tomita(3), "analysis.state_irreps")
    with pytest.raises(ConfigError, match="three or more"):
        StateIrreps().check("state_irreps", "group_words", GroupWords("C2", words=50), "analysis.state_irreps")
