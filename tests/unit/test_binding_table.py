"""The table of variable binding: planted networks whose errors are known, the published selection by a loop over runs,
failed runs, and a negative control."""

from __future__ import annotations

import math
import re
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from mechlab.analyses.binding.binding_rows import row_names
from mechlab.analyses.binding.binding_runs import EXAMPLES, run_table, task_name
from mechlab.analyses.binding.binding_table import BindingTable
from mechlab.binding.published_table import PUBLISHED
from mechlab.core.analysis import Finding
from mechlab.models.rnn import RNN
from mechlab.record.artifacts import Artifacts
from mechlab.tasks.compose_copy import ComposeCopy
from mechlab.tasks.linear_binding import LinearBinding
from mechlab.tasks.repeat_copy import RepeatCopy

SMALL = {"id": [3, 0, 0], "d": 2, "s": 3}  # repeat copy, whose spectrum is the third roots of 1, each twice
COMPLEX = 2 / 3  # share of them that is complex


def planted(task: Any, turn: float, missing: int, hidden: int = 12) -> RNN:
    """A network with the theoretical spectrum, but complex pairs turned by `turn` radians towards -1, and the first
    `missing` pairs of modulus .5."""
    blocks, pairs = [], 0
    for value in sorted(task.ground_truth().spectrum, key=lambda value: abs(np.angle(value))):
        if abs(value.imag) < 1e-9:
            blocks.append(np.array([[value.real]]))
        elif value.imag > 0:
            turned = (0.5 if pairs < missing else 1) * np.exp(1j * (np.angle(value) + turn))
            blocks.append(np.array([[turned.real, -turned.imag], [turned.imag, turned.real]]))
            pairs += 1
    matrix, place = np.zeros((hidden, hidden)), 0
    for block in blocks:
        matrix[place : place + len(block), place : place + len(block)] = block
        place += len(block)
    model = RNN(task.spec, hidden=hidden)
    with torch.no_grad():
        model.layers[0].weight_hh_l0.copy_(torch.from_numpy(matrix))
    return model


def recorded(
    seed: int, accuracy: float, turn: float = 0.001, missing: int = 0, threshold: float | None = 0.9, **more: Any
) -> Any:
    """A run as the analysis reads it; `more` are settings of the task, and hidden, weight_decay, status, horizon."""
    hidden, decay, status = more.pop("hidden", 12), more.pop("weight_decay", 0.0), more.pop("status", "done")
    settings = {**SMALL, "horizon": more.pop("horizon", 200), **more}
    task = LinearBinding(**settings)
    model = planted(task, turn, missing, hidden)
    run_id = zlib.crc32(repr((settings, hidden, decay, threshold)).encode())
    name = f"linear_binding-rnn/{run_id:010x}-s{seed}"
    curriculum = {"lengths": [10], "accuracy": threshold, "steps": None} if threshold else {"lengths": []}
    config = {"name": "linear_binding-rnn", "task": settings, "model": {"hidden": hidden}, "curriculum": curriculum}
    return SimpleNamespace(
        folder=Path("runs") / name,
        config=config | {"optimizer": {"weight_decay": decay}},
        seed=seed,
        status={"status": status, "reason": "the loss must be finite\nsecond line" if status == "failed" else None},
        results={"metrics": {"test/accuracy": accuracy}, "findings": {}},
        task=task,
        spec=task.spec,
        model=lambda: model,
        untrained=lambda: model,
        weights=model.state_dict,
    )


def asked(folder: Path, runs: list[Any], **parameters: Any) -> tuple[Finding, Artifacts]:
    out = Artifacts(folder)
    return BindingTable(**parameters).run(runs, out, np.random.default_rng(0)), out


def grid() -> list[Any]:
    """Five seeds, two widths and two thresholds; narrow networks miss a pair of eigenvalues and are less accurate."""
    rng, runs = np.random.default_rng(0), []
    for seed in range(5):
        for hidden, missing in ((12, 0), (8, 1)):
            for threshold in (0.9, 0.98):
                accuracy = (0.99 + 0.001 * seed if missing == 0 else 0.8) + rng.uniform(0, 0.005)
                turn = rng.uniform(0.001, 0.01)
                runs.append(recorded(seed, accuracy, turn, missing, threshold, hidden=hidden))
    return runs


def test_means_and_rates_are_those_of_the_planted_networks(tmp_path: Path) -> None:
    runs = grid()
    finding, out = asked(tmp_path, runs)
    rows, table = out.table("rows"), out.table("runs")
    assert len(rows) == 4 and rows["runs"].tolist() == [5] * 4 and len(table) == 20
    assert table["rank"].tolist() == [6, 6, 4, 4] * 5 and set(table["rank_theory"]) == {6}
    for row in rows.to_dict("records"):
        mine = table[table["configuration"] == row["configuration"]]
        accuracies = np.array([run.results["metrics"]["test/accuracy"] for run in runs])[mine.index]
        assert row["accuracy"] == pytest.approx(accuracies.mean())
        assert row["accuracy_sd"] == pytest.approx(accuracies.std(ddof=1))
        assert accuracies.min() <= row["accuracy_low"] < row["accuracy"] < row["accuracy_high"] <= accuracies.max()
        assert row["passed_accuracy"] == (accuracies >= 0.99).sum()
        assert row["rate_rank"] == (1.0 if row["hidden"] == 12 else 0.0)
    assert finding.scalars["rate_rank"] == 0.5 and finding.scalars["rate_rank_low"] == pytest.approx(0.2993, abs=1e-4)


def test_angle_errors_are_the_planted_turns() -> None:
    runs = [recorded(seed, 1.0, turn) for seed, turn in enumerate((0.002, 0.01, 0.03))]
    table = run_table(runs, 200, 0.9, np.random.default_rng(0))
    np.testing.assert_allclose(table["angle_error"], COMPLEX * np.array([0.002, 0.01, 0.03]), atol=1e-6)
    np.testing.assert_allclose(table["modulus_error"], 0, atol=1e-6)
    assert table["reason"].isna().all() and (table["threshold"] == 0.9).all()


def test_the_published_selection_is_that_of_a_loop_over_runs(tmp_path: Path) -> None:
    runs = grid()
    _, out = asked(tmp_path, runs)
    table = out.table("runs")
    for row in out.table("rows").to_dict("records"):
        best, top, dropped = {}, {}, 0
        for run in table[table["hidden"] == row["hidden"]].to_dict("records"):
            top[run["seed"]] = max(top.get(run["seed"], 0), run["accuracy"])
            if run["accuracy"] >= 0.99 and not math.isnan(run["published_error"]):
                best[run["seed"]] = min(best.get(run["seed"], math.inf), run["published_error"])
            else:
                dropped += 1
        assert (row["selection_seeds"], row["dropped"]) == (len(best), dropped)
        assert row["selection_accuracy"] == pytest.approx(np.mean(list(top.values())))
        if best:
            assert row["selection_error"] == pytest.approx(np.mean(list(best.values())))
        else:
            assert math.isnan(row["selection_error"])


def test_an_accurate_network_without_a_published_error_is_counted_and_named(tmp_path: Path) -> None:
    """The published table leaves it out; here it is part of every mean and rate."""
    runs = [recorded(seed, 1.0, missing=int(seed == 0)) for seed in range(4)]
    finding, out = asked(tmp_path, runs)
    row = out.table("rows").iloc[0]
    assert (row["runs"], row["dropped"], row["dropped_nan"], row["selection_seeds"]) == (4, 1, 1, 3)
    assert row["rate_rank"] == 0.75 and row["rate_accuracy"] == 1 and row["rank"] == 5.5
    assert "1 of 4 runs" in finding.notes["selection"] and "1 more for which" in finding.notes["selection"]


def test_failed_runs_count_as_not_passing(tmp_path: Path) -> None:
    runs = [recorded(seed, 1.0, status="failed" if seed == 1 else "done") for seed in range(3)]
    broken = recorded(3, 1.0)
    weights = {name: torch.full_like(value, torch.nan) for name, value in broken.weights().items()}
    broken.weights = lambda: weights
    finding, out = asked(tmp_path, [*runs, broken])
    row = out.table("rows").iloc[0]
    assert (row["runs"], row["failed"], row["passed_both"], row["rate_both"]) == (4, 2, 2, 0.5)
    assert math.isnan(row["accuracy_low"]), "two networks give no interval"
    assert "-s1 (the loss must be finite)" in finding.notes["failed"] and "-s3 (the weights" in finding.notes["failed"]
    assert finding.scalars["failed"] == 2 and "2 failed" in (tmp_path / "table.tex").read_text()


def varied(rng: np.random.Generator) -> list[Any]:
    """Eight seeds of two widths; each missing pair costs accuracy, in both."""
    runs = []
    for seed in range(8):
        for hidden in (12, 14):
            missing = int(rng.integers(3))
            runs.append(recorded(seed, 0.97 - 0.1 * missing + rng.uniform(0, 0.03), 0.001, missing, hidden=hidden))
    return runs


def test_claims_hold_of_planted_networks_and_fail_of_shuffled_ones(tmp_path: Path) -> None:
    runs = varied(np.random.default_rng(0))
    finding, _ = asked(tmp_path, runs, accuracy=0.97)
    assert {slug: claim.holds for slug, claim in finding.claims.items()} == {
        "generalisation": True, "generalisation_within": True, "rank": True,
    }  # fmt: skip
    assert finding.claims["rank"].value == 1 and finding.claims["rank"].null == 0
    results = [run.results for run in runs]
    for run, place in zip(runs, np.random.default_rng(1).permutation(len(runs)), strict=True):
        run.results = results[place]
    shuffled, _ = asked(tmp_path, runs, accuracy=0.97)
    assert len(shuffled.claims) == 3 and not any(claim.holds for claim in shuffled.claims.values())


def test_differences_between_configurations_are_no_correlation_within_them(tmp_path: Path) -> None:
    finding, _ = asked(tmp_path, grid())
    assert finding.claims["generalisation"].holds and finding.scalars["spearman"] < -0.8
    assert "within" not in finding.scalars and "generalisation_within" not in finding.claims


def test_no_claim_is_made_of_few_seeds(tmp_path: Path) -> None:
    runs = [run for run in varied(np.random.default_rng(0)) if run.seed < 4]
    finding, _ = asked(tmp_path, runs, accuracy=0.97)
    assert "generalisation" not in finding.claims and "fewer than 5 seeds" in finding.notes["fewest"]
    assert "generalisation" in asked(tmp_path, runs, fewest=4)[0].claims


def test_the_latex_table_is_whole(tmp_path: Path) -> None:
    asked(tmp_path, [*grid(), recorded(0, 1.0, cells=[0, 3], id=None), recorded(1, 1.0, cells=[0, 3], id=None)])
    text = (tmp_path / "table.tex").read_text()
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 1
    assert text.count("{") == text.count("}") and text.count(r"\midrule") == 2
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    sides = re.search(r"tabular}{(l+r*)}", text)[1]
    assert len(rows) == 6 and {len(re.split(r"(?<!\\)&", row)) for row in rows} == {len(sides)}
    assert not re.search(r"(?<!\\)[_%#$]", text.split("\n", 1)[1]) and r"linear\_binding d=2 s=3 cells=[0,3]" in text


PAPER = {("T1", 128, 0.0): (0.0005, 1.0), ("T2", 64, 0.001): (None, 0.85), ("T4", 64, 0.0): (0.0112, 0.94)}


def test_published_numbers_stand_beside_networks_of_the_published_cells(tmp_path: Path) -> None:
    assert len(PUBLISHED) == 24 and all(PUBLISHED[key] == cell for key, cell in PAPER.items())
    assert sum(cell.error is not None for cell in PUBLISHED.values()) == 12
    rule = {"id": "T2", "d": 8, "s": 8}
    runs = [recorded(seed, 1.0, hidden=hidden, **rule) for seed in range(2) for hidden in (64, 96)]
    _, out = asked(tmp_path, runs)
    rows = out.table("rows").set_index("hidden")
    assert rows["task"].tolist() == ["T2", "T2"] and rows["published_error"][64] == 0.0075
    assert math.isnan(rows["published_error"][96]) and rows["rank_theory"].tolist() == [36, 36]


def test_tasks_are_named_by_their_rule() -> None:
    numbers = {"id": [9241421688590303745, 262676, 189], "d": 8, "s": 8}
    assert task_name("linear_binding", numbers, LinearBinding(**numbers).ground_truth()) == "T3"
    assert task_name("repeat_copy", {"d": 8, "s": 8}, RepeatCopy(8, 8).ground_truth()) == "repeat_copy T1"
    assert task_name("compose_copy", {"mix": "one", "d": 4}, ComposeCopy("one", 4, 4).ground_truth()) == (
        "compose_copy d=4 mix=one"
    )
    cycles = {"d": 2, "s": 3, "cycles": [2, -3], "rule_seed": 1}
    assert task_name("linear_binding", cycles, LinearBinding(**cycles).ground_truth()).endswith("rule_seed=1")


def test_accuracy_has_the_horizon_whatever_its_source() -> None:
    """The record where it has the horizon, else the finding of `dynamics`, else new sequences."""
    plain = recorded(0, 0.75)
    other = recorded(1, 0.75, horizon=50)
    other.results["findings"] = {"dynamics": {"scalars": {"accuracy_200": 0.625}, "claims": {}}}
    fresh = recorded(2, 0.75, horizon=50)
    table = run_table([plain, other, fresh], 200, 0.9, np.random.default_rng(0))
    assert table["accuracy_from"].tolist() == ["test", "dynamics", "new data"]
    assert table["accuracy"].tolist()[:2] == [0.75, 0.625]
    with torch.no_grad():
        batch = fresh.task.at_length(200).generate(EXAMPLES, "test", torch.Generator().manual_seed(5))
        right = ((fresh.model()(batch.inputs).outputs >= 0) == (batch.targets >= 0))[:, 3:].double().mean()
    assert table["accuracy"][2] == pytest.approx(float(right), abs=0.03)


def test_rows_that_would_have_one_name_have_their_configuration_in_it(tmp_path: Path) -> None:
    runs = [recorded(seed, 1.0, horizon=horizon) for seed in range(2) for horizon in (200, 201)]
    _, out = asked(tmp_path, runs)
    names = row_names(out.table("rows"))
    assert len(set(names)) == 2 and all("(" in name for name in names)


def test_figures_are_drawn_from_the_tables(tmp_path: Path) -> None:
    few = [recorded(0, 1.0, threshold=None), recorded(1, 1.0, threshold=None, status="failed")]
    for runs in (grid(), few):
        _, out = asked(tmp_path, runs)
        figures = BindingTable().figures(out)
        assert set(figures) == {"pass_rates", "rank_deficit"} and len(figures["pass_rates"].axes) == 4
