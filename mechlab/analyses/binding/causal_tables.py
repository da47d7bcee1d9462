"""The tables of the causal analysis: accuracy after the removal of subspaces, and after changes of variables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

import numpy as np
import pandas as pd

from mechlab.analyses.binding.changed_states import Accuracy, Edit, Moment
from mechlab.binding.interventions import (
    Coordinates,
    flipped,
    orthogonal_projection,
    patched,
    random_projection,
    spectral_projection,
    swapped,
)
from mechlab.binding.published import published_basis
from mechlab.statistics.bootstrap import bootstrap


def ablations(moment: Moment, steps: int, draws: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return a row for each subspace and what is done to it: the accuracy on a sequence's own future, and on that of
    the sequence of which a part is taken (`donor`), with intervals over sequences.

    Args:
        moment: the states.
        steps: length of the future.
        draws: number of random subspaces.
        rng: source of randomness.
    """
    intact = moment.accuracy(moment.continued(moment.states, steps))
    whole = {"space": "whole", "draw": 0, "dimension": moment.states.shape[1], "action": "intact"}
    rows = [whole | _interval("accuracy", intact)]
    for space, draw, projection in _subspaces(moment, draws, rng):
        place = {"space": space, "draw": draw, "dimension": round(np.trace(projection))}
        actions = {
            "removed": moment.continued(moment.removed(projection), steps),
            "removed at s steps": moment.continued_without(projection, steps),
            "kept": moment.continued(moment.kept(projection), steps),
            "exchanged": moment.continued(moment.exchanged(projection), steps),
        }
        for action, outputs in actions.items():
            row = place | {"action": action} | _interval("accuracy", moment.accuracy(outputs))
            if action == "exchanged":
                row |= _interval("donor", moment.accuracy(outputs, of_donors=True))
            rows.append(row)
    return pd.DataFrame(rows).assign(sequences=len(moment.states), steps=steps)


def _subspaces(moment: Moment, draws: int, rng: np.random.Generator) -> Iterator[tuple[str, int, np.ndarray]]:
    """Yield the name, the number and the projection (S, S) of each subspace."""
    linear, truth = moment.network.linear, moment.network.truth
    S = len(linear.recurrent)
    invariant = spectral_projection(linear.recurrent, min(truth.rank, S))
    yield "invariant", 0, invariant
    yield "published", 0, orthogonal_projection(published_basis(linear.recurrent, linear.readout, truth.matrix)[0])
    for draw in range(draws):
        yield "random", draw, random_projection(S, round(np.trace(invariant)), rng)


def coordinates(moment: Moment, rng: np.random.Generator) -> dict[str, Coordinates]:
    """Return coordinates of the active variables by name: "decoder", where the network has an observability decoder;
    "published"; and "random", the values of the first of these with directions that are random and as long."""
    linear, active, bases = moment.network.linear, moment.active, {}
    psi, dual = published_basis(linear.recurrent, linear.readout, moment.network.truth.matrix)
    pairs = {"published": (dual[active], psi[:, active])}
    with suppress(ValueError):  # no persistent subspace is well-conditioned
        decoder = moment.network.decoder
        pairs = {"decoder": (decoder.decode[active], decoder.basis[:, active]), **pairs}
    for name, (decode, basis) in pairs.items():
        bases[name] = Coordinates.measured(decode, basis, moment.centres[0], moment.states)
    first = next(iter(bases.values()))
    directions = rng.standard_normal(first.basis.shape)
    lengths = np.linalg.norm(first.basis, axis=0) / np.linalg.norm(directions, axis=0)
    return bases | {"random": first._replace(basis=directions * lengths)}


def changes(
    moment: Moment, bases: Mapping[str, Coordinates], steps: int, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a row for each basis and kind of change, with means over variables and intervals over sequences; and a row
    for each basis and cell, with the accuracy after a flip of the cell, NaN off the cycles.

    Args:
        moment: the states.
        bases: coordinates by name; those named "random" are for the flip only.
        steps: length of the future.
        rng: source of the partners of swaps.
    """
    count, rows, cells = len(moment.active), [], []
    order, donors = rng.permutation(count), np.roll(np.arange(len(moment.states)), 1)
    partners = np.empty(count, int)
    partners[order] = np.roll(order, 1)
    edits: dict[str, Edit] = {
        "flip": flipped,
        "swap": lambda values, which: swapped(values, which, partners[which]),
        "patch": lambda values, which: patched(values, which, donors),
    }
    for basis, within in bases.items():
        for change in ("flip",) if basis == "random" or count == 1 else edits:
            result = moment.after(edits[change], within, steps)
            rows.append({"basis": basis, "change": change, **_summary(result)})
            if change == "flip":
                cells.append(_by_cell(moment, result).assign(basis=basis))
    given = {"sequences": len(moment.states), "steps": steps, "variables": count}
    return pd.DataFrame(rows).assign(**given), pd.concat(cells)


def doses_of_flips(
    moment: Moment, bases: Mapping[str, Coordinates], steps: int, doses: Iterable[float]
) -> pd.DataFrame:
    """Return a row for each basis and dose of the flip, as `changes` does."""
    rows = [
        {"basis": basis, "dose": dose, **_summary(moment.after(flipped, within, steps, dose))}
        for basis, within in bases.items()
        for dose in sorted(set(doses))
    ]
    return pd.DataFrame(rows).assign(sequences=len(moment.states), steps=steps, variables=len(moment.active))


def _by_cell(moment: Moment, result: Accuracy) -> pd.DataFrame:
    """Return a row for each of the s d cells, with means over sequences."""
    block, component = np.divmod(np.arange(moment.variables.shape[1]), moment.network.truth.d)
    cells = pd.DataFrame({"block": block, "component": component, "changed": np.nan, "stays": np.nan})
    cells.loc[moment.active, ["changed", "stays"]] = np.stack([_mean(shares, 1) for shares in result], 1)
    return cells


def _summary(result: Accuracy) -> dict[str, float]:
    """Return means over variables with intervals over sequences, and the mean of the variable that is worst."""
    changed, stays = (_mean(shares, 0) for shares in result)  # (N,)
    worst = np.nanmin(_mean(result.changed, 1), initial=np.inf)
    return (
        _interval("changed", changed) | _interval("stays", stays) | {"worst": worst if np.isfinite(worst) else np.nan}
    )


def _interval(name: str, values: np.ndarray) -> dict[str, float]:
    """Return the mean of values, NaN apart, and the ends of its interval."""
    values = values[np.isfinite(values)]
    low, high = bootstrap(values) if len(values) else (np.nan, np.nan)
    return {name: values.mean() if len(values) else np.nan, f"{name}_low": low, f"{name}_high": high}


def _mean(shares: np.ndarray, axis: int) -> np.ndarray:
    """Return the mean along an axis, NaN apart; NaN where there is nothing else."""
    known = np.isfinite(shares)
    counts = known.sum(axis)
    return np.where(counts, np.where(known, shares, 0).sum(axis) / np.maximum(counts, 1), np.nan)
