"""A trained recurrent network that runs on by itself: outputs and states long after its inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from mechlab.core.model import SequenceModel
from mechlab.core.task import Task

ELEMENTS = 2**22  # numbers of a chunk of states or targets


class LongRun:
    """B held-out sequences of a task whose targets follow from its first s inputs, and a network at input 0 after them.

    Args:
        model: the network.
        task: its ground truth is a companion matrix or a dynamical system.
        sequences: B.
        rng: of the inputs.
    """

    def __init__(self, model: SequenceModel, task: Task, sequences: int, rng: torch.Generator):
        self.model, self.task, self.truth = model, task, task.ground_truth()
        zero = model.initial_state(1)
        self.given = task.generate(sequences, "test", rng).inputs[:, : self.truth.s].to(zero)  # (B, s, d)
        self.start = self._last_state(self.given, model.initial_state(sequences).detach())
        self.chunk = max(1, min(500, ELEMENTS // (sequences * max(zero.shape[1], self.truth.d))))

    @torch.no_grad()
    def after(self, states: Tensor, steps: int) -> Tensor:
        """Return the states (B, S) after some steps at input 0."""
        for done in range(0, steps, self.chunk):
            x = self._silence(len(states), min(self.chunk, steps - done))
            states = self._last_state(x, states)
        return states

    @torch.no_grad()
    def orbits(self, states: Tensor, steps: int) -> Tensor:
        """Return the states (B, steps + 1, S) of the next steps at input 0, the given ones first."""
        return self.model.resume(self._silence(len(states), steps), states).states

    @torch.no_grad()
    def accuracy(self, steps: int) -> tuple[Tensor, Tensor]:
        """Return the share (B, steps) of each step's targets that are met, and the last states (B, S).

        Step 0 is the first with a target. Targets are met as the task's loss defines it, and never by an output that is
        not finite.
        """
        states, shares = self.start, []
        for targets in self.targets(steps):
            trace = self.model.resume(self._silence(len(states), targets.shape[1]), states)
            states = torch.cat([part[:, -1] for part in trace.parts], -1)
            met = self.task.spec.loss.right(trace.outputs, targets) & trace.outputs.isfinite()
            shares.append(met.double().mean(2))
        return torch.cat(shares, 1), states

    @torch.no_grad()
    def accuracy_with_noise(self, levels: Sequence[float], steps: int, rng: torch.Generator) -> Tensor:
        """Return the accuracy (L, B) over some steps with Gaussian noise that is added to the state before each step.

        Args:
            levels: (L,) standard deviations, relative to the root mean square of the states at the end of the inputs.
            steps: number of steps.
            rng: of the noise.
        """
        B, L = len(self.start), len(levels)
        size = self.start.square().mean().sqrt() * torch.tensor(levels, dtype=self.start.dtype)
        size = size.to(self.start).repeat_interleave(B)[:, None]  # (L B, 1)
        states, x = self.start.repeat(L, 1), self._silence(L * B, 1)[:, 0]
        met = states.new_zeros(L * B, dtype=torch.float64)
        for targets in self.targets(steps):
            for target in targets.unbind(1):
                noise = torch.randn(B, states.shape[1], generator=rng, dtype=states.dtype).to(states)
                outputs, states = self.model.step(x, states + size * noise.repeat(L, 1))
                met += (self.task.spec.loss.right(outputs, target.repeat(L, 1)) & outputs.isfinite()).double().mean(1)
        return (met / steps).view(L, B)

    def targets(self, steps: int) -> Iterator[Tensor]:
        """Yield the targets of the steps after the inputs, in chunks (B, chunk, d)."""
        window = self.given  # (B, s, d), the last s states of the system
        for done in range(0, steps, self.chunk):
            count = min(self.chunk, steps - done)
            if self.truth.kind == "companion matrix":  # alike at every step, so that a window may stand for the inputs
                x = torch.cat([window, self._silence(len(window), count)], 1)
                following = self.task.targets(x)[0][:, self.truth.s :]
            else:
                states = list(window.unbind(1))
                for k in range(done, done + count):
                    states.append(self.truth.rule(torch.stack(states[-self.truth.s :], 1), k))
                following = torch.stack(states[self.truth.s :], 1)
            yield following
            window = torch.cat([window, following], 1)[:, -self.truth.s :]

    def _silence(self, batch: int, steps: int) -> Tensor:
        return self.given.new_zeros(batch, steps, self.given.shape[2])

    @torch.no_grad()
    def _last_state(self, x: Tensor, states: Tensor) -> Tensor:
        return torch.cat([part[:, -1] for part in self.model.resume(x, states).parts], -1)
