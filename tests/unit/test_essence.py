"""Essence networks fitted in closed form, against closed formulas, full truth tables and slow twins."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import linprog

from mechlab.core.errors import ConfigError
from mechlab.distill.bitwise import bitwise_network, consistent_inputs, windows
from mechlab.distill.essence import essence_network, merged_network
from mechlab.distill.layers import activations, as_layers
from mechlab.distill.separators import dividing, separator
from mechlab.distill.subconcepts import clustered, merged


def outputs(layers: list[np.ndarray], points: np.ndarray) -> np.ndarray:
    return activations(as_layers(layers, points.shape[1]), points)[-1]


def cube(n: int) -> np.ndarray:
    return np.array(list(itertools.product((0.0, 1.0), repeat=n)))


def full_lines(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The images of one full column (class 0) or one full row (class 1), flat."""
    columns = np.stack([np.tile(np.arange(size) == i, (size, 1)) for i in range(size)])
    images = np.concatenate([columns, columns.transpose(0, 2, 1)])
    return images.reshape(2 * size, -1).astype(float), np.repeat([0, 1], size)


def after_step(cells: np.ndarray, rule: int) -> np.ndarray:
    numbers = 4 * np.roll(cells, 1, 1) + 2 * cells + np.roll(cells, -1, 1)
    return rule >> numbers.astype(int) & 1


def life(grids: np.ndarray) -> np.ndarray:
    """Conway's rule, cell by cell."""
    batch, rows, columns = grids.shape
    result = np.zeros(grids.shape, int)
    for b, i, j in itertools.product(range(batch), range(rows), range(columns)):
        around = [grids[b, (i + di) % rows, (j + dj) % columns] for di in (-1, 0, 1) for dj in (-1, 0, 1)]
        alive = grids[b, i, j]
        result[b, i, j] = sum(around) - alive == 3 or (alive and sum(around) - alive == 2)
    return result


def test_differences_of_means_are_whole_numbers_with_the_threshold_midway():
    a, b = np.array([[2.0, 0], [4, 2]]), np.array([[0.0, 0], [0, 1], [0, 2]])
    # 3 (6, 2) - 2 (0, 3) = (18, 0); the projections 36.. and 0 meet at 18: 18 x - 18 = 0
    np.testing.assert_array_equal(separator("mean_difference", a, b), [1, 0, -1])
    overlapping = separator("mean_difference", np.array([[0.0], [4]]), np.array([[1.0], [2]]))
    np.testing.assert_array_equal(overlapping, [4, -7])  # midway between the means 2 and 1.5


@pytest.mark.parametrize("seed", range(8))
def test_hulls_are_separated_exactly_where_a_linear_program_separates_them(seed):
    rng = np.random.default_rng(seed)
    d = int(rng.integers(2, 7))
    points = rng.integers(0, 3, (14, d)).astype(float)
    shift = np.zeros(d) if seed % 2 else 2 * np.eye(d)[0]
    a, b = points[:7] + shift, points[7:]
    system = -np.concatenate([np.c_[a, np.ones(7)], -np.c_[b, np.ones(7)]])
    possible = linprog(np.zeros(d + 1), system, -np.ones(14), bounds=(None, None)).status == 0
    plane, margin = dividing(a, b), separator("margin", a, b)
    assert (plane is not None) == possible
    if possible:
        for column in (plane, margin):
            assert (a @ column[:-1] + column[-1]).min() > 0 > (b @ column[:-1] + column[-1]).max()


def test_the_margin_is_the_largest():
    """Two parallel faces: the normal is the axis between them, whatever else the points do."""
    rng = np.random.default_rng(0)
    a = np.c_[rng.integers(-5, 6, (30, 2)), rng.integers(1, 4, 30)].astype(float)
    b = np.c_[rng.integers(-5, 6, (30, 2)), -rng.integers(0, 4, 30)].astype(float)
    corners = np.array([[-5.0, -5], [-5, 5], [5, -5], [5, 5]])
    a = np.concatenate([a, np.c_[corners, np.ones(4)]])
    b = np.concatenate([b, np.c_[corners, np.zeros(4)]])
    np.testing.assert_array_equal(separator("margin", a, b), [0, 0, 2, -1])


def test_the_discriminant_is_that_of_sklearn():
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(200, 3)) @ np.diag([1, 3, 0.3]) + 1, rng.normal(size=(200, 3)) @ np.diag([1, 3, 0.3])
    ours = separator("lda", a, b)[:-1]
    theirs = LinearDiscriminantAnalysis(solver="lsqr").fit(np.r_[a, b], np.repeat([1, 0], 200)).coef_[0]
    assert ours @ theirs > 0.999 * np.linalg.norm(ours) * np.linalg.norm(theirs)


@pytest.mark.parametrize("size", [6, 8, 9, 11, pytest.param(28, marks=pytest.mark.ci)])
def test_orientation_has_the_published_weights(size):
    """D: column minus row without the crossing; S: 1 on the own row of D, 1 - N elsewhere, bias N - N^2; C: +-1."""
    points, concepts = full_lines(size)
    layers = essence_network(points, concepts, np.arange(2 * size), "mean_difference", outputs=2)
    index = np.arange(size)
    for i, j in itertools.product(range(size), repeat=2):
        image = (index[None] == i).astype(int) - (index[:, None] == j)
        np.testing.assert_array_equal(layers[0][:, size * i + j], np.append(image.ravel(), 0))
    own = np.repeat(np.eye(size), size, 0) == 1  # (D, columns)
    np.testing.assert_array_equal(layers[1][:-1, :size], np.where(own, 1, 1 - size))
    rows = np.tile(np.eye(size), (size, 1)) == 1
    np.testing.assert_array_equal(layers[1][:-1, size:], -np.where(rows, 1, 1 - size))
    np.testing.assert_array_equal(layers[1][-1], size - size**2)
    np.testing.assert_array_equal(layers[2][:, 0], [1] * size + [-1] * size + [0])
    np.testing.assert_array_equal(layers[2][:, 1], -layers[2][:, 0])
    assert (outputs(layers, points).argmax(1) == concepts).all()


@pytest.mark.ci
def test_every_boolean_function_of_three_bits_has_a_network_of_at_most_three_units():
    """One unit for the 104 threshold functions and three for the two parities, as few as there can be."""
    points = cube(3)
    units = []
    for rule in range(256):
        values = rule >> np.arange(8) & 1
        layers = merged_network(points, values)
        assert ((outputs(layers, points)[:, 0] > 0) == values).all(), rule
        units.append(layers[0].shape[1])
    assert np.bincount(units).tolist() == [0, 104, 150, 2]


@pytest.mark.parametrize("size", [7, 9])
@pytest.mark.parametrize("rules", [range(0, 256, 15), pytest.param(range(256), marks=pytest.mark.ci)], ids=len)
def test_rules_are_learned_from_random_rings_and_exact_on_all(size, rules):
    rng = np.random.default_rng(size)
    everything = cube(size)
    for rule in rules:
        cells = rng.integers(0, 2, (96, size)).astype(float)
        bits = after_step(cells, rule)
        layers = bitwise_network(cells, bits, consistent_inputs(cells, bits, 3), merged_network)
        assert ((outputs(layers, everything) > 0) == after_step(everything, rule)).all(), rule
        assert layers[0].shape[1] <= 3 * size and layers[1].shape[1] == layers[2].shape[1] == size


def test_outputs_that_too_few_rings_determine_are_wrong():
    """A negative control: four rings do not determine the rule."""
    cells = np.random.default_rng(0).integers(0, 2, (4, 9)).astype(float)
    bits = after_step(cells, 110)
    layers = bitwise_network(cells, bits, consistent_inputs(cells, bits, 3), merged_network)
    assert ((outputs(layers, cells) > 0) == bits).all()
    assert ((outputs(layers, cube(9)) > 0) != after_step(cube(9), 110)).any()


def test_consistent_inputs_are_the_smallest_set_and_follow_the_ring():
    rng = np.random.default_rng(3)
    points = rng.integers(0, 2, (150, 8)).astype(float)
    bits = np.stack([points[:, 7] != points[:, 1], points[:, 4], np.ones(150), points[:, :5].sum(1) > 2], 1)
    reads = consistent_inputs(points, bits.astype(int), 3)
    assert reads == [(7, 1), (4,), (), tuple(range(8))]  # the last needs five


def test_life_is_learned_from_tori_with_two_units_for_each_cell():
    rng = np.random.default_rng(0)
    grids = rng.integers(0, 2, (24, 16, 16)).astype(float)
    points, bits = grids.reshape(24, -1), life(grids).reshape(24, -1)
    around = windows((16, 16), 3)
    assert len(np.unique(points[:, around].reshape(-1, 9), axis=0)) == 512  # all neighbourhoods are seen
    layers = bitwise_network(points, bits, around, merged_network)
    assert [layer.shape for layer in layers] == [(257, 512), (513, 256), (257, 256)]
    others = np.random.default_rng(1).random((10, 16, 16)) < np.linspace(0.05, 0.95, 10)[:, None, None]
    expected = life(others.astype(float)).reshape(10, -1)
    assert ((outputs(layers, others.reshape(10, -1).astype(float)) > 0) == expected).all()


def test_the_neighbourhoods_of_life_merge_into_few_births_and_many_deaths():
    """Dead after the step: two subconcepts, too few and too many neighbours. Alive: one."""
    points = cube(9)
    alive = life(np.pad(points.reshape(-1, 3, 3), ((0, 0), (1, 1), (1, 1))))[:, 2, 2]
    labels = merged(points, alive)
    neighbours = points.sum(1) - points[:, 4]
    assert len(np.unique(labels[alive == 1])) == 1 and len(np.unique(labels[alive == 0])) == 2
    low, high = labels[neighbours == 0][0], labels[neighbours == 8][0]
    assert (labels[neighbours > 3] == high).all() and (labels[neighbours < 2] == low).all()


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_argmax_is_learned_from_unit_vectors_as_comparisons_of_pairs(n):
    layers = merged_network(np.eye(n), np.arange(n), outputs=n)
    pairs = np.array([np.append(np.eye(n)[a] - np.eye(n)[b], 0) for a, b in itertools.combinations(range(n), 2)])
    np.testing.assert_array_equal(layers[0].T, pairs)
    points = np.random.default_rng(0).normal(size=(500, n))
    assert (outputs(layers, points).argmax(1) == points.argmax(1)).all()


@pytest.mark.parametrize("seed", range(6))
def test_random_boolean_functions_are_exact(seed):
    rng = np.random.default_rng(seed)
    points = cube(5)
    values = (rng.random(32) < 0.4).astype(int)
    for layers in (merged_network(points, values), essence_network(points, values, np.arange(32), "margin")):
        assert ((outputs(layers, points)[:, 0] > 0) == values).all()


def test_parity_of_n_bits_takes_n_units():
    for n in (2, 3, 4, 5):
        values = cube(n).sum(1).astype(int) % 2
        layers = merged_network(cube(n), values)
        assert layers[0].shape[1] == n
        assert ((outputs(layers, cube(n))[:, 0] > 0) == values).all()


@pytest.mark.parametrize("method", ["k_means", "agglomerative"])
def test_clusters_are_as_many_as_make_concepts_separable(method):
    """Four corners: opposite ones belong together, and no line separates the pairs."""
    rng = np.random.default_rng(0)
    corners = np.array([[0, 0], [9, 9], [0, 9], [9, 0]])
    points = np.repeat(corners, 20, 0) + rng.random((80, 2))
    concepts = np.repeat([0, 0, 1, 1], 20)
    labels = clustered(points, concepts, method, None, rng)
    assert len(np.unique(labels)) == 4
    assert all(len(np.unique(labels[k : k + 20])) == 1 for k in range(0, 80, 20))
    layers = essence_network(points, concepts, labels, "margin", outputs=2)
    assert (outputs(layers, points).argmax(1) == concepts).all()
    assert len(np.unique(clustered(points, concepts, method, 3, rng))) == 6


def test_groups_limit_which_subconcepts_are_compared_and_scores_are_fitted():
    """Clauses in three slots, of one or two literals: per slot 6 units of D and 4 of S, and the scores exactly."""
    literals, slots = 6, 3
    points, labels, groups, scores = [], [], [], []
    for slot, sign in itertools.product(range(slots), range(2)):
        for other in [None, *range(2, literals)]:
            formula = np.zeros((slots, literals))
            formula[slot, sign] = 1
            if other is not None:
                formula[slot, other] = 1
            points.append(formula.ravel())
            groups.append(slot)
            labels.append(4 * slot + 2 * sign + (other is not None))
            score = np.array([0.5, -0.5]) * (1 if other is None else 0.01)
            scores.append(score if sign == 0 else -score)
    points, scores = np.array(points), np.array(scores)
    concepts = np.unique(scores, axis=0, return_inverse=True)[1]
    layers = essence_network(points, concepts, np.array(labels), "margin", np.array(groups), scores)
    assert [layer.shape[1] for layer in layers] == [18, 12, 2]
    differentia = layers[0][:-1].reshape(slots, literals, 18)
    assert ((differentia != 0).any(1).sum(0) == 1).all()  # each unit reads one slot
    np.testing.assert_allclose(outputs(layers, points), scores, atol=1e-9)


def test_contradicting_examples_count_by_majority():
    points = np.repeat(cube(2), 3, 0)
    values = np.repeat([0, 0, 0, 1], 3)
    values[0] = 1
    layers = bitwise_network(points, values[:, None], [(0, 1)], merged_network)
    assert ((outputs(layers, cube(2))[:, 0] > 0) == [0, 0, 0, 1]).all()


@pytest.mark.parametrize("kind", ["margin", "mean_difference", "lda"])
def test_points_of_two_classes_and_points_inside_another_class_leave_the_rest_right(kind):
    points = np.array([[0.0, 0], [0, 3], [3, 0], [3, 3], [1, 1], [9, 9], [9, 9], [9, 8]])
    concepts = np.array([0, 0, 0, 0, 1, 1, 1, 2])
    points[6] = points[0]  # of class 0 as well
    layers = merged_network(points, concepts, kind, outputs=3)
    assert all(np.isfinite(layer).all() for layer in layers)
    wrong = np.flatnonzero(outputs(layers, points).argmax(1) != concepts)
    assert len(wrong) and set(wrong) <= {0, 1, 2, 3, 4, 6}


def test_a_group_of_one_concept_has_nothing_to_compare():
    points, concepts = cube(2), np.array([0, 1, 1, 1])
    layers = essence_network(points, concepts, np.arange(4), "margin", np.array([0, 0, 1, 1]), 2)
    assert [layer.shape[1] for layer in layers] == [1, 4, 2]
    assert (outputs(layers, points[:2]).argmax(1) == concepts[:2]).all()


def test_too_many_pairs_are_refused():
    with pytest.raises(ConfigError, match="pairs of subconcepts"):
        essence_network(np.zeros((600, 1)), np.arange(600) % 2, np.arange(600))
