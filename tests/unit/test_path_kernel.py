"""Path kernels against a slow dense account, for every optimizer, and what must hold of any account."""

from __future__ import annotations

import weakref
from functools import partial

import numpy as np
import pytest
import torch
from recorded_trainings import Noisy, Permuted, recipe_of, recorded, shuffled, trajectory_of
from reference_path_kernel import reference
from small_tasks import Echo, Ragged, small_recipe, train
from torch import nn

from mechlab.core.errors import ConfigError, NotRecorded, ReplayDiffers
from mechlab.core.update_equations import equations_of
from mechlab.kernels import Arrays, gradient_dot, metagradient, path_kernel, recomputed_states, tracin
from mechlab.kernels.backward import PathKernelBackward
from mechlab.kernels.decomposition import PathKernelSettings
from mechlab.kernels.explained import Explained
from mechlab.kernels.inner import InnerProducts
from mechlab.kernels.quadrature import Quadrature
from mechlab.kernels.trajectory import Trajectory
from mechlab.models.transformer1 import Transformer1
from mechlab.record.run import Run
from mechlab.tasks.modular_addition import ModularAddition

ADAMW = partial(torch.optim.AdamW, lr=0.02, betas=(0.9, 0.98), weight_decay=0.5)
SGD = partial(torch.optim.SGD, lr=0.05, momentum=0.9)
CASES = {  # optimizer, largest batch, options of the recipe
    "adamw, full batch": (ADAMW, None, {}),
    "adamw, batches": (ADAMW, 6, {}),
    "adam, coupled decay, clipped": (partial(torch.optim.Adam, lr=0.02, weight_decay=0.1), 6, {"clip": 0.5}),
    "sgd": (partial(torch.optim.SGD, lr=0.3, weight_decay=0.01), 6, {}),
    "momentum": (SGD, 6, {}),
    "dampening": (partial(SGD, dampening=0.3, weight_decay=0.02), 6, {"clip": 0.3}),
    "nesterov": (partial(SGD, nesterov=True, weight_decay=0.02), 6, {}),
}
N = len(ModularAddition(5, tokens="expression").examples("train"))


@pytest.fixture(scope="module")
def case():
    """Return a function from a case's name to its recipe and its recorded training, made once."""
    made = {}

    def get(name):
        if name not in made:
            optimizer, size, options = CASES[name]
            recipe = recipe_of(optimizer, **options)
            made[name] = recipe, recorded(recipe, shuffled(N, recipe.max_steps, size))
        return made[name]

    return get


def explained(recipe):
    return recipe.task.examples("val").to("cpu", recipe.dtype)[:2]


def close(found, expected, tolerance=1e-10):
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max() + 1e-15


@pytest.mark.parametrize("name", CASES)
def test_every_line_is_that_of_the_dense_account(case, name):
    recipe, arrays = case(name)
    trajectory, batch = trajectory_of(recipe, arrays), explained(recipe)
    S, layout = trajectory.steps, trajectory.functional.layout
    names = layout.names
    dense = reference(recipe, arrays, batch.inputs, lambda out: out.log_softmax(-1), 2, names, N)
    found = path_kernel(trajectory, batch, nodes=2, bins=range(S), view="path", groups={n: [n] for n in names})
    close(found.influence, dense["influence"].sum(0))
    close(found.influence_by_bin, dense["influence"])  # by (example, path step)
    close(found.scores, dense["scores"])
    close(found.by_tensor["data"], layout.sums(dense["scores"]))
    close(sum(found.influence_by_group.values()), found.influence)
    close(np.stack([found.influence_by_group[n].sum(-1) for n in names], -1), found.by_tensor["data"])
    close(found.decay, dense["decay"].sum(0))
    close(found.clipping, dense["clipping"].sum(0))
    close(found.by_step["change"] - found.by_step["quadrature"], dense["inner"])
    close(
        found.by_step["path"].sum(0),
        dense["influence"].sum((0, -1))
        + dense["clipping"].sum(0)
        + (dense["decay"].sum(0) if not name.startswith("adamw") else 0),
    )
    assert np.abs(found.completeness).max() < 1e-12
    assert np.abs(found.arithmetic).max() < 1e-12
    assert (np.abs(found.clipping).max() > 1e-3) == (recipe.clip is not None)


@pytest.mark.parametrize("name", ["adamw, batches", "nesterov"])
def test_both_views_have_the_same_totals(case, name):
    recipe, arrays = case(name)
    trajectory, batch = trajectory_of(recipe, arrays), explained(recipe)
    edges = [0, 3, 7]
    by_gradient, by_path = (
        path_kernel(trajectory, batch, "target", nodes=1, bins=edges, view=view) for view in ("gradient", "path")
    )
    close(by_gradient.influence, by_path.influence)
    assert not np.allclose(by_gradient.influence_by_bin, by_path.influence_by_bin, rtol=0.1)
    parts = np.stack([part.sum(0) for part in np.split(by_gradient.by_step["data"], edges[1:])])
    close(by_gradient.influence_by_bin.sum(-1), parts)


def test_influence_follows_the_example_not_its_place_in_the_batch(case):
    """With full batches in a new order at every step, the account is that of batches in one order. It is not when
    columns are taken for places in the batch."""
    recipe, arrays = case("adamw, full batch")
    batch = explained(recipe)
    ordered = recorded(recipe, [torch.arange(N)] * recipe.max_steps)
    found = path_kernel(trajectory_of(recipe, arrays), batch, "target", nodes=2)
    expected = path_kernel(trajectory_of(recipe, ordered), batch, "target", nodes=2)
    close(found.influence, expected.influence, 1e-8)  # the sum over a batch depends on its order in the last bits
    scrambled = expected.influence[..., arrays.batches[-1].numpy()]
    assert abs(np.corrcoef(found.influence.ravel(), scrambled.ravel())[0, 1]) < 0.5


def test_a_permutation_of_the_training_set_permutes_the_influences(case):
    recipe, arrays = case("adamw, batches")
    batch, order = explained(recipe), torch.randperm(N, generator=torch.Generator().manual_seed(5))
    place = order.argsort()  # where the examples of old ids are now
    other = recipe_of(ADAMW, task=Permuted(recipe.task, order))
    moved = recorded(other, [place[ids] for ids in arrays.batches])
    found = path_kernel(trajectory_of(other, moved), batch, "target", nodes=1)
    expected = path_kernel(trajectory_of(recipe, arrays), batch, "target", nodes=1)
    close(found.influence, expected.influence[..., order.numpy()], 1e-9)


@pytest.mark.ci
def test_adaptive_nodes_go_where_they_are_needed(case):
    """With a tolerance, every step's residual is below this share of the movement along it or, where that is larger,
    along the later steps on average, or the nodes are at their limit; memory decides nothing."""
    recipe, arrays = case("adamw, full batch")
    trajectory, batch = trajectory_of(recipe, arrays), explained(recipe)
    found = path_kernel(trajectory, batch, nodes=1, tolerance=1e-3, most_nodes=20)
    residuals, moved = (np.abs(found.by_step[name]) for name in ("quadrature", "change"))
    residuals, moved = residuals.max((1, 2)), moved.mean((1, 2))
    typical = np.array([max(moved[s], moved[s:].mean()) for s in range(len(moved))])
    assert ((residuals <= 1e-3 * typical) | (found.nodes >= 19)).all() and 1 < found.nodes.mean() < 19
    assert (found.evaluations == found.nodes).all()
    fixed = path_kernel(trajectory, batch, nodes=round(found.nodes.mean()))
    assert np.abs(found.residual).max() < 0.5 * np.abs(fixed.residual).max()
    best = path_kernel(trajectory, batch, nodes=40).influence
    assert np.abs(found.influence - best).max() < 0.5 * np.abs(fixed.influence - best).max()
    tight = path_kernel(trajectory, batch, nodes=1, tolerance=1e-3, most_nodes=20, memory=2**13)
    assert (tight.evaluations > tight.nodes).any()
    close(tight.influence.sum(), found.influence.sum(), 1e-2)


def test_the_secant_makes_the_account_complete_and_no_better(case):
    recipe, arrays = case("adamw, batches")
    trajectory, batch = trajectory_of(recipe, arrays), explained(recipe)
    plain, secant = (path_kernel(trajectory, batch, nodes=1, secant=on) for on in (False, True))
    assert np.abs(secant.residual).max() < 1e-13 < 1e-4 < np.abs(plain.residual).max()
    assert np.abs(secant.completeness).max() < 1e-12
    for found in (plain, secant):  # the residual without the correction
        close(found.by_step["uncorrected"], plain.by_step["quadrature"])
    assert 0 < np.abs(secant.influence - plain.influence).max() < 0.1 * np.abs(plain.influence).max()


@pytest.mark.parametrize("size", [None, 6])
def test_float32_accounts_are_those_of_float64(size):
    """A history in 32 bits is explained in 32 bits to their precision, and in 64 bits exactly: what rounding did to its
    updates is a line of its own."""
    recipe = recipe_of(ADAMW, dtype=torch.float32)
    arrays, batch = recorded(recipe, shuffled(N, recipe.max_steps, size)), explained(recipe)
    single = path_kernel(trajectory_of(recipe, arrays), batch, nodes=2)
    double = path_kernel(trajectory_of(recipe, arrays, torch.float64), batch.to("cpu", torch.float64), nodes=2)
    close(single.influence, double.influence, 1e-5)
    close(single.scores, double.scores, 1e-5)
    assert np.abs(single.completeness).max() < 1e-5
    assert np.abs(double.completeness).max() < 1e-12
    assert 1e-9 < np.abs(double.arithmetic).max() < 1e-5


def test_blocks_of_any_size_give_the_same_account(case):
    recipe, arrays = case("adam, coupled decay, clipped")
    trajectory, batch = trajectory_of(recipe, arrays), recipe.task.examples("val").to("cpu", recipe.dtype)
    seen = []
    whole = path_kernel(trajectory, batch, "margin", nodes=1)
    cut = path_kernel(trajectory, batch, "margin", nodes=1, memory=80_000, progress=lambda *done: seen.append(done))
    assert seen[-1][0] == seen[-1][1] > trajectory.steps  # several passes over the history
    for name in ("initial", "final", "influence", "decay", "clipping", "residual", "arithmetic", "scores"):
        close(getattr(cut, name), getattr(whole, name))
    for name in ("data", "decay"):
        close(cut.mass[name], whole.mass[name])


def test_the_mean_of_scalars_has_the_mean_account(case):
    """The mean loss of all inputs is one scalar; its account is the mean of theirs. A function of the outputs may be
    the same for every input, or mix them."""
    recipe, arrays = case("momentum")
    trajectory, batch = trajectory_of(recipe, arrays), explained(recipe)
    each = path_kernel(trajectory, batch, "target", nodes=1)
    mean = path_kernel(trajectory, batch, "loss", nodes=1)
    assert mean.influence.shape == (1, 1, N)
    close(mean.influence[0, 0], -each.influence[:, 0].mean(0))
    own = path_kernel(trajectory, batch, lambda out: out.log_softmax(-1)[range(len(out)), batch.targets[: len(out)]])
    whole = path_kernel(trajectory, batch, lambda out: out.log_softmax(-1).mean(0)[None], nodes=1)
    classes = path_kernel(trajectory, batch.inputs, "all", nodes=1)
    assert own.influence.shape == each.influence.shape
    close(whole.influence[0], classes.influence.mean(0))


def own(outputs, batch):
    return outputs.log_softmax(-1).gather(1, batch.targets[:, None])


@pytest.mark.parametrize("name", ["adamw, full batch", "sgd", "momentum", "nesterov"])
@pytest.mark.parametrize("options", [{}, {"memory": 80_000}])
def test_chosen_steps_are_explained_and_the_others_are_gaps(case, name, options):
    """Each term has a definition of its own: the gaps by forward passes, and the momentum at the first step of a range
    by its share of every later step of the range."""
    recipe, arrays = case(name)
    trajectory, batch = trajectory_of(recipe, arrays), explained(recipe)
    ranges = [(2, 4), (6, 9)]
    found = path_kernel(trajectory, batch, "target", nodes=1, steps=ranges, **options)
    assert found.steps.tolist() == [2, 3, 6, 7, 8]
    assert np.abs(found.completeness).max() < 1e-12
    whole = path_kernel(trajectory, batch, "target", nodes=1)
    assert not whole.earlier.any() and not whole.rest.any()
    for term in ("change", "quadrature"):
        close(found.by_step[term], whole.by_step[term][found.steps])
    scalars = Explained(trajectory.functional, trajectory.functional.placed(batch), "target")
    values = [scalars.values(trajectory.theta(step)).numpy() for step in range(trajectory.steps + 1)]
    close(found.gaps, [values[2] - values[0], values[6] - values[4], values[10] - values[9]])
    earlier = np.zeros((2, 1))
    for first, stop in ranges:
        momentum = trajectory.state(first).momentum
        for step in range(first, stop):
            start, end, (rate, decay) = trajectory.theta(step), trajectory.theta(step + 1), arrays.rates(step)
            second = trajectory.state(step + 1).second
            recursion = trajectory.rule.recursion(step, rate, decay, second)
            momentum = recursion.carry * momentum
            moved = -recursion.weight * recursion.into * momentum
            earlier += (scalars.gradients((start + end) / 2) @ moved)[:, None].numpy()
    close(found.earlier, earlier)
    assert (np.abs(earlier).max() > 1e-4) == (name != "sgd")
    if name == "sgd":
        dense = reference(
            recipe, arrays, batch.inputs, partial(own, batch=batch), 1, trajectory.functional.layout.names, N
        )
        close(found.influence, dense["influence"][found.steps].sum(0))


def test_norms_are_those_of_the_contributions_of_all_parameters(case):
    recipe, arrays = case("adamw, batches")
    trajectory, batch = trajectory_of(recipe, arrays), explained(recipe)
    found = path_kernel(trajectory, batch, nodes=1)
    scalars = Explained(trajectory.functional, trajectory.functional.placed(batch), "all")
    for step in (0, 4, 9):
        start, end, (rate, decay) = trajectory.theta(step), trajectory.theta(step + 1), arrays.rates(step)
        gradients = scalars.gradients((start + end) / 2)
        by_decay = gradients * (-rate * decay * start)
        for name, part in {"data": gradients * (end - start) - by_decay, "decay": by_decay}.items():
            assert found.norm[name][step] == pytest.approx(float(part.norm(dim=1).mean()))
            assert found.mass[name][step].sum() == pytest.approx(float(part.abs().sum(1).mean()))


USER_FUNCTIONS = {  # function -> the influence that it must give, from that on the own class (X, 1, N)
    "of each example": (own, lambda each, ids: each),
    "of an index": (lambda out, batch: own(out, batch) * batch.index[:, None], lambda each, ids: each * ids),
    "with an option": (lambda out, batch, twice=False: own(out, batch)[:, 0], lambda each, ids: each),
    "a difference": (
        lambda out, batch: own(out, batch)[1] - own(out, batch)[0],
        lambda each, ids: each[1:2] - each[:1],
    ),
    "one number": (lambda out, batch: own(out, batch).mean(), lambda each, ids: each.mean(0, keepdims=True)),
    "five": (lambda out, batch: own(out, batch).sum() * torch.arange(5.0), lambda each, ids: each.sum(0) * ids[:5]),
}


@pytest.mark.parametrize("name", USER_FUNCTIONS)
def test_a_function_gets_the_batch_and_returns_any_number_of_scalars(case, name):
    """Its account is the same function of the accounts of single examples, since it is linear in their scalars."""
    recipe, arrays = case("adamw, batches")
    trajectory, batch = trajectory_of(recipe, arrays), recipe.task.examples("val").to("cpu", recipe.dtype)[:3]
    outputs, expected = USER_FUNCTIONS[name]
    each = path_kernel(trajectory, batch, "target", nodes=1)
    found = path_kernel(trajectory, batch, outputs, nodes=1)
    close(found.influence, expected(each.influence, np.arange(5.0)[: 5 if name == "five" else 3, None, None]))
    assert np.abs(found.completeness).max() < 1e-12


def test_a_function_of_the_batch_needs_targets(case):
    recipe, arrays = case("adamw, batches")
    with pytest.raises(ConfigError, match="a function of outputs and batch needs targets"):
        path_kernel(trajectory_of(recipe, arrays), explained(recipe).inputs, own)


@pytest.mark.parametrize("options", [{}, {"memory": 80_000}])
def test_an_interrupted_sweep_goes_on(case, options):
    """The kept state suffices for a new object to end with the same bits."""
    recipe, arrays = case("nesterov")
    account = PathKernelSettings(Quadrature(nodes=1), limit=options.get("memory", 2**30))

    def backward():
        trajectory = trajectory_of(recipe, arrays)
        batch = trajectory.functional.placed(recipe.task.examples("val"))
        return PathKernelBackward(trajectory, Explained(trajectory.functional, batch, "target"), account)

    whole, first, second = backward(), backward(), backward()
    for done, total in first:
        if done == total * 2 // 3:
            break
    second.restore({name: value.clone() for name, value in first.state().items()})
    assert second.done == done
    for each in (whole, second):
        for _ in each:
            pass
    for name, value in second.state().items():
        assert torch.equal(value, whole.state()[name]), name
    assert np.abs(second.result().completeness).max() < 1e-12


REFUSED_MODELS = {
    "dropout": (lambda spec: Noisy(spec, nn.Dropout(0.5)), "dropout"),
    "batch statistics": (lambda spec: Noisy(spec, nn.BatchNorm1d(spec.outputs)), "buffers that change"),
    "half precision": (lambda spec: Noisy(spec, nn.Identity()).bfloat16(), "bfloat16"),
}


@pytest.mark.parametrize("name", REFUSED_MODELS)
def test_models_that_cannot_be_explained_are_refused(name):
    make, message = REFUSED_MODELS[name]
    recipe = recipe_of(ADAMW, steps=2)
    arrays = recorded(recipe)
    with pytest.raises(ConfigError, match=message) as caught:
        Trajectory.of_arrays(make(recipe.task.spec), recipe.task.spec, recipe.task.examples("train"), None, arrays)
    assert_tells_all(caught.value)


@pytest.mark.parametrize(
    "optimizer, message",
    [
        (partial(torch.optim.AdamW, amsgrad=True), "amsgrad"),
        (partial(torch.optim.SGD, lr=0.1, maximize=True), "maximize"),
        (torch.optim.RMSprop, "RMSprop"),
    ],
)
def test_optimizers_that_are_not_known_are_refused(optimizer, message):
    with pytest.raises(ConfigError, match=message) as caught:
        equations_of(optimizer([nn.Parameter(torch.zeros(1))]))
    assert_tells_all(caught.value)
    groups = [{"params": [nn.Parameter(torch.zeros(1))]} for _ in range(2)]
    with pytest.raises(ConfigError, match="2 parameter groups"):
        equations_of(torch.optim.SGD(groups, lr=0.1))


BAD_ARGUMENTS = {  # of path_kernel -> what the message says
    "no nodes": ({"nodes": 0}, "nodes must be a whole number of at least 1"),
    "negative nodes": ({"nodes": -3, "tolerance": 1e-3}, "nodes must be a whole number of at least 1"),
    "half a node": ({"nodes": 1.5}, "nodes must be a whole number of at least 1"),
    "no node at most": ({"tolerance": 1e-3, "most_nodes": 0}, "most_nodes must be"),
    "no tolerance": ({"tolerance": 0.0}, "tolerance must be a number above 0"),
    "NaN as tolerance": ({"tolerance": float("nan")}, "tolerance must be a number above 0"),
    "rule": ({"rule": "gauss"}, "rule must be midpoint"),
    "form": ({"form": "gem"}, "did you mean 'gemm'"),
    "view": ({"view": "paths"}, "view must be"),
    "late bins": ({"bins": [1, 4]}, "begin at 0"),
    "bins in disorder": ({"bins": [0, 4, 4]}, "increase"),
    "bins after the end": ({"bins": [0, 10]}, "at most 9"),
    "no range": ({"steps": []}, "steps must be ranges"),
    "ranges in disorder": ({"steps": [(4, 6), (1, 2)]}, "in order, with other steps between them"),
    "an empty range": ({"steps": [(4, 4)]}, "in order"),
    "steps after the end": ({"steps": [(4, 11)]}, "within the training, which has 10 steps"),
    "mask": ({"groups": {"some": torch.ones(3)}}, "shape \\(3,\\) in group some"),
    "name": ({"outputs": "targets"}, "did you mean 'target'"),
    "three axes": ({"outputs": lambda out: out[None]}, "shape \\(1, 2, 7\\)"),
    "no scalar": ({"outputs": lambda out: out[:, :0]}, "shape \\(2, 0\\)"),
    "whole numbers": ({"outputs": lambda out: out.argmax(-1)}, "int64"),
    "no tensor": ({"outputs": lambda out: 1.0}, "given: float"),
    "NaN": ({"outputs": lambda out: out[:, 0] * torch.nan}, "nan for scalar 0 of explained input 0"),
    "infinity": ({"outputs": lambda out: out / 0}, "inf for scalar 0"),
}


@pytest.mark.parametrize("name", BAD_ARGUMENTS)
def test_bad_arguments_are_refused_in_one_sentence(case, name):
    options, message = BAD_ARGUMENTS[name]
    recipe, arrays = case("adamw, batches")
    with pytest.raises(ConfigError, match=message) as caught:
        path_kernel(trajectory_of(recipe, arrays), explained(recipe), **({"outputs": "target", "nodes": 1} | options))
    assert_tells_all(caught.value)


def test_scalars_that_stop_being_numbers_on_the_way_are_refused(case):
    """They are numbers at the first parameters, which are tried beforehand, and not at the last."""
    recipe, arrays = case("adamw, batches")
    trajectory, batch = trajectory_of(recipe, arrays), explained(recipe)
    first = Explained(trajectory.functional, batch, lambda out: out).values(trajectory.state(0).theta)
    outputs = lambda out: out / torch.isclose(out, first[: len(out)]).all()  # noqa: E731
    backward = (path_kernel, metagradient)
    for attribute in backward:
        with pytest.raises(ConfigError, match="finite numbers at every step"):
            attribute(trajectory, batch, outputs)


def test_nothing_to_explain_and_nothing_to_explain_it_with_are_refused(case):
    recipe, arrays = case("adamw, batches")
    trajectory, batch = trajectory_of(recipe, arrays), explained(recipe)
    for attribute in (path_kernel, metagradient, tracin, gradient_dot):
        with pytest.raises(ConfigError, match="at least one explained input") as caught:
            attribute(trajectory, batch[:0], "target")
        assert_tells_all(caught.value)
    for attribute in (gradient_dot, partial(tracin, checkpoints=[1])):
        with pytest.raises(ConfigError, match="at least one training example"):
            attribute(trajectory, batch, data=batch[:0])
    for checkpoints in ([], [11], [-1]):
        with pytest.raises(ConfigError, match="steps from 0 to 10, one or more"):
            tracin(trajectory, batch, checkpoints=checkpoints)
    data, rule = recipe.task.examples("train"), equations_of(recipe.optimizer(recipe.model()))
    with pytest.raises(ConfigError, match="at least one training example"):
        Trajectory.of_arrays(recipe.model(), recipe.task.spec, data[:0], rule, arrays)
    empty = Arrays(**(vars(arrays) | {"batches": [*arrays.batches[:-1], torch.zeros(0, dtype=torch.int64)]}))
    with pytest.raises(NotRecorded, match="a batch must hold at least one example"):
        path_kernel(trajectory_of(recipe, empty), batch)


def test_parts_of_the_engine_refuse_what_they_would_not_compute(case):
    recipe, arrays = case("adamw, batches")
    trajectory, batch = trajectory_of(recipe, arrays), explained(recipe)
    theta = trajectory.state(0).theta
    with pytest.raises(ConfigError, match="at least one node"):
        Explained(trajectory.functional, batch, "target").mean_gradients([])
    with pytest.raises(ConfigError, match="form must be one of"):
        InnerProducts(trajectory.functional, "none")
    with pytest.raises(ConfigError, match="form must be one of"):
        InnerProducts(trajectory.functional)("auto", theta, batch, theta[None])


def test_histories_that_are_not_complete_are_refused(case):
    recipe, arrays = case("adamw, batches")
    parts = {name: getattr(arrays, name) for name in arrays.__dataclass_fields__}
    with pytest.raises(NotRecorded, match=r"S \+ 1 parameter sets"):
        trajectory_of(recipe, Arrays(**{**parts, "parameters": arrays.parameters[:-1]}))
    with pytest.raises(NotRecorded, match="optimizer state"):
        trajectory_of(recipe, Arrays(**{**parts, "states": [{} for _ in arrays.states]}))
    with pytest.raises(NotRecorded, match="fresh optimizer"):
        trajectory_of(recipe, Arrays(**{**parts, "states": arrays.states[1:] + arrays.states[-1:]}))
    with pytest.raises(NotRecorded, match="other examples"):
        moved = Arrays(**parts)
        trajectory = trajectory_of(recipe, moved)
        trajectory._batch = lambda step: recipe.task.examples("train")[:3]
        path_kernel(trajectory, explained(recipe), "target")


def test_a_state_that_was_not_kept_is_computed_again(case):
    recipe, arrays = case("adam, coupled decay, clipped")
    data, rule = recipe.task.examples("train"), equations_of(recipe.optimizer(recipe.model()))
    states = recomputed_states(recipe.model(), recipe.task.spec, data, rule, arrays, recipe.clip)
    for step in (1, len(states) - 1):
        for name, value in states[step].items():
            torch.testing.assert_close(value, arrays.states[step][name], rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("task, n", [(Ragged, 11), (Echo, 12)])
def test_a_recorded_run_of_sequences_is_explained(tmp_path, task, n):
    """Masks, groups of lengths, data without end, clipping and schedules come from the run itself."""
    run = train(tmp_path, small_recipe(task(), "adam", steps=4))
    batch = run.evaluation("val", 3).cropped()
    found = path_kernel(run, batch, "target", nodes=2, dtype=torch.float64)
    assert found.influence.shape == (3, 1, n)
    assert np.abs(found.completeness).max() < 1e-12 and np.abs(found.arithmetic).max() < 1e-5
    assert np.abs(found.residual).max() < 0.05 * np.abs(found.data).max()
    seen = np.unique(np.concatenate([run.history.batch_indices(step) for step in range(4)]))
    assert (np.abs(found.influence).max((0, 1))[seen] > 0).all()


def test_a_run_at_an_earlier_moment_is_explained_up_to_there(tmp_path):
    run = train(tmp_path, small_recipe(Ragged(), steps=6))
    batch = run.evaluation("val", 2).cropped()
    found = path_kernel(run.at(4), batch, "target", nodes=1, dtype=torch.float64)
    whole = path_kernel(run, batch, "target", nodes=1, dtype=torch.float64)
    assert len(found.nodes) == 4 and np.abs(found.completeness).max() < 1e-12
    close(found.by_step["change"], whole.by_step["change"][:4])
    with pytest.raises(ConfigError, match="at=best"):
        path_kernel(run.at("best"), batch)


@pytest.mark.parametrize("kind", ["sparse", "none"])
def test_a_run_without_every_step_is_refused(tmp_path, kind):
    run = train(tmp_path, small_recipe(Ragged(), steps=9), kind, 3)
    with pytest.raises(NotRecorded, match="every optimiser step") as caught:
        path_kernel(run, run.evaluation("val", 2))
    assert_tells_all(caught.value)


@pytest.mark.parametrize("kind", ["full", "replay"])
@pytest.mark.parametrize("change", ["code", "learning rate"])
def test_a_run_that_this_code_would_not_train_is_refused(tmp_path, monkeypatch, kind, change):
    """Replayed steps by their hash, recorded ones by their updates."""
    optimizer = partial(torch.optim.AdamW, lr=0.02)
    train(tmp_path, recipe_of(optimizer, steps=8), kind, 3)
    if change == "code":
        forward = Transformer1.attended
        monkeypatch.setattr(Transformer1, "attended", lambda model, x: 2 * forward(model, x))
    else:
        optimizer = partial(torch.optim.AdamW, lr=0.01)
    run = Run(tmp_path, lambda: recipe_of(optimizer, steps=8))
    if kind == "full" and change == "learning rate":  # the rates are those of the record
        assert np.abs(path_kernel(run, run.evaluation("val", 2), "target", nodes=1).completeness).max() < 1e-9
        return
    with pytest.raises(ReplayDiffers) as caught:
        path_kernel(run, run.evaluation("val", 2), "target", nodes=1)
    assert_tells_all(caught.value)


def assert_tells_all(error):
    """What must hold, what was given, where it came from and how to mend it."""
    text = str(error)
    assert error.must and all(word in text for word in ("given:", "key:", "fix:"))


def test_memory_does_not_grow_with_the_steps(case):
    """Of a history that is read from elsewhere, no more than the states around a step are alive at any time."""
    recipe, arrays = case("adamw, batches")
    alive, most = weakref.WeakSet(), 0

    class Reading:
        def __init__(self, states):
            self.states = states

        def __len__(self):
            return len(self.states)

        def __getitem__(self, step):
            if isinstance(step, slice):
                return Reading(self.states[step])
            nonlocal most
            found = {name: value.clone() for name, value in self.states[step].items()}
            alive.update(found.values())
            most = max(most, len(alive))
            return found

    parts = {name: getattr(arrays, name) for name in arrays.__dataclass_fields__}
    parts |= {name: Reading(parts[name]) for name in ("parameters", "states")}
    trajectory = trajectory_of(recipe, Arrays(**parts))
    most = 0
    backward = PathKernelBackward(
        trajectory, Explained(trajectory.functional, explained(recipe), "target"), PathKernelSettings(scores=False)
    )
    for _ in backward:
        pass
    assert most <= 3 * len(arrays.parameters[0])  # parameters and two moments of one step
