"""The integer sequence tasks of the MIPS benchmark."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from mechlab.automata.mips_rules import SequenceRule, rule_named
from mechlab.automata.words.sampling import word_hash
from mechlab.core.constraints import Size
from mechlab.core.errors import ConfigError
from mechlab.core.inputs import check_inputs
from mechlab.core.loss import LogSquaredError
from mechlab.core.task import Batch, Split, Task, TaskSpec

FEWEST = 1000  # sequences of a length below which there are too few for held-out ones
PARTS = 20  # of all sequences; a split has some of them
SAMPLE = 10_000  # training sequences from which the best constant guess is known


class Mips(Task):
    """Read integers, c at each position, and output k integers after each, by one of the 62 rules of the MIPS benchmark
    (Michaud et al., arXiv 2402.05110): sums, differences and delays, counters, arithmetic modulo k and with carry,
    bitwise operations, detectors.

    Inputs (N, T, c) and targets (N, T, k) are the integers themselves as real numbers. The loss is
    1/2 log(1 + error^2); a target is met where the rounded output equals it.

    Sequences are drawn anew for every batch. The publication draws a million once and splits them at random, so that
    for short alphabets its test sequences are training sequences too; here a hash of the sequence decides its split,
    with the published share for training and half of the rest each for validation and test. Where fewer than 1,000
    sequences exist (bits at 9 positions or fewer), all splits have all of them.

    Args:
        name: of the rule, such as "parity_last2" or, as published, "rnn_parity_last2_numerical"; the names are in
            `mechlab.automata.mips_rules.RULES`.
        length: positions T; null for the published number, 10 or 20.

    Attributes:
        rule: the rule, with its exact targets of integers.

    Raises:
        ConfigError: there is no such rule, or float32 does not hold its targets at that length.
    """

    length_key = "length"

    def __init__(self, name: str = "parity_last2", length: Size | None = None):
        self.rule = rule_named(name)
        self.name, self.length = self.rule.name, self.rule.length if length is None else length
        longest = self.rule.longest
        if longest is not None and self.length > longest:
            must = f"task.length must be at most {longest} for {self.name}, so that float32 holds its targets"
            raise ConfigError(must, got=self.length, key="task.length", fix=f"task.length={longest}")
        self.spec = TaskSpec(
            inputs=self.rule.channels,
            outputs=self.rule.outputs,
            kind="sequence",
            loss=LogSquaredError(),
            length=self.length,
        )

    def generate(self, n: int, split: Split, rng: torch.Generator) -> Batch:
        """Draw n sequences of a split, inputs (n, T, c) and targets (n, T, k) float32, on the generator's device."""
        seed = int(torch.randint(2**62, (1,), generator=rng, device=rng.device))
        integers = self._of_split(n, split, np.random.default_rng(seed))
        inputs = torch.from_numpy(integers.astype(np.float32)).to(rng.device)
        targets = torch.from_numpy(self.rule.targets(integers).astype(np.float32)).to(rng.device)
        return Batch(inputs, targets, None, torch.arange(n, device=rng.device))

    def integers(self, n: int, length: int, rng: np.random.Generator) -> np.ndarray:
        """Draw n inputs (n, length, c) int64 of any length, from all splits; `rule.targets` has their targets."""
        return self.rule.integers(n, length, rng)

    def targets(self, inputs: Tensor) -> tuple[Tensor, None]:
        """Return the targets (B, T, k), in the inputs' precision, of integers as real numbers (B, T, c); all count."""
        integers = inputs.detach().cpu().double().round().long().numpy()
        targets = torch.from_numpy(self.rule.targets(integers).astype(np.float64))
        return targets.to(inputs), None

    def check_inputs(self, inputs: Tensor) -> None:
        """Raise ConfigError unless inputs (B, T, c) are integers, as real numbers, in the rule's range."""
        check_inputs(inputs, self.spec)
        wrong = (inputs != inputs.round()) | (inputs < self.rule.low) | (inputs > self.rule.high)
        if wrong.any():
            must = f"inputs of {self.name} must be whole numbers from {self.rule.low} to {self.rule.high}"
            raise ConfigError(must, got=inputs[wrong][0].item(), key="inputs")

    def score(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return `accuracy` (B,), the share of a sequence's targets that the rounded outputs equal, and `exact` (B,), 1
        where they equal all of them."""
        right = self.spec.loss.right(outputs, batch.targets).flatten(1)
        return {"accuracy": right.to(outputs.dtype).mean(1), "exact": right.all(1).to(outputs.dtype)}

    @functools.cache  # noqa: B019 (one number, and a task lives as long as its run)
    def chance(self) -> float:
        """Return the share of the most frequent target among those of training sequences; the mean over channels."""
        inputs = self._of_split(SAMPLE, "train", np.random.default_rng(0))
        channels = self.rule.targets(inputs).reshape(-1, self.rule.outputs).T
        return float(np.mean([np.unique(targets, return_counts=True)[1].max() / len(targets) for targets in channels]))

    def ground_truth(self) -> KnownRule:
        """Return the rule."""
        return KnownRule(self)

    def trained_on(self, words: np.ndarray) -> np.ndarray:
        """Return of which words (B, t, c) the training split has a sequence that is the word or begins with it, (B,).

        A word below the training length T counts as such a beginning; a word above T is longer than any sequence.
        """
        if words.shape[1] != self.length:
            return np.full(len(words), words.shape[1] < self.length)
        return self._in_split(words, "train")

    def _of_split(self, n: int, split: Split, rng: np.random.Generator) -> np.ndarray:
        """Draw n inputs (n, T, c) int64 of a split."""
        if self._undivided:
            return self.integers(n, self.length, rng)
        _, parts = self._parts(split)
        drawn, count = [], 0
        while count < n:
            more = self.integers(round((n - count) * PARTS / parts) + 10, self.length, rng)
            drawn.append(more[self._in_split(more, split)])
            count += len(drawn[-1])
        return np.concatenate(drawn)[:n]

    @property
    def _undivided(self) -> bool:
        """True if there are so few sequences that all splits have all of them."""
        return (self.rule.high - self.rule.low + 1) ** (self.rule.channels * self.length) < FEWEST

    def _in_split(self, inputs: np.ndarray, split: Split) -> np.ndarray:
        """Return which inputs (B, T, c) belong to a split, (B,)."""
        if self._undivided:
            return np.ones(len(inputs), bool)
        first, parts = self._parts(split)
        part = word_hash(inputs.reshape(len(inputs), -1) - self.rule.low) % np.uint64(PARTS)
        return (part >= first) & (part < first + parts)

    def _parts(self, split: Split) -> tuple[int, int]:
        """Return the first of the parts of a split, and their number."""
        held_out = round(PARTS * (1 - self.rule.share) / 2)  # parts each of validation and test
        return {
            "train": (0, PARTS - 2 * held_out),
            "val": (PARTS - 2 * held_out, held_out),
            "test": (PARTS - held_out, held_out),
        }[split]


@dataclass(frozen=True)
class KnownRule:
    """A ground truth of kind "sequence rule": a function of integer sequences that is exact at any length.

    Args:
        task: the task whose rule it is.
    """

    task: Mips
    kind: ClassVar[str] = "sequence rule"

    @property
    def rule(self) -> SequenceRule:
        """The rule for integers."""
        return self.task.rule

    def targets(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the targets (B, T, k) of inputs (B, T, c), and where they are defined (B, T): everywhere."""
        targets, _ = self.task.targets(inputs)
        return targets, torch.ones(inputs.shape[:2], dtype=torch.bool, device=inputs.device)
