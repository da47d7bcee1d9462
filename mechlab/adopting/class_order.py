"""The order of a network's output classes, inferred by matching its outputs with the targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mechlab.core.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

    from mechlab.core.task import Batch, TaskSpec

CLEAR = 0.5  # gap between the best and the next assignment, of at most 2, below which the order is ambiguous


@dataclass(frozen=True)
class ClassMatch:
    """A match of a network's outputs with classes.

    Args:
        classes: the class index of each output.
        names: the classes in index order.
        answers: number of predictions that were compared.
        fit, next_fit, given, gap: see `mechlab.automata.class_order.ClassOrder`.
    """

    classes: tuple[int, ...]
    names: tuple[str, ...]
    answers: int
    fit: float
    next_fit: float
    given: float
    gap: float

    @property
    def clear(self) -> bool:
        """True if no other order fits nearly as well."""
        return self.gap >= CLEAR

    @property
    def as_given(self) -> bool:
        """True if the outputs are in index order."""
        return self.classes == tuple(range(len(self.classes)))

    @property
    def rows(self) -> list[int]:
        """The output of each class."""
        return [self.classes.index(c) for c in range(len(self.classes))]

    def __str__(self) -> str:
        order = ", ".join(f"{output} {self.names[c]}" for output, c in enumerate(self.classes))
        other = "" if self.next_fit != self.next_fit else f"; the next best order fits {self.next_fit:.4f}"
        return (
            f"the outputs are {order}: this order fits {self.fit:.4f} of {self.answers} predictions "
            f"(mean over classes){other}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return a summary as plain data."""
        return {
            "outputs": [self.names[c] for c in self.classes],
            "answers": self.answers,
            "fit": self.fit,
            "next_fit": self.next_fit,
            "given": self.given,
            "clear": self.clear,
        }


def match_classes(model: nn.Module, batch: Batch, spec: TaskSpec) -> ClassMatch:
    """Return the match of a network's largest outputs after each letter with the target classes.

    Args:
        model: a sequence model.
        batch: words as one-hot letters (B, T, m), zero past the end, and the class (B, T) after each letter.
        spec: the task's.
    """
    import torch

    from mechlab.automata.class_order import class_order
    from mechlab.core.model import outputs_of

    inside = batch.inputs.any(-1)
    with torch.no_grad():
        predicted = outputs_of(model, batch.inputs).argmax(-1)[inside]
    n = spec.outputs
    counts = torch.bincount(predicted * n + batch.targets[inside], minlength=n * n).view(n, n)
    order = class_order(counts.numpy())
    classes = tuple(order.classes.tolist())
    return ClassMatch(classes, spec.classes, int(inside.sum()), *order[1:])


def check_outputs(outputs: int, classes: tuple[str, ...], path: object) -> None:
    """Raise ConfigError unless a network has one output for each class.

    Raises:
        ConfigError: the numbers differ.
    """
    if outputs != len(classes):
        raise ConfigError(
            f"the network must have one output for each class of the automaton: {len(classes)} ({', '.join(classes)})",
            got=f"{path}: fc.weight has {outputs} rows",
            key="automaton",
            fix="list all classes of the network in the automaton's file (.json), in the order of the outputs",
        )
