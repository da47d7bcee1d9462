"""The Fourier transform on groups: Parseval's identity, and the null distribution of similarities."""

import numpy as np
import pytest
from planted_groups import network_of, random_weights

from mechlab.groups import group, irreps, metrics
from mechlab.groups.fourier import energies, fractions, projection, transform
from mechlab.groups.similarity import similarity
from mechlab.groups.sums import pair_sums

GROUPS = ["C1", "C7", "C12", "D5", "D6", "S4", "A4", "A5", "C3xS3", "Q8", "Dic5"]


@pytest.mark.parametrize("name", GROUPS)
def test_fractions_over_all_irreps_add_up_to_one(name):
    of, rng = group(name), np.random.default_rng(0)
    values = rng.standard_normal((of.order, 3))
    assert fractions(values, irreps(of)).sum() == pytest.approx(1, abs=1e-10)
    np.testing.assert_allclose(energies(values, irreps(of)).sum(0), (values**2).sum(0), rtol=1e-10)
    np.testing.assert_allclose(projection(values, irreps(of)), values, atol=1e-10)


@pytest.mark.parametrize("name", ["C12", "D6", "Q8", "A4"])
def test_projections_are_convolutions_and_have_the_energies(name):
    of, rng = group(name), np.random.default_rng(1)
    values = rng.standard_normal((of.order, 2))
    for irrep in irreps(of):
        quotient = of.table[:, of.inverses]  # p q^-1
        by_character = irrep.weight * irrep.character[quotient] @ values
        np.testing.assert_allclose(projection(values, [irrep]), by_character, atol=1e-10)
        np.testing.assert_allclose((by_character**2).sum(0), energies(values, [irrep])[0], atol=1e-10)
        matrix = sum(values[x, 0] * irrep.matrices[x] for x in range(of.order))
        np.testing.assert_allclose(transform(values, irrep)[..., 0], matrix, atol=1e-10)


def test_embeddings_of_every_kind_of_irrep_add_up():
    """A group with irreps of all three kinds: the fractions of a network's tables add up to 1."""
    of = group("C4xQ8")
    assert {irrep.kind for irrep in irreps(of)} == {"real", "complex", "quaternionic"}
    a, b, u = random_weights(of, 5, np.random.default_rng(0))
    measured = metrics((a, b), u, of)
    for shares in (measured.embed_x, measured.embed_y, measured.unembed):
        assert shares.sum() == pytest.approx(1, abs=1e-10)


def test_the_null_limit_is_that_of_relabelled_outputs():
    """Similarities of random relabellings have the mean 0 and the spread that the limit assumes."""
    of, rng = group("D7"), np.random.default_rng(3)
    a, b, u = random_weights(of, 30, rng)
    train = rng.random((of.order, of.order)) < 0.5
    every = irreps(of)
    level = 2 * 0.1587 * (len(every) - 1) / 2  # one standard deviation for each irrep
    limits = similarity(pair_sums(network_of(of, (a, b, u)), train), of, every, train, level).null
    draws = []
    for _ in range(400):
        sums = pair_sums(network_of(of, (a, b, u[:, rng.permutation(of.order)])), train)
        draws.append(similarity(sums, of, every, train, level).held_out)
    spread = np.std(draws, axis=0)[1:] / limits[1:]
    assert np.all((spread > 0.85) & (spread < 1.15)), spread
    assert np.all(np.abs(np.mean(draws, axis=0)[1:]) < 0.25 * limits[1:])
