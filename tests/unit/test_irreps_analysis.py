"""The analysis of irreps: of planted circuits, of networks that learned nothing, and over a planted training."""

from pathlib import Path

import numpy as np
import pytest
import torch
from fake_run import FakeTraining
from planted_groups import model_of, planted_model, random_weights

from mechlab.analyses.groups.irreps import Irreps
from mechlab.analyses.groups.irreps_over_training import learning_order
from mechlab.core.model import StaticModel
from mechlab.groups.phases import phases
from mechlab.record.artifacts import Artifacts
from mechlab.tasks.group import GroupProduct

TASK = GroupProduct("S4", 0.5, seed=1)
PLANTED = planted_model(TASK, {"standard": 20.0, "sign": 5.0})


def nothing(seed):
    return model_of(TASK, random_weights(TASK.of, 20, np.random.default_rng(seed)))


def ask(folder: Path, trained, steps=None, **parameters):
    run = FakeTraining(TASK, trained, nothing(7), models=steps or {})
    run.is_live = False
    out = Artifacts(folder)
    finding = Irreps(**parameters).run(run, out, np.random.default_rng(0))
    return finding, out


def test_planted_irreps_are_the_key_irreps_and_explain_everything(tmp_path):
    finding, out = ask(tmp_path, PLANTED)
    table = out.table("irreps").set_index("name")
    assert set(table.index[table["key"]]) == {"sign", "standard"} == set(table.index[table["beyond_null"]])
    assert finding.scalars["embed_x_fve"] == pytest.approx(1) and finding.scalars["test_accuracy"] == 1
    assert all(claim.holds for claim in finding.claims.values()), finding.claims
    assert set(finding.claims) == {"similarity", "embeddings", "restricted", "excluded"}
    assert "curves" in finding.notes and table["order"].isna().all()


@pytest.mark.parametrize("seed", range(3))
def test_a_network_that_learned_nothing_fails_every_claim(tmp_path, seed):
    finding, _ = ask(tmp_path, nothing(seed))
    assert not [slug for slug, claim in finding.claims.items() if claim.holds]


def test_a_network_that_memorised_has_no_irreps_beyond_the_null(tmp_path):
    """Logits that are right on the training pairs alone are similar to every character, but not on held-out pairs."""

    class Memory(StaticModel):
        def __init__(self):
            super().__init__(TASK.spec)
            rng = torch.Generator().manual_seed(0)
            self.table = torch.nn.Parameter(torch.randn(24, 24, 24, generator=rng, dtype=torch.float64))
            a, b = TASK.examples("train").inputs.T
            self.table.data[a, b, TASK.examples("train").targets] += 20

        def forward(self, inputs):
            return self.table[inputs[:, 0], inputs[:, 1]]

    model = Memory()
    finding, _ = ask(tmp_path, model)
    assert finding.scalars["train_accuracy"] == 1 and finding.scalars["test_accuracy"] < 0.2
    assert finding.scalars["key_irreps"] == 4 and finding.scalars["irreps_beyond_null"] == 0
    assert not finding.claims["similarity"].holds and "embeddings" not in finding.claims
    assert "hidden_fve" not in finding.scalars  # nothing is known of what is inside
    by_null, _ = ask(tmp_path, model, key="null_hypothesis")
    assert by_null.scalars["key_irreps"] == 0


def test_irreps_are_learned_in_the_order_of_the_record(tmp_path):
    steps = {0: nothing(1), 10: nothing(2), 20: planted_model(TASK, {"sign": 20.0}), 40: PLANTED, 80: PLANTED}
    finding, out = ask(tmp_path, PLANTED, steps, learned=0.3)
    order = out.table("irreps").set_index("name")["order"]
    assert order["sign"] == 1 and order["standard"] == 2 and order.count() == 2
    curves = out.table("training")
    assert curves["step"].tolist() == [0, 10, 20, 40, 80]
    assert curves["test_accuracy"].iloc[-1] == 1 and curves["embed_x_fve"].iloc[-1] == pytest.approx(1)
    assert len(out.table("irreps_over_training")) == 5 * 5
    assert finding.scalars["generalised_step"] == 40


@pytest.mark.parametrize("held", ["first", "second", "product", "both", None])
def test_test_losses_are_those_of_the_task_s_test_pairs(tmp_path, held):
    """And not of the pairs for validation, which were not trained on either."""
    part = {"val_fraction": 0.3} if held is None else {"hold_out": held, "hold_out_subgroup": "A4"}
    task, model = GroupProduct("S4", 0.5, seed=1, **part), nothing(3)
    run = FakeTraining(task, model, nothing(7), models={0: model, 5: model})
    run.is_live = False
    out = Artifacts(tmp_path)
    scalars = Irreps().run(run, out, np.random.default_rng(0)).scalars
    for split in ("train", "test"):
        pairs = task.examples(split)
        with torch.no_grad():
            logits = model(pairs.inputs)
        loss = torch.nn.functional.cross_entropy(logits, pairs.targets)
        accuracy = (logits.argmax(1) == pairs.targets).double().mean()
        assert scalars[f"{split}_loss"] == pytest.approx(float(loss), rel=1e-12)
        assert scalars[f"{split}_accuracy"] == pytest.approx(float(accuracy))
        assert out.table("training")[f"{split}_loss"].tolist() == pytest.approx([float(loss)] * 2, rel=1e-6)


def test_a_step_and_a_network_in_training_have_no_curves(tmp_path):
    run = FakeTraining(TASK, PLANTED, nothing(7), models={0: nothing(1)}, moment=0)
    run.is_live = False
    Irreps().run(run, Artifacts(tmp_path), np.random.default_rng(0))
    assert not (tmp_path / "training.csv").exists()


def test_at_most_one_irrep_is_learned_at_a_step():
    similarity = np.array([[0, 0.0, 0.0, 0, 0], [0, 0.2, 0, 0.3, 0], [0, 0.2, 0, 0.3, 0.4], [0, 0.2, 0, 0, 0.4]])
    order = learning_order(similarity, np.array([False, True, True, True, True]), 0.05)
    np.testing.assert_array_equal(order, [np.nan, 1, 4, 2, 3])


def test_without_losses_similarities_and_fractions_remain(tmp_path):
    finding, _ = ask(tmp_path, PLANTED, order=20)
    assert "test_loss" not in finding.scalars and finding.scalars["embed_x_fve"] == pytest.approx(1)
    assert "losses" in finding.notes and set(finding.claims) == {"similarity", "embeddings"}


def curves(**changes):
    steps = np.array([0, 10, 100, 1000, 2000, 4000, 8000, 16000])
    made = {
        "train_accuracy": np.array([0, 0.3, 1, 1, 1, 1, 1, 1]),
        "test_accuracy": np.array([0, 0, 0, 0.1, 0.3, 0.995, 1, 1]),
        "test_loss": np.array([4, 5, 15, 18, 12, 0.5, 0.01, 0.001]),
        "squared_weights": np.array([300, 900, 7000, 6000, 5000, 3500, 3010, 3000]),
        "excluded_loss": np.array([4, 3, 0.1, 0.3, 2, 7, 7.5, 7.5]),
    }
    return steps, {**made, **changes}


def test_phases_of_a_training_that_generalises_late():
    found = phases(*curves())
    assert (found.memorised, found.circuit, found.clean_up, found.generalised, found.settled) == (
        *(100, 100, 2000, 4000),
        8000,
    )


def test_clean_up_has_no_end_while_weights_still_fall():
    falling = {"squared_weights": np.array([300, 900, 7000, 6000, 5000, 4500, 4000, 3000])}
    found = phases(*curves(**falling))
    assert found.clean_up == 2000 and found.settled is None and "settled_step" not in found.scalars


def test_a_training_that_never_generalises_has_no_clean_up():
    flat = {"test_accuracy": np.linspace(0, 0.5, 8), "excluded_loss": np.linspace(4, 0.1, 8)}
    found = phases(*curves(**flat))
    assert found.memorised == 100
    assert found.generalised is found.circuit is found.clean_up is found.settled is None
    assert phases(np.array([5]), {name: values[:1] for name, values in curves()[1].items()}).scalars == {}
