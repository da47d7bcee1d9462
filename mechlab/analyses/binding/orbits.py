"""Periodic orbits of a trained network beside those of its task: attractors, Floquet multipliers, fixed points."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mechlab.analyses.binding.long_run import LongRun
from mechlab.binding.attractors import cycles_of, returns
from mechlab.binding.companion import on_cycles
from mechlab.binding.fixed_points import FixedPoints, fixed_points
from mechlab.binding.lyapunov import floquet_multipliers
from mechlab.record.artifacts import Artifacts

PERIODIC = 1e-4  # largest relative distance after a period of an orbit that counts as periodic
ELEMENTS = 2**25  # numbers of the orbits in memory
PRODUCTS = 4e9  # multiplications of a product of Jacobians of all trajectories, about five seconds
DESCENT = 1.2e9  # of the Jacobians of all starts in one step of the search for fixed points
MOST = 20  # Jacobians of each start of a cycle
NOISE = 0.5  # of half of the starts of fixed points, relative to the states


class OrbitParts:
    """What an analysis computes of orbits of a network at input 0.

    Args:
        network: the network running on.
        trajectories: number of orbits for multipliers and cycles.
        transient: steps after the inputs at which they begin.
        longest: period in steps beyond which nothing is computed.

    Attributes:
        notes: why a part was left out, by slug.
    """

    def __init__(self, network: LongRun, trajectories: int, transient: int, longest: int):
        self.network, self.trajectories, self.notes = network, trajectories, dict[str, str]()
        self.states = network.after(network.start, transient)  # (B, S)
        self.period = network.truth.period if network.truth.kind == "companion matrix" else None
        if self.period is None:
            self.notes["period"] = "Cycles and Floquet multipliers need a rule whose companion matrix has a period."
        elif self.period > longest:
            self.notes["period"] = f"The theoretical period is {self.period} steps, more than longest_period={longest}."
            self.period = None

    def attractors(self, states: Tensor) -> dict[str, float]:
        """Return the share of sequences whose states (B, S) return after the period, and how many cycles they are on
        beside how many these sequences are on in theory."""
        if self.period is None:
            return {}
        most = max(1, ELEMENTS // ((self.period + 1) * states.shape[1]))
        orbits = self.network.orbits(states[:most], self.period)
        periodic = returns(orbits) <= PERIODIC  # NaN is not
        reached = cycles_of(orbits[torch.from_numpy(periodic), :-1])
        theory = cycles_of(self._theoretical_orbits(most))
        return {
            "period": float(self.period),
            "periodic": float(periodic.mean()),
            "attractors": float(len(np.unique(reached))),
            "attractors_theory": float(len(np.unique(theory))),
        }

    def fixed_points(self, starts: int, seed: int, out: Artifacts) -> dict[str, float]:
        """Search for fixed points from the origin and from states, half of them with noise; save and count them."""
        states = self._finite()
        starts = self._affordable(starts, DESCENT, 1)
        if not starts or not len(states):
            self.notes["fixed_points"] = "Fixed points are left out: the state is too large, or grows without bound."
            return {}
        chosen = states[torch.arange(starts) % len(states)].double()
        noise = torch.randn(chosen.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        size = NOISE * chosen.square().mean().sqrt()
        chosen = chosen + size * noise.to(chosen) * (torch.arange(starts) % 2 == 1).to(chosen)[:, None]
        chosen[0] = 0
        return self._solved(fixed_points(self.network.model, chosen), 1, "fixed_points", out)

    def cycles(self, out: Artifacts) -> dict[str, float]:
        """Search for cycles of the theoretical period from the trajectories; save and count them."""
        if self.period is None:
            return {}
        starts = self._finite()[: self._affordable(self.trajectories, DESCENT, self.period)]
        if not len(starts):
            self.notes["cycles"] = f"Cycles of {self.period} steps are left out: period and state are too large."
            return {}
        return self._solved(
            fixed_points(self.network.model, starts, self.period, iterations=MOST), self.period, "cycles", out
        )

    def floquet(self, out: Artifacts) -> dict[str, float]:
        """Save the Floquet multipliers over the theoretical period along trajectories; return the largest modulus, as
        mean over trajectories."""
        if self.period is None:
            return {}
        states = self._finite()[: self._affordable(self.trajectories, PRODUCTS, self.period)]
        if not len(states):
            self.notes["floquet"] = (
                f"Multipliers over {self.period} steps are left out: period and state are too large."
            )
            return {}
        logarithms, angles = floquet_multipliers(self.network.model, states, self.period)
        out.save_arrays("floquet", logarithms=logarithms, angles=angles, period=np.array(self.period))
        return {"floquet_exponent": float(logarithms[:, 0].mean() / self.period)}

    def _solved(self, result: FixedPoints, period: int, name: str, out: Artifacts) -> dict[str, float]:
        arrays = {"points": result.points, "residuals": result.residuals, "periods": result.periods}
        multipliers = {"multipliers": result.multipliers, "starts": result.starts, "period": np.array(period)}
        out.save_arrays(name, **arrays, **multipliers)
        return {name: float(len(result.points)), f"{name}_stable": float(result.stable.sum())}

    def _finite(self) -> Tensor:
        return self.states[self.states.isfinite().all(1)]

    def _affordable(self, wanted: int, multiplications: float, period: int) -> int:
        """Return how many of the wanted orbits of a period have Jacobians for so many multiplications."""
        return min(wanted, int(multiplications / (period * self.states.shape[1] ** 3)))

    def _theoretical_orbits(self, most: int) -> Tensor:
        """Return the windows (B, period, active) of the system itself, of the cells on cycles alone."""
        matrix = self.network.truth.matrix
        active = on_cycles(matrix)
        phi = torch.from_numpy(matrix[np.ix_(active, active)])
        window = self.network.given[:most].flatten(1)[:, torch.from_numpy(active)].double()
        orbit = []
        for _ in range(self.period):
            orbit.append(window)
            window = window @ phi.T
        return torch.stack(orbit, 1)
