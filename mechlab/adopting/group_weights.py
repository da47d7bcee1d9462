"""The weights of networks that multiply in a group, in mechlab's terms."""

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
FIX = "save the state dict of the network, with the names W_x, W_y, W and W_U"


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
    tensors = without_prefix(read_tensors(path), ("W_x",))
    return _perceptron(tensors, elements, path)


def _perceptron(tensors: dict[str, Tensor], elements: int, path: Path) -> GroupWeights:
    variant = next((name for name, names in PERCEPTRON.items() if tensors.keys() == set(names)), None)
    if variant is None:
        got = f"{path}: {', '.join(tensors)}"
        must = "the weights must be W_x, W_y, W and W_U (with b, or without W, for the variants) and nothing else"
        raise ConfigError(must, got=got, key="path", fix=FIX)
    axes = {"W_x": 2, "W_U": 2}
    for name, number in axes.items():
        if tensors[name].dim() != number:
            raise ConfigError(
                f"{name} must have {number} axes",
                got=f"{path}: shape {tuple(tensors[name].shape)}",
                key="path",
                fix=FIX,
            )
    embedding, hidden = tensors["W_x"].shape[1], tensors["W_U"].shape[0]
    shapes = {"W_x": (elements, embedding), "W_y": (elements, embedding), "W_U": (hidden, elements)}
    shapes |= {"W": (2 * embedding, hidden), "b": (hidden,)}
    if variant == "bilinear":
        shapes["W_U"] = (embedding, elements)
    check_shapes(tensors, shapes, elements, path)
    model = {"_target_": MLP, "hidden": hidden, "embedding": embedding, "variant": variant}
    return GroupWeights("group_mlp", model, tensors)


def check_shapes(
    tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], elements: int, path: Path
) -> None:
    """Raise ConfigError unless each tensor has its shape."""
    for name, tensor in tensors.items():
        if (given := tuple(tensor.shape)) != shapes[name]:
            must = f"{name} must have shape {shapes[name]}, for a group of {elements} elements"
            at_fault = "group" if elements in shapes[name] and elements not in given else "path"
            fix = "the group that the network was trained on" if at_fault == "group" else FIX
            raise ConfigError(must, got=f"{path}: shape {given}", key=at_fault, fix=fix)
