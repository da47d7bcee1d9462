"""The search for the smallest perfect recurrent network: sizes that are known to be least, and negative controls."""

from __future__ import annotations

import pytest
import torch

from mechlab.core.errors import ConfigError
from mechlab.core.state import load_weights
from mechlab.core.task import Batch
from mechlab.distill.recurrent.attempts import Attempting, Examples
from mechlab.distill.recurrent.batched_networks import BatchedNetworks, Sizes
from mechlab.distill.recurrent.estimating import estimated_seconds
from mechlab.distill.recurrent.smallest import SmallestSearch
from mechlab.models.smallest_mlp_rnn import SmallestMLPRNN
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


def test_the_model_takes_the_network_that_was_found_and_prints_the_sizes(capsys):
    task = Mips("bitwise_not")
    batch = task.generate(3000, "train", generator())
    model = SmallestMLPRNN(task.blueprint(), starts=8, steps=200, tries=1)
    model.solve(batch, generator(7))
    printed = capsys.readouterr().out
    assert "searching for the smallest network: about" in printed
    assert f"smallest perfect network: hidden {model.hidden}, f of 1" in printed
    test = task.generate(500, "test", generator(8))
    with torch.no_grad():
        outputs = model(test.inputs).outputs
    assert torch.equal(outputs.round(), test.targets)
    fresh = SmallestMLPRNN(task.blueprint())
    load_weights(fresh, model.state_dict())
    with torch.no_grad():
        assert torch.equal(fresh(test.inputs).outputs, outputs)
    assert fresh.hidden == model.hidden


def test_few_examples_are_refused():
    task = Mips("sum")
    few = task.generate(20, "train", generator())
    with pytest.raises(ConfigError, match="must be at least 64"):
        SmallestMLPRNN(task.blueprint()).solve(Batch(few.inputs, few.targets, None, few.index), generator())
