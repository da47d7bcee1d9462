"""Decoding variables from networks into which a linear rule is planted, and the published basis and error."""

from __future__ import annotations

import numpy as np
import pytest

from mechlab.binding import (
    observability_decoder,
    published_basis,
    published_spectral_error,
    spectral_distance,
)
from mechlab.binding.companion import on_cycles
from mechlab.binding.rules import PRESETS, SignedChoice, choice_of_id, companion_matrix


def planted(name="T3", h=100, growth=1.0, seed=0):
    """A network (W_hh, W_hy) with the companion matrix in a random subspace, and decaying noise beside it."""
    rng = np.random.default_rng(seed)
    phi = companion_matrix(choice_of_id(*PRESETS[name], s=8, d=8).F)
    psi = rng.standard_normal((h, len(phi)))
    rest = rng.standard_normal((h, h))
    outside = np.eye(h) - psi @ np.linalg.pinv(psi)
    W_hh = growth * psi @ phi @ np.linalg.pinv(psi) + 0.3 * outside @ rest @ outside / np.sqrt(h)
    return W_hh, np.linalg.pinv(psi)[-8:], phi, psi


@pytest.mark.parametrize("name", ["T1", "T3", "T4"])
@pytest.mark.parametrize("growth", [1.0, 1.3])
def test_planted_variables_are_decoded(name, growth):
    """Also where the planted cycle grows, which tanh would turn into a limit cycle."""
    W_hh, W_hy, phi, psi = planted(name, growth=growth)
    decoder = observability_decoder(W_hh, W_hy, phi)
    active = on_cycles(phi)
    assert len(decoder.eigenvalues) == active.sum() == {"T1": 64}.get(name, 36)
    variables = np.random.default_rng(1).choice([-1.0, 1.0], (64, 50)) * active[:, None]
    states = psi @ variables
    for _ in range(8):  # until transients have gone
        variables, states = phi @ variables, W_hh @ states
    decoded = decoder.decode @ states
    if growth == 1:
        np.testing.assert_allclose(decoded[active], variables[active], atol=1e-6)
    assert (np.sign(decoded[active]) == np.sign(variables[active])).all()
    projected = decoder.subspace @ decoder.subspace.T @ states
    np.testing.assert_allclose(decoder.decode @ decoder.basis @ decoded, decoded, atol=1e-6 * np.abs(decoded).max())
    np.testing.assert_allclose(decoder.basis @ decoded, projected, atol=1e-6 * np.abs(states).max())


def test_another_network_decodes_nothing():
    """The rank is limited by conditioning, and what is decoded is at chance."""
    W_hh, W_hy, phi, psi = planted()
    rng = np.random.default_rng(2)
    other = np.linalg.qr(rng.standard_normal(W_hh.shape))[0]
    active = on_cycles(phi)
    variables = rng.choice([-1.0, 1.0], (64, 400)) * active[:, None]
    decoded = observability_decoder(other, W_hy, phi, rank=36).decode @ psi @ variables
    right = (np.sign(decoded[active]) == np.sign(variables[active])).mean()
    assert 0.3 < right < 0.7


def test_a_rank_that_is_missing_is_left_out():
    """Of a network that lacks one eigenvalue pair, the smaller subspace is well conditioned."""
    W_hh, W_hy, phi, _ = planted("T1")
    values, vectors = np.linalg.eig(W_hh)
    top = values[np.argmax(values.imag)]
    pair = np.flatnonzero(np.isclose(values, top) | np.isclose(values, top.conj()))[:2]
    weakened = values.copy()
    weakened[np.isin(np.arange(len(values)), pair)] *= 0.2
    reduced = (vectors @ np.diag(weakened) @ np.linalg.inv(vectors)).real
    decoder = observability_decoder(reduced, W_hy, phi)
    assert 60 <= len(decoder.eigenvalues) <= 64 and decoder.condition <= 100
    with pytest.raises(ValueError, match="condition number"):
        observability_decoder(W_hh, W_hy * 0 + 1e-3, phi, condition=0.5)
    with pytest.raises(ValueError, match="shapes must be"):
        observability_decoder(W_hh, W_hy.T, phi)


def test_variables_of_ill_conditioned_geometry_are_all_decoded():
    """A missing direction and variables that are nearly parallel both raise the condition number; only the first counts
    against a direction."""
    rng = np.random.default_rng(1)
    phi = companion_matrix(choice_of_id(*PRESETS["T1"], s=8, d=8).F)
    left, right = (np.linalg.qr(rng.standard_normal((size, 64)))[0] for size in (100, 64))
    psi = left * np.logspace(0, -3, 64) @ right
    inverse = np.linalg.pinv(psi)
    decoder = observability_decoder(1.2 * psi @ phi @ inverse, inverse[-8:], phi)
    assert decoder.subspace.shape == (100, 64) and decoder.condition > 100
    np.testing.assert_allclose(decoder.decode @ psi, np.eye(64), atol=1e-6)
    assert len(observability_decoder(1.2 * psi @ phi @ inverse, inverse[-8:], phi, condition=10).eigenvalues) < 64


def test_directions_that_decay_are_read_as_long_as_they_last():
    """In a network whose state decays slowly, a decoder by eigenvalues of modulus 1 would amplify the transients."""
    W_hh, W_hy, phi, psi = planted("T1", growth=0.8)
    decoder = observability_decoder(W_hh, W_hy, phi)
    shares = np.diag(decoder.decode @ psi).reshape(8, 8)
    np.testing.assert_allclose(shares, np.repeat(0.8 ** np.arange(1, 9)[:, None], 8, 1), atol=1e-6)  # read after 1 .. 8


def test_the_first_transition_may_be_another():
    """With the states' own first step in place of the origin's, states are decoded by where it takes them."""
    W_hh, W_hy, phi, psi = planted("T1")
    first = np.random.default_rng(3).uniform(0.3, 1, (100, 1)) * W_hh  # what saturation leaves of the first step
    states = np.linalg.solve(first, psi @ phi)  # those that it takes to the variables one step later
    decoded = observability_decoder(W_hh, W_hy, phi, first=first).decode @ states
    np.testing.assert_allclose(decoded, np.eye(64), atol=1e-6)


def test_the_published_basis_is_exact_on_an_orthonormal_plant():
    """With an orthonormal Psi and a closed cycle, the published construction is right."""
    rng = np.random.default_rng(0)
    phi = companion_matrix(choice_of_id(*PRESETS["T1"], s=8, d=8).F)
    psi = np.linalg.qr(rng.standard_normal((100, 64)))[0]
    found, dual = published_basis(psi @ phi @ psi.T, psi[:, -8:].T, phi)
    np.testing.assert_allclose(found, psi, atol=1e-9)
    np.testing.assert_allclose(dual, psi.T, atol=1e-9)
    phi = companion_matrix(choice_of_id(*PRESETS["T2"], s=8, d=8).F)
    found, dual = published_basis(psi @ phi @ psi.T, psi[:, -8:].T, phi)
    assert not found[:, ~on_cycles(phi)].any() and not dual[~on_cycles(phi)].any()


def test_cells_on_cycles_are_those_that_the_published_pruning_keeps():
    """Removing the row and column of a kept cell lowers the number of eigenvalues above .8."""
    for name in ("T2", "T3", "T4"):
        phi = companion_matrix(choice_of_id(*PRESETS[name], s=8, d=8).F)

        def persistent(matrix):
            return np.count_nonzero(np.abs(np.linalg.eigvals(matrix)) > 0.8)

        kept = [persistent(np.delete(np.delete(phi, i, 0), i, 1)) < persistent(phi) for i in range(64)]
        assert on_cycles(phi).tolist() == kept


def test_the_published_error_by_hand():
    def on_circle(*degrees):
        return np.exp(1j * np.radians(degrees))

    assert published_spectral_error(on_circle(0, 90), 2 * on_circle(93, 1)) == pytest.approx(np.radians(2))
    assert published_spectral_error(on_circle(5, 40), on_circle(0, 30)) == pytest.approx(np.radians(7.5))
    # greedy: the first takes the nearest, though the second needs it
    assert published_spectral_error(on_circle(20, 30), on_circle(0, 29)) == pytest.approx(np.radians((9 + 30) / 2))
    assert spectral_distance(on_circle(20, 30), on_circle(0, 29)).angle_error == pytest.approx(np.radians((20 + 1) / 2))
    assert np.isnan(published_spectral_error(on_circle(0, 90), on_circle(0)))
    assert np.isnan(published_spectral_error(0.1 * on_circle(0), 0.1 * on_circle(0)))


def test_the_published_error_is_undefined_for_matrices_compared_with_themselves():
    rng = np.random.default_rng(0)
    matrices = [np.linalg.qr(rng.standard_normal((16, 16)))[0] for _ in range(50)]
    undefined = [np.isnan(published_spectral_error(matrix, matrix)) for matrix in matrices]
    assert sum(undefined) > 10  # published code: 229 of 300
    assert all(spectral_distance(matrix, matrix).angle_error == 0 for matrix in matrices)


def test_the_basis_of_a_rule_with_cells_off_its_cycles():
    """A component that copies one of a cycle is no variable of its own: the basis moves the cycle's, and it follows."""
    rule = SignedChoice((0, 2), (1, 1), s=2)  # component 0 repeats with period 2; component 1 copies the newest of it
    phi, rng = companion_matrix(rule.F), np.random.default_rng(0)
    active = on_cycles(phi)
    psi = np.linalg.qr(rng.standard_normal((20, 4)))[0]
    decoder = observability_decoder(psi @ phi @ psi.T, psi[:, -2:].T, phi)
    assert active.sum() == 2 and not decoder.basis[:, ~active].any()
    np.testing.assert_allclose((decoder.decode @ decoder.basis)[np.ix_(active, active)], np.eye(2), atol=1e-9)
