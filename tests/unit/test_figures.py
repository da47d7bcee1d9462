"""Every figure of numbers stays readable with the hardest data: many, one, equal, unknown, long names.

`figure_checks.check_figure` measures each: nothing leaves the page, no texts overlap, no legend covers data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from figure_checks import check_figure, tick_labels
from matplotlib.figure import Figure

from mechlab.plotting import agreement, ambiguity, datamodeling, path_kernel, path_kernel_steps
from mechlab.plotting.clusterings import methods_figure
from mechlab.plotting.conformance import by_length_figure
from mechlab.plotting.example_images import images_of_examples
from mechlab.plotting.over_training import over_training
from mechlab.plotting.report import Learning, MeanInterval, forest, learning
from mechlab.plotting.spectrum import spectra_figure, spectrum_figure
from mechlab.plotting.spectrum_over_training import births_figure, paths_figure
from mechlab.plotting.style import subject
from mechlab.plotting.survey import against_accuracy, boxes

RNG = np.random.default_rng(0)
LONG = "a_name_of_considerable_length_that_a_user_has_given"
NONE = dict.fromkeys(
    ["pearson", "pearson_low", "pearson_high", "spearman", "spearman_low", "spearman_high", "slope", "intercept"]
)
CORRELATED = NONE | {"pearson": -0.8, "pearson_low": -0.9, "pearson_high": -0.7, "slope": -1.0, "intercept": 1.0}
ROOTS = np.exp(2j * np.pi * np.arange(64) / 64)


def methods(n: int) -> pd.DataFrame:
    names = ("weighted", "null_permuted", "null_random", "held_out")
    columns: dict[str, Any] = {name: RNG.random(n) for name in names}
    columns["held_out"][::2] = np.nan
    ends = {"held_out_low": columns["held_out"] - 0.05, "held_out_high": columns["held_out"] + 0.05}
    counts = {"clusters": RNG.integers(1, 2000, n), "noise": np.linspace(0, 1, n), "prefixes": 30651}
    return pd.DataFrame({"method": [f"{LONG}_{i}" for i in range(n)], **columns, **ends, **counts})


def curve(clusters: list[int]) -> pd.DataFrame:
    values = np.linspace(0.9, 0.01, len(clusters))
    nulls = {f"null_{name}": values + 0.01 * i for i, name in enumerate(("untrained", "permuted", "random"))}
    ends = {"weighted_low": values - 0.05, "weighted_high": values + 0.05}
    return pd.DataFrame({"clusters": clusters, "weighted": values, **ends, **nulls})


def states(n: int, kinds: int) -> Figure:
    labels, clusters = RNG.integers(0, kinds, n), RNG.integers(0, 2 * kinds, n)
    shares = np.array([0.5, np.nan])
    return ambiguity.states_figure(RNG.random((n, 2)), shares, labels, clusters, [f"{LONG} {i}" for i in range(kinds)])


def eigenvalues(steps: list[int], cells: int, stages: int) -> tuple[Figure, Figure]:
    """Paths that grow at random to the roots of 1, of which a third are not born, with a curriculum."""
    theory = np.exp(2j * np.pi * np.arange(cells) / cells)
    growth = np.linspace(0.3, 1.1, len(steps))[:, None] * RNG.uniform(0.7, 1, cells)
    paths = growth * theory * np.exp(0.1j * RNG.normal(size=growth.shape))
    born = pd.Series(RNG.choice(steps, cells)).where(np.arange(cells) % 3 > 0)
    births = pd.DataFrame({"theory_angle": np.abs(np.angle(theory)), "birth": born})
    place = {"step": np.repeat(steps, cells), "pair": np.tile(np.arange(cells), len(steps))}
    moduli = pd.DataFrame({**place, "modulus": np.abs(paths).reshape(-1)})
    falls = np.exp(-np.linspace(0, 8, len(steps)))
    training = pd.DataFrame({"step": steps, "rank": cells, "born": 1, "loss": falls, "accuracy": 1 - falls / 2})
    curriculum = pd.DataFrame({"step": 64 * np.arange(stages), "length": 10 * 2 ** np.arange(stages)})
    return (
        paths_figure(paths, theory, training, curriculum),
        births_figure(births, moduli, training, curriculum, 0.9),
    )


def mass(components: int, steps: int) -> pd.DataFrame:
    fall = np.exp(-np.arange(steps) / 20)
    names = [f"{line}:layers.{k}.self_attention" for line in ("data", "decay") for k in range(components)]
    return pd.DataFrame({"step": range(steps), **{name: fall * (1 + k) for k, name in enumerate(names)}})


def lines(sums: list[float]) -> pd.DataFrame:
    names = ("movement", "data", "decay", "clipping")
    return pd.DataFrame({"term": names, "sum": sums, "size": np.abs(sums)})


def steps(n: int, size: float) -> pd.DataFrame:
    names = [f"{name}_{kind}" for name in ("data", "decay", "change") for kind in ("sum", "mass", "norm")]
    names += [f"{kind}_{name}" for kind in ("single", "running") for name in ("mean", "max")]
    names += ["change", "predicted", "change_mean", "model_accuracy", "kernel_accuracy", "agreement", "kl"]
    return pd.DataFrame({"step": range(n), **{name: size * RNG.random(n) for name in names}})


def removed(shares: list[float]) -> pd.DataFrame:
    rows = [(s, m) for s in shares for m in ("metagradient", "path_kernel", LONG)]
    lds = np.linspace(0.1, 0.9, len(rows))
    columns = {"lds": lds, "lds_low": lds - 0.1, "lds_high": lds + 0.1, "helpful": 10 * lds}
    return pd.DataFrame({"removed": [s for s, _ in rows], "method": [m for _, m in rows], **columns})


def examples(n: int) -> pd.DataFrame:
    kinds = ["helpful", "harmful"] * n
    size = 1e-11 * np.linspace(-1, 1, 2 * n)
    one = pd.DataFrame({"kind": kinds, "train": range(2 * n), "influence": size, "input": "12 113 47 114 9 3"})
    return pd.concat([one.assign(explained=example) for example in range(min(n, 4))])


CASES: dict[str, Callable[[], Figure]] = {
    "spectrum, many repeated": lambda: spectrum_figure(
        1.02 * ROOTS, np.concatenate([ROOTS, ROOTS[:20]]), 1.02 * ROOTS, ROOTS, 0.9
    ),
    "22 methods": lambda: methods_figure(methods(22), 0.05),
    "curve of one": lambda: ambiguity.curve_figure(curve([16]), 0.05, 5142),
    "curve of near sizes": lambda: ambiguity.curve_figure(curve([99, 100, 101, 110, 1000, 1010, 5000]), 0.05, 5142),
    "by length": lambda: by_length_figure(
        pd.DataFrame({"length": [16], "words": 10, "accuracy": 1.0, "balanced": 1.0, "constant_words": 0.0}), 0.99
    ),
    "over training, one step": lambda: over_training(
        pd.DataFrame({"step": [400], "rank": 42.0, "w": 0.3, "w_low": 0.2, "w_high": 0.4, "nothing": np.nan})
    ),
    "over training, extremes": lambda: over_training(
        pd.DataFrame({"step": [0, 100, 10**7], LONG: [1e-12, 2e-12, 5e-12], "large": [1e7, 2e7, 2.5e7]})
    ),
    "12 curves": lambda: learning(
        "val/loss",
        [Learning(f"gru hidden={2**k}", [([0, 50_000, 100_000], [1, 0.5**k, 0.1**k])]) for k in range(12)],
        named=True,
    ),
    "learning, one step and NaN": lambda: learning("val/loss", [Learning("a", [([60], [0.7]), ([60], [np.nan])])]),
    "forest, long labels": lambda: forest(
        LONG, [MeanInterval(f"gru optimizer.weight_decay=0.0{i}", [0.5, 0.7], 0.6, 0.5, 0.7) for i in range(9)], 0.65
    ),
    "forest, tiny numbers": lambda: forest(
        "error", [MeanInterval("a", [2e-9, 3e-9], 2.5e-9, 2e-9, 3e-9)], 1e-8, "below"
    ),
    "influence, drawn without end": lambda: path_kernel.influence_map(
        1e-9 * RNG.normal(size=(9, 2000)), np.arange(2000.0), np.arange(9) % 3, "label"
    ),
    "score by share": lambda: datamodeling.score_by_share(
        removed([0.05, 0.1, 0.3, 0.5]).assign(helpful_same_label=4.0), 200, 0.6
    ),
    "against accuracy": lambda: against_accuracy(
        LONG, "test/accuracy", *RNG.random((2, 80)), list("abcd") * 20, CORRELATED
    ),
}
MORE: dict[str, Callable[[], Figure]] = {
    "40 states": lambda: states(300, 40),
    "mass of 24 components": lambda: path_kernel_steps.mass_over_steps(mass(24, 50)),
    "spectrum, all equal": lambda: spectrum_figure(*np.ones((4, 64), complex), 0.9),
    "paths of eigenvalues": lambda: eigenvalues([0, 1, 3, 10, 40, 200, 1000, 9000], 36, 5)[0],
    "births of eigenvalues": lambda: eigenvalues([0, 1, 3, 10, 40, 200, 1000, 9000], 36, 5)[1],
    "paths of one step": lambda: eigenvalues([0], 3, 0)[0],
    "births at one step": lambda: eigenvalues([7], 3, 1)[1],
    "paths of few steps": lambda: eigenvalues([100, 150], 1, 9)[0],
    "births at few steps": lambda: eigenvalues([100, 150], 1, 9)[1],
    "spectra at one state": lambda: spectra_figure(
        np.ones((1, 64), complex), np.zeros(1), np.ones(64, complex), "fixed_points"
    ),
    "spectra, far": lambda: spectra_figure(
        np.array([[1e4, 0, 0], [1, 1, 0]], complex), np.arange(2), np.array([1, -1], complex), "trajectory"
    ),
    "spectrum, far and zero": lambda: spectrum_figure(
        np.array([1e4, 0, 0], complex), np.array([1, 0, 0], complex), *np.ones((2, 1), complex)
    ),
    "1 method": lambda: methods_figure(methods(1), 0.05),
    "no method": lambda: methods_figure(methods(0), 0.05),
    "1 state": lambda: states(5, 1),
    "factors": lambda: ambiguity.factors_figure(
        pd.DataFrame({"factor": [LONG, 1], "blocks": [2, 30], "weighted": [0, 0.4], "null_permuted": [np.nan, 0.9]}), 20
    ),
    "causal": lambda: ambiguity.causal_figure(
        pd.DataFrame({"letters": [1], "kept": 1.0, "right_own": 1.0, "control": 1.0, "states": 500}), 0.95
    ),
    "lengths": lambda: ambiguity.lengths_figure(
        pd.DataFrame({"length": range(1, 51), "weighted": 0.1, "balanced": 0.2, "fitted": [True] * 30 + [False] * 20})
    ),
    "no lengths": lambda: by_length_figure(
        pd.DataFrame({name: [] for name in ("length", "words", "accuracy", "balanced", "constant_words")}), 0.99
    ),
    "constant learning": lambda: learning("val/accuracy", [Learning("a", [([0, 60], [1.0, 1.0])] * 2)]),
    "no learning": lambda: learning("val/accuracy", []),
    "forest, equal": lambda: forest("val/accuracy", [MeanInterval("1 seed", [0.7], 0.7, None, None)], 0.7, "above"),
    "forest, unknown": lambda: forest("val/accuracy", [MeanInterval("1 seed", [np.nan], np.nan, None, None)]),
    "22 boxes": lambda: boxes({f"{LONG}_{i}": RNG.random(60).tolist() for i in range(22)}),
    "1 network": lambda: boxes({"k_means": [0.3], "none": []}),
    "equal accuracy": lambda: against_accuracy("k_means", "test/accuracy", np.ones(3), np.zeros(3), ["gru"] * 3, NONE),
    "influence by label": lambda: path_kernel.influence_map(
        RNG.normal(size=(9, 200)), RNG.integers(0, 10, 200).astype(float), np.arange(9) % 3, "label"
    ),
    "no influence": lambda: path_kernel.influence_map(*np.zeros((1, 1, 1)), np.zeros(1), np.zeros(1), "sum"),
    "mass of one": lambda: path_kernel_steps.mass_over_steps(mass(1, 1)),
    "terms": lambda: path_kernel_steps.terms_with_signs(steps(300, 0.1), lines([1, 112, -121, 1e-15])),
    "no terms": lambda: path_kernel_steps.terms_with_signs(steps(1, 0.0), lines([0, 0, 0, 0])),
    "statistics": lambda: path_kernel_steps.statistics_over_steps(steps(300, 0.1)),
    "statistics of one step": lambda: path_kernel_steps.statistics_over_steps(steps(1, 0.0)),
    "scalars of no example": lambda: path_kernel.influence_map(
        RNG.normal(size=(5, 200)), RNG.integers(0, 300, 200).astype(float), np.zeros(0), "sum", 9, "derivative"
    ),
    "images": lambda: images_of_examples(
        examples(4).assign(label=1, rank=1), RNG.random((1, 8, 8)), RNG.random((8, 8, 8)), np.zeros(1), np.arange(8)
    ),
    "no image explained": lambda: images_of_examples(
        examples(1).assign(label=0.5, rank=1), np.zeros((0, 8, 8, 3)), np.zeros((2, 8, 8, 3)), np.zeros(0), np.arange(2)
    ),
    "deviations": lambda: agreement.deviations(steps(300, 0.1)),
    "no deviation": lambda: agreement.deviations(steps(1, 0.0)),
    "labels over steps": lambda: agreement.agreement_over_steps(steps(30, 0.1), 2000),
    "predicted outputs": lambda: agreement.predicted_and_true(*RNG.normal(size=(3, 50, 30))),
    "outputs that do not move": lambda: agreement.predicted_and_true(*np.zeros((3, 2, 1))),
    "examples": lambda: path_kernel.top_examples(examples(10)),
    "1 example": lambda: path_kernel.top_examples(examples(1)),
    "1 share": lambda: datamodeling.score_by_share(removed([0.1])),
    "measures": lambda: datamodeling.measures(
        pd.DataFrame(
            {"method": ["path_kernel", LONG], "leave_one_out": [0.2, -0.1], "mislabelled": 0.6, "stability": 0.1}
        ),
        {"mislabelled": "60 labels"},
    ),
    "no measures": lambda: datamodeling.measures(pd.DataFrame({"method": ["path_kernel"]})),
    "predicted": lambda: datamodeling.predicted_and_actual(
        {f"{LONG}_{i}": 1e3 * RNG.normal(size=(20, 4)) for i in range(5)}, RNG.normal(size=(20, 4)), 0.05
    ),
}
SLOW = [pytest.param(name, marks=pytest.mark.ci) for name in MORE]


@pytest.mark.parametrize("name", [*CASES, *SLOW])
def test_a_figure_is_readable(name: str) -> None:
    figure = (CASES | MORE)[name]()
    subject(figure, "GRU (hidden=64) on Tomita 5, seed 3, step 12,000")
    check_figure(figure)


def test_the_checks_find_what_they_are_for() -> None:
    """A figure with matplotlib's defaults has overlapping labels, an offset, and a legend on its data."""
    for spoil in (
        lambda axis: axis.set_xticks([0, 0.01], ["a long label", "another long label"]),
        lambda axis: axis.set_ylim(1000, 1000.0001),
        lambda axis: axis.legend(handles=axis.lines, labels=["data"], loc="center"),
        lambda axis: axis.text(1.2, 0, "outside", transform=axis.transAxes).set_in_layout(False),
    ):
        figure = Figure(figsize=(3, 3), layout="constrained")
        axis = figure.subplots()
        axis.plot(np.linspace(0, 1, 50), np.full(50, 0.5))
        check_figure(figure)
        spoil(axis)
        with pytest.raises(AssertionError):
            check_figure(figure)


def test_examples_sorted_by_label_are_marked_by_their_labels() -> None:
    figure = path_kernel.influence_map(np.ones((2, 5)), np.array([7.0, 3, 7, 7, 3]), np.array([3.0, 7]), "label")
    check_figure(figure)
    assert [label.get_text() for label in tick_labels(figure.axes[0], "x")] == ["3", "7"]
    assert figure.axes[0].get_xticks().tolist() == [0.5, 3]  # the middles of two and of three examples


def test_components_without_mass_have_no_panel() -> None:
    table = mass(2, 5)
    assert len(path_kernel_steps.mass_over_steps(table).axes) == 2
    table[[name for name in table if name.startswith("decay")]] = 0.0
    assert len(path_kernel_steps.mass_over_steps(table).axes) == 1


def test_an_interval_over_training_is_drawn_with_its_scalar() -> None:
    table = pd.DataFrame(
        {"step": [0, 1, 10], "w": [1, 2, 3], "w_low": [0, 1, 2], "w_high": [2, 3, 4], "other_low": 0.5}
    )
    names = [axis.get_title(loc="left") for axis in over_training(table).axes if axis.get_visible()]
    assert names == ["w", "other_low"]


def test_too_few_networks_for_a_box_are_points() -> None:
    axis = boxes({"few": [0.1, 0.2], "many": [0.1, 0.2, 0.3, 0.4, 0.5]}).axes[0]
    points = [line.get_xdata().tolist() for line in axis.lines if line.get_marker() == "."]
    assert [0.1, 0.2] in points
    assert [text.get_text() for text in axis.texts] == ["2", "5", "networks"]
