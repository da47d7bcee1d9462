"""The table of published and measured numbers has the right rows, flags what nobody explained, and is in sync."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from mechlab.config.schema import Expected

ROOT = Path(__file__).parents[2]
DOCS, EXPERIMENTS = ROOT / "docs", ROOT / "conf" / "experiment"
PUBLISHED = Expected(published=0.9, tolerance=0.02, source="a log", quantity="accuracy")
PLAN = [{"title": "Languages", "page": "automata.md", "about": "A paper.", "experiments": []}]


def row(
    metric: str = "test/accuracy", choices: tuple[str, ...] = (), expected: Expected = PUBLISHED, seeds: Any = None
):
    from numbers_table.plan import Row

    targets = {None: expected} if seeds is None else seeds
    return Row("Languages", "regular", choices, metric, targets, "a minute")


def case(*rows, choices: tuple[str, ...] = (), language: str = "tomita5"):
    from numbers_table.plan import Case

    values = {"task": {"language": language}, "trainer": {"max_steps": 2000}, "hydra": {"runtime": {"choices": {}}}}
    values["hydra"]["runtime"]["choices"] |= {"model": "gru", "trainer": "cpu"}
    return Case("regular", choices, OmegaConf.create(values), tuple(rows))


def planted(
    root: Path,
    name: str,
    *words: str,
    accuracy: float = 0.95,
    findings: Any = None,
    status: str = "done",
    updated: str = "2026-01-03T00:00:00+00:00",
):
    """Write a run directory that was started with experiment=regular and further words."""
    folder = root / "automaton-gru" / name
    seed = int(name.rpartition("-s")[2])
    result = {"seed": seed, "metrics": {"test/accuracy": accuracy}, "findings": findings or {}}
    times = {"started": "2026-01-02T00:00:00+00:00", "updated": updated, "host": "here", "pid": 1}
    files = {
        "status.json": {"status": status, **times},
        "result.json": {"run": str(folder), "status": "done", **result},
        "provenance/overrides.json": ["paths.root=runs", "experiment=regular", *words],
        "provenance/environment.json": {"commit": "0123456789", "packages": {"mechlab": "1.2.3"}},
    }
    write(folder, files)
    return folder


def write(folder: Path, files: dict[str, Any]) -> None:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(json.dumps(content))


def finding(value: float, **differs: Any) -> dict[str, Any]:
    scalars = {"weighted": value, "weighted_low": value - 0.1, "weighted_high": value + 0.1}
    return {"scalars": scalars, "claims": {}, **({"differs": differs} if differs else {})}


def test_a_run_counts_for_the_choices_that_it_was_started_with(tmp_path: Path) -> None:
    """And not if another key of what decides its result was set, or if it has not finished."""
    from numbers_table.measured import collect

    plain, other = row(), row(choices=("task.language=coffee",))
    cases = [case(plain), case(other, choices=other.choices, language="coffee")]
    folders = [
        planted(tmp_path, "aa-s0", accuracy=0.1),
        planted(tmp_path, "aa-s1", "task.language=tomita5", "seed=1", "analysis=[]", accuracy=0.2),
        planted(tmp_path, "bb-s0", "task.language=coffee", accuracy=0.3),
        planted(tmp_path, "cc-s2", "trainer=smoke", accuracy=0.4),
        planted(tmp_path, "dd-s3", "trainer.max_steps=10", accuracy=0.5),
        planted(tmp_path, "ee-s4", "model=lstm", accuracy=0.6),
        planted(tmp_path, "ff-s5", "trainer.max_steps=2e3", accuracy=0.7),
        planted(tmp_path, "gg-s6", status="running", accuracy=0.8),
    ]
    records = collect(folders, cases)
    assert {seed: record.measured for seed, record in records[plain.key].items()} == {0: 0.1, 1: 0.2, 5: 0.7}
    assert {seed: record.measured for seed, record in records[other.key].items()} == {0: 0.3}
    assert (records[plain.key][0].version, records[plain.key][0].date) == ("1.2.3 (0123456)", "2026-01-03")


def test_of_two_runs_with_one_seed_the_latest_counts(tmp_path: Path) -> None:
    from numbers_table.measured import collect

    plain = row()
    updated = {
        "aa-s0": "2026-01-03T10:00:00+00:00",
        "bb-s0": "2026-01-05T09:00:00+00:00",
        "cc-s0": "2026-01-05T08:00:00+00:00",
    }
    accuracies = {"aa-s0": 0.1, "bb-s0": 0.2, "cc-s0": 0.3}
    folders = [planted(tmp_path, name, accuracy=accuracies[name], updated=updated[name]) for name in updated]
    record = collect(folders, [case(plain)])[plain.key][0]
    assert (record.measured, record.date) == (0.2, "2026-01-05")


def test_a_finding_with_other_parameters_counts_for_the_choice_of_these(tmp_path: Path) -> None:
    from numbers_table.measured import collect

    plain, height = row("clusterings/weighted"), row("clusterings/weighted", ("analysis.clusterings.by=height",))
    findings = {"clusterings": finding(0.5), "clusterings@01234567": finding(0.25, by="height")}
    folder = planted(tmp_path, "aa-s0", findings=findings)
    records = collect([folder], [case(plain), case(height, choices=height.choices)])
    assert records[plain.key][0].measured == 0.5 and records[height.key][0].measured == 0.25
    assert (records[plain.key][0].low, records[plain.key][0].high) == (0.4, 0.6)


def test_an_answer_about_a_set_counts_with_its_number_of_runs(tmp_path: Path) -> None:
    from numbers_table.measured import collect

    mean = row("seeds/weighted")
    runs = [planted(tmp_path, f"aa-s{seed}", f"seed={seed}") for seed in range(3)]
    names = {f"{run.parent.name}/{run.name}": {"files": {}} for run in runs}
    answer = tmp_path / "_sets" / "0123456789"
    about = {"analysis": "seeds", "runs": names, "reads": [], "expected": {}}
    write(answer, {"set.json": about, "seeds/finding.json": finding(0.5)})
    (record,) = collect([*runs, answer], [case(mean)])[mean.key].values()
    assert (record.seed, record.n, record.measured) == (None, 3, 0.5)
    planted(tmp_path, "aa-s1", "seed=1", "trainer.max_steps=10")
    assert not collect([answer], [case(mean)])


def test_seeds_have_a_mean_with_an_interval_and_a_single_run_has_none(tmp_path: Path) -> None:
    from numbers_table.measured import collect
    from numbers_table.page import page

    one, three = row("test/accuracy"), row("test/accuracy", ("task.language=coffee",))
    cases = [case(one), case(three, choices=three.choices, language="coffee")]
    folders = [planted(tmp_path, "aa-s0", accuracy=0.9)]
    folders += [planted(tmp_path, f"bb-s{s}", "task.language=coffee", accuracy=0.8 + s / 10) for s in range(3)]
    text = page(PLAN, [one, three], collect(folders, cases))
    assert "| 0.9 | 0.9 |  | 1 | 0 (within 0.02) |" in text
    assert "| 0.9 [0.8, 1] | 0.9 |  | 3 seeds | 0 (within 0.02) |" in text
    assert "2 numbers, of which 2 are published: 2 agree; 0 differ with a reason; 0 without one; 0 not measured" in text


def test_each_seed_is_compared_with_its_own_number(tmp_path: Path) -> None:
    from numbers_table.measured import collect
    from numbers_table.page import page

    targets = {1: Expected(published=0.5, quantity="loss"), 2: Expected(published=0.7, corrected=0.6, quantity="loss")}
    loss = row(seeds=targets)
    folders = [planted(tmp_path, f"aa-s{seed}", accuracy=0.6) for seed in (0, 2)]
    text = page(PLAN, [loss], collect(folders, [case(loss)]))
    assert "| loss | 0.6 | 0.7 | 0.6 | 1 | 0 (within 0) |" in text and "seed=1,2" in text


def test_a_deviation_without_a_reason_is_flagged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from numbers_table.measured import collect
    from numbers_table.page import page
    from published_numbers import print_flags

    explained = Expected(published=0.5, tolerance=0.1, quantity="loss", reason="Fewer steps.")
    rows = [row(), row("loss/weighted", expected=explained)]
    folder = planted(tmp_path, "aa-s0", accuracy=0.8, findings={"loss": finding(0.7)})
    records = collect([folder], [case(*rows)])
    text = page(PLAN, rows, records)
    assert "0 agree; 1 differs with a reason; 1 without one; 0 not measured" in text
    assert "| 1 | **−0.1** (beyond 0.02) | `experiment=regular` | **No reason is known.** |" in text
    assert (
        "| 0.7 [0.6, 0.8] | 0.5 |  | 1 | **+0.2** (beyond 0.1) | `experiment=regular` | Deviation: Fewer steps. |"
        in text
    )
    print_flags(rows, records)
    printed = capsys.readouterr().out
    assert "no reason: regular test/accuracy deviates by -0.1" in printed and "loss/weighted" not in printed


def test_a_row_without_runs_keeps_what_was_recorded(tmp_path: Path) -> None:
    from numbers_table.measured import collect, merged, read_records
    from numbers_table.page import page
    from published_numbers import table

    rows = [row(), row("test/accuracy", ("task.language=coffee",)), row("never/measured")]
    cases = [case(rows[0], rows[2]), case(rows[1], choices=rows[1].choices, language="coffee")]
    first = collect([planted(tmp_path, "aa-s0"), planted(tmp_path, "bb-s0", "task.language=coffee")], cases)
    recorded = tmp_path / "numbers.csv"
    recorded.write_text(table(rows, first))
    assert read_records(recorded) == first
    later = merged(first, collect([planted(tmp_path / "new", "bb-s1", "task.language=coffee", accuracy=0.97)], cases))
    assert later[rows[0].key] == first[rows[0].key]
    assert {seed: record.measured for seed, record in later[rows[1].key].items()} == {0: 0.95, 1: 0.97}
    assert "not measured, takes a minute" in page(PLAN, rows, later)


def committed() -> list[dict[str, str]]:
    with (DOCS / "numbers.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def own_entries() -> dict[str, dict[str, Any]]:
    """Return what each experiment's own file expects, with the means that several experiments share."""
    read = {path.stem: yaml.safe_load(path.read_text()) for path in EXPERIMENTS.glob("*.yaml")}
    means = yaml.safe_load((EXPERIMENTS.parent / "published_means.yaml").read_text())["expected"]
    entries = {}
    for name, values in read.items():
        shared = means if "/published_means" in values.get("defaults", ()) else {}
        own = values.get("expected", {})
        entries[name] = {key: shared.get(key, {}) | own.get(key, {}) for key in {**shared, **own}}
    return entries


def test_every_expected_number_has_words_and_a_row() -> None:
    rows = {(line["experiment"], line["metric"]) for line in committed()}
    for experiment, entries in own_entries().items():
        for metric, entry in entries.items():
            assert entry.get("quantity") and entry.get("source"), f"{experiment}: {metric}"
            assert (experiment, metric) in rows, f"{experiment}: {metric}"


def test_the_page_has_every_row_and_no_deviation_without_a_reason() -> None:
    text = (DOCS / "numbers.md").read_text()
    rows = {(line["experiment"], line["choices"], line["metric"]) for line in committed()}
    assert sum(line.strip().startswith("| ") and "`experiment=" in line for line in text.splitlines()) == len(rows)
    assert f"\n{len(rows)} numbers, of which " in text and "No reason is known" not in text


@pytest.mark.ci
def test_the_committed_files_are_what_the_script_writes(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    from published_numbers import main

    monkeypatch.setattr(sys, "argv", ["published_numbers.py", "--check"])
    assert main() == 0, capsys.readouterr().out
