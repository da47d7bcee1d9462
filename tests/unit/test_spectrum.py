"""Comparing spectra: against brute force, planted networks and the untrained control."""

from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_run import FakeRun
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from mechlab.analyses.binding.jacobian_spectra import spectra_at, spectrum_at_origin
from mechlab.analyses.spectrum import Spectrum
from mechlab.binding.companion import CompanionMatrix, cycle_roots
from mechlab.binding.spectrum import (
    chance_angle_errors,
    compare,
    p_value,
    permuted_angle_errors,
    signed_permutation_spectrum,
)
from mechlab.core.analysis import Finding
from mechlab.core.model import SequenceModel, Trace
from mechlab.models.gru import GRU
from mechlab.models.lstm import LSTM
from mechlab.models.rnn import RNN
from mechlab.record.artifacts import Artifacts
from mechlab.record.files import write_json
from mechlab.record.result import read_finding
from mechlab.tasks.repeat_copy import RepeatCopy

few = settings(max_examples=20)
seeds = st.integers(0, 10**6)


def random_spectrum(size: int, rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0.5, 1.5, size) * np.exp(2j * np.pi * rng.random(size))


@few
@given(size=st.integers(1, 6), seed=seeds)
def test_matching_is_the_best_of_all_permutations(size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    learned, theory = random_spectrum(size, rng), random_spectrum(size, rng)
    found = compare(learned, theory)
    orders = [list(order) for order in permutations(range(size))]
    angles = min(np.abs(np.angle(learned[order] / theory)).mean() for order in orders)
    distances = min(np.abs(learned[order] - theory).mean() for order in orders)
    assert found.angle_error == pytest.approx(angles, abs=1e-8)
    assert found.complex_error == pytest.approx(distances, abs=1e-12)
    assert found.angle_error_max >= found.angle_error


@few
@given(seed=seeds)
def test_order_is_irrelevant(seed: int) -> None:
    rng = np.random.default_rng(seed)
    learned, theory = random_spectrum(9, rng), random_spectrum(6, rng)
    one, other = compare(learned, theory), compare(rng.permutation(learned), rng.permutation(theory))
    for name in ("angle_error", "angle_error_max", "complex_error"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-8)
    assert one.rank_error == other.rank_error


@few
@given(size=st.integers(1, 30), seed=seeds)
def test_a_spectrum_agrees_exactly_with_itself(size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.linalg.eigvals(np.linalg.qr(rng.standard_normal((size, size)))[0])
    found = compare(rng.permutation(values), values)
    assert (found.angle_error, found.angle_error_max, found.modulus_error, found.complex_error) == (0, 0, 0, 0)
    assert found.rank_error == 0


def test_errors_in_angle_modulus_and_rank_stay_apart() -> None:
    theory = cycle_roots(4, 1.0)
    turned = compare(theory * np.exp(0.1j), theory)
    assert (turned.angle_error, turned.modulus_error) == (pytest.approx(0.1), pytest.approx(0, abs=1e-12))
    grown = compare(theory * 1.2, theory)
    assert (grown.angle_error, grown.modulus_error) == (pytest.approx(0, abs=1e-12), pytest.approx(np.log(1.2)))
    deficient = compare(theory * [1, 1, 0.3, 1], theory)
    assert (deficient.rank_error, deficient.angle_error) == (-1, pytest.approx(0, abs=1e-12))
    assert compare(np.append(theory, [0.95, 0.2]), theory).rank_error == 1


def test_nothing_is_lost_when_fewer_were_learned() -> None:
    found = compare(np.array([1.0, 0.0]), cycle_roots(4, 1.0))
    assert (len(found.learned), found.rank_error) == (2, -3)
    assert np.isfinite([found.angle_error, found.modulus_error, found.complex_error]).all()


@pytest.mark.parametrize(("learned", "theory"), [([], [1.0]), ([1.0], []), ([1.0], [0.0])])
def test_refuses_what_cannot_be_matched(learned: list[float], theory: list[float]) -> None:
    with pytest.raises(ValueError, match="both spectra must have eigenvalues"):
        compare(np.array(learned), np.array(theory))


# cycles (length, sign); chance of uniform orthogonal matrices; of the q factor of QR as LAPACK leaves it
CHANCE = {
    "diagonal, d=s=4": ([(1, 1), (2, 1), (3, 1), (4, 1)], 0.39, 0.58),
    "repeat copy, d=s=4": ([(4, 1)] * 4, 0.385, 0.44),
    "T3": ([(3, -1), (3, -1), (6, -1), (24, -1)], 0.113, 0.163),
    "repeat copy, d=s=8": ([(8, 1)] * 8, 0.197, 0.218),
}


@pytest.mark.parametrize("task", CHANCE)
def test_chance_level(task: str) -> None:
    """Scipy's uniform orthogonal matrices give our level. The higher one that is sometimes quoted is that of a q factor
    whose signs were left alone, which is not uniform."""
    cycles, uniform, quoted = CHANCE[task]
    theory = np.concatenate([cycle_roots(length, sign) for length, sign in cycles])
    rng = np.random.default_rng(0)
    size, draws = len(theory), 60

    def errors(draw: Callable[[], np.ndarray]) -> np.ndarray:
        return np.array([compare(np.linalg.eigvals(draw()), theory).angle_error for _ in range(draws)])

    ours = chance_angle_errors(theory, rng, draws)
    reference = errors(lambda: ortho_group.rvs(size, random_state=rng))
    unsigned = errors(lambda: np.linalg.qr(rng.standard_normal((size, size)))[0])
    tolerance = 4 * ours.std() * np.sqrt(2 / draws)
    assert abs(ours.mean() - reference.mean()) < tolerance
    assert ours.mean() == pytest.approx(uniform, abs=tolerance)
    assert unsigned.mean() == pytest.approx(quoted, abs=4 * unsigned.std() * np.sqrt(2 / draws))


@few
@given(size=st.integers(1, 12), seed=seeds)
def test_spectra_of_signed_permutations_are_those_of_such_matrices(size: int, seed: int) -> None:
    """The powers of an integer matrix have integer traces, and the eigenvalues of an orthogonal one modulus 1."""
    values = signed_permutation_spectrum(size, np.random.default_rng(seed))
    assert len(values) == size and np.abs(values) == pytest.approx(1)
    traces = [(values**power).sum() for power in range(1, size + 1)]
    np.testing.assert_allclose(traces, np.round(np.real(traces)), atol=1e-9)


def test_random_signed_permutations_have_their_mean_traces() -> None:
    """Over the group the trace has mean 0 and variance 1, and the trace of the square has mean 1."""
    rng = np.random.default_rng(0)
    traces = [[(values**power).sum().real for power in (1, 2)] for values in (signed(rng) for _ in range(4000))]
    mean = np.mean(traces, 0)
    assert mean == pytest.approx([0, 1], abs=0.12)
    assert np.var([trace for trace, _ in traces]) == pytest.approx(1, abs=0.12)


def signed(rng: np.random.Generator) -> np.ndarray:
    return signed_permutation_spectrum(5, rng)


def test_p_values_are_uniform_under_the_null_and_small_for_the_rule() -> None:
    """Networks that are random signed permutations themselves reject at level .1 in about a tenth of the cases."""
    theory = np.concatenate([cycle_roots(length, sign) for length, sign in CHANCE["T3"][0]])
    rng = np.random.default_rng(0)
    spectra = [signed_permutation_spectrum(len(theory), rng) for _ in range(60)]
    values = [p_value(compare(one, theory).angle_error, permuted_angle_errors(one, theory, rng, 39)) for one in spectra]
    assert np.mean(np.array(values) <= 0.1) == pytest.approx(0.1, abs=0.12)
    assert np.mean(values) == pytest.approx(0.5, abs=0.15)
    learned = np.append(theory * 1.1, rng.uniform(-0.5, 0.5, 20))
    assert p_value(compare(learned, theory).angle_error, permuted_angle_errors(learned, theory, rng, 99)) == 0.01


def planted(task: RepeatCopy, hidden: int, scale: float = 1.0) -> RNN:
    """A network whose recurrent matrix is the rotated companion matrix."""
    phi = task.ground_truth().matrix
    rotation = ortho_group.rvs(hidden, random_state=0)[:, : len(phi)]
    model = RNN(task.spec, hidden=hidden).double()
    with torch.no_grad():
        model.layers[0].weight_hh_l0.copy_(torch.tensor(scale * rotation @ phi @ rotation.T))
    return model.eval()


def analyse(task: RepeatCopy, model: torch.nn.Module, folder: Path, **options) -> Finding:
    torch.manual_seed(0)
    untrained = RNN(task.spec, hidden=64).eval()
    return Spectrum(**{"draws": 20, **options}).run(
        FakeRun(task, model, untrained), Artifacts(folder), np.random.default_rng(0)
    )


def test_planted_network_is_found(tmp_path: Path) -> None:
    task = RepeatCopy(d=3, s=4)
    finding = analyse(task, planted(task, hidden=20), tmp_path)
    assert finding.scalars["angle_error_max"] < 1e-6
    assert finding.scalars["modulus_error"] < 1e-6
    assert finding.scalars["rank"] == finding.scalars["rank_theory"] == 12
    assert {slug: claim.holds for slug, claim in finding.claims.items()} == dict.fromkeys(finding.claims, True)
    assert sorted(finding.claims) == ["angle", "modulus", "rank"]
    pairs = Artifacts(tmp_path).table("pairs")
    assert len(pairs) == 12
    assert pairs["angle_error"].max() < 1e-6
    assert list(Spectrum().figures(Artifacts(tmp_path))) == ["spectrum"]


def test_p_values_of_the_planted_and_of_an_untrained_network(tmp_path: Path) -> None:
    task = RepeatCopy(d=3, s=4)
    scalars = analyse(task, planted(task, hidden=20), tmp_path, draws=100).scalars
    assert scalars["p_value"] == scalars["p_value_permutation"] == 1 / 101
    torch.manual_seed(1)
    scalars = analyse(task, RNN(task.spec, hidden=64).eval(), tmp_path).scalars
    assert min(scalars["p_value"], scalars["p_value_permutation"]) > 0.05


def test_a_network_that_the_published_error_has_no_number_for_is_reported(tmp_path: Path) -> None:
    """Of the wrong rank it is NaN with its cause, null in JSON; of the right one a number, or rounding is the cause."""
    task = RepeatCopy(d=3, s=4)
    finding = analyse(task, planted(task, hidden=20, scale=0.8), tmp_path, compat="published")
    assert np.isnan(finding.scalars["published_error"]) and finding.scalars["published_scored"] == 0
    (note,) = finding.notes.values()
    assert "0 persistent eigenvalues were learned, and 12 are in theory" in note
    write_json(tmp_path / "finding.json", finding.as_dict())
    assert read_finding(tmp_path / "finding.json")["scalars"]["published_error"] is None
    right = analyse(task, planted(task, hidden=20), tmp_path, compat="published")
    if right.scalars["published_scored"]:
        assert right.scalars["published_error"] < 1e-6 and not right.notes
    else:
        assert "a cosine exceeds 1 by rounding" in right.notes["published_error"]
    assert "published_error" not in analyse(task, planted(task, hidden=20), tmp_path).scalars


def test_along_the_trajectory_of_a_saturating_network_the_jacobian_shrinks(tmp_path: Path) -> None:
    """The Jacobian is W diag(1 - h'^2) turned to the other side; at the origin it is W."""
    task = RepeatCopy(d=2, s=3, repeats=5)
    model = planted(task, hidden=20, scale=1.3)
    with torch.no_grad():
        model.layers[0].weight_ih_l0.normal_(0, 1, generator=torch.Generator().manual_seed(0))
    finding = analyse(task, model, tmp_path, also_at=("trajectory",), points=5)
    assert finding.scalars["spectral_radius"] == pytest.approx(1.3)
    assert finding.scalars["trajectory_radius_low"] <= finding.scalars["trajectory_radius"] < 1.29
    table = Artifacts(tmp_path).table("trajectory")
    assert table["step"].iloc[0] == 0 and len(table) == 5
    assert sorted(Spectrum(also_at=("trajectory",)).figures(Artifacts(tmp_path))) == ["spectrum", "trajectory"]
    x, state = torch.ones(1, 2).double(), torch.full((1, 20), 0.1).double()
    following = model.step(x, state)[1][0].detach().numpy()
    jacobian = (1 - following**2)[:, None] * model.layers[0].weight_hh_l0.detach().numpy()
    np.testing.assert_allclose(
        np.sort_complex(spectra_at(model, x, state)[0]), np.sort_complex(np.linalg.eigvals(jacobian)), atol=1e-9
    )


def test_fixed_points_of_the_planted_network_and_of_one_without_any(tmp_path: Path) -> None:
    """Networks without biases have the fixed point 0, with the spectrum of the origin; so has 0.8 W, and no other."""
    task = RepeatCopy(d=3, s=4)
    scalars = analyse(task, planted(task, 20, scale=0.8), tmp_path, also_at=("fixed_points",), points=4).scalars
    assert scalars["fixed_points_states"] == 1
    assert scalars["fixed_points_angle_error"] == pytest.approx(scalars["angle_error"], abs=1e-6)
    assert scalars["fixed_points_radius"] == pytest.approx(0.8)
    table = Artifacts(tmp_path).table("fixed_points")
    assert table["distance"].iloc[0] < 1e-6 and table["starts"].iloc[0] == 5
    assert sorted(Spectrum(also_at=("fixed_points",)).figures(Artifacts(tmp_path))) == ["fixed_points", "spectrum"]

    several = analyse(task, planted(task, 20, scale=1.5), tmp_path, also_at=("fixed_points",), points=4).scalars
    assert several["fixed_points_states"] > 1 and several["fixed_points_radius_low"] < 1.5

    class Drifting(RNN):
        def step(self, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return state[:, : self.spec.outputs], state + 1

        def forward(self, x: torch.Tensor) -> Trace:
            return SequenceModel.forward(self, x)

    drifting = Drifting(task.spec, hidden=20).eval()
    scalars = analyse(task, drifting, tmp_path, also_at=("fixed_points",), points=4).scalars
    assert scalars["fixed_points_states"] == 0 and "fixed_points_radius" not in scalars
    assert list(Spectrum(also_at=("fixed_points",)).figures(Artifacts(tmp_path))) == ["spectrum"]


def test_decaying_network_fails_by_rank_and_modulus_alone(tmp_path: Path) -> None:
    task = RepeatCopy(d=3, s=4)
    claims = analyse(task, planted(task, hidden=20, scale=0.8), tmp_path).claims
    assert {slug: claim.holds for slug, claim in claims.items()} == {"rank": False, "angle": True, "modulus": False}


@pytest.mark.parametrize("architecture", [RNN, GRU, LSTM])
def test_untrained_networks_fail(architecture: type, tmp_path: Path) -> None:
    task = RepeatCopy(d=4, s=4)
    torch.manual_seed(1)
    finding = analyse(task, architecture(task.spec, hidden=64).eval(), tmp_path)
    assert not any(claim.holds for claim in finding.claims.values())


def test_spectrum_at_the_origin_is_that_of_the_recurrent_matrix() -> None:
    task = RepeatCopy(d=2, s=3)
    model = RNN(task.spec, hidden=7).double()
    weights = np.linalg.eigvals(model.layers[0].weight_hh_l0.detach().numpy())
    np.testing.assert_allclose(np.sort_complex(spectrum_at_origin(model)), np.sort_complex(weights), atol=1e-10)


def test_ground_truth_of_the_task_has_rank_ds() -> None:
    assert isinstance(RepeatCopy(d=2, s=3).ground_truth(), CompanionMatrix)
    assert RepeatCopy(d=2, s=3).ground_truth().rank == 6
