"""Which value of the first variable satisfies more of a formula?"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from mechlab.core.constraints import Seed, between
from mechlab.core.loss import Loss
from mechlab.core.memory import check_memory
from mechlab.core.seeding import Streams
from mechlab.core.task import Batch, FiniteTask, Split, TaskSpec

SLOTS = 10  # clause slots for each variable, as published
DRAWS = 8  # of clauses for each that is held out, some of which are short or repeated
SATISFIED, LONGER = 100, 99  # scores of the value that satisfies a clause, and of the other if the clause is longer


@dataclass(frozen=True)
class ScoreDifferences(Loss):
    """Squared differences of scores and targets up to a common shift: sum_c ((o_c - mean o) - (t_c - mean t))^2."""

    classes = True

    def elements(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the losses (B, ...) of scores and targets (B, ..., C)."""
        difference = outputs - targets
        return (difference - difference.mean(-1, keepdim=True)).square().sum(-1)

    def right(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return where the value with the greatest score is the preferred one, (B, ...)."""
        return outputs.argmax(-1) == targets.argmax(-1)


@dataclass(frozen=True)
class ClausePreference:
    """The ground truth of kind "program": a unit clause forces the value of its variable, a longer clause prefers one.

    A unit clause of the first variable adds 100 to the score of the value that satisfies it; a longer clause with that
    variable adds 100 to the score of this value and 99 to that of the other. It is defined for formulas of one clause
    that contains the first variable or its negation, not both.
    """

    kind: ClassVar[str] = "program"
    special: ClassVar[tuple[str, ...]] = ("clause preference",)

    def targets(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores of TRUE and FALSE (B, 2) for literal matrices (B, slots, 2 variables), and where they are
        defined, (B,) bool."""
        present = inputs > 0.5
        first, longer = present[:, :, :2], present[:, :, 2:].any(2, keepdim=True)
        scores = (SATISFIED * first + LONGER * (first.flip(2) & longer)).sum(1).to(inputs.dtype)
        alone = present.any(2).sum(1) == 1
        return scores, alone & (first.sum((1, 2)) == 1)


class MaxSat(FiniteTask):
    """Score the two values of the first variable of a formula in conjunctive normal form.

    Inputs are literal matrices (N, slots, 2 variables) of 0 and 1: row c is clause c, column 2 v is variable v, column
    2 v + 1 its negation; unused rows are 0. Targets (N, 2) are the scores of TRUE and FALSE. Every formula has one
    clause, in one of the slots, with the first variable or its negation. It is trained on all unit clauses, with
    targets (100, 0) or (0, 100), and on all clauses of two literals, with targets (100, 99) or (99, 100): a unit clause
    forces, a longer clause prefers. They are percentages, the published 1, 0 and .99. Validation and test are on random
    clauses of three literals and more. How a network does on formulas of many clauses is what analysis=maxsat_table
    answers.

    Args:
        variables: of a formula.
        slots: largest number of clauses; null for ten for each variable.
        held_out: clauses for validation, and as many for test; fewer where there are no more.
        seed: of the held-out clauses.

    Attributes:
        input_parts: name and shape of the input.

    Source: Blazek, Venkatesh and Lin, "Automated discovery of algorithms from data", Nature Computational Science 4
    (2024), arXiv 2111.08275.
    """

    def __init__(
        self,
        variables: Annotated[int, between(3, 64)] = 10,
        slots: Annotated[int, between(2, 640)] | None = None,
        held_out: Annotated[int, between(4, 100_000)] = 1000,
        seed: Seed = 0,
    ):
        self.variables, self.slots, self.held_out, self.seed = variables, slots, held_out, seed
        self._slots = SLOTS * variables if slots is None else slots
        self.input_parts = {"formula": (self._slots, 2 * variables)}
        count, size = self._slots * (4 * variables - 2), 2 * self._slots * variables
        check_memory(
            4 * (count + 2 * held_out) * size, f"{count:,} formulas", "task.variables", "choose fewer variables"
        )
        self.spec = TaskSpec(
            inputs=size,
            outputs=2,
            kind="static",
            loss=ScoreDifferences(),
            shape=(self._slots, 2 * variables),
            classes=("TRUE", "FALSE"),
        )

    def examples(self, split: Split) -> Batch:
        """Return the formulas of a split; see the class for the shapes."""
        return self._splits[split]

    def subconcepts(self, batch: Batch) -> Tensor:
        """Return the slot of the clause in each formula of one clause, and a number for slot, literal of the first
        variable, and unit against longer clause; (B, 2)."""
        first = batch.inputs[:, :, :2].flatten(1).argmax(1)  # 2 slot + (1 for the negation)
        slot, negated = first // 2, first % 2
        return torch.stack([slot, 4 * slot + 2 * (batch.inputs.sum((1, 2)) > 1).long() + negated], 1)

    def targets(self, inputs: Tensor) -> tuple[Tensor, None]:
        """Return the scores (B, 2) that the clauses of literal matrices (B, slots, 2 variables) add up to."""
        return self.ground_truth().targets(inputs)[0], None

    def ground_truth(self) -> ClausePreference:
        """Return the rule, defined for formulas of one clause."""
        return ClausePreference()

    @functools.cached_property
    def _splits(self) -> dict[Split, Batch]:
        held_out = self._longer(Streams(self.seed).torch("held-out clauses"))
        half = min(len(held_out) // 2, self.held_out)
        parts = {"train": self._short(), "val": held_out[:half], "test": held_out[half : 2 * half]}
        return {split: Batch(x, self.targets(x)[0], None, torch.arange(len(x))) for split, x in parts.items()}

    def _short(self) -> Tensor:
        """Return the formulas of one clause of one or two literals, slot by slot."""
        literals = torch.eye(2 * self.variables)
        clauses = torch.cat([literals[:2, None], literals[:2, None] + literals[2:]], 1).flatten(0, 1)
        return self._in_slots(clauses.repeat(self._slots, 1), torch.arange(self._slots).repeat_interleave(len(clauses)))

    def _longer(self, rng: torch.Generator) -> Tensor:
        """Return distinct formulas of one clause of three literals or more, in random order."""
        drawn = torch.randint(
            3, (DRAWS * self.held_out, self.variables + 1), generator=rng
        )  # absent, positive, negated
        drawn[:, 0] = torch.randint(2, (len(drawn),), generator=rng) + 1
        drawn[:, -1] = torch.randint(self._slots, (len(drawn),), generator=rng)
        distinct = drawn[(drawn[:, :-1] > 0).sum(1) > 2].unique(dim=0)
        distinct = distinct[torch.randperm(len(distinct), generator=rng)[: 2 * self.held_out]]
        literals = torch.stack([distinct[:, :-1] == 1, distinct[:, :-1] == 2], 2).flatten(1)
        return self._in_slots(literals.float(), distinct[:, -1])

    def _in_slots(self, clauses: Tensor, slots: Tensor) -> Tensor:
        """Return literal matrices (N, slots, columns) with one clause each, clauses (N, columns) in slots (N,)."""
        matrices = torch.zeros(len(clauses), *self.spec.shape)
        matrices[torch.arange(len(clauses)), slots] = clauses
        return matrices
