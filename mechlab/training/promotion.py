"""The decision whether a curriculum's next length begins, on held-out examples of the present length."""

from __future__ import annotations

from functools import lru_cache

from torch import nn

from mechlab.core.curriculum import BLOCK, Stage
from mechlab.core.data import Source
from mechlab.core.evaluation import evaluate
from mechlab.core.recipe import Recipe
from mechlab.core.task import Batch


class Promotion:
    """Decides at block boundaries whether the next length of a curriculum begins.

    Args:
        recipe: what is trained.
        source: the examples; its last stage is the present one.
        passed: block boundaries in a row at which the accuracy was high enough.
    """

    def __init__(self, recipe: Recipe, source: Source, passed: int = 0):
        self.curriculum, self.source, self.passed = recipe.curriculum, source, passed
        self._examples = lru_cache(maxsize=1)(self._held_out)

    def decide(self, model: nn.Module, step: int) -> Stage | None:
        """Return the stage that begins at optimiser step `step`, or None. The model is as it is before that step."""
        length = self.curriculum.next_length(self.source.stages)
        if length is None or step == 0 or step % BLOCK:
            return None
        present = self.source.stages[-1][1]
        training = model.training
        scores = evaluate(model.eval(), self.source.task_at(step), self._examples(present))
        model.train(training)
        self.passed = self.passed + 1 if scores["accuracy"] >= self.curriculum.accuracy else 0
        if self.passed < self.curriculum.patience:
            return None
        self.passed = 0
        return step, length

    def _held_out(self, length: int) -> Batch:
        return self.source.held_out(length, self.curriculum.examples)
