"""The part of a report about ambiguity over networks: its tables against pandas, its filters, and when it appears."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic_runs import claim, write, write_run

from mechlab.core.errors import ConfigError
from mechlab.report import report
from mechlab.reporting.ambiguity import (
    correlation_rows,
    correlation_table,
    epoch_curves,
    method_rows,
    methods_table,
    part,
)
from mechlab.reporting.networks import Network, Survey, survey
from mechlab.reporting.record import Claim, Record
from mechlab.reporting.request import Filters, Request, parse

METHODS = ("k_means_8", "lda", "lr")
MADE = Claim("It is small.", "statistical", 0.0, 0.05, None, True)


def record(index: int, model: str, seed: int, accuracy: float | None, **config: Any) -> Record:
    """A finished run of a Tomita language, whose ambiguity falls with its accuracy."""
    rng = np.random.default_rng([index, seed, len(model)])
    error = 0.0 if accuracy is None else 1 - accuracy
    values = {method: max(0.0, error + rng.normal(scale=0.03)) for method in METHODS}
    values["lda"] = values["lr"] = 0.0 if error < 0.1 else error
    numbers = {f"clusterings/{method}": value for method, value in values.items()}
    numbers |= {"clusterings/lda_held_out": values["lda"] + 0.01, "clusterings/states": 5.0}
    numbers |= {} if accuracy is None else {"test/accuracy": accuracy}
    settings = {"name": f"tomita-{model}", "task.index": index, "task.words": 1000, "task.seed": seed, "seed": seed}
    claims = {("clusterings", method): MADE for method in METHODS} | {("ambiguity", "pure"): MADE}
    return Record(Path(f"{index}-{model}-{seed}"), {"status": "done"}, settings | config, None, {}, numbers, claims)


def records() -> list[Record]:
    """Seven languages, two models, three seeds; what is hard for one network of a language is hard for all."""
    hard = np.linspace(0.5, 1, 7)
    return [
        record(index, model, seed, float(np.clip(hard[index - 1] + 0.02 * seed, 0, 1)))
        for index in range(1, 8)
        for model in ("gru", "lstm")
        for seed in range(3)
    ]


def surveyed(*filters: Any, **options: Any) -> Survey:
    return survey(records(), Filters(*filters, **options))


def frame(found: Survey) -> pd.DataFrame:
    return pd.DataFrame([{"kind": n.kind, "accuracy": n.accuracy, **n.ambiguity} for n in found.networks])


def test_the_table_of_methods_is_that_of_pandas() -> None:
    found = surveyed()
    table = frame(found)
    rows = {(row["cell_type"], row["method"]): row for row in method_rows(found)}
    assert len(rows) == 3 * 4  # all, gru and lstm; three methods and LDA on unseen rows
    for (kind, method), row in rows.items():
        values = table[method] if kind == "all" else table[method][table["kind"] == kind]
        assert (row["networks"], row["automata"]) == (len(values), 7)
        assert row["mean"] == pytest.approx(values.mean()) and row["std"] == pytest.approx(values.std())
        assert (row["max"], row["zeros"]) == (values.max(), (values == 0).sum())
        assert row["zero_share"] == pytest.approx((values == 0).mean())
        assert row["low"] < row["mean"] < row["high"]


def test_planted_correlations_are_found_and_shuffled_accuracies_are_not() -> None:
    found = surveyed()
    table = frame(found)
    rows = {row["method"]: row for row in correlation_rows(found)}
    for method, row in rows.items():
        assert row["pearson"] == pytest.approx(table["accuracy"].corr(table[method]))
        assert row["spearman"] == pytest.approx(table["accuracy"].corr(table[method], method="spearman"))
        assert row["pearson_high"] < -0.5 and row["spearman_high"] < -0.4
        assert row["slope"] == pytest.approx(np.polyfit(table["accuracy"], table[method], 1)[0])
    order = np.random.default_rng(1).permutation(len(found.networks))
    mixed = [Network(**{**vars(one), "accuracy": found.networks[n].accuracy}) for one, n in zip(found.networks, order)]  # noqa: B905
    row = next(correlation_rows(Survey(mixed, len(mixed), found.metric, found.filters)))
    assert row["pearson_low"] < 0 < row["pearson_high"] and row["spearman_low"] < 0 < row["spearman_high"]


def test_networks_are_grouped_by_automaton_whatever_the_words_seed_and_model() -> None:
    found = survey([*records(), record(1, "gru", 9, 0.5, **{"task.words": 7})], Filters())
    assert found.automata == 7
    other = survey([*records(), record(1, "gru", 9, 0.5, **{"task.depth": 3})], Filters())
    assert other.automata == 8


def test_filters_leave_what_they_say() -> None:
    table = frame(surveyed())
    assert len(surveyed(accuracy_from=0.8).networks) == (table["accuracy"] >= 0.8).sum() < len(table)
    assert {network.kind for network in surveyed(model=("lstm",)).networks} == {"lstm"}
    separable = surveyed(separable=True)
    assert len(separable.networks) == ((table["lda"] == 0) & (table["lr"] == 0)).sum() > 0
    assert separable.found == len(table)


def test_an_elman_networks_cell_is_its_activation() -> None:
    elman = [
        record(1, "rnn", seed, 0.9, **{"model.activation": word}) for seed, word in enumerate(("relu", "tanh", "tanh"))
    ]
    assert [network.kind for network in survey(elman, Filters()).networks] == ["relu", "tanh", "tanh"]
    assert len(survey(elman, Filters(model=("tanh",))).networks) == 2
    assert len(survey(elman, Filters(model=("rnn",))).networks) == 3


def test_conformance_is_preferred_where_all_have_it() -> None:
    some = records()[:6]
    for one in some[:5]:
        one.numbers["conformance/accuracy"] = 0.25
    assert survey(some, Filters()).metric == "test/accuracy"
    some[5].numbers["conformance/accuracy"] = 0.25
    found = survey(some, Filters())
    assert found.metric == "conformance/accuracy" and found.networks[0].accuracy == 0.25
    assert next(correlation_rows(found))["pearson"] is None  # they do not vary


def test_tables_can_be_written_without_intervals() -> None:
    """Two automata give no interval, and a network of unknown accuracy no correlation."""
    found = survey([record(index, "gru", seed, None) for index in (1, 2) for seed in (0, 1)], Filters())
    rows = list(method_rows(found))
    assert rows[0]["low"] is None and methods_table(rows).latex().count("k\\_means\\_8") == 1
    assert list(correlation_rows(found)) == []
    few = survey([record(index, "gru", seed, 0.5 + 0.2 * seed) for index in (1, 2) for seed in (0, 1)], Filters())
    assert "<data" in correlation_table(list(correlation_rows(few)), few.metric).html()


def test_fewer_than_three_networks_are_no_survey() -> None:
    assert survey(records()[:2], Filters()) is None
    for one in (some := records()[:4]):
        one.claims.clear()
    assert survey(some, Filters()) is None


def planted_runs(root: Path) -> None:
    """A run of each of three languages, with ambiguity at three of their steps."""
    for index in (1, 2, 3):
        one = record(index, "gru", 0, 0.6 + 0.1 * index)
        scalars = {key.removeprefix("clusterings/"): v for key, v in one.numbers.items() if key.startswith("cl")}
        claims = {method: claim("It is small.", 0.0, 0.05, True, None) for method in METHODS}
        findings = {"clusterings": {"scalars": scalars, "claims": claims}}
        metrics = {"test/accuracy": one.numbers["test/accuracy"]}
        folder = write_run(root, "tomita", "gru", index, 8, 0, findings=findings, metrics=metrics)
        steps = [f"{step},{0.9 - step / 2000},{0.5 - step / 3000}" for step in (0, 100, 1000)]
        table = "\n".join(["step,k_means_8,lda", *steps, ""])
        write(folder / "analyses" / "clusterings" / "moments" / "over_training.csv", table)


def test_the_part_appears_by_itself_with_tables_and_figures(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    planted_runs(root)
    page = report(Request((str(root),))).read_text(encoding="utf-8")
    assert page.count('id="ambiguity"') == 1 and 'href="#ambiguity"' in page
    assert "3 networks of 3 automata" in page
    names = {path.stem for path in (root / "report" / "figures").glob("ambiguity-*.svg")}
    assert names == {
        "ambiguity-methods",
        "ambiguity-accuracy-k_means_8",
        "ambiguity-accuracy-lda",
        "ambiguity-epochs-k_means_8",
        "ambiguity-epochs-lda",
    }
    for name in ("methods", "accuracy"):
        assert (
            (root / "report" / f"ambiguity-{name}.tex").read_text(encoding="utf-8").startswith("% Weighted ambiguity")
        )
        with open(root / "report" / f"ambiguity_{name}.csv", encoding="utf-8", newline="") as file:
            assert {row["method"] for row in csv.DictReader(file)} == {*METHODS, "lda_held_out"}


def test_filters_are_told_in_the_page(tmp_path: Path) -> None:
    found = surveyed(accuracy_from=0.95, model=("gru", "lstm"))
    told = "".join(part(found, tmp_path))
    assert f"{len(found.networks)} networks of {found.automata} automata of the 42" in told
    assert "accuracy_from=0.95 model=[gru,lstm]" in told
    assert "None of the 42 networks" in "".join(part(surveyed(model=("relu",)), tmp_path))


def test_filters_without_clustered_networks_are_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "tomita", "gru", 3, 8, 0)
    with pytest.raises(ConfigError, match="analysis=clusterings"):
        report(parse([f"runs={tmp_path / 'runs'}", "separable=true"]))


def test_curves_are_against_the_epoch(tmp_path: Path) -> None:
    planted_runs(tmp_path)
    folder = next(tmp_path.glob("tomita-gru/*-s0"))
    one = record(1, "gru", 0, 0.9, **{"trainer.steps_per_epoch": 50})
    one.folder = folder
    curves = epoch_curves(survey([one] * 3, Filters()).networks[0])
    assert curves["k_means_8"][0] == [0, 2, 20] and curves["k_means_8"][1][-1] == pytest.approx(0.4)
    del one.config["trainer.steps_per_epoch"]
    assert epoch_curves(survey([one] * 3, Filters()).networks[0])["lda"][0] == [
        0,
        10,
        100,
    ]  # validated first at step 10


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["accuracy_from=high"], "from 0 to 1"),
        (["accuracy_from=1.5"], "from 0 to 1"),
        (["separable=maybe"], "true or false"),
        (["acuracy_from=0.8"], "did you mean 'accuracy_from'"),
    ],
)
def test_bad_filters_are_refused(words: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse(["runs=x", *words])


def test_filters_become_part_of_the_request_and_of_its_command() -> None:
    request = parse(["runs=x", "accuracy_from=.8", "separable=True", "model=gru"])
    assert request.filters == Filters(0.8, ("gru",), True)
    assert request.command.endswith("accuracy_from=0.8 model=gru separable=true")
