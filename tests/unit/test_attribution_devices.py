"""Attribution on another device than the CPU, on which tensors do not mix with those of the CPU; and the examples that
a training on a GPU has drawn."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from recorded_trainings import recipe_of, recorded
from small_tasks import Echo, Points, small_recipe, train

from mechlab.analyses.attribution.agreement import Agreement
from mechlab.analyses.attribution.balance import Balance
from mechlab.analyses.attribution.beyond_labels import BeyondLabels
from mechlab.analyses.attribution.checkpointed import Checkpointed
from mechlab.analyses.attribution.component_similarity import ComponentSimilarity
from mechlab.analyses.attribution.datamodel import Datamodel
from mechlab.analyses.attribution.explained_examples import ExplainedExamples
from mechlab.analyses.attribution.importance import Importance
from mechlab.analyses.attribution.periodicity import Periodicity
from mechlab.analyses.attribution.pruned_networks import PrunedNetworks
from mechlab.analyses.attribution.pruning import Pruning
from mechlab.analyses.attribution.reweighted_training import ReweightedTraining
from mechlab.analyses.datamodeling import Datamodeling
from mechlab.analyses.metagradient import Metagradient
from mechlab.analyses.path_kernel import PathKernel
from mechlab.contracts.devices import DEVICE, Generator, PretendedDevice, WrongDevice
from mechlab.core.device import arithmetic_device
from mechlab.core.errors import ConfigError
from mechlab.core.seeding import Streams, seed_of
from mechlab.core.task import Batch
from mechlab.core.update_equations import equations_of
from mechlab.kernels import gradient_dot, path_kernel, tracin
from mechlab.kernels.explained import Explained
from mechlab.kernels.quadrature import Quadrature
from mechlab.kernels.trajectory import Trajectory
from mechlab.record.history import History
from mechlab.record.recorder import Recorder

pytestmark = pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")  # there are no buffers

RECIPE = recipe_of(partial(torch.optim.AdamW, lr=0.02, weight_decay=0.5), steps=4, batch_size=6)
SGD = recipe_of(partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.1), steps=4, batch_size=6, clip=0.5)


def trajectory_on(device: str | torch.device, recipe=RECIPE) -> Trajectory:
    """A training that was recorded on the CPU, for arithmetic on a device."""
    model, data = recipe.model(), recipe.task.examples("train").to("cpu", recipe.dtype)
    rule = equations_of(recipe.optimizer(model))
    arrays = recorded(recipe)
    return Trajectory.of_arrays(model, recipe.task.spec, data, rule, arrays, recipe.clip, device=device)


def examples(trajectory: Trajectory) -> Batch:
    return trajectory.functional.placed(RECIPE.task.examples("val")[:3])


def everything(measure, recipe=RECIPE) -> tuple:
    """What is measured on the CPU, and on the pretended device."""
    here = measure(trajectory_on("cpu", recipe))
    with PretendedDevice():
        there = measure(trajectory_on(DEVICE, recipe))
    return here, there


@pytest.mark.parametrize("recipe", [RECIPE, SGD], ids=["adamw", "sgd"])
@pytest.mark.parametrize(
    "options",
    [
        {"form": "gemm", "groups": {"heads": ["head1_encoder.weight"]}, "bins": [0, 2]},
        {"form": "ghost"},
        {"form": "gemm", "outputs": "loss", "bins": [0, 2], "view": "path", "secant": True},
    ],
    ids=["groups", "ghost", "path"],
)
def test_the_path_kernel_is_the_same_and_stays_on_its_device(recipe, options):
    outputs = options.get("outputs", "target")
    options = {"nodes": 2, **options, "outputs": outputs}

    def measure(trajectory: Trajectory):
        groups = {"some": trajectory.functional.layout.names[:2]} if "groups" in options else None
        return path_kernel(trajectory, examples(trajectory), **(options | {"groups": groups}))

    here, there = everything(measure, recipe)
    for name in ("influence", "residual", "decay", "arithmetic", "scores", "influence_by_bin"):
        one, other = getattr(here, name), getattr(there, name)
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_allclose(other, one, atol=1e-12)
    assert here.influence.any()


@pytest.mark.ci
def test_baselines_are_the_same_on_another_device():
    for measure in (
        lambda trajectory: tracin(trajectory, examples(trajectory)),
        lambda trajectory: tracin(trajectory, examples(trajectory), checkpoints=[2, 4]),
        lambda trajectory: gradient_dot(trajectory, examples(trajectory)),
    ):
        here, there = everything(measure)
        np.testing.assert_allclose(there, here, atol=1e-12)
        assert here.any()


@pytest.mark.parametrize("method", ["path_kernel_total", "metagradient", "magnitude", "taylor", "fisher", "random"])
def test_importance_and_pruned_networks_are_the_same_on_another_device(tmp_path, method):
    reserved = torch.tensor([[1, 1, 0], [0, 1, 1]]).bool()

    def measure(trajectory: Trajectory) -> tuple[np.ndarray, np.ndarray]:
        batch, parts = examples(trajectory), Checkpointed(tmp_path / str(trajectory.functional.device))
        work = Importance(trajectory, batch, reserved, "all", Quadrature("midpoint", 1), 2**20, parts)
        found = work(method, np.random.default_rng(0)).cpu()
        ties = torch.arange(trajectory.functional.layout.size)
        pruned = PrunedNetworks(trajectory, batch, reserved, ("global",), [0.3], [], ties, 2**20)
        return found.numpy(), pruned.measure(found)["measures"].numpy()

    here, there = everything(measure)
    for one, other in zip(here, there, strict=True):
        np.testing.assert_allclose(other, one, atol=1e-10)
    assert here[0].any()


@pytest.mark.parametrize("analysis", [Pruning(device="cuda"), BeyondLabels(device="cuda")])
def test_the_device_of_an_analysis_is_that_of_its_trajectory(analysis, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(Trajectory, "of_run", lambda run, dtype, device: asked.append(device) or 1 / 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("mechlab.core.device.set_up_device", lambda accelerator: None)
    run = SimpleNamespace(history=SimpleNamespace(device="cpu"))
    with pytest.raises(ZeroDivisionError):
        analysis.run(run, None, np.random.default_rng(0))
    assert asked == ["cuda"]


@pytest.mark.parametrize("side_by_side", [True, False])
def test_retraining_happens_on_the_device_of_the_trajectory(side_by_side):
    removed = np.zeros((2, len(RECIPE.task.examples("train"))), bool)
    removed[1, :5] = True

    def measure(trajectory: Trajectory) -> np.ndarray:
        explained = Explained(trajectory.functional, examples(trajectory), "target")
        training = ReweightedTraining(RECIPE, trajectory, explained, 2**30, workers=1)
        train = training._repeated.training(2 if side_by_side else 1)
        weights = 1.0 - torch.as_tensor(removed, dtype=torch.float64)
        ends = [measured for part in weights.split(2 if side_by_side else 1) for *_, measured in [train(part)]]
        return np.stack([training.recorded(), *training._measured(torch.cat(ends)).cpu().numpy()])

    here, there = everything(measure)
    np.testing.assert_allclose(there, here, atol=1e-10)
    np.testing.assert_allclose(here[0], here[1], atol=1e-10)
    assert np.abs(here[2] - here[1]).max() > 1e-6


def test_the_pretended_device_notices_a_tensor_of_the_cpu():
    with PretendedDevice():
        trajectory = trajectory_on(DEVICE)
        with pytest.raises((WrongDevice, RuntimeError)):
            trajectory.functional.losses(
                trajectory.functional.layout.split(trajectory.theta(0).cpu()), examples(trajectory)
            )


class NoisyPoints(Points):
    """Inputs get noise at each step."""

    def augment(self, batch: Batch, rng: torch.Generator) -> Batch:
        noise = torch.randn(batch.inputs.shape, generator=rng, dtype=batch.inputs.dtype, device=rng.device)
        return replace(batch, inputs=batch.inputs + noise)


@pytest.mark.parametrize("task", [NoisyPoints, Echo])
def test_examples_come_from_the_generator_of_the_device_of_the_training(task, monkeypatch):
    """Whose random numbers are others than those of the CPU."""
    plain = Streams.torch

    def generator(streams: Streams, *name, device="cpu"):
        if torch.device(device) == DEVICE:
            return Generator(seed_of(streams.root, *name) + 1)
        return plain(streams, *name, device=device)

    monkeypatch.setattr(Streams, "torch", generator)
    monkeypatch.setattr(Echo, "generate", generate)
    recipe = small_recipe(task(), dtype=torch.float64)
    with PretendedDevice():
        trained = recipe.source(DEVICE).batch(3)
        read = recipe.source("cpu", drawn_on=DEVICE).batch(3)
        trained = trained.to("cpu")
    assert torch.equal(read.inputs, trained.inputs) and torch.equal(read.index, trained.index)
    assert not torch.equal(recipe.source("cpu").batch(3).inputs, trained.inputs)


def generate(self, n, split, rng):
    """Echo's examples on the device of the generator, mask and ids too."""
    inputs = torch.randn(n, 6, 2, generator=rng, device=rng.device)
    mask = torch.zeros(n, 6, dtype=torch.bool, device=rng.device)
    mask[:, 2:5] = True
    return Batch(inputs, inputs.roll(1, 1), mask, torch.arange(n, device=rng.device))


@pytest.mark.parametrize("kind", ["full", "replay"])
def test_a_record_names_the_device_of_the_training(tmp_path, kind):
    recipe = small_recipe(Echo())
    for device in ("cpu", "cuda"):
        Recorder(tmp_path / device, kind, recipe, 6).describe(device)
        assert History(tmp_path / device).device == device


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_examples_that_were_drawn_on_a_gpu_are_refused_where_there_is_none(tmp_path, monkeypatch):
    drawn = train(tmp_path / "drawn", small_recipe(Echo(), steps=3))
    fixed = train(tmp_path / "fixed", small_recipe(Points(), steps=3))
    monkeypatch.setattr(History, "device", property(lambda self: "cuda"))
    with pytest.raises(ConfigError, match="drawn or augmented on a GPU"):
        Trajectory.of_run(drawn)
    assert ExplainedExamples("val", 2).trajectory(fixed).functional.device.type == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(
    "make",
    [
        PathKernel,
        Metagradient,
        Datamodeling,
        Agreement,
        Balance,
        BeyondLabels,
        ComponentSimilarity,
        Datamodel,
        Periodicity,
        Pruning,
    ],
)
def test_a_device_that_is_not_there_is_refused_before_training(make):
    with pytest.raises(ConfigError) as caught:
        make(device="cuda").check_recipe("asked", RECIPE, "analysis.asked")
    assert caught.value.key == "analysis.asked.device"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_device_the_arithmetic_is_on_the_cpu():
    assert arithmetic_device(None, "cuda") == arithmetic_device("cpu", "cuda") == arithmetic_device(None) == "cpu"


def test_the_device_is_that_of_the_training_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("mechlab.core.device.set_up_device", lambda accelerator: None)
    assert arithmetic_device(None, "cuda") == "cuda" and arithmetic_device(None, "cpu") == "cpu"
    assert arithmetic_device("cpu", "cuda") == "cpu" and arithmetic_device("cuda", "cpu") == "cuda"
