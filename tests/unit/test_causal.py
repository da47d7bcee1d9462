"""Causal tests of networks into which a linear rule is planted, against slow references and negative controls."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from fake_run import FakeRun
from figure_checks import check_figure

from mechlab.analyses.binding.causal import Causal
from mechlab.analyses.binding.causal_tables import coordinates
from mechlab.analyses.binding.changed_states import Moment
from mechlab.analyses.binding.linear_network import LinearNetwork, held_out_inputs
from mechlab.binding.companion import CompanionMatrix
from mechlab.binding.interventions import Coordinates, flipped, patched, spectral_projection, swapped
from mechlab.core.errors import ConfigError
from mechlab.core.model import SequenceModel
from mechlab.models.gru import GRU
from mechlab.models.rnn import RNN
from mechlab.record.artifacts import Artifacts
from mechlab.tasks.linear_binding import LinearBinding
from mechlab.tasks.repeat_copy import RepeatCopy

# component 0: a cycle of 2 with sign -1; 1: a cycle of 4; 2: copies component 0, on no cycle itself
TASK = LinearBinding(d=3, s=4, horizon=20, cells=[6, 1, 3], signs=[-1, 1, -1])
CYCLES = LinearBinding(d=3, s=4, horizon=20, cycles=[3, -5])  # all cells are on cycles, or have no future
COPY = RepeatCopy(d=3, s=4, repeats=2)
HIDDEN = 40


def planted_matrices(phi, d):
    """W, C and psi with the rule in a basis psi that is not orthogonal, and decaying noise beside it."""
    rng = np.random.default_rng(7)
    psi = np.linalg.qr(rng.standard_normal((HIDDEN, len(phi))))[0]
    psi = psi @ (np.eye(len(phi)) + 0.3 * rng.standard_normal((len(phi), len(phi))) / np.sqrt(len(phi)))
    dual = np.linalg.pinv(psi)
    outside = np.eye(HIDDEN) - psi @ dual
    rest = outside @ rng.standard_normal((HIDDEN, HIDDEN)) @ outside / np.sqrt(HIDDEN)
    return psi @ phi @ dual + 0.3 * rest, dual[-d:], psi


class PlantedLinear(SequenceModel):
    """h' - c = W (h - c) and y = C (h' - c), where h - c = psi m with the window m; it begins at h = c, and while it
    reads, the rule waits."""

    def __init__(self, centre=0.0):
        super().__init__(TASK.spec)
        W, C, psi = planted_matrices(TASK.ground_truth().matrix, TASK.d)
        shift = psi @ np.eye(len(psi.T), k=TASK.d) @ np.linalg.pinv(psi)
        self.W, self.C, self.shift, self.U = (torch.tensor(matrix) for matrix in (W, C, shift, psi[:, -TASK.d :]))
        self.centre = centre

    def initial_state(self, batch):
        return self.W.new_full((batch, HIDDEN), self.centre)

    def step(self, x, state):
        state = state - self.centre
        reading = (x != 0).any(-1, keepdim=True)
        state = torch.where(reading, state @ self.shift.T + x @ self.U.T, state @ self.W.T)
        return state @ self.C.T, state + self.centre

    def read_out(self, state):
        return (state - self.centre) @ self.C.T


def planted_rnn(amplitude=0.03):
    """An Elman network of small states, which repeats its inputs."""
    W, C, psi = planted_matrices(COPY.ground_truth().matrix, COPY.d)
    model = RNN(COPY.spec, hidden=HIDDEN)
    with torch.no_grad():
        model.layers[0].weight_hh_l0.copy_(torch.tensor(W))
        model.layers[0].weight_ih_l0.copy_(torch.tensor(amplitude * psi[:, -COPY.d :]))
        model.readout.weight.copy_(torch.tensor(C))
    return model.eval()


def moment_of(model, task, settle, n=6, seed=0):
    inputs = held_out_inputs(task, n, settle + task.s, np.random.default_rng(seed))
    return inputs, Moment.of(LinearNetwork(model, task.ground_truth()), inputs, settle)


EDITS = {
    "flip": flipped,
    "swap": lambda values, which: swapped(values, which, (which + 1) % values.shape[1]),
    "patch": lambda values, which: patched(values, which, np.roll(np.arange(len(values)), 1)),
}


def slow_reference(model, task, inputs, moment, coordinates, kind, steps, dose):
    """The accuracies of one variable of one sequence at a time at the end of the input, with the rule's future from
    inputs that are edited themselves."""
    n, active = len(inputs), moment.active
    changed, stays = np.full((len(active), n), np.nan), np.full((len(active), n), np.nan)
    read = model(inputs.to(model.initial_state(1))).states[:, task.s].double().numpy()
    for v, i in itertools.product(range(len(active)), range(n)):
        values = coordinates.decode @ (read[i] - coordinates.centre)
        other = coordinates.decode @ (read[i - 1] - coordinates.centre)
        window, donor = inputs[i, : task.s].flatten().clone(), inputs[i - 1, : task.s].flatten()
        new = values.copy()
        a, b = active[v], active[(v + 1) % len(active)]
        if kind == "flip":
            new[v], window[a] = -values[v], -window[a]
        elif kind == "swap":
            w = (v + 1) % len(active)
            new[v], new[w] = values[w], values[v]
            window[a], window[b] = window[b].item(), window[a].item()
        else:
            new[v], window[a] = other[v], donor[a]
        state = torch.tensor(read[i] + dose * coordinates.basis @ (new - values)).to(model.initial_state(1))[None]
        edited = torch.zeros(1, task.s + steps, task.d)
        edited[0, : task.s] = window.reshape(task.s, task.d)
        given = torch.cat([inputs[i : i + 1, : task.s], torch.zeros(1, steps, task.d)], 1)
        truth, intact = task.targets(edited)[0][0], task.targets(given)[0][0]
        hits = {True: [], False: []}
        for t in range(task.s, task.s + steps):
            output, state = model.step(state.new_zeros(1, task.d), state)
            for j in range(task.d):
                right = (output[0, j].item() >= 0) == (truth[t, j].item() > 0)
                hits[bool(truth[t, j] != intact[t, j])].append(right)
        changed[v, i] = np.mean(hits[True]) if hits[True] else np.nan
        stays[v, i] = np.mean(hits[False]) if hits[False] else np.nan
    return changed, stays


@pytest.mark.parametrize("kind", EDITS)
@torch.no_grad()
def test_changes_agree_with_a_loop_over_variables_and_sequences(kind):
    """Of a random network and random coordinates, so that outputs are right and wrong."""
    torch.manual_seed(0)
    model, rng = RNN(CYCLES.spec, hidden=HIDDEN).eval(), np.random.default_rng(1)
    inputs, moment = moment_of(model, CYCLES, settle=0)
    count = len(moment.active)
    within = Coordinates(rng.standard_normal((count, HIDDEN)), rng.standard_normal((HIDDEN, count)), moment.centres[0])
    found = moment.after(EDITS[kind], within, steps=9, dose=0.7)
    expected = slow_reference(model, CYCLES, inputs, moment, within, kind, 9, 0.7)
    np.testing.assert_allclose(found.changed, expected[0])
    np.testing.assert_allclose(found.stays, expected[1])


@pytest.mark.parametrize("centre", [0.0, 0.4])
@pytest.mark.parametrize("settle", [0, 5])
def test_planted_variables_are_changed_exactly(settle, centre):
    """Also where the centre of the states is not 0, as biases make it, and where cells beside the cycles matter."""
    _, moment = moment_of(PlantedLinear(centre), TASK, settle, n=12)
    bases = coordinates(moment, np.random.default_rng(0))
    assert list(bases) == ["decoder", "published", "random"]
    for edit in EDITS.values():
        changed, stays = moment.after(edit, bases["decoder"], steps=20)
        assert np.nanmin(changed) == 1 and stays.min() == 1
    for name, dose, expected in (("decoder", 0.3, 0), ("decoder", 0.7, 1), ("random", 1, 0)):
        changed, _ = moment.after(flipped, bases[name], steps=20, dose=dose)
        assert changed.mean() == pytest.approx(expected, abs=0.2), (name, dose)


def test_shuffled_names_give_no_counterfactual():
    _, moment = moment_of(PlantedLinear(), TASK, settle=4)
    decoder = coordinates(moment, np.random.default_rng(0))["decoder"]
    shuffled = decoder._replace(decode=np.roll(decoder.decode, 1, 0), basis=np.roll(decoder.basis, 1, 1))
    changed, stays = moment.after(flipped, shuffled, steps=20)
    assert changed.mean() < 0.3 and stays.mean() < 0.9


def test_the_invariant_part_is_all_that_matters():
    """Exchanged, it exchanges the futures; kept, it suffices; removed, nothing is left but the centre."""
    _, moment = moment_of(PlantedLinear(0.4), TASK, settle=4, n=40)
    network = moment.network
    projection = spectral_projection(network.linear.recurrent, network.truth.rank)

    def accuracy(states, **options):
        return moment.accuracy(moment.continued(states, 30), **options).mean()

    assert accuracy(moment.states) == accuracy(moment.kept(projection)) == 1
    assert accuracy(moment.exchanged(projection), of_donors=True) == 1
    assert accuracy(moment.exchanged(projection)) == pytest.approx(0.5, abs=0.15)
    assert moment.continued(moment.removed(projection), 30).abs().max() < 1e-9
    assert moment.continued_without(projection, 30).abs().max() < 1e-9
    np.testing.assert_allclose(moment.removed(np.eye(HIDDEN)), moment.centres[:1].repeat(40, 0))


def test_removal_at_each_step_agrees_with_a_loop():
    torch.manual_seed(0)
    model = GRU(TASK.spec, hidden=9).eval()
    _, moment = moment_of(model, TASK, settle=2)
    projection = np.diag(np.arange(9.0) < 4)
    outputs = moment.continued_without(projection, 7)
    assert len(moment.centres) == TASK.s
    with torch.no_grad():
        state = torch.tensor(moment.states).float()
        for t in range(7):
            if t < TASK.s:
                state[:, :4] = torch.tensor(moment.centres[t, :4]).float()
            output, state = model.step(torch.zeros(len(state), TASK.d), state)
            torch.testing.assert_close(outputs[:, t], output)


def findings(model, task, folder, **options):
    options = {
        "sequences": 40,
        "horizon": 40,
        "flip_horizon": 12,
        "draws": 3,
        "dose_sequences": 5,
        "tolerance": 0.2,
    } | options
    return Causal(**options).run(FakeRun(task, model, model), Artifacts(folder), np.random.default_rng(0))


def test_claims_hold_for_a_planted_network(tmp_path):
    """Of a nonlinear one; a random direction and random subspaces are the controls."""
    found = findings(planted_rnn(), COPY, tmp_path)
    assert {slug: claim.holds for slug, claim in found.claims.items()} == dict.fromkeys(
        ("ablation_invariant", "ablation_random", "exchange", "flip"), True
    )
    assert found.scalars["decoder_flip_worst"] == found.scalars["decoder_swap_worst"] == 1
    assert found.claims["flip"].null < 0.1
    assert found.scalars["invariant_exchanged_donor"] == 1 and found.scalars["dimension"] == 12
    for figure in Causal().figures(Artifacts(tmp_path)).values():
        check_figure(figure)


def test_no_claim_holds_for_an_untrained_network(tmp_path):
    torch.manual_seed(0)
    found = findings(RNN(COPY.spec, hidden=HIDDEN).eval(), COPY, tmp_path)
    assert found.claims and not any(claim.holds for claim in found.claims.values())


def test_too_few_sequences_support_no_claim(tmp_path):
    found = findings(planted_rnn(), COPY, tmp_path, sequences=29)
    assert not found.claims and "too_few_sequences" in found.notes


def test_a_rule_without_signs_is_refused():
    class Averages(RepeatCopy):
        def ground_truth(self):
            return CompanionMatrix(np.full((2, 1), 0.5))

    with pytest.raises(ConfigError, match="copies past cells with signs") as caught:
        Causal().check("causal", "averages", Averages(), "analysis.causal")
    assert caught.value.key == "analysis.causal"
    Causal().check("causal", "repeat_copy", COPY, "analysis.causal")
