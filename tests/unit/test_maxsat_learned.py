"""MAX-SAT learned from formulas of one short clause, distilled to a program and used on formulas of many clauses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mechlab.distill.cnf import CNF, binomial_formula, random_k_sat
from mechlab.distill.distilling import distill
from mechlab.distill.maxsat import assignments, satisfied
from mechlab.models.enn import ENN
from mechlab.tasks.maxsat import MaxSat

FORMULAS = [random_k_sat(3, 6, 3, rng := np.random.default_rng(0)) for _ in range(100)]
FORMULAS += [binomial_formula(3, 6, 1.5, rng) for _ in range(100)]


def learned(variables: int = 3, slots: int | None = 6, separator: str = "margin") -> ENN:
    """Return an essence network that is solved on the training formulas, in float32 as a run records it."""
    task = MaxSat(variables=variables, slots=slots)
    model = ENN(task.blueprint(), subconcepts="given", separator=separator)
    model.solve(task.examples("train"), torch.Generator().manual_seed(0))
    return model.double()


def margins(model: ENN, formulas: list[CNF]) -> np.ndarray:
    """Return the scores of TRUE minus those of FALSE."""
    inputs = torch.from_numpy(np.stack([cnf.literals() for cnf in formulas])).double()
    scores = model(inputs).detach().numpy()
    return scores[:, 0] - scores[:, 1]


def majority(cnf: CNF) -> int:
    """Return 100 for each unit clause and 1 for each longer clause of variable 1, negative for its negation."""
    weights = [100 if len(clause) == 1 else 1 for clause in cnf.clauses]
    return sum(weight * ((1 in clause) - (-1 in clause)) for weight, clause in zip(weights, cnf.clauses, strict=True))


@pytest.mark.parametrize("separator", ["margin", "mean_difference"])
def test_the_network_computes_a_majority_of_two_weights(separator):
    """Learned from single clauses of one and two literals, on formulas of many clauses of any length."""
    expected = np.array([majority(cnf) for cnf in FORMULAS])
    assert len(set(expected.tolist())) > 20
    assert np.allclose(margins(learned(separator=separator), FORMULAS), expected, atol=1e-4)


def test_subconcepts_of_different_slots_must_not_be_compared():
    """A negative control: with pairs of all slots the network fits the training formulas and fails on others."""
    task = MaxSat(variables=3, slots=6)
    one_group = replace(task.blueprint(), subconcepts=lambda batch: task.subconcepts(batch)[:, 1])
    model = ENN(one_group, subconcepts="given", separator="mean_difference")
    train = task.examples("train")
    model.solve(train, torch.Generator().manual_seed(0))
    assert task.spec.loss.right(model(train.inputs), train.targets).all()
    expected = np.array([majority(cnf) for cnf in FORMULAS])
    assert (np.sign(margins(model.double(), FORMULAS)) != np.sign(expected)).mean() > 0.1


def test_the_program_is_proved_and_decides_as_the_network():
    model = learned()
    program = distill([layer.detach().numpy() for layer in (model.D, model.S, model.C)], (6, 6), names=("formula",))
    assert program.status == "proved" and program.lines <= 10
    own = assignments(FORMULAS, program, 1, trials=3)
    given = assignments(FORMULAS, lambda x: model(torch.from_numpy(x)).detach().numpy(), 1, trials=3)
    assert (own == given).all()


@pytest.mark.ci
def test_the_program_is_near_johnson():
    """At least Johnson's mean score minus .005 on 100 formulas of the published sizes, by paired differences."""
    model = learned(5, None)
    program = distill(model.layers(), (50, 10), names=("formula",))
    rng = np.random.default_rng(2)
    formulas = [random_k_sat(5, clauses, 3, rng) for clauses in (20, 50) for _ in range(50)]
    own, johnson, greedy = (
        satisfied(formulas, assignments(formulas, algorithm, rng, trials=20)).mean(1)
        for algorithm in (program, "johnson", "greedy")
    )
    assert (own - johnson).mean() >= -0.005 and own.mean() > greedy.mean()
