"""Which runs are averaged, what tells the groups apart, and the commands that make them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from synthetic_runs import write_run

from mechlab.core.errors import ConfigError
from mechlab.reporting.cells import make_cells, varying
from mechlab.reporting.collect import read_run
from mechlab.reporting.record import Record
from mechlab.reporting.section import make_sections


def record(folder: str, seed: int = 0, overrides: tuple[str, ...] = (), **config: Any) -> Record:
    """Return a finished run with one number."""
    flat = {key.replace("__", "."): value for key, value in config.items()}
    flat |= {"name": folder.partition("/")[0], "seed": seed}
    found = Record(Path(f"runs/{folder}"), {"status": "done"}, flat, list(overrides))
    found.numbers = {"test/accuracy": float(seed)}
    return found


def test_runs_that_differ_in_their_seed_are_a_cell() -> None:
    runs = [record(f"tomita-gru/aa-s{seed}", seed) for seed in (10, 2, 1)]
    cells = make_cells([*runs, record("tomita-gru/bb-s1", 1, task__index=4)], ())
    assert [[run.seed for run in cell.records] for cell in cells] == [[1, 2, 10], [1]]
    assert cells[0].numbers["test/accuracy"].values == (1, 2, 10)


def test_only_what_differs_is_told() -> None:
    runs = [
        record("tomita-gru/a-s0", task__index=3, model__hidden=8, trainer__lr=1, paths__root="x", task___target_="T"),
        record("tomita-gru/b-s0", task__index=3, model__hidden=16, trainer__lr=1, paths__root="y", task___target_="T"),
        record("digits-mlp/c-s0", model__hidden=16, model__act="relu", trainer__lr=1, task___target_="D"),
    ]
    assert varying([[run] for run in runs]) == ["task", "model", "model.hidden"]


def test_by_joins_all_that_agree() -> None:
    choices = itertools.product(("gru", "rnn"), (3, 5), (8, 9))
    runs = [record(f"tomita-{m}/{i}{h}-s0", task__index=i, model__hidden=h) for m, i, h in choices]
    assert [len(cell.records) for cell in make_cells(runs, ["model"])] == [4, 4]
    cells = make_cells(runs, ["model", "task.index"])
    assert [(cell.value("model"), cell.value("task.index")) for cell in cells] == [
        ("gru", "3"), ("gru", "5"), ("rnn", "3"), ("rnn", "5"),
    ]  # fmt: skip
    assert cells[0].value("model.hidden") == "8, 9"


def test_an_unknown_key_of_by_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'model.hidden'"):
        make_cells([record("tomita-gru/a-s0", model__hidden=8)], ["model.hiden"])


def test_one_command_makes_all_seeds() -> None:
    words = ("task=tomita", "analysis=[a,b]", "model=gru")
    runs = [record(f"tomita-gru/a-s{seed}", seed, (*words, f"seed={seed}")) for seed in range(3)]
    (cell,) = make_cells(runs, ())
    assert cell.commands() == ["python -m mechlab.train -m task=tomita 'analysis=[a,b]' model=gru seed=0,1,2"]


@pytest.mark.parametrize(("words", "told"), [((), ""), (("seed=7",), " seed=7"), (("+seed=7",), " seed=7")])
def test_the_command_of_one_run_names_a_seed_if_it_did(words: tuple[str, ...], told: str) -> None:
    (cell,) = make_cells([record("tomita-gru/a-s7", 7, ("task=tomita", *words))], ())
    assert cell.commands() == [f"python -m mechlab.train task=tomita{told}"]


def test_seeds_that_are_trained_together_are_made_by_the_command_that_made_them() -> None:
    words = ("task=digits", "trainer.seeds=3", "seed=1")
    (cell,) = make_cells([record(f"digits-mlp/a-s{seed}", seed, words) for seed in (1, 2, 3)], ())
    assert cell.commands() == ["python -m mechlab.train task=digits trainer.seeds=3 seed=1"]


def test_a_command_that_trained_a_run_anew_is_the_one_that_made_it() -> None:
    runs = [record("tomita-gru/a-s0", 0, ("seed=0",)), record("tomita-gru/a-s1", 1, ("seed=1", "rerun=true"))]
    (cell,) = make_cells(runs, ())
    assert cell.commands() == ["python -m mechlab.train -m seed=0,1"]


def test_runs_of_other_commands_have_their_own() -> None:
    runs = [record("tomita-gru/a-s0", 0, ("task=tomita",)), record("tomita-gru/b-s0", 0, ("task=tomita", "model=gru"))]
    (cell,) = make_cells(runs, ["task"])
    assert cell.commands() == ["python -m mechlab.train task=tomita", "python -m mechlab.train task=tomita model=gru"]


def test_only_finished_runs_are_averaged(tmp_path: Path) -> None:
    done = [write_run(tmp_path, "tomita", "gru", 3, 8, seed) for seed in range(3)]
    (done[1] / "status.json").write_text('{"status": "running"}')
    (cell,) = make_cells(map(read_run, done), ())
    assert (len(cell.records), len(cell.done)) == (3, 2)
    assert cell.numbers["test/accuracy"].n == 2


def test_labels_are_short_and_distinct() -> None:
    runs = [
        record(f"tomita-{model}/{size}-s0", model__hidden=size, model__bias=model == "gru", trainer__steps=size)
        for model in ("gru", "rnn")
        for size in (8, 16)
    ]
    (section,) = make_sections(make_cells(runs, ()), ())
    labels = [section.label(cell) for cell in section.cells]
    assert labels == ["gru hidden=8", "gru hidden=16", "rnn hidden=8", "rnn hidden=16"]
