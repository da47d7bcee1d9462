"""Ambiguity over networks: its tables against pandas, planted and shuffled correlations, filters, and curves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic_runs import STEPS, claim, write, write_run

from mechlab.analyses.ambiguity_over_runs import AmbiguityOverRuns
from mechlab.analyses.ambiguity_tables import correlation_rows, curve_rows, method_rows, network_table
from mechlab.analyses.clustered_networks import ClusteredNetwork, clustered_networks, epoch_curves
from mechlab.core.errors import ConfigError
from mechlab.record.artifacts import Artifacts
from mechlab.record.run import Run

METHODS = ("k_means_8", "lda", "lr")
ALL = (*METHODS, "lda_held_out")


@dataclass
class Recorded:
    """What is read of a run, without its folder."""

    folder: Path
    config: dict[str, Any]
    results: dict[str, Any]
    metrics: pd.DataFrame | None = None

    def artifacts(self, analysis: str) -> Artifacts:
        return Artifacts(self.folder / "analyses" / analysis)


def recorded(index: int, model: str, seed: int, accuracy: float | None, **settings: Any) -> Recorded:
    """A finished run of a Tomita language, whose ambiguity falls with its accuracy."""
    rng = np.random.default_rng([index, seed, len(model)])
    error = 0.0 if accuracy is None else 1 - accuracy
    values = {method: max(0.0, error + rng.normal(scale=0.03)) for method in METHODS}
    values["lda"] = values["lr"] = 0.0 if error < 0.1 else error
    scalars = {**values, "lda_held_out": values["lda"] + 0.01, "states": 5.0}
    metrics = {} if accuracy is None else {"test/accuracy": accuracy}
    task = {"_target_": "package.Task", "index": index, "words": 1000, "seed": seed} | settings.pop("task", {})
    config = {"name": f"tomita-{model}", "task": task, "model": settings, "trainer": {"steps_per_epoch": 50}}
    findings = {
        "clusterings": {"scalars": scalars, "claims": {}},
        "ambiguity": {"scalars": {"pure": 1.0}, "claims": {}},
    }
    return Recorded(Path(f"tomita-{model}/{index}-s{seed}"), config, {"metrics": metrics, "findings": findings})


def recordings() -> list[Recorded]:
    """Seven languages, two models, three seeds; what is hard for one network of a language is hard for all."""
    hard = np.linspace(0.5, 1, 7)
    return [
        recorded(index, model, seed, float(np.clip(hard[index - 1] + 0.02 * seed, 0, 1)))
        for index in range(1, 8)
        for model in ("gru", "lstm")
        for seed in range(3)
    ]


def networks(runs: list[Recorded] | None = None) -> list[ClusteredNetwork]:
    return clustered_networks(recordings() if runs is None else runs)[0]


def frame(found: list[ClusteredNetwork]) -> pd.DataFrame:
    return pd.DataFrame([{"kind": one.cell_type, "accuracy": one.accuracy, **one.ambiguity} for one in found])


def correlations(found: list[ClusteredNetwork]) -> dict[str, dict[str, Any]]:
    methods = list(found[0].ambiguity)
    return {row["method"]: row for row in correlation_rows(network_table(found), methods, "test/accuracy")}


def test_the_table_of_methods_is_that_of_pandas() -> None:
    found = networks()
    table = frame(found)
    rows = {(row["cell_type"], row["method"]): row for row in method_rows(network_table(found), list(ALL))}
    assert len(rows) == 3 * 4  # all, gru and lstm; three methods and LDA on unseen rows
    for (kind, method), row in rows.items():
        values = table[method] if kind == "all" else table[method][table["kind"] == kind]
        assert (row["networks"], row["automata"]) == (len(values), 7)
        assert row["mean"] == pytest.approx(values.mean()) and row["std"] == pytest.approx(values.std())
        assert (row["max"], row["zeros"]) == (values.max(), (values == 0).sum())
        assert row["zero_share"] == pytest.approx((values == 0).mean())
        assert row["mean_low"] < row["mean"] < row["mean_high"]


def test_planted_correlations_are_measured_and_shuffled_accuracies_have_none() -> None:
    found = networks()
    table = frame(found)
    for method, row in correlations(found).items():
        assert row["pearson"] == pytest.approx(table["accuracy"].corr(table[method]))
        assert row["spearman"] == pytest.approx(table["accuracy"].corr(table[method], method="spearman"))
        assert row["pearson_high"] < -0.5 and row["spearman_high"] < -0.4
        assert row["slope"] == pytest.approx(np.polyfit(table["accuracy"], table[method], 1)[0])
    order = np.random.default_rng(1).permutation(len(found))
    mixed = [replace(one, accuracy=found[place].accuracy) for one, place in zip(found, order, strict=True)]
    row = next(iter(correlations(mixed).values()))
    assert row["pearson_low"] < 0 < row["pearson_high"] and row["spearman_low"] < 0 < row["spearman_high"]


def test_the_claim_holds_of_the_planted_correlation_and_fails_of_the_shuffled_one(tmp_path: Path) -> None:
    runs = recordings()
    rng = np.random.default_rng(0)
    found = AmbiguityOverRuns().run(runs, Artifacts(tmp_path), rng)
    assert {name: made.holds for name, made in found.claims.items()} == {"falls_k_means_8": True, "falls_lda": True}
    assert found.scalars["networks"] == 42 and found.scalars["automata"] == 7
    accuracies = [run.results["metrics"]["test/accuracy"] for run in runs]
    for run, place in zip(runs, np.random.default_rng(1).permutation(len(runs)), strict=True):
        run.results["metrics"] = {"test/accuracy": accuracies[place]}
    mixed = AmbiguityOverRuns().run(runs, Artifacts(tmp_path), rng)
    assert not any(made.holds for made in mixed.claims.values()) and mixed.claims


def test_no_claim_is_made_of_few_automata(tmp_path: Path) -> None:
    found = AmbiguityOverRuns(fewest=8).run(recordings(), Artifacts(tmp_path), np.random.default_rng(0))
    assert not found.claims and "fewer than 8 automata" in found.notes["fewest"]


def test_networks_are_grouped_by_automaton_whatever_the_words_seed_and_model() -> None:
    words = recorded(1, "gru", 9, 0.5, task={"words": 7})
    assert len({one.automaton for one in networks([*recordings(), words])}) == 7
    depth = recorded(1, "gru", 9, 0.5, task={"depth": 3})
    assert len({one.automaton for one in networks([*recordings(), depth])}) == 8


def test_filters_leave_what_they_say(tmp_path: Path) -> None:
    found = networks()
    table = frame(found)

    def kept(**filters: Any) -> list[ClusteredNetwork]:
        return [one for one in found if AmbiguityOverRuns(**filters).passes(one)]

    assert len(kept(accuracy_from=0.8)) == (table["accuracy"] >= 0.8).sum() < len(table)
    assert {one.cell_type for one in kept(model=("lstm",))} == {"lstm"}
    assert len(kept(separable=True)) == ((table["lda"] == 0) & (table["lr"] == 0)).sum() > 0
    noted = AmbiguityOverRuns(0.95, ("gru", "lstm")).run(recordings(), Artifacts(tmp_path), np.random.default_rng(0))
    assert "of 42 whose states were clustered; accuracy_from=0.95 model=[gru,lstm]" in noted.notes["networks"]
    with pytest.raises(ConfigError, match=r"42 networks, model=\[relu\]"):
        AmbiguityOverRuns(model=("relu",)).run(recordings(), Artifacts(tmp_path), np.random.default_rng(0))


def test_an_elman_networks_cell_is_its_activation() -> None:
    words = ("relu", "tanh", "tanh")
    elman = networks([recorded(1, "rnn", seed, 0.9, activation=word) for seed, word in enumerate(words)])
    assert [one.cell_type for one in elman] == ["relu", "tanh", "tanh"]
    assert [AmbiguityOverRuns(model=("tanh",)).passes(one) for one in elman] == [False, True, True]
    assert all(AmbiguityOverRuns(model=("rnn",)).passes(one) for one in elman)


def test_conformance_is_preferred_where_all_have_it() -> None:
    runs = recordings()[:6]
    for run in runs[:5]:
        run.results["findings"]["conformance"] = {"scalars": {"accuracy": 0.25}, "claims": {}}
    assert clustered_networks(runs)[1] == "test/accuracy"
    runs[5].results["findings"]["conformance"] = {"scalars": {"accuracy": 0.25}, "claims": {}}
    found, metric = clustered_networks(runs)
    assert metric == "conformance/accuracy" and found[0].accuracy == 0.25
    assert correlations(found)["k_means_8"]["pearson"] is None  # they do not vary


def test_two_automata_give_no_interval_and_unknown_accuracies_no_correlation() -> None:
    found = networks([recorded(index, "gru", seed, None) for index in (1, 2) for seed in (0, 1)])
    rows = list(method_rows(network_table(found), list(ALL)))
    assert rows[0]["mean_low"] is None and correlations(found) == {}


def planted_runs(root: Path) -> list[Run]:
    """A run of each of three languages, with ambiguity at three of their steps."""
    runs = []
    for index in (1, 2, 3):
        finding = recorded(index, "gru", 0, 0.6 + 0.1 * index).results["findings"]["clusterings"]
        claims = {method: claim("It is small.", 0.0, 0.05, True, None) for method in METHODS}
        metrics = {"test/accuracy": 0.6 + 0.1 * index}
        findings = {"clusterings": {**finding, "claims": claims}}
        folder = write_run(root, "tomita", "gru", index, 8, 0, findings=findings, metrics=metrics)
        steps = [f"{step},{0.9 - step / 2000},{0.5 - step / 3000}" for step in (0, 100, 1000)]
        table = "\n".join(["step,k_means_8,lda", *steps, ""])
        write(folder / "analyses" / "clusterings" / "moments" / "over_training.csv", table)
        runs.append(Run(folder, lambda: None))
    return runs


def test_curves_are_against_the_epoch(tmp_path: Path) -> None:
    found = networks(planted_runs(tmp_path))
    curves = epoch_curves(found[0])
    assert set(curves) == {"k_means_8", "lda"}
    first = STEPS[0]  # the step of the first validation, which ends an epoch
    assert [epoch for epoch, _ in curves["k_means_8"]] == [0, 100 / first, 1000 / first]
    assert curves["k_means_8"][-1][1] == pytest.approx(0.4)
    assert len(list(curve_rows(found))) == 3 * 2 * 3


def test_figures_are_those_of_the_methods(tmp_path: Path) -> None:
    out = Artifacts(tmp_path / "answer")
    out.folder.mkdir()
    AmbiguityOverRuns().run(planted_runs(tmp_path / "runs"), out, np.random.default_rng(0))
    names = {"by_method", *(f"{kind}_{method}" for kind in ("accuracy", "epochs") for method in ("k_means_8", "lda"))}
    assert set(AmbiguityOverRuns().figures(out)) == names
