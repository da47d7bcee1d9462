"""The search for the smallest recurrent network that meets all targets of a sequence task."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import torch

from mechlab.distill.recurrent.attempts import Attempt, Attempting, Examples
from mechlab.distill.recurrent.batched_networks import Sizes

AFFINE = tuple(Sizes(hidden, 1, 1) for hidden in (2, 4, 8))
GROWING = tuple(Sizes(hidden, 2, 1, width) for hidden, width in ((2, 4), (4, 8), (6, 16), (8, 32), (16, 64)))
DEEPER = tuple(Sizes(hidden, 2, 2, width, width) for hidden, width in ((6, 16), (16, 64)))
WIDE = 16  # width of f from which fewer networks are trained, and longer
PASSES = 3  # over the wide sizes until a network is perfect, each with twice the steps of gradient descent


def ladder() -> Iterator[tuple[Sizes, int]]:
    """Yield the sizes that are tried until a network is perfect, and the factor of the steps of gradient descent."""
    growing = (*AFFINE, *GROWING, *DEEPER)
    for repeat in range(PASSES):
        yield from ((sizes, 2**repeat) for sizes in growing if not repeat or sizes.transition_width >= WIDE)


@dataclass
class SmallestSearch:
    """The search for the smallest perfect network, in the published order of sizes: depth of g, depth of f, components
    of the state, width of g, width of f, the first one most significant.

    Affine networks are tried first, then networks with one hidden layer in f, growing in the state and in width until
    one is perfect, then those with one in g too; the wide ones again, and longer, if none was. From there bisection
    lowers the state, and then the widths. Of sizes at which no attempt is perfect, none smaller are tried.

    Args:
        examples: the sequences.
        rng: source of all starts and batches.
        starts: networks of an attempt; a quarter of them at widths of f from 16.
        steps: of gradient descent in an attempt; four times as many at widths of f from 16, half as many where f is
            affine.
        rounds: of ten Levenberg-Marquardt steps in an attempt, at most.
        tries: attempts at sizes below those of a perfect network.
        report: receives each attempt.

    Attributes:
        attempts: all attempts, in their order.
    """

    examples: Examples
    rng: torch.Generator
    starts: int = 32
    steps: int = 400
    rounds: int = 12
    tries: int = 2
    report: Callable[[Attempt], None] = lambda attempt: None
    attempts: list[Attempt] = field(default_factory=list)

    def run(self) -> Attempt:
        """Return the attempt with the smallest perfect network, or with the most accurate one if none is perfect."""
        found = self._grow()
        if found is None:
            return max(self.attempts, key=lambda attempt: attempt.accuracy)
        found = self._lower(found, "hidden")
        for width, depth in (("readout_width", "readout_depth"), ("transition_width", "transition_depth")):
            if getattr(found.sizes, depth) > 1:
                found = self._lower(found, width)
        return found

    def effort(self, sizes: Sizes) -> tuple[int, int]:
        """Return the networks of an attempt at some sizes and its steps of gradient descent."""
        if sizes.transition_depth == 1:
            return self.starts, max(1, self.steps // 2)
        if sizes.transition_width >= WIDE:
            return max(1, self.starts // 4), 4 * self.steps
        return self.starts, self.steps

    def _grow(self) -> Attempt | None:
        """Return the first perfect attempt at sizes that grow; None if there is none."""
        return next((attempt for attempt in self._growing() if attempt.perfect), None)

    def _growing(self) -> Iterator[Attempt]:
        for sizes, longer in ladder():
            yield self._attempt(sizes, longer)

    def _lower(self, found: Attempt, name: str) -> Attempt:
        """Return a perfect attempt at the least value of a size, by bisection from that of a perfect one."""
        least, value = 1, getattr(found.sizes, name)
        while least < value:
            middle = (least + value) // 2
            smaller = self._perfect(replace(found.sizes, **{name: middle}))
            if smaller is None:
                least = middle + 1
            else:
                found, value = smaller, middle
        return found

    def _perfect(self, sizes: Sizes) -> Attempt | None:
        """Return the first perfect attempt of several at some sizes."""
        tries = (self._attempt(sizes) for _ in range(self.tries))
        return next((attempt for attempt in tries if attempt.perfect), None)

    def _attempt(self, sizes: Sizes, longer: int = 1) -> Attempt:
        starts, steps = self.effort(sizes)
        steps *= longer
        attempt = Attempting(self.examples, sizes, starts, steps, self.rounds, self.rng).run()
        self.attempts.append(attempt)
        self.report(attempt)
        return attempt
