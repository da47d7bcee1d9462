"""The table of MIPS tasks: rows, the choice among several runs, totals, claims, programs and the figure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from figure_checks import check_figure, texts_of
from planted_recurrent import capped, distilled, summing, untrained

from mechlab.analyses.distill import mips_table
from mechlab.analyses.distill.mips_markdown import HEAD, LONGEST, markdown_table
from mechlab.analyses.distill.mips_rows import DATA, MipsRun, best, one_line, sizes_of
from mechlab.analyses.distill.mips_table import MipsTable, tasks_table, totals_table
from mechlab.automata.mips_rules import RULES
from mechlab.distill.certificate import Certificate
from mechlab.distill.recurrent.expressions import Name, Number, operation
from mechlab.distill.recurrent.program import RecurrentProgram, Register
from mechlab.plotting.mips_table import LOOKS, outcomes_figure
from mechlab.record.artifacts import Artifacts
from mechlab.tasks.mips import Mips

LARGEST = RecurrentProgram(
    ("x",),
    (Register("s", 0, operation("max", Name("s"), Name("x"))),),
    (Name("s"),),
    Certificate("tested", 1024, lengths=((10, 1024, 0), (100, 100, 0), (1000, 100, 0)), origin="outputs"),
)
READ_OUT = replace(LARGEST, certificate=replace(LARGEST.certificate, origin="states", read_out="nearest"))
LENGTHS = (10, 100, 1000)


def imagined(task: str, right: tuple[float, float, float] | None, exact: float = 1.0, **options) -> MipsRun:
    """Return what is known of a run that never was: a program with shares of right sequences, or None."""
    scalars = {f"{subject}_{length}": 1.0 for subject in ("network", "agreement") for length in LENGTHS}
    scalars |= {f"constant_{length}": 0.0 for length in LENGTHS} | dict.fromkeys(DATA, 0.0)
    scalars |= {"compared": 1024.0, "mismatches": 3.0, "worst_affine": 0.75, "worst_encoding": 1.0}
    if right is not None:
        scalars |= dict(zip(("program_10", "program_100", "program_1000"), right, strict=True))
    return MipsRun(
        **{
            "task": task,
            "run": f"mips-mlp_rnn/{task}-s0",
            "seed": 0,
            "max_steps": 0,
            "sizes": {"parameters": 20, "hidden": 2},
            "test": {"exact": exact, "accuracy": exact},
            "scalars": scalars,
            "nulls": {"program": 0.0, "long": 0.0},
            "program": None if right is None else LARGEST,
            "problem": "",
        }
        | options
    )


def tabled(folder, runs: list[MipsRun], monkeypatch, **options):
    """Return the finding, and the files, of runs that never were."""
    monkeypatch.setattr(mips_table, "mips_run", lambda run: run)
    out = Artifacts(folder)
    return MipsTable(**options).run(runs, out, np.random.default_rng(0)), out


def known(folder, **made):
    """Return the finding of `mips_table`, and its files, about networks with known weights."""
    runs = [distilled(folder, Mips(name), build(Mips(name))) for name, build in made.items()]
    out = Artifacts(folder)
    return MipsTable().run(runs, out, np.random.default_rng(0)), out


def test_each_task_has_a_row_with_its_program_or_the_reason(tmp_path):
    """A network that adds and an untrained one; the other 60 tasks have no run."""
    finding, out = known(tmp_path, max=untrained, sum=summing)
    table = out.table("tasks")
    assert table["task"].tolist() == list(RULES) and table["number"].tolist() == list(range(1, 63))
    assert table["outcome"].value_counts().to_dict() == {"no_run": 60, "imperfect": 1, "exact_1000": 1}
    total, largest = (table.set_index("task").loc[name] for name in ("sum", "max"))
    assert total["program"] == "s = 0; for x: s = s + x; return s" and total["status"] == "tested"
    assert (total["parameters"], total["hidden"], total["transition_depth"], total["readout_depth"]) == (11, 2, 1, 1)
    assert np.isnan(total["transition_width"])
    assert largest["problem"].startswith("No program was made: ")
    assert pd.isna(largest["program"]) and np.isnan(largest["lines"])
    assert {name: finding.scalars[name] for name in ("tasks", "distilled", "perfect", "exact_10", "exact_1000")} == {
        "tasks": 2,
        **dict.fromkeys(("distilled", "perfect", "exact_10", "exact_1000"), 1),
    }
    assert not finding.claims and "runs of 2." in finding.notes["few"]
    assert ",1,0,mips-mlp_rnn/sum-s0,0,0,11,2,1,1,,,True,1.0,1.0," in (tmp_path / "tasks.csv").read_text()
    assert total["origin"] == "states" and total["read_out"] == "affine" and total["worst_affine"] == 1
    assert total["mismatches"] == 0 and total["agreement_1000"] == 1 and total["constant_10"] == 0
    assert total["test_sequences"] == total["test_distinct"] == 100 and total["distinct_10"] == 5000
    assert finding.scalars["distilled_from_states"] == finding.scalars["perfect_and_exact_1000_from_states"] == 1
    page = (tmp_path / "table.md").read_text().splitlines()
    assert page[:2] == HEAD.splitlines() and len(page) == 64
    words = "perfect, 11 parameters | `s = 0; for x: s = s + x; return s` | yes / yes / yes | states, affine |"
    assert f"| `sum` | {words}" in page and "| `min` | no run |  |  |  |" in page
    assert any(line.startswith("| `max` | right on no, ") and line.endswith(" | none |  |  |") for line in page)
    module: dict = {}
    text = (tmp_path / "programs.py").read_text()
    assert (
        "# tested: equals its network on 5,000 of 5,000 sequences;\n# right on 5,000 of 5,000, 500 of 500, 500" in text
    )
    exec(text, module)
    assert module["program_sum"]([3, 4, 5]) == [3, 7, 12] and "program_max" not in module


@pytest.mark.ci
def test_a_wrong_program_has_its_counterexample(tmp_path):
    finding, out = known(tmp_path, identity=capped)
    row = out.table("tasks").set_index("task").loc["identity"]
    assert row["program"] == "for x: return min(x, 90)" and row["program_10"] < 1 and row["readout_width"] == 2
    assert row["outcome"] == "imperfect" and row["problem"].startswith("After [")
    assert finding.scalars["distilled"] == 1 and finding.scalars["perfect"] == finding.scalars["exact_10"] == 0


def test_the_best_run_of_a_task_is_tabled():
    runs = [
        imagined("max", None, exact=0.5),
        imagined("sum", (1, 1, 1), sizes={"parameters": 30}),
        imagined("max", (1, 0.5, 0), seed=1),
        imagined("sum", (1, 1, 1), sizes={"parameters": 10}, seed=2),
        imagined("sum", (1, 1, 0.9), sizes={"parameters": 5}, seed=3),
        imagined("max", None, seed=4),
        imagined("max", (1, 1, 1), exact=0.99, seed=5),  # a right program of a wrong network does not count
    ]
    chosen = best(runs)
    assert list(chosen) == ["max", "sum"]  # the order of the published table
    assert (chosen["max"].seed, chosen["sum"].seed) == (1, 2)
    table = tasks_table(chosen, runs).set_index("task")
    assert table.loc[["max", "sum", "min"], "runs"].tolist() == [4, 3, 0]
    assert table.loc[["max", "sum", "min"], "seeds"].tolist() == ["0 1 4 5", "0 2 3", ""]
    assert table.loc["max", "mismatches"] == 3 and table.loc["max", "origin"] == "outputs"


@pytest.mark.parametrize(
    ("right", "exact", "outcome"),
    [
        ((1, 1, 1), 1.0, "exact_1000"),
        ((1, 1, 1), 0.99, "exact_imperfect"),
        ((1, 0, 0), 0.99, "exact_imperfect"),
        ((1, 0.99, 1), 1.0, "exact_10"),
        ((1, 1, 0.99), 1.0, "exact_10"),
        ((0.9999, 1, 1), 1.0, "no_program"),
        (None, 1.0, "no_program"),
        (None, 0.9999, "imperfect"),
        ((0.9, 0, 0), 0.9, "imperfect"),
    ],
)
def test_outcomes(right, exact, outcome):
    assert imagined("max", right, exact).outcome == outcome


def test_totals_are_counted_over_tasks():
    runs = [
        imagined("max", (1, 1, 1), program=READ_OUT),
        imagined("sum", (1, 0.5, 0), program=READ_OUT),
        imagined("identity", (1, 1, 1), exact=0.9, program=READ_OUT),
        imagined("prev1", (1, 1, 1)),
        imagined("min", None),
        imagined("div_3", None, 0),
    ]
    table = totals_table(runs).set_index("name")
    counted = {"perfect": 4, "distilled": 4, "exact_10": 4, "exact_100": 3, "exact_1000": 3}
    assert table["tasks"].to_dict() == counted | {"perfect_and_exact_10": 3, "perfect_and_exact_1000": 2}
    counted = {"perfect": 2, "distilled": 3, "exact_10": 3, "exact_100": 2, "exact_1000": 2}
    assert table["from_states"].to_dict() == counted | {"perfect_and_exact_10": 2, "perfect_and_exact_1000": 1}
    assert set(table["of"]) == {6}


def test_the_markdown_table_is_short_and_keeps_its_cells():
    plain = RecurrentProgram(("x",), (), (Name("x"),), LARGEST.certificate)
    long = replace(LARGEST, outputs=(sum([Name("s")] * 60, Number(1)),))
    runs = [
        imagined("max", (1, 0.99999, 0), program=READ_OUT),
        imagined("min", (1, 1, 1), exact=0.5, program=plain),
        imagined("sum", (1, 1, 1), program=long),
    ]
    page = markdown_table(tasks_table(best(runs), runs))
    rows = {line.split("`")[1]: line for line in page.splitlines()[2:]}
    assert rows["max"].endswith(" | yes / .9999 / no | states, nearest |")
    assert rows["min"].startswith("| `min` | right on .5000, 20 parameters | ") and rows["min"].endswith(
        "| no registers |"
    )
    assert all(line.count("|") == 6 for line in rows.values())
    assert "..." in rows["sum"] and len(rows["sum"]) < LONGEST + 100 and rows["sum"].endswith(" | outputs |")


def test_claims_need_all_tasks(tmp_path, monkeypatch):
    """32 of 62 suffices and 31 does not, nor do 32 of which a network is not perfect."""
    shares = [(1, 1, 1)] * 25 + [(1, 0, 0)] * 7 + [None] * 30
    runs = [imagined(name, right) for name, right in zip(RULES, shares, strict=True)]
    runs[40] = replace(runs[40], nulls={"program": 1.0, "long": 0.5})
    finding, _ = tabled(tmp_path, runs, monkeypatch)
    assert finding.claims["solved"].holds and finding.claims["long"].holds
    assert (finding.claims["solved"].null, finding.claims["long"].null) == (1, 0)
    for place, slug in ((30, "solved"), (3, "long")):
        fewer = [*runs[:place], imagined(list(RULES)[place], None), *runs[place + 1 :]]
        finding, _ = tabled(tmp_path, fewer, monkeypatch)
        assert not finding.claims[slug].holds, slug
        wrong = [*runs[:place], imagined(list(RULES)[place], (1, 1, 1), 0.99), *runs[place + 1 :]]
        finding, _ = tabled(tmp_path, wrong, monkeypatch)
        assert not finding.claims[slug].holds, slug
    finding, _ = tabled(tmp_path, runs[1:], monkeypatch)
    assert not finding.claims and "there are runs of 61." in finding.notes["few"]


def test_a_program_in_one_line():
    assert one_line(LARGEST) == "s = 0; for x: s = max(s, x); return s"
    pair = (Register("s", 0, Name("t")), Register("t", 1, Name("s") + Number(2)))
    swapped = RecurrentProgram(("a", "b"), pair, (Name("s"), Name("t") + Name("b")))
    assert one_line(swapped) == "s, t = 0, 1; for a, b: s, t = t, s + 2; return s, t + b"


def test_sizes_are_those_of_the_affine_maps():
    task = Mips("newton_magnetic")
    model = untrained(task)  # 8 components, both depths 2, widths 32
    count = (8 + 2 + 1) * 32 + 33 * 8 + 9 * 32 + 33 * 2
    depths = {"transition_depth": 2, "readout_depth": 2, "transition_width": 32, "readout_width": 32}
    assert sizes_of(model) == {"parameters": count, "hidden": 8, **depths}


def test_the_figure_stays_readable():
    names = list(RULES)
    for outcomes in ([*LOOKS, *["exact_1000"] * (len(names) - len(LOOKS))], ["no_run"] * len(names)):
        check_figure(outcomes_figure(pd.DataFrame({"task": names, "outcome": outcomes, "seed": 0})))


@pytest.mark.parametrize(("count", "seeds"), [(1, "seed 3"), (3, "seeds 3, 4, 5"), (40, "seeds between 3 and 42")])
def test_the_figure_has_the_tasks_with_a_run_only(count, seeds):
    names = list(RULES)
    outcomes = ["exact_1000"] * count + ["no_run"] * (len(names) - count)
    numbers = [place + 3.0 if place < count else np.nan for place in range(len(names))]
    figure = outcomes_figure(pd.DataFrame({"task": names, "outcome": outcomes, "seed": numbers}))
    check_figure(figure)
    written = [text.get_text().replace("\n", " ") for text in texts_of(figure)]
    assert [name for name in names if name in written] == names[:count]
    assert any(text.startswith(f"{count} of 62 tasks have a run") and text.endswith(seeds) for text in written)
    assert not any("no run" in text for text in written)
