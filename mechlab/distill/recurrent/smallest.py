"""The search for the smallest recurrent network that meets all targets of a sequence task."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch

from mechlab.core.saved import Saved
from mechlab.distill.recurrent.attempts import Attempt, Attempting, Examples, attempts_of_state, attempts_state
from mechlab.distill.recurrent.batched_networks import BatchedNetworks, Sizes

AFFINE = tuple(Sizes(hidden, 1, 1) for hidden in (2, 4, 8))
GROWING = tuple(Sizes(hidden, 2, 1, width) for hidden, width in ((2, 4), (2, 8), (4, 8), (6, 16), (8, 32), (16, 64)))
DEEPER = tuple(Sizes(hidden, 2, 2, width, width) for hidden, width in ((6, 16), (16, 64)))
WIDE = 16  # width of f from which networks are trained longer
COSTLY = 32  # width of f from which fewer networks are trained, and in the last pass only
PASSES = 3  # over the sizes until a network is perfect, each with more steps of gradient descent
IMPROVED = 0.5  # there is no third pass if the second leaves more than this share of the wrong targets of the first


def ladder(passed: int) -> tuple[Sizes, ...]:
    """Return the sizes that are tried in a pass, the first of which is number 0, until a network is perfect."""
    growing = (*GROWING, *DEEPER)
    narrow = tuple(sizes for sizes in growing if sizes.transition_width < COSTLY)
    costly = tuple(sizes for sizes in growing if sizes.transition_width >= COSTLY)
    return (*(AFFINE if passed == 0 else ()), *narrow, *(costly if passed == PASSES - 1 else ()))


@dataclass
class SmallestSearch:
    """The search for the smallest perfect network, in the published order of sizes: depth of g, depth of f, components
    of the state, width of g, width of f, the first one most significant.

    Affine networks are tried first, then networks with one hidden layer in f, growing in the state and in width until
    one is perfect, then those with one in g too. If none was, they are tried again with more steps, and a third time,
    with the widest ones, if that has helped. From there bisection lowers the state, and then the
    widths. Of sizes at which no attempt is perfect, none smaller are tried.

    Args:
        examples: the sequences.
        rng: source of all starts and batches.
        starts: networks of an attempt; a quarter of them at widths of f from 32.
        steps: of gradient descent in an attempt; four times as many at widths of f from 16, half as many where f is
            affine. A further pass has four times the steps of the one before, or twice at widths of f from 16.
        rounds: of ten Levenberg-Marquardt steps in an attempt, at most.
        tries: attempts at sizes below those of a perfect network.
        report: receives each attempt that is made.
        saved: where attempts are saved as they end, and from which a search that was interrupted goes on.

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
    saved: Saved | None = None
    attempts: list[Attempt] = field(default_factory=list)
    passed: int = field(default=0, init=False)
    _before: deque[Attempt] = field(default_factory=deque, init=False)

    def run(self) -> Attempt:
        """Return the attempt with the smallest perfect network, or with the most accurate one if none is perfect."""
        self._restore()
        found = self._grow()
        if found is None:
            return max(map(self._tested, self.attempts), key=lambda attempt: attempt.accuracy)
        found = self._lower(found, "hidden")
        for width, depth in (("readout_width", "readout_depth"), ("transition_width", "transition_depth")):
            if getattr(found.sizes, depth) > 1:
                found = self._lower(found, width)
        return found

    def effort(self, sizes: Sizes, passed: int = 0) -> tuple[int, int]:
        """Return the networks of an attempt at some sizes in a pass, and its steps of gradient descent."""
        if sizes.transition_depth == 1:
            return self.starts, max(1, self.steps // 2)
        if sizes.transition_width >= COSTLY:
            return max(1, self.starts // 4), 4 * self.steps
        return self.starts, self.steps * (4 * 2**passed if sizes.transition_width >= WIDE else 4**passed)

    def _grow(self) -> Attempt | None:
        """Return the first perfect attempt at sizes that grow; None if there is none."""
        before = 0.0
        for self.passed in range(PASSES):
            best = before
            for sizes in ladder(self.passed):
                attempt = self._attempt(sizes)
                if attempt.perfect:
                    return attempt
                best = max(best, attempt.accuracy)
            if self.passed and 1 - best > IMPROVED * (1 - before):
                break
            before = best
        return None

    def _tested(self, attempt: Attempt) -> Attempt:
        """Return an attempt with the share of all held-out targets that its network meets, not of some of them."""
        inputs, outputs = (values.shape[2] for values in (self.examples.inputs, self.examples.targets))
        networks = BatchedNetworks(attempt.sizes, inputs, outputs)
        return replace(attempt, accuracy=self.examples.share_right(networks, attempt.weights[None]))

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

    def _attempt(self, sizes: Sizes) -> Attempt:
        if self._before and self._before[0].sizes == sizes:
            attempt = self._before.popleft()
        else:
            self._before.clear()
            starts, steps = self.effort(sizes, self.passed)
            attempt = Attempting(self.examples, sizes, starts, steps, self.rounds, self.rng).run()
            self.report(attempt)
        self.attempts.append(attempt)
        if self.saved is not None and not self._before:
            self.saved.save(attempts_state(self.attempts) | {"rng": self.rng.get_state()})
        return attempt

    def _restore(self) -> None:
        """Take over what was saved: the search makes the same choices again, without the attempts themselves."""
        state = {} if self.saved is None else self.saved.load()
        if state:
            self.rng.set_state(state["rng"])
            self._before = deque(attempts_of_state(state))
