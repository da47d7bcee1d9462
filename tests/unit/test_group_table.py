"""The table of networks that multiply in groups: rows, means against pandas, published numbers, LaTeX, figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from figure_checks import laid_out
from recorded_groups import SIZES, Recorded, recorded

from mechlab.analyses.groups.group_rows import MEASURED
from mechlab.analyses.groups.group_table import GroupTable
from mechlab.analyses.groups.published import published, published_row
from mechlab.groups import group, irreps
from mechlab.record.artifacts import Artifacts


def run(root: Path, runs: list[Recorded]) -> tuple[dict[str, float], Artifacts]:
    out = Artifacts(root / "out")
    finding = GroupTable().run(runs, out, np.random.default_rng(0))
    return finding.scalars, out


def test_rows_and_means(tmp_path):
    runs = [recorded(tmp_path, "S5", "group_mlp", seed, ["sign", "standard"]) for seed in range(1, 5)]
    runs += [recorded(tmp_path, "S5", "group_transformer", 1, ["standard"], accuracy=0.5)]
    runs += [recorded(tmp_path, "C113", "group_mlp", 9, ["freq_7", "freq_2"])]
    runs += [recorded(tmp_path, "S5", "group_mlp", 1, ["6d"], hidden=48)]
    scalars, out = run(tmp_path, runs)
    rows, means = out.table("runs"), out.table("means")
    assert scalars["runs"] == 7 and scalars["generalising"] == 6 and scalars["groups"] == 2
    assert scalars["published"] == 5  # not the narrow network, nor seed 9
    cell = means[(means["group"] == "S5") & (means["hidden"] == 128)].iloc[0]
    four = [one.results["findings"]["irreps"]["scalars"] for one in runs[:4]]
    for name in MEASURED:
        assert cell[name] == pytest.approx(np.mean([numbers[name] for numbers in four]))
        assert cell[f"{name}_low"] <= cell[name] <= cell[f"{name}_high"]
    assert len(means) == 4 and means["networks"].tolist() == [1, 1, 4, 1]
    first = rows[rows["group"] == "C113"].iloc[0]
    assert first["irreps"] == "freq_7 freq_2" and not first["published"]
    tables = {path.name: path.read_text() for path in out.folder.glob("*.tex")}
    assert set(tables) == {f"{a}{b}.tex" for a in ("runs", "means") for b in ("", "_group_mlp", "_group_transformer")}
    assert "7, 2" in tables["runs.tex"] and "MLP h=48" in tables["runs.tex"]
    assert "C113" not in tables["runs_group_transformer.tex"] and "3 of 4" not in tables["means.tex"]


def test_a_published_network_has_no_deviation_and_another_one_has(tmp_path):
    """The published row of a network, given as measured: the corrected numbers are those that are right."""
    row = published()["rows"]["C113"]["group_mlp"]["s1"]
    right = {name: row["corrected"].get(name, row[name]) for name in MEASURED}
    same = recorded(tmp_path, "C113", "group_mlp", 1, row["irreps"], scalars=right)
    scalars, out = run(tmp_path, [same])
    assert scalars["same_irreps"] == 1 and all(scalars[f"{name}_deviation"] == 0 for name in MEASURED)
    table = out.table("runs").iloc[0]
    assert table["excluded_loss_published"] == 6.22 and table["excluded_loss_corrected"] == 5.04
    other = recorded(tmp_path, "C113", "group_mlp", 1, row["irreps"][:3], scalars={**right, "excluded_loss": 6.22})
    scalars, out = run(tmp_path, [other])
    assert scalars["same_irreps"] == 0 and scalars["excluded_loss_deviation"] == pytest.approx(1.18)
    figure = GroupTable().figures(out)["published"]
    assert len([axis for axis in laid_out(figure).axes if axis.get_visible()]) == len(MEASURED)


def test_networks_without_a_published_one_have_no_figure(tmp_path):
    _, out = run(tmp_path, [recorded(tmp_path, "S5", "group_mlp", 60, ["sign"])])
    assert GroupTable().figures(out) == {}


@pytest.mark.parametrize(
    "change",
    [
        *({"seed": 5}, {"train_fraction": 0.3}, {"hidden": 64}, {"variant": "bilinear"}, {"group": "S4"}),
        *({"hold_out": "both"}, {"val_fraction": 0.5}),
    ],
)
def test_a_published_row_is_that_of_the_same_settings_only(change):
    task = {"group": "S5", "train_fraction": 0.4, "seed": 2} | change
    sizes = SIZES["group_mlp"] | change
    assert published_row("S5", "group_mlp", {"train_fraction": 0.4, "seed": 2}, SIZES["group_mlp"])["irreps"]
    assert published_row(task["group"], "group_mlp", task, sizes) is None
    assert published_row("S5", "rnn", {"train_fraction": 0.4, "seed": 2}, SIZES["group_mlp"]) is None


def test_the_published_table_is_whole():
    """Four seeds of seven groups and two kinds of network, with irreps that the groups have; the number of networks of
    many seeds by the number of key irreps adds up to all."""
    table = published()
    for name, kinds in table["rows"].items():
        every = {irrep.name for irrep in irreps(group(name))}
        for model, rows in kinds.items():
            assert set(rows) == {"s1", "s2", "s3", "s4"} and model in table["settings"][name]
            for row in rows.values():
                assert (
                    set(MEASURED) < set(row) and {*row["irreps"], *row.get("corrected", {}).get("irreps", [])} <= every
                )
    assert set(table["rows"]) == set(table["settings"]) == {"C113", "C118", "D59", "D61", "S5", "S6", "A5"}
    seeds = table["seeds"]["S5"]["group_mlp"]
    assert sum(seeds["key_irreps"].values()) == seeds["networks"] == sum(seeds["first"].values())
