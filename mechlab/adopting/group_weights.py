"""The weights of networks trained to multiply in a group, in mechlab's terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mechlab.adopting.weight_files import read_tensors, without_prefix
from mechlab.core.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

MLP = "mechlab.models.group_mlp.GroupMLP"
PERCEPTRON = {"relu": ("W_x", "W_y", "W", "W_U"), "post_bias": ("W_x", "W_y", "W", "W_U", "b")}
PERCEPTRON["bilinear"] = ("W_x", "W_y", "W_U")
TRANSFORMER = "mechlab.models.group_transformer.GroupTransformer"
NAMES = {  # mechlab's names of the transformer's parameters by those of TransformerLens
    "embed.W_E": "W_E",
    "pos_embed.W_pos": "W_pos",
    **{f"blocks.0.attn.{name}": name for name in ("W_Q", "W_K", "W_V", "W_O")},
    **{f"blocks.0.mlp.{name}": name for name in ("W_in", "W_out")},
    "unembed.W_U": "W_U",
}
BIASES = {f"blocks.0.attn.{name}" for name in ("b_Q", "b_K", "b_V", "b_O")}
BIASES |= {"blocks.0.mlp.b_in", "blocks.0.mlp.b_out", "unembed.b_U"}
LEFT_OUT = ("x_embed", "y_embed", "mask", "IGNORE")  # copies of the embedding, and constants of the attention
FIX = "save the state dict of the network, with the names W_x, W_y, W and W_U, or those of TransformerLens"


@dataclass(frozen=True)
class GroupWeights:
    """A model that multiplies in a group.

    Args:
        name: of the model.
        model: its config node.
        weights: its parameters, by mechlab's names.
        notes: remarks for the user, one sentence each.
    """

    name: str
    model: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    notes: list[str] = field(default_factory=list)


def group_weights(path: Path, elements: int) -> GroupWeights:
    """Return the network in a file.

    Args:
        path: the file.
        elements: n, the number of elements of the group.

    Raises:
        ConfigError: the file is invalid, has the parameters of another network, or of another number of elements.
    """
    tensors = read_tensors(path, without=LEFT_OUT)
    if any(name.endswith("pos_embed.W_pos") for name in tensors):
        return _transformer(without_prefix(tensors, ("pos_embed.W_pos",)), elements, path)
    return _perceptron(without_prefix(tensors, ("W_x",)), elements, path)


def _transformer(tensors: dict[str, Tensor], elements: int, path: Path) -> GroupWeights:
    must = "the weights must be those of a transformer of one layer without layer norm, in TransformerLens names"
    if missing := [name for name in NAMES if name not in tensors]:
        raise ConfigError(must, got=f"{path}: no {', '.join(missing)}", key="path", fix=FIX)
    if extra := [name for name in tensors if name not in NAMES and name not in BIASES]:
        raise ConfigError(must, got=f"{path}: also {', '.join(extra)}", key="path", fix=FIX)
    if biased := [name for name in BIASES if name in tensors and tensors[name].any()]:
        raise ConfigError("all biases must be zero", got=f"{path}: {', '.join(sorted(biased))} are not", key="path")
    weights = {own: tensors[name] for name, own in NAMES.items()}
    check_axes(weights, {"W_E": 2, "W_Q": 3, "W_in": 2}, path)
    width, hidden = weights["W_in"].shape
    heads, _, head_width = weights["W_Q"].shape
    shapes = {"W_E": (elements + 1, width), "W_pos": (3, width), "W_O": (heads, head_width, width)}
    shapes |= dict.fromkeys(("W_Q", "W_K", "W_V"), (heads, width, head_width))
    shapes |= {"W_in": (width, hidden), "W_out": (hidden, width), "W_U": (width, elements)}
    check_shapes(weights, shapes, elements, path)
    model = {"_target_": TRANSFORMER, "width": width, "heads": heads, "head_width": head_width, "hidden": hidden}
    notes = ["the last token of the embedding is taken to be the one for ="]
    return GroupWeights("group_transformer", model, weights, notes)


def _perceptron(tensors: dict[str, Tensor], elements: int, path: Path) -> GroupWeights:
    variant = next((name for name, names in PERCEPTRON.items() if tensors.keys() == set(names)), None)
    if variant is None:
        got = f"{path}: {', '.join(tensors)}"
        must = "the weights must be W_x, W_y, W and W_U (with b, or without W, for the variants) and nothing else"
        raise ConfigError(must, got=got, key="path", fix=FIX)
    check_axes(tensors, dict.fromkeys({"W_x", "W_U", "W"} & tensors.keys(), 2), path)
    embedding, hidden = tensors["W_x"].shape[1], tensors.get("W", tensors["W_U"].T).shape[1]
    shapes = {"W_x": (elements, embedding), "W_y": (elements, embedding), "W_U": (hidden, elements)}
    shapes |= {"W": (2 * embedding, hidden), "b": (hidden,)}
    if variant == "bilinear":
        shapes["W_U"] = (embedding, elements)
    check_shapes(tensors, shapes, elements, path)
    model = {"_target_": MLP, "hidden": hidden, "embedding": embedding, "variant": variant}
    return GroupWeights("group_mlp", model, tensors)


def check_axes(tensors: Mapping[str, Tensor], axes: Mapping[str, int], path: Path) -> None:
    """Raise ConfigError unless tensors have so many axes."""
    for name, count in axes.items():
        if tensors[name].dim() != count:
            got = f"{path}: shape {tuple(tensors[name].shape)}"
            raise ConfigError(f"{name} must have {count} axes", got=got, key="path", fix=FIX)


def check_shapes(
    tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], elements: int, path: Path
) -> None:
    """Raise ConfigError unless each tensor has its shape."""
    for name, tensor in tensors.items():
        if (given := tuple(tensor.shape)) != shapes[name]:
            must = f"{name} must have shape {shapes[name]}, for a group of {elements} elements"
            at_fault = "group" if {elements, elements + 1} & (set(shapes[name]) - set(given)) else "path"
            fix = "the group that the network was trained on" if at_fault == "group" else FIX
            raise ConfigError(must, got=f"{path}: shape {given}", key=at_fault, fix=fix)
