"""Spectra of a recurrent network's transition: at the origin, along trajectories, and at fixed points."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mechlab.binding.fixed_points import fixed_points
from mechlab.core.precision import in_precision

if TYPE_CHECKING:
    from mechlab.core.model import SequenceModel
    from mechlab.record.run import Run


ENTRIES = 2_000_000  # of the Jacobians at all starts


class Spectra(NamedTuple):
    """The eigenvalues of the transition's Jacobian at P states.

    Args:
        values: (P, S) complex.
        states: columns (P,) that describe the states, by name.
    """

    values: np.ndarray
    states: dict[str, np.ndarray]


def spectrum_at_origin(model: SequenceModel) -> np.ndarray:
    """Return the eigenvalues (S,) complex of d next state / d state at state 0 and input 0."""
    state = model.initial_state(1)[0].detach() * 0
    return spectra_at(model, state.new_zeros(1, model.spec.inputs), state[None])[0]


def spectra_at(model: SequenceModel, inputs: Tensor, states: Tensor) -> np.ndarray:
    """Return the eigenvalues (P, S) complex of d next state / d state at P inputs (P, inputs) and states (P, S)."""
    pairs = zip(inputs, states, strict=True)  # one by one: all Jacobians of a large state take much memory
    return np.stack([_eigenvalues(model.jacobian(x, state)) for x, state in pairs])


def _eigenvalues(jacobian: Tensor) -> np.ndarray:
    return np.linalg.eigvals(in_precision(jacobian.detach().cpu(), torch.float64).numpy()).astype(complex)


def along_trajectory(run: Run, points: int) -> Spectra:
    """Return the spectra at states of held-out sequences after the input, with their `step` after its end.

    Each state is of another sequence; the steps are spaced evenly up to the last but one.
    """
    inputs, times, states = _passed(run, points)
    values = spectra_at(run.model(), inputs, states)
    return Spectra(values, {"step": times - run.task.ground_truth().s})


def at_fixed_points(run: Run, points: int) -> Spectra:
    """Return the spectra at the distinct fixed points at input 0 that are reached from state 0 and from the states of
    `along_trajectory`, with their `distance` from the origin, their `residual` and the number of `starts` that lead to
    each; see `fixed_points`. There may be none. Of large states there are fewer starts, since the Jacobians of all are
    in memory at once."""
    _, _, states = _passed(run, points)
    states = states[: max(1, ENTRIES // states.shape[1] ** 2)]
    solved = fixed_points(run.model(), torch.cat([torch.zeros_like(states[:1]), states]))
    distance = np.linalg.norm(solved.points, axis=1)
    order = np.argsort(distance, kind="stable")
    columns = {"distance": distance, "residual": solved.residuals, "starts": solved.starts}
    return Spectra(solved.multipliers[order], {name: column[order] for name, column in columns.items()})


PLACES = {"trajectory": along_trajectory, "fixed_points": at_fixed_points}


@torch.no_grad()
def _passed(run: Run, points: int) -> tuple[Tensor, np.ndarray, Tensor]:
    """Return inputs (P, inputs), the steps (P,) at which they are read, and the states (P, S) that read them."""
    model, inputs = run.model(), run.evaluation("test", points).inputs
    inputs = inputs.to(model.initial_state(1))
    last = inputs.shape[1] - 1
    times = torch.linspace(min(run.task.ground_truth().s, last), last, len(inputs)).round().long()
    rows = torch.arange(len(inputs))
    return inputs[rows, times], times.numpy(), model(inputs).states[rows, times]
