"""Adopted networks that multiply in a group: outputs and losses of a training elsewhere, the split, and bad files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

import mechlab
from mechlab.adopt import adopt, help_text, parse
from mechlab.core.errors import ConfigError, RunError
from mechlab.groups import group

GROUP, SEED, SHARE = "S3", 3, 0.6
N = 6


class Perceptron(torch.nn.Module):
    """The published network, as the published code writes it: the two embeddings concatenated for every pair."""

    def __init__(self, n: int = N, embedding: int = 8, hidden: int = 5):
        super().__init__()
        for name, (rows, columns) in {
            "W_x": (n, embedding),
            "W_y": (n, embedding),
            "W": (2 * embedding, hidden),
            "W_U": (hidden, n),
        }.items():
            self.register_parameter(name, torch.nn.Parameter(torch.randn(rows, columns) / rows**0.5))

    def forward(self, pairs: Tensor) -> Tensor:
        embedded = torch.cat([self.W_x[pairs[:, 0]], self.W_y[pairs[:, 1]]], 1)
        return torch.relu(embedded @ self.W) @ self.W_U


class Transformer(torch.nn.Module):
    """The published transformer, as TransformerLens computes it: all three positions, each head by itself."""

    def __init__(self, n: int = N, width: int = 8, heads: int = 2, head_width: int = 4, hidden: int = 12):
        super().__init__()
        shapes = {"embed.W_E": (n + 1, width), "pos_embed.W_pos": (3, width)}
        shapes |= {f"blocks.0.attn.{name}": (heads, width, head_width) for name in ("W_Q", "W_K", "W_V")}
        shapes |= {"blocks.0.attn.W_O": (heads, head_width, width), "blocks.0.mlp.W_in": (width, hidden)}
        shapes |= {"blocks.0.mlp.W_out": (hidden, width), "unembed.W_U": (width, n)}
        self.names = list(shapes)
        self.weights = torch.nn.ParameterList(torch.randn(shape) / width**0.5 for shape in shapes.values())

    def named(self) -> dict[str, Tensor]:
        return dict(zip(self.names, self.weights, strict=True))

    def published_state(self) -> dict[str, Tensor]:
        """The state dict with zero biases, copies of the embedding, and the buffers of the attention."""
        state = {name: value.detach() for name, value in self.named().items()}
        width, hidden = state["blocks.0.mlp.W_in"].shape
        heads, _, head_width = state["blocks.0.attn.W_Q"].shape
        state |= {f"blocks.0.attn.b_{name}": torch.zeros(heads, head_width) for name in "QKV"}
        state |= {"blocks.0.attn.b_O": torch.zeros(width), "blocks.0.mlp.b_in": torch.zeros(hidden)}
        state |= {"blocks.0.mlp.b_out": torch.zeros(width), "unembed.b_U": torch.zeros(N)}
        state |= {"x_embed.W_E": state["embed.W_E"], "y_embed.W_E": state["embed.W_E"]}
        return state | {
            "blocks.0.attn.mask": torch.ones(3, 3).tril().bool(),
            "blocks.0.attn.IGNORE": torch.tensor(-1e5),
        }

    def forward(self, pairs: Tensor) -> Tensor:
        w = {name.rpartition(".")[2]: value for name, value in self.named().items()}
        tokens = torch.cat([pairs, torch.full((len(pairs), 1), N)], 1)
        x = w["W_E"][tokens] + w["W_pos"]  # (B, 3, d)
        q, k, v = (torch.einsum("btd,hde->bhte", x, w[name]) for name in ("W_Q", "W_K", "W_V"))
        scores = (q @ k.transpose(-1, -2)) / q.shape[-1] ** 0.5
        pattern = scores.masked_fill(~torch.ones(3, 3).tril().bool(), -1e5).softmax(-1)
        x = x + torch.einsum("bhte,hed->btd", pattern @ v, w["W_O"])
        x = x + torch.relu(x @ w["W_in"]) @ w["W_out"]
        return (x @ w["W_U"])[:, -1]


def split(order: Tensor, share: float = SHARE) -> dict[str, Tensor]:
    """The numbers of the pairs by split, for S3."""
    train = int(share * N**2)
    return {"train": order[:train], "test": order[train:]}


def seeded(seed: int = SEED) -> Tensor:
    return torch.randperm(N**2, generator=torch.Generator().manual_seed(seed))


def loss(net: torch.nn.Module, numbers: Tensor) -> Tensor:
    pairs = torch.stack([numbers // N, numbers % N], 1)
    targets = torch.tensor(group(GROUP).table)[pairs[:, 0], pairs[:, 1]].long()
    return F.cross_entropy(net(pairs).double(), targets)


def trained(net: torch.nn.Module, order: Tensor, steps: int = 20) -> torch.nn.Module:
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2, betas=(0.9, 0.98), weight_decay=1.0)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(net, split(order)["train"]).backward()
        optimizer.step()
    return net


@pytest.fixture(scope="module")
def perceptron() -> Perceptron:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return trained(Perceptron(), seeded())


@pytest.fixture(scope="module")
def transformer() -> Transformer:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return trained(Transformer(), seeded())


def save(state: dict[str, Tensor], path: Path) -> Path:
    state = {name: value.detach().clone() for name, value in state.items()}
    if path.suffix == ".npz":
        np.savez(path, **{name: value.numpy() for name, value in state.items()})
    elif path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


def losses(run: mechlab.record.run.Run) -> dict[str, float]:
    """Losses by split, of the run's own model on the examples of its own task."""
    model = run.model()
    with torch.no_grad():
        batches = {name: run.task.examples(name) for name in ("train", "test")}
        return {
            name: float(F.cross_entropy(model(batch.inputs).double(), batch.targets)) for name, batch in batches.items()
        }


def agrees(run: mechlab.record.run.Run, net: torch.nn.Module, order: Tensor) -> None:
    pairs = torch.cartesian_prod(torch.arange(N), torch.arange(N))
    with torch.no_grad():
        torch.testing.assert_close(run.model()(pairs), net(pairs), atol=1e-5, rtol=0)
        expected = {name: float(loss(net, numbers)) for name, numbers in split(order).items()}
    assert losses(run) == pytest.approx(expected, rel=1e-5)
    assert run.results["metrics"]["test/loss"] == pytest.approx(expected["test"], rel=1e-5)


@pytest.mark.parametrize(("suffix", "prefix"), [(".pt", ""), (".npz", "w."), (".safetensors", "w."), (".pt", "a.b.")])
def test_outputs_and_losses_are_those_of_the_training(tmp_path, perceptron, suffix, prefix):
    state = {prefix + name: value for name, value in perceptron.state_dict().items()}
    path = save(state, tmp_path / f"weights{suffix}")
    words = f"format=group_network path={path} group={GROUP} seed={SEED} frac_train={SHARE}"
    run = adopt(**parse(words.split()), root=tmp_path / "runs")
    path.unlink()
    run = mechlab.load_run(run.folder)
    agrees(run, perceptron, seeded())
    assert run.folder.parent.name == "group-group_mlp" and run.config["model"]["embedding"] == 8


@pytest.mark.parametrize("given", [{"seed": SEED}, {"permutation": "order.npy"}])
def test_a_group_from_a_file_is_recorded_with_the_network(tmp_path, perceptron, given):
    np.save(tmp_path / "order.npy", seeded().numpy())
    np.savetxt(tmp_path / "s3.csv", group(GROUP).table, fmt="%d", delimiter=",")
    path = save(perceptron.state_dict(), tmp_path / "w.pt")
    given = {key: tmp_path / value if key == "permutation" else value for key, value in given.items()}
    table = str(tmp_path / "s3.csv")
    run = adopt("group_network", path, root=tmp_path / "runs", group=table, frac_train=SHARE, **given)
    (tmp_path / "s3.csv").unlink()
    run = mechlab.load_run(run.folder)
    agrees(run, perceptron, seeded())
    assert np.array_equal(run.task.of.table, group(GROUP).table)


@pytest.mark.parametrize(("suffix", "prefix"), [(".pt", ""), (".npz", "w."), (".safetensors", "model.")])
def test_a_transformer_in_the_names_of_transformer_lens(tmp_path, transformer, suffix, prefix):
    state = {prefix + name: value for name, value in transformer.published_state().items()}
    path = save(state, tmp_path / f"weights{suffix}")
    run = adopt("group_network", path, root=tmp_path / "runs", group=GROUP, seed=SEED, frac_train=SHARE)
    agrees(run, transformer, seeded())
    assert run.folder.parent.name == "group-group_transformer"
    assert {name: run.config["model"][name] for name in ("width", "heads", "head_width", "hidden")} == {
        "width": 8,
        "heads": 2,
        "head_width": 4,
        "hidden": 12,
    }
    assert sum(value.numel() for value in run.weights().values()) == sum(w.numel() for w in transformer.parameters())


@pytest.mark.parametrize(
    ("change", "options", "key", "message"),
    [
        ({"blocks.0.mlp.b_in": torch.ones(12)}, {}, "path", "(?s)biases must be zero.*b_in"),
        ({"blocks.1.mlp.W_in": torch.ones(8, 12)}, {}, "path", "also blocks.1.mlp.W_in"),
        ({"blocks.0.ln1.w": torch.ones(8)}, {}, "path", "without layer norm"),
        ({"unembed.W_U": None}, {}, "path", "no unembed.W_U"),
        ({"blocks.0.attn.W_Q": torch.ones(8, 8)}, {}, "path", "W_Q must have 3 axes"),
        ({"blocks.0.attn.W_O": torch.ones(2, 8, 4)}, {}, "path", r"W_O must have shape \(2, 4, 8\)"),
        ({}, {"group": "C5"}, "group", r"W_E must have shape \(6, 8\), for a group of 5 elements"),
    ],
)
def test_other_transformers_are_refused(tmp_path, transformer, change, options, key, message):
    state = {**transformer.published_state(), **change}
    path = save({name: value for name, value in state.items() if value is not None}, tmp_path / "w.pt")
    with pytest.raises(ConfigError, match=message) as caught:
        adopt("group_network", path, root=tmp_path / "runs", **{"group": GROUP, **options})
    assert caught.value.key == key and not (tmp_path / "runs").exists()


@pytest.mark.parametrize("variant", ["post_bias", "bilinear"])
def test_the_variants_are_recognised(tmp_path, perceptron, variant):
    state = dict(perceptron.state_dict())
    if variant == "bilinear":
        del state["W"]
        state["W_U"] = torch.randn(8, N)
    else:
        state["b"] = torch.randn(5)
    run = adopt("group_network", save(state, tmp_path / "w.pt"), root=tmp_path / "runs", group=GROUP)
    x, y = torch.cartesian_prod(torch.arange(N), torch.arange(N)).T
    if variant == "bilinear":
        expected = (state["W_x"][x] * state["W_y"][y]) @ state["W_U"]
    else:
        before = torch.cat([state["W_x"][x], state["W_y"][y]], 1) @ state["W"]
        expected = (torch.relu(before) + state["b"]) @ state["W_U"]
    with torch.no_grad():
        torch.testing.assert_close(run.model()(torch.stack([x, y], 1)), expected, atol=1e-5, rtol=0)
    assert run.config["model"]["variant"] == variant


def write(order: Tensor, path: Path) -> Path:
    if path.suffix == ".csv":
        path.write_text("\n".join(map(str, order.tolist())) + "\n")
    elif path.suffix == ".txt":
        path.write_text(",".join(map(str, order.tolist())))
    elif path.suffix == ".npy":
        np.save(path, order.numpy())
    elif path.suffix == ".npz":
        np.savez(path, order=order.numpy())
    else:
        torch.save(order, path)
    return path


def test_a_permutation_decides_the_split_whatever_its_file(tmp_path, perceptron):
    path, order = save(perceptron.state_dict(), tmp_path / "w.pt"), torch.arange(N**2).flip(0)
    folders = set()
    for suffix in (".npy", ".npz", ".pt", ".csv", ".txt"):
        file = write(order, tmp_path / f"order{suffix}")
        options = {"group": GROUP, "frac_train": SHARE, "permutation": file}
        folders.add(adopt("group_network", path, root=tmp_path / "runs", **options).folder)
        file.unlink()
    (folder,) = folders
    moved = folder.rename(tmp_path / "runs" / "group-group_mlp" / "moved-s0")
    agrees(mechlab.load_run(moved), perceptron, order)
    (moved / "data.safetensors").unlink()
    with pytest.raises(RunError, match=r"data\.safetensors"):
        mechlab.load_run(moved).task.examples("train")


def test_the_permutation_of_the_seed_needs_no_file(tmp_path, perceptron, capsys):
    path, root = save(perceptron.state_dict(), tmp_path / "w.pt"), tmp_path / "runs"
    options = {"group": GROUP, "frac_train": SHARE}
    by_seed = adopt("group_network", path, root=root, seed=SEED, **options)
    file = write(seeded(), tmp_path / "order.pt")
    same = adopt("group_network", path, root=root, seed=SEED, permutation=file, **options)
    assert "the permutation is that of seed 3" in capsys.readouterr().out and same.folder == by_seed.folder
    other = adopt("group_network", path, root=root, seed=4, permutation=file, **options)
    assert "which is not that of seed 4" in capsys.readouterr().out
    assert losses(other) == losses(by_seed) and other.folder != by_seed.folder


def test_an_unknown_split_is_named(tmp_path, perceptron, capsys):
    run = adopt("group_network", save(perceptron.state_dict(), tmp_path / "w.pt"), root=tmp_path / "runs", group=GROUP)
    assert "those of seed 0" in capsys.readouterr().out and run.config["task"]["seed"] == 0


@pytest.mark.parametrize(
    ("change", "options", "key", "message"),
    [
        ({"W": None, "W_U": None}, {}, "path", "W_x, W_y"),
        ({"V": torch.ones(2)}, {}, "path", "nothing else"),
        ({"W": torch.ones(15, 5)}, {}, "path", r"W must have shape \(16, 5\)"),
        ({"W_U": torch.ones(6, 5)}, {}, "path", r"W_U must have shape \(5, 6\)"),
        ({"W_x": torch.ones(6)}, {}, "path", "W_x must have 2 axes"),
        ({"W_y": torch.full((6, 8), torch.nan)}, {}, "path", "finite"),
        ({}, {"group": "S4"}, "group", r"W_x must have shape \(24, 8\), for a group of 24 elements"),
        ({}, {"group": "K6"}, "group", "group"),
        ({}, {"frac_train": 0.01}, "frac_train", r"(?s)some must be for training.*fix: +frac_train="),
        ({}, {"frac_train": 1.5}, "frac_train", "frac_train must be"),
        ({}, {"seed": -1}, "seed", "seed must be"),
        ({}, {"permutation": "order.json"}, "permutation", "must end in"),
        ({}, {"permutation": "missing.pt"}, "permutation", "no such file"),
        ({}, {"permutation": [0, 1, 2]}, "permutation", r"each of the numbers 0, ..., 35.*"),
        ({}, {"permutation": [0] * 36}, "permutation", "from 0 to 0"),
        ({}, {"permutation": "text"}, "permutation", "one array of numbers"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path, perceptron, change, options, key, message):
    state = {**perceptron.state_dict(), **change}
    path = save({name: value for name, value in state.items() if value is not None}, tmp_path / "w.pt")
    if isinstance(options.get("permutation"), list):
        options = {**options, "permutation": write(torch.tensor(options["permutation"]), tmp_path / "order.pt")}
    elif options.get("permutation") == "text":
        (tmp_path / "order.csv").write_text("first,second\n")
        options = {**options, "permutation": tmp_path / "order.csv"}
    with pytest.raises(ConfigError, match=message) as caught:
        adopt("group_network", path, root=tmp_path / "runs", **{"group": GROUP, **options})
    assert caught.value.key == key and not (tmp_path / "runs").exists()


def test_the_format_is_listed():
    assert "format=group_network" in help_text() and "permutation" in help_text()
