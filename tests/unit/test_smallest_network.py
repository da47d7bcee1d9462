"""The search for the smallest perfect recurrent network: sizes that are known to be least, and negative controls."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from mechlab.config.describe import describe
from mechlab.core.errors import ConfigError
from mechlab.core.state import load_weights
from mechlab.core.task import Batch
from mechlab.distill.recurrent.attempts import Attempting, Examples
from mechlab.distill.recurrent.batched_networks import BatchedNetworks, Sizes
from mechlab.distill.recurrent.estimating import estimated_seconds
from mechlab.distill.recurrent.smallest import SmallestSearch
from mechlab.jobs.run_analysis import found_in
from mechlab.models.mlp_rnn import MLPRNN
from mechlab.models.smallest_mlp_rnn import SmallestMLPRNN
from mechlab.record.saved_state import SavedState
from mechlab.tasks.mips import Mips


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def examples(name, n=4000):
    batch = Mips(name).generate(n, "train", generator())
    return Examples(batch.inputs, batch.targets)


def searched(name, **options):
    return SmallestSearch(examples(name), generator(1), **{"starts": 8, "steps": 200, "tries": 1} | options)


def test_parameters_for_the_integers_do_what_those_for_standardised_numbers_do():
    batch = Mips("newton_magnetic").generate(200, "train", generator())
    pool, networks = Examples(batch.inputs, batch.targets), BatchedNetworks(Sizes(4, 2, 2, 5, 6), 2, 2)
    weights = networks.draw(3, generator(2))
    raw = networks.forward(pool.unscaled(networks, weights).double(), batch.inputs.double().transpose(0, 1))
    expected = networks.forward(weights.double(), pool.x.double()) * pool.target_std + pool.target_mean
    torch.testing.assert_close(raw, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "sizes"), [("sum", Sizes(1, 1, 1)), ("diff_last2", Sizes(2, 1, 1)), ("bit_shift_right", Sizes(2, 1, 1))]
)
def test_linear_rules_need_their_order_and_no_more(name, sizes):
    """The Hankel matrix of a sum has rank 1, that of a difference or a delay by one rank 2."""
    search = searched(name)
    found = search.run()
    assert found.perfect and found.sizes == sizes
    assert search.attempts[-1].sizes.hidden <= sizes.hidden


@pytest.mark.ci
def test_an_absolute_value_needs_two_units():
    found = searched("abs_value", tries=2, starts=16, steps=400).run()
    assert found.perfect and found.sizes == Sizes(1, 2, 1, 2)


@pytest.mark.ci
def test_base_three_addition_needs_two_registers_and_three_units():
    """The digit and the carry, from the rectified sum and the two kinks of its step."""
    found = searched("base_3_addition", tries=2, starts=32, steps=400).run()
    assert found.perfect and found.sizes == Sizes(2, 2, 1, 3)


def test_no_network_is_perfect_on_targets_of_other_sequences():
    batch = Mips("parity_last2").generate(2000, "train", generator())
    shuffled = Examples(batch.inputs, batch.targets[torch.randperm(2000, generator=generator(5))])
    attempt = Attempting(shuffled, Sizes(4, 2, 1, 8), 8, 100, 1, generator(3)).run()
    assert not attempt.perfect and attempt.accuracy < 0.7


def test_an_attempt_depends_on_its_generator_alone():
    pool = examples("parity_last2", 1000)
    first, again, other = (Attempting(pool, Sizes(3, 2, 1, 6), 4, 60, 1, generator(seed)).run() for seed in (3, 3, 4))
    assert torch.equal(first.weights, again.weights) and not torch.equal(first.weights, other.weights)


def test_the_estimate_leaves_the_search_as_it_is():
    search, same = searched("sum"), searched("sum")
    least, most = estimated_seconds(search)
    assert 0 < least < most
    assert torch.equal(search.run().weights, same.run().weights)


class Interrupted(Exception):
    """Ends a search in the middle."""


def test_a_search_that_was_interrupted_goes_on_from_its_saved_attempts(tmp_path):
    """An exception after an attempt, before it is saved; the same network as without, and no saved attempt again."""
    whole, file = searched("sum_last3"), tmp_path / "work" / "solve.safetensors"
    expected, reported, after = whole.run(), [], 2

    def interrupt(attempt):
        reported.append(attempt)
        if len(reported) == after + 1:
            raise Interrupted

    with pytest.raises(Interrupted):
        searched("sum_last3", report=interrupt, saved=SavedState(file)).run()
    again = []
    resumed = searched("sum_last3", report=again.append, saved=SavedState(file))
    resumed.rng.manual_seed(77)  # the saved state of the generator replaces its own
    found = resumed.run()
    assert torch.equal(found.weights, expected.weights) and found.sizes == expected.sizes
    assert [attempt.sizes for attempt in resumed.attempts] == [attempt.sizes for attempt in whole.attempts]
    assert len(again) == len(whole.attempts) - after
    finished = searched("sum_last3", report=again.append, saved=SavedState(file))
    assert torch.equal(finished.run().weights, expected.weights) and len(again) == len(whole.attempts) - after
    SavedState(file).remove()
    assert not file.parent.exists()


def test_a_damaged_file_of_attempts_is_not_used(tmp_path):
    file = tmp_path / "solve.safetensors"
    expected = searched("sum", saved=SavedState(file)).run()
    file.write_bytes(file.read_bytes()[:-5])
    assert torch.equal(searched("sum", saved=SavedState(file)).run().weights, expected.weights)


def test_no_held_out_sequence_is_one_to_fit():
    """Of 3 ** 9 words many are drawn repeatedly; of few words all are to fit, and all are tested."""
    batch = Mips("add_mod_3", length=9).generate(20_000, "train", generator())
    pool = Examples(batch.inputs, batch.targets)
    words = [set(map(tuple, part.squeeze(2).T.tolist())) for part in pool.inputs.split(pool.fitted, 1)[:2]]
    assert len(words[0]) == pool.fitted and not words[0] & words[1]
    assert pool.inputs[:, pool.held_out].shape[1] == len(words[1])
    batch = Mips("parity").generate(20_000, "train", generator())
    few = Examples(batch.inputs, batch.targets)
    assert few.fitted == few.inputs[:, few.held_out].shape[1] == len(batch.inputs.unique(dim=0)) < 1024


def test_of_failed_attempts_the_best_on_all_held_out_sequences_is_taken():
    batch = Mips("parity_last2").generate(3000, "train", generator())
    shuffled = Examples(batch.inputs, batch.targets[torch.randperm(3000, generator=generator(5))])
    search = SmallestSearch(shuffled, generator(1), starts=2, steps=4, rounds=0, tries=1)
    found = search.run()
    inputs, targets = shuffled.inputs[:, shuffled.held_out], shuffled.targets[:, shuffled.held_out]
    shares = []
    for attempt in search.attempts:
        outputs = BatchedNetworks(attempt.sizes, 1, 1).forward(attempt.weights[None], inputs)[0]
        shares.append((outputs.round() == targets).double().mean().item())
    assert found.accuracy == pytest.approx(max(shares)) and not found.perfect
    assert torch.equal(found.weights, search.attempts[shares.index(max(shares))].weights)


def test_wide_networks_take_no_underdetermined_steps():
    """Levenberg-Marquardt has at least four targets for each parameter, or does not begin."""
    pool = examples("sum_last5", 3000)
    for width in (4, 16, 32, 64):
        attempting = Attempting(pool, Sizes(16, 2, 1, width), 1, 1, 1, generator())
        assert not attempting.refined or attempting.fitted_on * pool.length >= 4 * attempting.networks.count
    assert not attempting.refined


def test_the_model_takes_the_network_that_was_found_and_prints_the_sizes(capsys):
    task = Mips("bitwise_not")
    batch = task.generate(3000, "train", generator())
    model = SmallestMLPRNN(task.blueprint(), starts=8, steps=200, tries=1)
    model.solve(batch, generator(7))
    printed = capsys.readouterr().out
    assert "searching for the smallest network: about" in printed
    assert f"smallest perfect network: hidden {model.hidden}, f of 1" in printed
    assert f"smallest perfect network: {model.found}\n" in printed
    numbers = [line.split(":")[0] for line in printed.splitlines() if line.startswith("  ")]
    assert numbers == [f"  attempt {number}" for number in range(1, len(numbers) + 1)] and numbers
    test = task.generate(500, "test", generator(8))
    with torch.no_grad():
        outputs = model(test.inputs).outputs
    assert torch.equal(outputs.round(), test.targets)
    fresh = SmallestMLPRNN(task.blueprint())
    load_weights(fresh, model.state_dict())
    with torch.no_grad():
        assert torch.equal(fresh(test.inputs).outputs, outputs)
    assert fresh.hidden == model.hidden and fresh.found == model.found


def test_few_examples_are_refused():
    task = Mips("sum")
    few = task.generate(20, "train", generator())
    with pytest.raises(ConfigError, match="must be at least 64"):
        SmallestMLPRNN(task.blueprint()).solve(Batch(few.inputs, few.targets, None, few.index), generator())


def test_figures_name_the_network_that_was_found():
    """The model of another architecture is not even made."""
    task = Mips("sum")
    model = SmallestMLPRNN(task.blueprint())
    model.resize(MLPRNN(task.blueprint(), hidden=2, transition_width=2, readout_depth=1).state_dict())
    run = SimpleNamespace(
        recipe=SimpleNamespace(make_model=SimpleNamespace(target=SmallestMLPRNN)), model=lambda: model
    )
    sizes = "hidden 2, f of 2, width 2, g of 1, 17 parameters"  # (3 + 1) * 2 + (2 + 1) * 2 + (2 + 1) * 1
    assert found_in(run) == sizes
    config = {"name": "mips-smallest_mlp_rnn", "seed": 3, "model": {}, "task": {}}
    assert describe(config, found=sizes) == f"smallest_mlp_rnn on mips, seed 3; found: {sizes}"
    other = SimpleNamespace(recipe=SimpleNamespace(make_model=SimpleNamespace(target=MLPRNN)), model=None)
    assert found_in(other) == ""
