"""Irreps over seeds: counts by hand, sets up to automorphism, orders, and claims on planted and on random networks."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from figure_checks import laid_out
from recorded_groups import STEPS, Recorded, recorded

from mechlab.analyses.groups.universality import Universality
from mechlab.core.analysis import Finding
from mechlab.groups import group, irreps
from mechlab.groups.automorphisms import automorphisms, irrep_images
from mechlab.groups.learned_irreps import classes_of_sets, independent_share, mean_agreement, order_agreement
from mechlab.record.artifacts import Artifacts
from mechlab.statistics.wilson import wilson

WELL = {"embed_x_fve": 0.99, "embed_y_fve": 0.98, "unembed_fve": 0.95}


def run(root: Path, runs: list[Recorded], **options: float) -> tuple[Finding, Artifacts]:
    out = Artifacts(root / "out")
    return Universality(**options).run(runs, out, np.random.default_rng(0)), out


def networks(root: Path, name: str, sets: list[list[str]], **options: object) -> list[Recorded]:
    return [recorded(root, name, "group_mlp", seed, keys, scalars=WELL, **options) for seed, keys in enumerate(sets)]


def test_sets_are_classified_by_trying_every_automorphism():
    """Against a search over all automorphisms, inner ones too, of all sets of up to three irreps."""
    for name in ("C8", "D5", "A5"):
        of = group(name)
        names = [irrep.name for irrep in irreps(of)]
        characters = np.array([irrep.character for irrep in irreps(of)])
        maps = [[int(abs(characters - row[f]).sum(1).argmin()) for row in characters] for f in automorphisms(of)]
        subsets = [set(c) for size in range(4) for c in itertools.combinations(range(len(names)), size)]
        sets = np.array([[i in subset for i in range(len(names))] for subset in subsets])
        classes = classes_of_sets(sets, irrep_images(of))
        for i, subset in enumerate(subsets):
            equivalent = [{image[k] for k in subset} for image in maps]
            assert [subsets[j] in equivalent for j in range(len(subsets))] == (classes == classes[i]).tolist()


def test_agreement_of_orders():
    orders = [["a", "b", "c"], ["c", "b", "a"], ["b", "a", "d"], ["d"]]
    agreement = order_agreement(orders)
    assert agreement[0, 1] == 0 and agreement[0, 2] == 0 and agreement[1, 2] == 1
    assert np.isnan(agreement[3]).all() and np.isnan(np.diag(agreement)).all()
    weights = np.array([[1.0, 1, 1, 1], [2, 0, 3, 0], [0, 0, 0, 4]])
    assert mean_agreement(agreement, weights)[:2] == pytest.approx([1 / 3, 0])
    assert np.isnan(mean_agreement(agreement, weights)[2])


def test_networks_that_learn_independently_share_sets_by_chance_alone():
    """One irrep with probability .5: the largest share of three networks is 1 or 2/3."""
    sets = np.array([[True], [False], [True], [False]])
    share = independent_share(sets, np.arange(1)[None], 4000, np.random.default_rng(0))
    exact = sum(math.comb(4, k) / 16 * max(k, 4 - k) / 4 for k in range(5))
    assert share == pytest.approx(exact, abs=0.01)
    assert independent_share(np.ones((5, 3), bool), np.arange(3)[None], 5, np.random.default_rng(0)) == 1


def test_counts(tmp_path):
    sets = [["sign", "standard"]] * 6 + [["standard", "sign"], ["5d_a", "sign", "standard"]]
    runs = networks(tmp_path, "S5", sets)
    runs += [recorded(tmp_path, "S5", "group_mlp", 20, ["6d", "sign"], accuracy=0.2, scalars=WELL)]
    finding, out = run(tmp_path, runs)
    scalars = finding.scalars
    assert scalars["networks"] == 9 and scalars["generalising"] == 8
    assert scalars["same_set"] == 7 / 8 and scalars["different_sets"] == 2
    assert (scalars["same_set_low"], scalars["same_set_high"]) == wilson(7, 8)
    assert scalars["key_irreps"] == 17 / 8 and scalars["different_irreps"] == 3
    assert scalars["explained"] == pytest.approx(0.95)
    assert scalars["explained_null"] == pytest.approx((7 * 17 + 42) / 8 / 120)
    irrep = out.table("irreps").set_index("irrep")
    assert irrep.loc["sign", ["networks", "of", "first", "others", "learned_by_others"]].tolist() == [8, 8, 6, 1, 1]
    assert irrep.loc["5d_a", ["networks", "first"]].tolist() == [1, 1] and irrep.loc["6d", "networks"] == 0
    assert irrep.loc["sign", "published_rate"] == 0.98
    assert out.table("numbers")["networks"].tolist() == [7, 1, 0, 0]
    assert out.table("sets")["networks"].tolist() == [7, 1]
    table = out.table("networks")
    assert table["generalises"].tolist() == [True] * 8 + [False] and table["irreps"][6] == "standard sign"
    figures = Universality().figures(out)
    assert set(figures) == {"irrep_frequency", "key_irreps", "learning_order", "grokking"}
    progress = out.table("progress")
    assert len(progress) == 9 * len(STEPS) and progress["run"].nunique() == 9
    assert progress[progress["step"] == 1000]["test_accuracy"].tolist() == table["test_accuracy"].tolist()
    for figure in figures.values():
        laid_out(figure)


def test_the_published_sets_of_fifty_networks_have_the_published_counts(tmp_path):
    """The sets that 50 published networks on S5 learned, from another table of the source than the counts."""
    two, a, b, sign = ["sign", "standard"], "5d_a", "5d_b", "standard_sign"
    sets = [two] * 20 + [[*two, a]] * 8 + [[*two, sign, a]] * 6 + [[*two, b]] * 5 + [[*two, sign]] * 5
    sets += [[*two, sign, b]] * 2 + [[*two, sign, a, b]] * 2 + [["standard", sign, a, b], ["sign", sign, a]]
    finding, out = run(tmp_path, networks(tmp_path, "S5", sets))
    for table in ("irreps", "numbers"):
        assert out.table(table)["rate"].tolist() == pytest.approx(out.table(table)["published_rate"].tolist())
    assert finding.scalars["same_set"] == 0.4 and not finding.claims["strong"].holds and finding.claims["weak"].holds


def test_similarities_over_training_are_means_over_networks(tmp_path):
    sets = [["sign", "standard"], ["standard", "sign"], ["sign"]]
    _, out = run(tmp_path, networks(tmp_path, "S4", sets))
    table = out.table("over_training").set_index(["irrep", "step"])
    assert table.loc[("sign", 1000), "mean"] == pytest.approx(0.3 * (1 + 0.5 + 1) / 3)
    assert table.loc[("standard", 100), "mean"] == pytest.approx((0.03 * 1.5 + 0.001) / 3)
    low, high = table.loc[("sign", 1000), ["low", "high"]]
    assert 0.15 <= low < high <= 0.3 and (table["networks"] == 3).all()
    assert "trivial" not in out.table("over_training")["irrep"].tolist()


def test_irreps_count_together_up_to_automorphism(tmp_path):
    """Networks of C7 that learn one frequency each, all different: one orbit, and one set up to automorphism."""
    finding, out = run(tmp_path, networks(tmp_path, "C7", [[f"freq_{k}"] for k in (1, 2, 3, 1, 2, 3)]))
    assert finding.scalars["different_sets"] == 3 and finding.scalars["different_sets_up_to_automorphism"] == 1
    assert finding.scalars["same_set"] == 1 and finding.claims["strong"].holds
    assert out.table("orbits")["networks"].tolist() == [6] and out.table("sets")["class"].tolist() == [0, 0, 0]
    _, other = run(tmp_path, networks(tmp_path, "C8", [["freq_1"], ["freq_3"], ["freq_2"]]))
    assert other.table("orbits").set_index("orbit")["networks"].to_dict() == {
        "sign": 0,
        "freq_1 freq_3": 2,
        "freq_2": 1,
    }


def test_claims_hold_for_the_same_irreps_in_the_same_order_and_not_for_random_ones(tmp_path):
    same, _ = run(tmp_path, networks(tmp_path, "S4", [["sign", "standard"]] * 8))
    assert {slug: claim.holds for slug, claim in same.claims.items()} == {"weak": True, "strong": True, "order": True}
    rng, names = np.random.default_rng(1), [irrep.name for irrep in irreps(group("S4"))][1:]
    sets = [list(rng.permutation(names)[: rng.integers(2, 5)]) for _ in range(12)]
    random, _ = run(tmp_path, networks(tmp_path, "S4", sets))
    assert not random.claims["strong"].holds and not random.claims["order"].holds
    unexplained = [
        recorded(tmp_path, "S4", "group_mlp", seed, ["sign"], scalars={"unembed_fve": 0.1}) for seed in range(8)
    ]
    assert not run(tmp_path, unexplained)[0].claims["weak"].holds


def test_no_claim_of_few_seeds_or_of_networks_that_do_not_generalise(tmp_path):
    runs = networks(tmp_path, "S4", [["sign", "standard"]] * 6)
    assert not run(tmp_path, runs[:4])[0].claims and run(tmp_path, runs[:4], fewest=4)[0].claims
    bad = [recorded(tmp_path, "S4", "group_mlp", seed, ["sign"], accuracy=0.3) for seed in range(6)]
    finding, out = run(tmp_path, bad)
    assert not finding.claims and finding.scalars["generalising"] == 0 and "fewest" in finding.notes
    for figure in Universality().figures(out).values():
        laid_out(figure)


def test_an_order_that_was_not_recorded_is_not_compared(tmp_path):
    finding, out = run(tmp_path, networks(tmp_path, "S4", [["sign", "standard"]] * 6, learned=False))
    assert "same_order" not in finding.scalars and set(finding.claims) == {"weak", "strong"}
    assert out.table("irreps")["first"].sum() == 0 and not len(out.table("over_training"))
