"""TRAK, influence functions, neighbours and representer points against slow references, and planted duplicates."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from recorded_trainings import recipe_of, recorded, trajectory_of
from torch import nn
from torch.func import functional_call

from mechlab.core.errors import ConfigError
from mechlab.core.loss import BernoulliLoss, CrossEntropy, MeanSquaredError, SigmoidSquaredError
from mechlab.core.model import StaticModel
from mechlab.core.task import Batch, FiniteTask, TaskSpec
from mechlab.kernels import gradient_dot, influence, nearest, representer, trak
from mechlab.kernels.explained import Explained
from mechlab.kernels.influence_functions import gauss_newton, output_noise, solved, uniform_shape
from mechlab.kernels.projections import RandomProjection

ADAMW = partial(torch.optim.AdamW, lr=0.02, weight_decay=0.5)
SGD = partial(torch.optim.SGD, lr=0.1)


class Points(FiniteTask):
    """Random points, and their classes or numbers by a random linear map."""

    def __init__(self, loss="cross_entropy", outputs=3, n=24):
        self.n = n
        self.spec = TaskSpec(inputs=4, outputs=outputs, kind="static", loss=loss, shape=(4,))

    def examples(self, split):
        rng = torch.Generator().manual_seed(["train", "val", "test"].index(split))
        inputs = torch.randn(self.n, 4, generator=rng)
        scores = inputs @ torch.randn(4, self.spec.outputs, generator=torch.Generator().manual_seed(9))
        targets = scores.argmax(1) if self.spec.loss.indices else scores
        return Batch(inputs, targets, None, torch.arange(self.n))


class Network(StaticModel):
    """Two linear layers with a normalisation between them, of which no layer can be captured."""

    def __init__(self, spec, hidden=6):
        super().__init__(spec)
        self.first, self.norm, self.last = nn.Linear(4, hidden), nn.LayerNorm(hidden), nn.Linear(hidden, spec.outputs)

    def forward(self, inputs):
        return self.last(torch.tanh(self.norm(self.first(inputs))))


class Perceptron(StaticModel):
    """Two linear layers."""

    def __init__(self, spec):
        super().__init__(spec)
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, spec.outputs)

    def forward(self, inputs):
        return self.last(torch.tanh(self.first(inputs)))


class Line(StaticModel):
    """One linear layer."""

    def __init__(self, spec):
        super().__init__(spec)
        self.line = nn.Linear(4, spec.outputs)

    def forward(self, inputs):
        return self.line(inputs)


def trained(optimizer=ADAMW, **options):
    recipe = recipe_of(optimizer, **options)
    return recipe, trajectory_of(recipe, recorded(recipe))


def of_points(model=Network, loss="cross_entropy", optimizer=ADAMW, **options):
    return trained(optimizer, task=Points(loss, **options), model=model, steps=10)


def double(batch):
    return batch.to("cpu", torch.float64)


def slow_gradients(trajectory, batch, function):
    """Return the gradient (B, P) of a function of (log-probabilities or outputs, target) of each example."""
    functional = trajectory.functional
    theta = trajectory.state(trajectory.steps).theta
    rows = []
    for i in range(len(batch)):
        parameters = {n: v.clone().requires_grad_() for n, v in functional.layout.split(theta).items()}
        outputs = functional_call(functional.model, parameters, (batch.inputs[i : i + 1],))[0]
        rows.append(
            functional.layout.join(
                dict(
                    zip(
                        parameters,
                        torch.autograd.grad(function(outputs, batch.targets[i]), list(parameters.values())),
                        strict=True,
                    )
                )
            )
        )
    return torch.stack(rows)


def log_odds(outputs, target):
    others = torch.arange(len(outputs)) != target
    return outputs[target] - outputs[others].logsumexp(-1)  # log p - log (1 - p), to all digits


def test_trak_is_ridge_regression_on_margins():
    recipe, trajectory = trained()
    data, batch = double(recipe.task.examples("train")), double(recipe.task.examples("val")[:3])
    features, directions = slow_gradients(trajectory, data, log_odds), slow_gradients(trajectory, batch, log_odds)
    theta = trajectory.state(trajectory.steps).theta
    parameters = trajectory.functional.layout.split(theta)
    outputs = functional_call(trajectory.functional.model, parameters, (data.inputs,))
    wrong = torch.stack([(-log_odds(*pair)).sigmoid() for pair in zip(outputs, data.targets, strict=True)])  # 1 - p
    for dimensions in (8, 40):  # below and above the number of examples
        projection = RandomProjection(len(theta), dimensions, seed=5)
        F, h = projection(features), projection(directions)
        eigenvalues = torch.linalg.eigvalsh(F.T @ F)
        damping = 0.3 * eigenvalues.sum() / min(F.shape)
        expected = h @ torch.linalg.inv(F.T @ F + damping * torch.eye(dimensions, dtype=F.dtype)) @ F.T * wrong
        found = trak(trajectory, batch, "margin", dimensions=dimensions, damping=0.3, seed=5, memory=10**5)
        np.testing.assert_allclose(found[:, 0], expected.numpy(), rtol=1e-7, atol=1e-10)


def test_trak_averages_checkpoints_and_needs_no_projection_of_a_small_network():
    recipe, trajectory = of_points()
    batch = recipe.task.examples("val")[:2]
    one = trak(trajectory, batch, dimensions=10**6)
    np.testing.assert_allclose(one, trak(trajectory, batch, checkpoints=[10], dimensions=10**6, seed=7))
    both = trak(trajectory, batch, checkpoints=[5, 10], dimensions=10**6)
    assert np.isfinite(both).all() and np.abs(both - one).max() > 1e-6
    with pytest.raises(ConfigError, match="checkpoints"):
        trak(trajectory, batch, checkpoints=[11])


@pytest.mark.parametrize("loss", [CrossEntropy(), MeanSquaredError(), BernoulliLoss(), SigmoidSquaredError()])
def test_noise_has_the_hessian_of_the_loss_as_its_covariance(loss):
    rng = torch.Generator().manual_seed(0)
    outputs = torch.randn(1, 4, 3, generator=rng, dtype=torch.float64)
    targets = torch.randint(3, (1, 4), generator=rng) if loss.indices else torch.rand(1, 4, 3, generator=rng).double()
    mask = torch.tensor([[True, True, False, True]])
    hessian = torch.autograd.functional.hessian(lambda o: loss.examples(o, targets, mask).sum(), outputs).view(12, 12)
    sizes, vectors = torch.linalg.eigh(hessian)
    expected = vectors @ (sizes.clamp_min(0)[:, None] * vectors.T)
    many = Batch(*(v.expand(20000, *v.shape[1:]) for v in (outputs, targets, mask)), torch.zeros(20000).long())
    uniform = torch.rand(uniform_shape(loss, many.inputs), generator=rng, dtype=torch.float64)
    noise = output_noise(loss, many.inputs, many, uniform).flatten(1)
    assert (noise.T @ noise / 20000 - expected).abs().max() < 0.05 * expected.abs().max()


def test_blocks_are_those_of_a_slow_computation():
    """Eigenvectors of both covariances, and mean squares of the gradients in them, from single noise gradients."""
    recipe, trajectory = of_points()
    functional, data = trajectory.functional, double(recipe.task.examples("train"))
    theta = trajectory.state(trajectory.steps).theta
    blocks = gauss_newton(functional, theta, data, seed=4)
    loss, outputs = functional.spec.loss, functional.outputs(functional.layout.split(theta), data)
    uniform = torch.from_numpy(np.random.default_rng(4).random(uniform_shape(loss, outputs)))
    noise = output_noise(loss, outputs, data, uniform)
    rows = torch.stack(
        [slow_gradients(trajectory, data[i : i + 1], lambda o, _, i=i: o @ noise[i])[0] for i in range(len(data))]
    )
    places = functional.layout.places
    dense = torch.zeros(len(theta), len(theta), dtype=theta.dtype)
    for layer in ("first", "last"):
        weight, bias = (rows[:, places[f"{layer}.{kind}"]] for kind in ("weight", "bias"))
        G = torch.cat([weight.view(len(data), bias.shape[1], -1), bias[..., None]], 2)  # (N, out, in + 1), of rank one
        left = torch.linalg.eigh((bias[:, :, None] * bias[:, None]).sum(0))[1]
        inputs = torch.stack([(g.T @ b) / (b @ b) for g, b in zip(G, bias, strict=True)])
        right = torch.linalg.eigh(inputs.T @ inputs)[1]
        values = (left.T @ G @ right).square().mean(0)
        basis = torch.einsum("ab,cd->acbd", left, right).reshape(values.numel(), -1)
        own = basis @ torch.diag(values.flatten()) @ basis.T + 0.2 * values.mean() * torch.eye(values.numel())
        index = torch.arange(len(theta))
        index = torch.cat(
            [index[places[f"{layer}.weight"]].view(bias.shape[1], -1), index[places[f"{layer}.bias"]][:, None]], 1
        ).flatten()
        dense[index[:, None], index] = own
    other = torch.cat([torch.arange(len(theta))[places[f"norm.{kind}"]] for kind in ("weight", "bias")])
    values = rows[:, other].square().mean(0)
    dense[other, other] = values + 0.2 * values.mean()
    directions = torch.randn(3, len(theta), generator=torch.Generator().manual_seed(1), dtype=theta.dtype)
    expected = torch.linalg.solve(dense, directions.T).T
    np.testing.assert_allclose(solved(blocks, directions, 0.2).numpy(), expected.numpy(), rtol=1e-5, atol=1e-5)


def exact(trajectory, data, directions, damping):
    """Return (G + d)^-1 times directions with the Gauss-Newton matrix from Jacobians and Hessians of single examples,
    and d = damping times its mean eigenvalue."""
    functional, P = trajectory.functional, trajectory.functional.layout.size
    theta, total = trajectory.state(trajectory.steps).theta, torch.zeros(P, P, dtype=torch.float64)
    for i in range(len(data)):
        one = data[i : i + 1]
        J = torch.autograd.functional.jacobian(
            lambda t, one=one: functional.outputs(functional.layout.split(t), one)[0], theta
        )
        outputs = functional.outputs(functional.layout.split(theta), one)
        H = torch.autograd.functional.hessian(
            lambda o, one=one: functional.spec.loss.examples(o, one.targets).sum(), outputs
        )
        total += J.T @ H.view(J.shape[0], -1) @ J / len(data)
    return torch.linalg.solve(total + damping * total.diagonal().mean() * torch.eye(P), directions.T).T


def test_squared_errors_of_one_layer_have_an_exact_factorisation():
    recipe, trajectory = of_points(Line, "mse", SGD)
    data = double(recipe.task.examples("train"))
    theta = trajectory.state(trajectory.steps).theta
    directions = torch.randn(4, len(theta), generator=torch.Generator().manual_seed(1), dtype=theta.dtype)
    blocks = gauss_newton(trajectory.functional, theta, data, samples=200)
    expected = exact(trajectory, data, directions, 0.1)
    assert (solved(blocks, directions, 0.1) - expected).norm() < 0.1 * expected.norm()


def test_influence_is_closer_to_the_exact_one_than_inner_products_are():
    recipe, trajectory = of_points(Perceptron, n=60)
    functional, data, batch = (
        trajectory.functional,
        double(recipe.task.examples("train")),
        double(recipe.task.examples("val")[:4]),
    )
    theta = trajectory.state(trajectory.steps).theta
    directions = exact(trajectory, data, Explained(functional, batch, "target").gradients(theta), 0.1)
    expected = directions @ Explained(functional, data, "target").gradients(theta).T / len(data)
    found = influence(trajectory, batch, samples=50)[:, 0]
    plain = gradient_dot(trajectory, batch)[:, 0]
    agreement = [
        np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(scores, expected.numpy(), strict=True)])
        for scores in (found, plain)
    ]
    assert agreement[0] > 0.92 and agreement[0] > agreement[1] + 0.05
    np.testing.assert_allclose(influence(trajectory, batch, samples=50, memory=10**5)[:, 0], found, rtol=1e-6)


def test_influence_on_the_transformer_does_not_depend_on_blocks_of_work():
    """Embedding, stacked projections without bias and layers with one: all parameters have a place in one block."""
    recipe, trajectory = trained()
    data = double(recipe.task.examples("train"))
    blocks = gauss_newton(trajectory.functional, trajectory.state(trajectory.steps).theta, data)
    places = torch.cat([block.places.flatten() for block in blocks])
    assert torch.equal(places.sort()[0], torch.arange(trajectory.functional.layout.size))
    batch = recipe.task.examples("val")[:2]
    whole = influence(trajectory, batch, "all")
    assert np.isfinite(whole).all()
    np.testing.assert_allclose(influence(trajectory, batch, "all", memory=10**6), whole, rtol=1e-6, atol=1e-9)


@pytest.mark.ci
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_influence_is_that_of_kronfluence(tmp_path):
    """Of linear layers with enough random labels, up to the number of examples, by which it does not divide."""
    analyzer = pytest.importorskip("kronfluence.analyzer")
    from kronfluence.arguments import FactorArguments, ScoreArguments
    from kronfluence.task import Task
    from torch.utils.data import TensorDataset

    class Labels(Task):
        def compute_train_loss(self, batch, model, sample=False):
            outputs = model(batch[0])
            drawn = torch.multinomial(outputs.detach().softmax(-1), 1).flatten() if sample else batch[1]
            return nn.functional.cross_entropy(outputs, drawn, reduction="sum")

        def compute_measurement(self, batch, model):
            return self.compute_train_loss(batch, model)

    recipe, trajectory = of_points(Perceptron, n=60)
    model = recipe.model()
    model.load_state_dict(trajectory.record.params(10))
    model, task = analyzer.prepare_model(model.float(), Labels()), Labels()
    data, batch = recipe.task.examples("train"), recipe.task.examples("val")[:4]
    explained, single = (TensorDataset(b.inputs, b.targets) for b in (batch, data))
    many = TensorDataset(data.inputs.repeat(100, 1), data.targets.repeat(100))
    options = {"cpu": True, "disable_tqdm": True, "disable_model_save": True, "output_dir": str(tmp_path)}
    reference = analyzer.Analyzer("reference", model, task, **options)
    factors = FactorArguments(strategy="ekfac")
    reference.fit_all_factors("factors", many, per_device_batch_size=500, factor_args=factors)
    sizes = {"per_device_query_batch_size": 4, "per_device_train_batch_size": 60}
    damped = ScoreArguments(damping_factor=None)  # .1 of the mean eigenvalue
    reference.compute_pairwise_scores("scores", "factors", explained, single, score_args=damped, **sizes)
    expected = reference.load_pairwise_scores("scores")["all_modules"].numpy() / 60
    found = influence(trajectory, batch, samples=100)[:, 0]
    for mine, theirs in zip(found, expected, strict=True):
        assert np.corrcoef(mine, theirs)[0, 1] > 0.999
        assert np.abs(mine).sum() == pytest.approx(np.abs(theirs).sum(), rel=0.1)


def test_representer_values_are_inner_products_in_the_last_layer():
    recipe, trajectory = of_points()
    data, batch = double(recipe.task.examples("train")), double(recipe.task.examples("val")[:3])
    places = trajectory.functional.layout.places
    last = slice(places["last.weight"].start, places["last.bias"].stop)
    own = lambda outputs, target: outputs.log_softmax(-1)[target]  # noqa: E731
    left, right = (slow_gradients(trajectory, b, own)[:, last] for b in (batch, data))
    np.testing.assert_allclose(representer(trajectory, batch)[:, 0], (left @ right.T / len(data)).numpy(), rtol=1e-9)


def test_the_nearest_training_example_is_its_copy():
    recipe, trajectory = of_points()
    data = recipe.task.examples("train")
    found = nearest(trajectory, data)[:, 0]
    same = (data.targets[:, None] == data.targets).numpy()
    np.testing.assert_allclose(np.diag(found), 2 / 3)  # cosine 1, for the same one of three classes
    assert (found.argmax(1) == np.arange(len(data))).all()
    functional, theta = trajectory.functional, trajectory.state(trajectory.steps).theta
    functional.model.load_state_dict(functional.layout.split(theta))
    with torch.no_grad():
        hidden = torch.tanh(functional.model.norm(functional.model.first(double(data).inputs))).numpy()
    cosines = hidden @ hidden.T / np.linalg.norm(hidden, axis=1) / np.linalg.norm(hidden, axis=1)[:, None]
    np.testing.assert_allclose(found, cosines * (same - 1 / 3), atol=1e-12)
    with pytest.raises(ConfigError, match="outputs=target or margin"):
        nearest(trajectory, data, "all")


@pytest.mark.ci
def test_with_numbers_as_targets_all_methods_give_numbers():
    recipe, trajectory = of_points(loss="mse")
    batch = recipe.task.examples("val")[:2]
    for method in (trak, influence, nearest, representer):
        assert np.isfinite(method(trajectory, batch)).all()
