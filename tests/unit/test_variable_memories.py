"""Variable memories: of networks into which a rule is planted, against slow references, and of untrained networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fake_run import FakeRun
from figure_checks import check_figure

from mechlab.analyses.binding.linear_network import LinearNetwork, check_read_out, held_out_inputs
from mechlab.analyses.binding.variable_decoding import decode, matrix_error, probe, reconstruction_errors
from mechlab.analyses.binding.variable_memories import VariableMemories
from mechlab.binding.published import published_picture
from mechlab.core.errors import ConfigError
from mechlab.core.model import SequenceModel
from mechlab.models.deltanet import DeltaNet
from mechlab.models.gru import GRU
from mechlab.models.linear_attention import LinearAttention
from mechlab.models.lru import LRU
from mechlab.models.lstm import LSTM
from mechlab.models.poly_hopfield import PolyHopfield
from mechlab.models.poly_hopfield_delay import PolyHopfieldDelay
from mechlab.models.rnn import RNN
from mechlab.models.s4 import S4
from mechlab.models.s4d import S4D
from mechlab.models.wrnn import WRNN
from mechlab.record.artifacts import Artifacts
from mechlab.tasks.linear_binding import LinearBinding
from mechlab.tasks.repeat_copy import RepeatCopy

SMALL = 1e-3  # size of a planted state, at which tanh is linear


def planted(task, orthonormal, hidden=30):
    """An Elman network whose state is Psi times the last s vectors, and which repeats them."""
    rng = np.random.default_rng(0)
    phi, d = task.ground_truth().matrix, task.d
    psi = rng.standard_normal((hidden, len(phi)))
    psi = SMALL * (np.linalg.qr(psi)[0] if orthonormal else psi)
    inverse = np.linalg.pinv(psi)
    model = RNN(task.spec, hidden=hidden).double()
    with torch.no_grad():
        model.layers[0].weight_hh_l0.copy_(torch.from_numpy(psi @ phi @ inverse))
        model.layers[0].weight_ih_l0.copy_(torch.from_numpy(psi[:, -d:]))
        model.readout.weight.copy_(torch.from_numpy(inverse[-d:]))
    return model.eval(), psi


def analyse(task, model, folder, **options):
    torch.manual_seed(0)
    fresh = RNN(task.spec, hidden=30).eval()
    analysis = VariableMemories(**{"sequences": 100, "after": 20} | options)
    return analysis.run(FakeRun(task, model, fresh), Artifacts(folder), np.random.default_rng(0)), analysis


def test_a_planted_basis_is_recovered_and_the_published_one_only_if_it_is_orthonormal(tmp_path):
    task = RepeatCopy(d=3, s=4)
    for orthonormal in (True, False):
        model, psi = planted(task, orthonormal)
        finding, _ = analyse(task, model, tmp_path)
        scalars, saved = finding.scalars, Artifacts(tmp_path).arrays("variables")
        for name in ("decoder_end", "decoder_after", "origin_end", "probe_end", "least_variable_end"):
            assert scalars[name] == 1, name
        assert scalars["phi_error"] < 1e-6 and scalars["decoder_lost_after"] < 1e-4
        np.testing.assert_allclose(saved["basis"], psi, atol=1e-5 * SMALL)
        assert all(claim.holds for claim in finding.claims.values()) and len(finding.claims) == 3
        assert (scalars["published_phi_error"] < 1e-6) == orthonormal
        assert (scalars["published_end"] == 1) == orthonormal
        assert 0.35 < scalars["shuffled_end"] < 0.65 and scalars["rank"] == scalars["variables"] == 12


def test_an_untrained_network_is_at_chance_and_fails_every_claim(tmp_path):
    task = RepeatCopy(d=3, s=4)
    torch.manual_seed(3)
    finding, _ = analyse(task, RNN(task.spec, hidden=30).eval(), tmp_path)
    assert sorted(finding.claims) == ["after", "end_of_input", "interaction"]
    assert not any(claim.holds for claim in finding.claims.values())
    assert 0.3 < finding.scalars["decoder_after"] < 0.7
    assert finding.scalars["probe_end"] > 0.9  # a probe reads the input where nothing is computed from it


def test_too_few_sequences_make_no_statistical_claim(tmp_path):
    task = RepeatCopy(d=1, s=2)  # which has 4 sequences
    finding, _ = analyse(task, planted(task, True)[0], tmp_path)
    assert list(finding.claims) == ["interaction"] and "4 distinct" in finding.notes["too_few_sequences"]


def test_a_network_without_outputs_decodes_nothing(tmp_path):
    task = RepeatCopy(d=2, s=3)
    model, _ = planted(task, True)
    torch.nn.init.zeros_(model.readout.weight)
    finding, _ = analyse(task, model, tmp_path)
    assert 0.3 < finding.scalars["decoder_end"] < 0.7 and finding.scalars["rank"] == 0


def test_accuracies_are_those_of_a_loop():
    task = LinearBinding(d=3, s=3, cycles=[4, -2], horizon=5)
    torch.manual_seed(0)
    network = LinearNetwork(RNN(task.spec, hidden=9), task.ground_truth())
    rng = np.random.default_rng(0)
    others, test = (network.observe(held_out_inputs(task, n, 4, rng)) for n in (40, 6))
    decoding = decode(network, others, test)
    active = np.flatnonzero(network.active)
    for name, matrix in (("decoder", decoding.decoder.decode), ("published", decoding.dual)):
        for b in range(6):
            for k in range(5):
                state = (test.states[b, k].double() - others.states[:, k].double().mean(0)).numpy()
                decoded, true = matrix @ state, test.variables[b, k].numpy()
                expected = [np.sign(decoded[i]) == true[i] for i in active]
                assert decoding.right[name][b, k].tolist() == expected


def test_the_probe_is_the_least_squares_map_where_data_abound():
    rng = np.random.default_rng(0)
    states, maps = rng.standard_normal((4000, 2, 3)), rng.standard_normal((2, 5, 3))
    variables = np.einsum("nks,kas->nka", states, maps)
    np.testing.assert_allclose(probe(states, variables), maps, atol=0.01)


def test_errors_of_matrices_and_reconstructions_by_hand():
    phi, active = np.diag([1.0, -1.0, 5.0]), np.array([True, True, False])
    assert matrix_error(phi, phi, active) == 0
    assert matrix_error(1.5 * phi, phi, active) == pytest.approx(0.5)
    assert matrix_error(1.5 * phi, phi, active, scaled=True) == pytest.approx(0)
    assert matrix_error(0 * phi, phi, active, scaled=True) == 1
    basis, decoder = np.eye(3)[:, :1], np.eye(3)[:1]  # reads the first of three components
    assert reconstruction_errors(basis, decoder, np.array([[[3.0, 4, 0]], [[0, 0, 0]]])).tolist() == [0.8]


@pytest.mark.ci
def test_figures_and_the_picture(tmp_path):
    """The published picture belongs to d = s = 8 alone, and has the shape of the digits."""
    assert published_picture().shape == (8, 8) and (published_picture() == 1).sum() == 3 + 5 + 5 + 4 + 4
    task = LinearBinding(id="T1", horizon=5)
    model, _ = planted(task, True, hidden=70)
    _, analysis = analyse(task, model, tmp_path, after=16, sequences=50)
    examples = Artifacts(tmp_path).arrays("examples")
    assert examples["picture_outputs"].shape == (208, 8)
    np.testing.assert_array_equal(np.sign(examples["picture_outputs"][8:16]), published_picture())
    np.testing.assert_allclose(examples["ring"], examples["ring_variables"], atol=1e-3)
    figures = analysis.figures(Artifacts(tmp_path))
    assert sorted(figures) == ["decoding", "interaction", "prediction", "snapshots"]
    for figure in figures.values():
        check_figure(figure)


@pytest.mark.ci
@pytest.mark.parametrize(("d", "s", "after"), [(1, 1, 1), (1, 12, 3), (12, 2, 250), (5, 11, 40)])
def test_figures_of_all_sizes_are_readable(d, s, after, tmp_path):
    task = RepeatCopy(d=d, s=s)
    model, _ = planted(task, True, hidden=max(30, d * s))
    finding, analysis = analyse(task, model, tmp_path, after=after, sequences=20)
    assert finding.scalars["decoder_end"] == 1
    out = Artifacts(tmp_path, "A network that repeats")
    for figure in out.with_subject(analysis.figures(out)).values():
        check_figure(figure)
    assert analysis.animations(Artifacts(tmp_path))["ring"].startswith(b"GIF")


@pytest.mark.ci
def test_the_animation_has_a_frame_for_each_step(tmp_path):
    from PIL import Image

    task = RepeatCopy(d=3, s=4)
    _, analysis = analyse(task, planted(task, True)[0], tmp_path)
    Artifacts(tmp_path).save_bytes("ring.gif", analysis.animations(Artifacts(tmp_path))["ring"])
    with Image.open(tmp_path / "ring.gif") as picture:
        assert picture.n_frames == 24
    assert "picture_inputs" not in Artifacts(tmp_path).arrays("examples")


MODELS = [
    (RNN, {"hidden": 8, "layers": 2, "bias": True}),
    (RNN, {"hidden": 8, "activation": "relu"}),
    (GRU, {"hidden": 8}),
    (LSTM, {"hidden": 6}),
    (WRNN, {"hidden": 8, "channels": 2}),
    (LRU, {"hidden": 6}),
    (S4, {"states": 4}),
    (S4D, {"hidden": 3, "states": 4}),
    (LinearAttention, {"keys": 4, "values": 5}),
    (DeltaNet, {"keys": 4, "values": 5}),
    (PolyHopfield, {"hidden": 6, "memories": 8}),
    (PolyHopfieldDelay, {"hidden": 6, "memories": 8}),
]


@pytest.mark.parametrize(("architecture", "options"), MODELS)
def test_every_recurrent_model_is_analysed(architecture, options, tmp_path):
    task = RepeatCopy(d=2, s=3)
    torch.manual_seed(0)
    model = architecture(task.spec, **options).eval()
    finding, _ = analyse(task, model, tmp_path, after=4, sequences=60)
    assert all(np.isfinite(value) for value in finding.scalars.values())


def test_a_model_without_a_read_out_is_refused():
    class Silent(SequenceModel):
        pass

    with pytest.raises(ConfigError, match=r"read_out\(\)"):
        check_read_out("variable_memories", Silent, "analysis.variable_memories")
    check_read_out("variable_memories", RNN, "analysis.variable_memories")
    check_read_out("variable_memories", None, "analysis.variable_memories")
