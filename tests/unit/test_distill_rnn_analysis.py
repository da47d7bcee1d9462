"""Recurrent networks as programs: networks with known weights, negative controls, files, figures, refusals."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from fake_run import FakeRun
from figure_checks import check_figure
from planted_recurrent import alternating, capped, distilled, summing, untrained

from mechlab.analyses.distill.distill_rnn import DistillRNN, principal, untrained_alike
from mechlab.analyses.distill.exact_at_lengths import AtLength, lengths_table, of_network, of_program, words_of
from mechlab.core.errors import ConfigError
from mechlab.distill.certificate import Certificate
from mechlab.distill.recurrent.expressions import Name, Number
from mechlab.distill.recurrent.program import RecurrentProgram
from mechlab.distill.recurrent.program_data import program_from_data
from mechlab.models.smallest_mlp_rnn import SmallestMLPRNN
from mechlab.plotting.recurrent_programs import lengths_figure, registers_figure
from mechlab.tasks.mips import Mips
from mechlab.tasks.repeat_copy import RepeatCopy


def in_python(out, name: str = "program"):
    """Return a function of the module program.py."""
    module: dict = {}
    exec((out.folder / "program.py").read_text(), module)
    return module[name]


@pytest.mark.parametrize(
    ("name", "made", "status"),
    [("sum", summing, "tested"), pytest.param("parity", alternating, "lossless", marks=pytest.mark.ci)],
)
def test_a_network_of_a_known_rule_becomes_a_program(tmp_path, name, made, status):
    task = Mips(name)
    run = distilled(tmp_path, task, made(task))
    out, finding = run.artifacts("distill_rnn"), run.finding
    assert finding.claims["program"].holds and finding.claims["long"].holds
    everything = name == "parity"  # 1,024 words of 10 letters
    assert finding.claims["long"].null == 0  # outputs 0, of the untrained network too, are right on few sequences
    zero = float((task.rule.targets(task.integers(40_000, 10, np.random.default_rng(8))) == 0).all((1, 2)).mean())
    assert finding.scalars["untrained_10"] == pytest.approx(zero, abs=0.002) and finding.scalars["untrained_1000"] == 0
    assert finding.claims["program"].null == max(finding.scalars["constant_10"], finding.scalars["untrained_10"])
    assert finding.claims["program"].kind == ("exact" if everything else "statistical")
    assert ("of all 1,024 sequences of 10 letters" if everything else "all random sequences of 10 letters") in (
        finding.claims["program"].statement
    )
    assert finding.scalars["from_states"] == 1 and finding.notes["origin"].startswith("Hidden states determine all")
    assert (
        finding.scalars["worst_affine"] == finding.scalars["worst_encoding"] == 1
        and finding.scalars["agreement_1000"] == 1
    )
    assert finding.scalars["words_10"] == (1024 if everything else 5000)
    assert finding.scalars["every_10"] == everything and finding.scalars["test_sequences"] == 100
    assert finding.scalars["test_distinct"] < 70 if everything else finding.scalars["test_distinct"] == 100
    assert finding.scalars["unseen_10"] == pytest.approx(0.1, abs=0.03)  # 90 % of the words are in the training split
    assert finding.scalars[status] == finding.scalars["registers"] == 1 and finding.scalars["lines"] <= 8
    assert [finding.scalars[f"program_{n}"] for n in (10, 100, 1000)] == [1, 1, 1]
    inputs = task.integers(3, 57, np.random.default_rng(5))
    targets = task.rule.targets(inputs)[..., 0]
    assert [in_python(out)(word) for word in inputs[..., 0].tolist()] == targets.tolist()
    program = program_from_data(json.loads((out.folder / "program.json").read_text()))
    assert (program(inputs)[..., 0] == targets).all() and program.certificate.status == status
    known = " ".join(in_python(out).__doc__.split())
    assert f"Task {name}; network mips-mlp_rnn/{name}-s0, seed 0." in known
    assert f"{status.capitalize()}: equal to the network on {finding.scalars['compared']:,.0f} of " in known
    assert "Right on 5,000 of 5,000, 500 of 500, 500 of 500 sequences of 10, 100, 1,000 letters." in known
    assert finding.notes["origin"] in known
    register = out.table("registers").iloc[0]
    assert register["r2"] > 0.999 and register["exact"] == 1
    assert set(DistillRNN().figures(out)) == {"lengths", "registers"}


def test_without_a_program_the_finding_gives_the_reason(tmp_path):
    task = Mips("max")
    run = distilled(tmp_path, task, untrained(task, 3))
    finding, out = run.finding, run.artifacts("distill_rnn")
    assert not finding.scalars["distilled"] and not any(claim.holds for claim in finding.claims.values())
    assert finding.notes["refused"].startswith("No program was made: ") and finding.notes["refused"].endswith(".")
    assert finding.notes["network_counterexample"].startswith("After [")
    assert not (out.folder / "program.py").exists() and "from_states" not in finding.scalars
    assert set(out.table("lengths")["subject"]) == {"network", "constant", "untrained"}
    assert "no program by definition" in finding.claims["program"].statement
    assert set(DistillRNN().figures(out)) == {"lengths"}


@pytest.mark.ci
def test_a_program_of_a_wrong_network_is_wrong_too(tmp_path):
    """The network returns min(x, 90): its program does, and the claims about the rule fail with a counterexample."""
    task = Mips("identity")
    run = distilled(tmp_path, task, capped(task))
    finding, table = run.finding, run.artifacts("distill_rnn").table("lengths")
    assert finding.scalars["distilled"] and not any(claim.holds for claim in finding.claims.values())
    assert not finding.scalars["registers"] and not finding.scalars["mismatches"]
    for subject in ("network", "program"):
        share = table[(table["subject"] == subject) & (table["length"] == 10)]["share"].item()
        assert share == pytest.approx(0.91**10, abs=5 * np.sqrt(0.24 / 5000))  # letters up to 90, independent
        assert finding.notes[f"{subject}_counterexample"].startswith("After [")
    letters, returned = finding.notes["program_counterexample"].split(" the program returns 90, the rule ")
    assert letters.endswith(f"{returned[:-1]}]") and int(returned[:-1]) > 90


def test_best_constant_outputs_are_those_that_are_right_most_often():
    """[the last three bits alternate] at 10 letters: outputs 0 throughout are right where no three bits alternate."""
    task = Mips("alternating_last3")
    words = words_of(task, 2000, np.random.default_rng(0))
    rows = of_network(untrained(task), task, words, 1000, np.random.default_rng(0))
    constant = {row.length: row for row in rows if row.subject == "constant"}
    texts = [f"{number:010b}" for number in range(1024)]
    expected = sum("010" not in f"00{text}" and "101" not in f"00{text}" for text in texts)
    assert words.every and words.distinct == 1024 and constant[10].sequences == 1024
    assert constant[10].right == expected and constant[10].interval == (expected / 1024, expected / 1024)
    assert constant[100].sequences == 100 and constant[100].right == 0


def test_words_are_unseen_if_the_training_split_has_none_that_begins_with_them():
    few, rng = Mips("parity"), np.random.default_rng(0)
    words = words_of(few, 2000, rng)
    batch = few.generate(40_000, "train", torch.Generator().manual_seed(0))
    trained = {row.tobytes() for row in batch.inputs.numpy().astype(np.int64)}
    assert words.unseen == pytest.approx(1 - len(trained) / 1024)
    assert [row.tobytes() in trained for row in words.inputs] == few.trained_on(words.inputs).tolist()
    assert words_of(Mips("parity", length=4), 2000, rng).unseen == 1  # longer than what was trained on
    assert words_of(Mips("parity", length=20), 2000, rng).unseen == 0
    many = words_of(Mips("sum"), 2000, rng)
    assert not many.every and many.distinct == 2000 and 0.05 < many.unseen < 0.15
    assert not words_of(Mips("bit_palindromes"), 2000, rng).every  # its bits are not independent


def test_all_words_are_compared_where_a_random_sample_misses_the_difference():
    task = Mips("identity")
    task.rule = replace(task.rule, low=0, high=1)
    certificate = Certificate("tested", 9, lengths=((10, 9, 0), (100, 9, 0), (1000, 9, 0)))
    program = RecurrentProgram(("x",), (), (Number(1) - Number(1) + Name("x"),), certificate)
    wrong = RecurrentProgram(("x",), (), (Number(1),), certificate)
    words = words_of(task, 2000, np.random.default_rng(0))
    assert [(row.right, row.sequences) for row in of_program(program, task, words)] == [(1024, 1024), (9, 9), (9, 9)]
    first, *_ = of_program(wrong, task, words)
    assert first.right == 1 and first.every and first.counterexample == "After [0] the program returns 1, the rule 0."


def test_the_untrained_network_has_the_sizes_of_the_solved_one():
    task = Mips("sum")
    solved, fresh = (SmallestMLPRNN(task.spec) for _ in range(2))
    solved.resize(summing(task).state_dict())
    solved.load_state_dict(summing(task).state_dict())
    models = [untrained_alike(FakeRun(task, solved, deepcopy(fresh), seed)) for seed in (0, 0, 1)]
    shapes = [{name: value.shape for name, value in model.state_dict().items()} for model in (solved, *models)]
    assert shapes[0] == shapes[1] == shapes[2] == shapes[3] and shapes[0]["transition.0.weight"] == (2, 3)
    first, again, other = (model.transition[0].weight for model in models)
    assert first.equal(again) and not first.equal(other) and not first.equal(solved.transition[0].weight)
    plain = untrained(task)
    assert untrained_alike(FakeRun(task, summing(task), plain)) is plain


def test_it_is_refused_of_other_tasks():
    with pytest.raises(ConfigError, match="sequence rule"):
        DistillRNN().check("distill_rnn", "repeat_copy", RepeatCopy(), "analysis.distill_rnn")


def test_principal_components_are_those_of_the_covariance():
    states = np.random.default_rng(0).normal(size=(200, 4)) * (5, 3, 1, 0.1)
    places, shares = principal(states)
    values, vectors = np.linalg.eigh(np.cov(states.T))
    assert shares == pytest.approx(values[:-3:-1] / values.sum())
    expected = (states - states.mean(0)) @ vectors[:, :-3:-1]
    assert np.abs(places) == pytest.approx(np.abs(expected))
    places, shares = principal(states[:, :1])
    assert shares.tolist() == [1, 0] and not places[:, 1].any()
    assert principal(np.zeros((5, 3)))[1].tolist() == [0, 0]


def test_figures_stay_readable():
    rng = np.random.default_rng(0)
    table = distill_table()
    for figure in (
        lengths_figure(table),
        lengths_figure(table[table["subject"] == "network"]),
        registers_figure(
            rng.normal(size=(1000, 2)), rng.integers(0, 2000, (1000, 4)), np.array([0.7, 0.2]), registers("stuv")
        ),
        registers_figure(rng.normal(size=(90, 2)), rng.integers(0, 3, (90, 1)), np.array([1.0, 0]), registers("s")),
        registers_figure(np.zeros((9, 2)), np.zeros((9, 1)), np.zeros(2), registers("s")),
    ):
        check_figure(figure)
    assert "v" not in " ".join(panel.get_title("left") for panel in figure.axes)


def registers(names):
    updates = ["s + x", "(t + max(s, x) * 3) % 7 if x > 2 else " + "t + " * 40 + "1", "x", "v"][: len(names)]
    rows = {"register": list(names), "update": updates, "exact": 0.99999, "nearest": np.nan}
    return pd.DataFrame(rows)


def test_titles_of_registers_have_update_and_read_out():
    table = registers("st").assign(exact=[0.5, 0.99999], nearest=[1.0, np.nan])
    figure = registers_figure(np.zeros((9, 2)), np.zeros((9, 2)), np.zeros(2), table)
    first, second = (axis.get_title("left").replace("\n", " ") for axis in figure.axes[:2])
    assert first == "s = s + x; nearest state 100 %" and second.endswith("affine read-out 99.99 %")
    assert len(second) < 100


def test_shares_near_one_are_enlarged():
    """Network and program have marks at other places and other lines, and intervals that can be seen."""
    table = distill_table()
    near = table[table["subject"] == "network"].assign(share=1.0, low=[1.0, 0.996, 0.996], high=1.0)
    table = pd.concat([near, table[table["subject"] != "network"]])
    figure = lengths_figure(table)
    check_figure(figure)
    whole, enlarged = figure.axes
    assert whole.get_ylim()[0] < 0 and 0.99 < enlarged.get_ylim()[0] < 0.9965 and len(enlarged.lines) == 2
    for axis in figure.axes:
        network, program = axis.lines[:2]
        assert network.get_marker() != program.get_marker() and network.get_linestyle() != program.get_linestyle()
        assert (network.get_xdata() < 0.9 * program.get_xdata()).all()
    assert len(lengths_figure(distill_table()).axes) == 1  # of a network with a low share


def distill_table():
    shares = {"network": (1024, 999, 3), "program": (1024, 1000, 1000)}
    shares |= {"constant": (20, 0, 0), "untrained": (40, 0, 0)}
    rows = [
        AtLength(subject, length, n, right, every=length == 10)
        for subject, counts in shares.items()
        for length, n, right in zip((10, 100, 1000), (1024, 1000, 1000), counts, strict=True)
    ]
    return lengths_table(rows)
