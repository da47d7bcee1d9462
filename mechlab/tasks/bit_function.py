"""A function of bits to bits, on random inputs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from torch import Tensor, arange

from mechlab.core.errors import ConfigError
from mechlab.core.loss import BernoulliLoss
from mechlab.core.memory import check_memory
from mechlab.core.seeding import Streams
from mechlab.core.task import Batch, FiniteTask, Split, TaskSpec
from mechlab.tasks.distinct import distinct_bits
from mechlab.tasks.known_program import KnownProgram


class BitFunction(FiniteTask):
    """Distinct random inputs (N, *shape) of bits, labelled with the bits (N, outputs) of a function, all float32.

    Outputs are log-odds: an output of at least 0 predicts the bit 1.

    Args:
        rule: maps inputs (B, *shape) to bits (B, outputs).
        parts: names and shapes of the tensors that make up an input, one after the other.
        shape: of one input.
        outputs: number of bits of a target.
        examples: number of training examples; of a small set of inputs at most three quarters.
        held_out: number of validation examples, and as many again for test; at most half each of the other inputs.
        seed: of the examples.

    Attributes:
        input_parts: the argument `parts`.

    Raises:
        ConfigError: the examples do not fit into memory.
    """

    def __init__(
        self,
        rule: Callable[[Tensor], Tensor],
        parts: Mapping[str, tuple[int, ...]],
        shape: tuple[int, ...],
        outputs: int,
        examples: int,
        held_out: int,
        seed: int,
    ):
        self.spec = TaskSpec(
            inputs=functools.reduce(int.__mul__, shape),
            outputs=outputs,
            kind="static",
            loss=BernoulliLoss(),
            shape=shape,
        )
        self.input_parts, self.n_examples, self.held_out, self.seed = dict(parts), examples, held_out, seed
        total = 2 ** min(self.spec.inputs, 62)
        train = min(examples, 3 * total // 4)
        held = min(held_out, (total - train) // 2)
        self._sizes = {"train": train, "val": held, "test": held}
        size = 16 * (train + 2 * held) * (self.spec.inputs + outputs)
        check_memory(size, f"{train + 2 * held:,} examples", "task.examples", "choose a smaller task.examples")
        self._rule = KnownProgram(rule)

    def examples(self, split: Split) -> Batch:
        """Return the examples of a split; see the class for the shapes."""
        return self._splits[split]

    def targets(self, inputs: Tensor) -> tuple[Tensor, None]:
        """Return the bits (B, outputs) of the function for inputs (B, *shape)."""
        return self._rule.rule(inputs), None

    def ground_truth(self) -> KnownProgram:
        """Return the function."""
        return self._rule

    def chance(self) -> float:
        """Return the share of the more frequent bit among the training targets."""
        ones = float(self.examples("train").targets.double().mean())
        return max(ones, 1 - ones)

    def check_inputs(self, inputs: Tensor) -> None:
        """Raise ConfigError unless inputs are bits of the task's shape."""
        super().check_inputs(inputs)
        wrong = (inputs != 0) & (inputs != 1)
        if wrong.any():
            raise ConfigError("inputs must be bits, 0 or 1", got=inputs[wrong][0].item(), key="inputs")

    @functools.cached_property
    def _splits(self) -> dict[Split, Batch]:
        rng = Streams(self.seed).torch("examples")
        rows = distinct_bits(sum(self._sizes.values()), self.spec.inputs, rng)
        parts = rows.unflatten(1, self.spec.shape).split(list(self._sizes.values()))
        return {
            split: Batch(part, self._rule.rule(part), None, arange(len(part)))
            for split, part in zip(self._sizes, parts, strict=True)
        }
