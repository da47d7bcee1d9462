"""Networks trained to multiply in a finite group: the perceptron of two embeddings, and the one-layer transformer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from mechlab.adopting.adopted_network import AdoptedNetwork
from mechlab.adopting.group_weights import group_weights
from mechlab.adopting.permutation_file import read_permutation
from mechlab.core.constraints import Interval, Seed
from mechlab.core.errors import ConfigError

NO_SPLIT = "neither seed nor permutation is given: the training pairs are taken to be those of seed 0"


def group_network(
    path: Path,
    group: str,
    seed: Seed | None = None,
    frac_train: Annotated[float, Interval(0, 1, open_low=True, open_high=True)] = 0.4,
    permutation: str | Path | None = None,
) -> AdoptedNetwork:
    """Return a network that multiplies in a finite group, and the pairs that it was trained on (Chughtai et al., arXiv
    2302.03025).

    Args:
        path: a state dict (.pt, .pth, .npz or .safetensors) or a Lightning checkpoint (.ckpt); a common prefix such as
            `w.` is removed. W_x and W_y (n, d), W (2 d, h) and W_U (h, n) are those of the perceptron; without W it is
            the bilinear one, with b (h,) the one with a bias after the activation. Those of the one-layer transformer
            have their names and shapes in TransformerLens: embed.W_E (n + 1, d), pos_embed.W_pos (3, d),
            blocks.0.attn.W_Q, W_K and W_V (heads, d, head width), W_O (heads, head width, d), blocks.0.mlp.W_in (d, h)
            and W_out (h, d), unembed.W_U (d, n). Its biases must be zero; x_embed and y_embed, which are copies of the
            embedding, and the buffers mask and IGNORE are left out.
        group: S5, D59, C113, A5 or another name, or a file with the multiplication table; see `mechlab.groups.group`.
            The elements are in its order, which for these names is the published one.
        seed: of the split: the permutation of all n^2 pairs that torch.randperm draws with it.
        frac_train: share of the pairs that were for training.
        permutation: the file of the permutation (.npy, .npz, .pt or .csv), n^2 numbers a n + b of the pairs (a, b), of
            which the first are for training; it stands for the seed.

    Raises:
        ConfigError: a file is invalid, there is no such group, or they do not match.
    """
    from mechlab.config.build import prepare, without_files
    from mechlab.core.task import Task

    node: dict[str, Any] = {"_target_": "mechlab.tasks.group.GroupProduct", "group": group}
    node = without_files(node | {"train_fraction": frac_train, "seed": seed or 0}, "task")
    try:
        task = prepare(node, "task", Task)()
    except ConfigError as error:
        key = {"task.train_fraction": "frac_train"}.get(error.key, "group")
        fix = None if error.fix is None else error.fix.replace("task.train_fraction", "frac_train").replace("task.", "")
        raise ConfigError(error.must, got=error.got, key=key, fix=fix) from None
    elements = task.spec.inputs
    network = group_weights(path, elements)
    data, notes = {}, [*network.notes]
    if permutation is not None:
        order = read_permutation(Path(permutation), elements**2)
        node, data, note = _with_permutation(node, order, seed)
        notes.append(note)
    elif seed is None:
        notes.append(NO_SPLIT)
    files = {"weights": path} | ({} if permutation is None else {"permutation": Path(permutation)})
    return AdoptedNetwork(
        name=f"group-{network.name}",
        task=node,
        model=network.model,
        weights=network.weights,
        files=files,
        notes=notes,
        data=data,
    )


def _with_permutation(node: dict[str, Any], order: Any, seed: int | None) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Return the task with the split of a permutation, the tensors for its run directory, and a note.

    The permutation of a seed needs no file.
    """
    import torch

    from mechlab.core.state import digest

    if seed is not None and order.equal(torch.randperm(len(order), generator=torch.Generator().manual_seed(seed))):
        return node, {}, f"the permutation is that of seed {seed}"
    data = {"permutation": order.to(torch.int32)}
    target = "mechlab.tasks.recorded_group.RecordedGroupProduct"
    node = {name: value for name, value in node.items() if name != "seed"}
    other = "" if seed is None else f", which is not that of seed {seed}"
    note = f"the training pairs are those of the permutation{other}"
    return {**node, "_target_": target, "digest": digest(data)}, data, note
