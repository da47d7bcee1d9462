"""Scores of models whose tensors come from two steps of one training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from mechlab.core.errors import ConfigError
from mechlab.core.evaluation import portions
from mechlab.core.loss import per_example
from mechlab.core.state import load_weights
from mechlab.core.step import aligned_outputs, example_losses
from mechlab.core.task import Batch, Task

MEASURES = ("accuracy", "loss", "kl")
DIRECTIONS = ("final_into_step", "step_into_final")

State = Mapping[str, Tensor]


class SwappedModels:
    """The scores of each example in models that have one component from another step of training than the rest.

    The rows of a step are its own model, the models of that step with a component of the final model, and the final
    models with a component of that step. A step after another is computed; see `record.long_work.carry_out`.

    Args:
        model: in evaluation mode, with its final weights; they are replaced.
        task: with an accuracy.
        batch: the examples.
        components: the names of the tensors of each component.
        steps: of training.
        params: returns the recorded parameters and buffers before a step.
        confusion: the steps of which the predicted classes are saved.

    Attributes:
        values: (S, 1 + 2 G, 3, X) accuracy, loss (nats where outputs are classes) and Kullback-Leibler divergence from
            the classes of the model with most of the tensors (nats; 0 where outputs are no classes) of each example.
        final: (3, X) the same of the final model.
        predicted: (K, 1 + G, X ...) classes that the step's model, and it with each final component, assign.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        batch: Batch,
        components: Mapping[str, Sequence[str]],
        steps: Sequence[int],
        params: Callable[[int], State],
        confusion: Sequence[int] = (),
    ):
        self.model, self.task, self.components, self.params = model, task, components, params
        self.steps, self.confusion = list(steps), list(confusion)
        self.dtype = next(model.parameters()).dtype
        self.batch = batch.to("cpu", self.dtype)
        self.last = {name: value.detach().clone() for name, value in model.state_dict().items()}
        outputs = self._outputs(self.last)
        self.final, self._final_classes = self._scores(outputs), self._log_probabilities(outputs)
        rows = 1 + 2 * len(components)
        self.values = torch.zeros(len(self.steps), rows, len(MEASURES), len(batch), dtype=self.dtype)
        shape = self.batch.targets.shape
        self.predicted = torch.zeros(len(self.confusion), 1 + len(components), *shape, dtype=torch.int32)
        self.done = 0

    def __iter__(self) -> Iterator[tuple[int, int]]:
        while self.done < len(self.steps):
            self._evaluate(self.done)
            self.done += 1
            yield self.done, len(self.steps)

    def state(self) -> dict[str, Tensor]:
        """Return the scores so far."""
        return {"values": self.values, "predicted": self.predicted, "done": torch.tensor(self.done)}

    def restore(self, state: State) -> None:
        """Go on from saved scores.

        Raises:
            ConfigError: they are of other models.
        """
        if set(state) != set(self.state()) or state["values"].shape != self.values.shape:
            raise ConfigError("the saved scores must be of the same models")
        self.values, self.predicted, self.done = state["values"], state["predicted"], int(state["done"])

    def accuracy(self, state: State) -> Tensor:
        """Return the accuracy (X,) of each example with these parameters and buffers."""
        return self._scores(self._outputs(state))[0]

    def _evaluate(self, place: int) -> None:
        params = dict(self.params(self.steps[place]))
        own = self._log_probabilities(self._outputs(params))
        receivers = [own] * (1 + len(self.components)) + [self._final_classes] * len(self.components)
        for row, (state, receiver) in enumerate(zip(self._states(params), receivers, strict=True)):
            outputs = self._outputs(state)
            self.values[place, row] = self._scores(outputs, receiver)
            if self.steps[place] in self.confusion and row <= len(self.components):
                self.predicted[self.confusion.index(self.steps[place]), row] = outputs.argmax(-1)

    def _states(self, params: State) -> Iterator[State]:
        yield params
        for receiver, donor in ((params, self.last), (self.last, params)):
            for names in self.components.values():
                yield {**receiver, **{name: donor[name] for name in names}}

    @torch.no_grad()
    def _outputs(self, state: State) -> Tensor:
        load_weights(self.model, state)
        return torch.cat([aligned_outputs(self.model, part, self.task.spec) for part in portions(self.batch)])

    def _log_probabilities(self, outputs: Tensor) -> Tensor | None:
        return outputs.log_softmax(-1) if self.task.spec.loss.classes else None

    def _scores(self, outputs: Tensor, receiver: Tensor | None = None) -> Tensor:
        """Return accuracy, loss and divergence (3, X) of outputs; `receiver` are log-probabilities of classes."""
        accuracy = self.task.score(outputs, self.batch)["accuracy"]
        losses, divergence = example_losses(outputs, self.batch, self.task.spec), torch.zeros(len(outputs))
        if receiver is not None:
            each = (receiver.exp() * (receiver - outputs.log_softmax(-1))).sum(-1)
            divergence = per_example(each, self.batch.mask)
        return torch.stack([value.to(self.dtype) for value in (accuracy, losses, divergence)])
