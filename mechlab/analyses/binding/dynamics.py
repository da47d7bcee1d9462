"""How a network carries its variables through time: horizon curves, Lyapunov spectrum, cycles, noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
import torch

from mechlab.analyses.binding.long_run import LongRun
from mechlab.analyses.binding.orbits import OrbitParts
from mechlab.binding.lyapunov import lyapunov_exponents
from mechlab.core.analysis import Analysis, Claim, Finding, Needs
from mechlab.core.constraints import Filled, Size, above, at_least, between
from mechlab.core.errors import ConfigError
from mechlab.record.artifacts import Artifacts
from mechlab.statistics.bootstrap import bootstrap

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mechlab.core.recipe import Recipe
    from mechlab.record.run import Run

NAMED = (100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)  # horizons whose accuracy is a scalar
FIRST = 100  # steps over which a network must be right to have a mechanism
SOLVED = 0.1  # accuracy above chance in the first steps
RECENT = 0.1  # of a horizon, over which its recent accuracy is taken
NULL_HORIZON = 1000  # of the untrained network
BEYOND = 8  # exponents beyond the theoretical rank
FEW = 20  # exponents where there is no rank


class Horizons(NamedTuple):
    """Accuracy against horizon.

    Args:
        table: a row for each horizon; see `Dynamics`.
        first: (B,) of each sequence, the accuracy over the first 100 steps.
        last: (B,) over the last tenth of the longest horizon.
    """

    table: pd.DataFrame
    first: np.ndarray
    last: np.ndarray


class Dynamics(Analysis):
    """The network running by itself, at input 0 after the s inputs of the task: its accuracy against the horizon, its
    Lyapunov exponents, fixed points and cycles, and its robustness to noise in the state.

    `accuracy_H` is the share of right targets over the first H steps after the inputs, as the test accuracy of a task
    of horizon H; the table `horizon` has it for more horizons, beside `recent`, that over the last tenth of H alone.
    Intervals are 95% bootstrap intervals over sequences. Exponents are in nats per step. Where the ground truth is a
    companion matrix, the period is the least common multiple of the lengths of its cycles (one of sign -1 counts
    twice), after which the system returns; Floquet multipliers are those of the map over that period, and cycles are
    fixed points of that map. `attractors` counts the cycles on which the sequences are after the longest horizon.

    Two mechanisms are distinguished. On a limit cycle the largest exponent is negative, and the accuracy stays; in
    linear drift it is 0 up to `neutral`, and the accuracy decays, since nothing corrects an error. The claim that holds
    is made. A network that fits neither is undecided, and a note gives the reason; the claim that is made is then the
    one for its sign of the exponent, and fails.

    Args:
        horizon: longest horizon, in steps after the inputs.
        sequences: number of held-out sequences.
        trajectories: how many of them have their exponents, multipliers and cycles computed.
        transient: steps after the inputs at which these trajectories begin.
        steps: over which the exponents are averaged.
        exponents: number of the largest exponents; null for the theoretical rank and 8 more, or 20 without a rank.
        starts: number of states from which fixed points are searched, some of them with noise.
        longest_period: beyond which cycles and multipliers are left out.
        noise_levels: standard deviations of the noise that is added to the state before each step, relative to the root
            mean square of the states.
        noise_steps: steps after the inputs over which the accuracy with noise is taken.
        neutral: largest absolute value of the largest exponent in linear drift, in nats per step.
        retained: share of the accuracy above chance that is left at the end on a limit cycle, and is not in drift.
    """

    needs = Needs(kind="sequence", ground_truth=("companion matrix", "dynamical system"), model=("jacobian",))
    other_model = "choose a recurrent model, such as model=rnn, or analysis=[]"
    headline = ("accuracy_200", "top_exponent")

    def __init__(
        self,
        horizon: Annotated[int, between(200, 1_000_000)] = 10_000,
        sequences: Annotated[int, between(20, 10_000)] = 64,
        trajectories: Annotated[int, between(5, 1000)] = 8,
        transient: Annotated[int, between(0, 1_000_000)] = 200,
        steps: Annotated[int, between(20, 1_000_000)] = 600,
        exponents: Size | None = None,
        starts: Annotated[int, between(1, 10_000)] = 32,
        longest_period: Annotated[int, between(1, 100_000)] = 1000,
        noise_levels: Annotated[tuple[Annotated[float, above(0)], ...], Filled()] = (
            0.01,
            0.02,
            0.05,
            0.1,
            0.2,
            0.5,
            1,
        ),
        noise_steps: Annotated[int, between(20, 100_000)] = 200,
        neutral: Annotated[float, at_least(0)] = 0.01,
        retained: Annotated[float, between(0, 1)] = 0.9,
    ):
        self.horizon, self.sequences, self.trajectories, self.transient = horizon, sequences, trajectories, transient
        self.steps, self.exponents, self.starts, self.longest_period = steps, exponents, starts, longest_period
        self.noise_levels, self.noise_steps = noise_levels, noise_steps
        self.neutral, self.retained = neutral, retained

    def check_recipe(self, name: str, recipe: Recipe, key: str) -> None:
        """Raise ConfigError if the task has no accuracy, or a sequence has fewer trajectories than are to be taken."""
        if not recipe.task.has_accuracy:
            got = f"a {type(recipe.task).__name__} of real targets"
            fix = f"leave {name} out of {key.partition('.')[0]}=[...]"
            raise ConfigError(
                f"analysis={name} needs a task whose targets are right or wrong", got=got, key=key, fix=fix
            )
        if self.trajectories > self.sequences:
            must, got = (
                f"{key}.trajectories must be at most {key}.sequences",
                f"{self.trajectories} of {self.sequences}",
            )
            raise ConfigError(must, got=got, key=f"{key}.trajectories")

    def run(self, run: Run, out: Artifacts, rng: np.random.Generator) -> Finding:
        """Measure the trained network, and exponents and horizons up to 1,000 of the untrained one."""
        task, (draws, noise, tangents) = run.task, (int(seed) for seed in rng.integers(2**63, size=3))
        trained, untrained = (
            LongRun(model, task, self.sequences, torch.Generator().manual_seed(draws))
            for model in (run.model(), run.untrained())
        )
        chance = task.chance()
        horizons, states = self._horizons(trained, untrained, chance)
        out.save_table("horizon", horizons.table)
        scalars = {f"accuracy_{H}": self._at(horizons.table, H) for H in NAMED if self.horizon >= H}
        retained = self._retained(horizons, chance)
        scalars |= {"accuracy_end": float(horizons.last.mean()), "chance": chance, "retained": float(retained.mean())}
        scalars |= self._noise(trained, chance, noise, out)
        parts = OrbitParts(trained, self.trajectories, self.transient, self.longest_period)
        scalars |= parts.attractors(states) | parts.fixed_points(self.starts, noise, out)
        scalars |= parts.floquet(out) | parts.cycles(out)
        exponents = self._exponents(trained, parts.states, tangents)
        if exponents is None:
            return Finding(scalars, notes=parts.notes | {"mechanism": "Undecided: trajectories grow without bound."})
        out.save_arrays("lyapunov", exponents=exponents, rank=np.array(self._rank(trained)))
        null = self._exponents(untrained, untrained.after(untrained.start, self.transient), tangents, 1)
        claims = self._claims(exponents[:, 0], retained, None if null is None else float(null.mean()))
        scalars |= {
            "top_exponent": float(exponents[:, 0].mean()),
            "neutral_exponents": float((np.abs(exponents) <= self.neutral).sum(1).mean()),
        }
        return Finding(scalars, claims, parts.notes | self._mechanism(claims, exponents[:, 0], retained))

    def _horizons(self, trained: LongRun, untrained: LongRun, chance: float) -> tuple[Horizons, torch.Tensor]:
        """Return the horizon curve, and the states (B, S) at its end."""
        import pandas as pd

        right, states = trained.accuracy(self.horizon)
        null = untrained.accuracy(min(self.horizon, NULL_HORIZON))[0].numpy()
        right, rows = right.numpy(), []
        series = {H for power in range(7) for H in (10**power, 2 * 10**power, 5 * 10**power)}
        between_ = np.geomspace(10, self.horizon, 25).round().astype(int)
        for H in sorted({self.horizon, *between_.tolist(), *(H for H in series if 10 <= H <= self.horizon)}):
            row = {"horizon": H}
            for name, values in (("accuracy", right[:, :H]), ("recent", right[:, _last(H) : H])):
                means = values.mean(1)  # (B,)
                low, high = bootstrap(means)
                row |= {name: means.mean(), f"{name}_low": low, f"{name}_high": high}
            rows.append(row | {"untrained": null[:, :H].mean() if null.shape[1] >= H else np.nan, "chance": chance})
        first, last = right[:, :FIRST].mean(1), right[:, _last(self.horizon) :].mean(1)
        return Horizons(pd.DataFrame(rows), first, last), states

    def _at(self, table: pd.DataFrame, horizon: int) -> float:
        return float(table.set_index("horizon")["accuracy"][horizon])

    def _retained(self, horizons: Horizons, chance: float) -> np.ndarray:
        """Return the share (B,) of the accuracy above chance of the first steps that is left at the end; 0 where the
        network was not right in the first steps."""
        first = horizons.first.mean() - chance
        return (horizons.last - chance) / first if first >= SOLVED else np.zeros_like(horizons.last)

    def _noise(self, trained: LongRun, chance: float, seed: int, out: Artifacts) -> dict[str, float]:
        """Save the accuracy at each level of noise, and return the level at which half of that above chance is lost."""
        import pandas as pd

        levels = [0.0, *sorted(set(self.noise_levels))]
        accuracy = trained.accuracy_with_noise(levels, self.noise_steps, torch.Generator().manual_seed(seed)).numpy()
        ends = np.array([bootstrap(row) for row in accuracy])
        mean = accuracy.mean(1)
        columns = {"noise": levels, "accuracy": mean, "low": ends[:, 0], "high": ends[:, 1], "chance": chance}
        out.save_table("noise", pd.DataFrame(columns))
        half = chance + (mean[0] - chance) / 2
        below = np.flatnonzero(mean < half)
        return {"noise_half": float(_crossing(levels, mean, half, int(below[0])) if len(below) else levels[-1])}

    def _exponents(self, network: LongRun, states: torch.Tensor, seed: int, k: int | None = None) -> np.ndarray | None:
        """Return exponents (N, k) of the trajectories that stay finite, or None for fewer than half of them."""
        states = states[: self.trajectories]
        k = min(k or self.exponents or (self._rank(network) or FEW - BEYOND) + BEYOND, states.shape[1])
        finite = network.after(states, self.steps).isfinite().all(1)
        if finite.sum() < len(states) / 2:
            return None
        generator = torch.Generator().manual_seed(seed)
        exponents = lyapunov_exponents(network.model, states[finite], self.steps, k, generator)
        return exponents if np.isfinite(exponents).all() else None

    def _rank(self, network: LongRun) -> int:
        """Return the theoretical rank, 0 where there is none."""
        return network.truth.rank if network.truth.kind == "companion matrix" else 0

    def _claims(self, top: np.ndarray, retained: np.ndarray, null: float | None) -> dict[str, Claim]:
        low, high = bootstrap(top)
        least, most = bootstrap(retained)
        exponent = f"the largest Lyapunov exponent (mean of {len(top)} trajectories, with its interval over them)"
        share = f"{self.retained:g} of the accuracy above chance"
        end = f"over the last tenth of {self.horizon} steps"
        common = {"value": float(top.mean()), "kind": "statistical", "null": null, "interval": (low, high)}
        claims = {
            "limit_cycle": Claim(
                f"Trajectories contract onto cycles: {exponent} is below 0, and no less than {share} is left {end}.",
                threshold=0.0,
                holds=bool(high < 0 and least >= self.retained),
                **common,
            ),
            "linear_drift": Claim(
                f"Trajectories drift: {exponent} is at least -{self.neutral:g} and at most {self.neutral:g}, and less "
                f"than {share} of the first {FIRST} steps is left {end}.",
                threshold=-self.neutral,
                holds=bool(-self.neutral <= low and high <= self.neutral and 0 < most < self.retained),
                **common,
            ),
        }
        made = [slug for slug, claim in claims.items() if claim.holds]
        made = made or ["limit_cycle" if top.mean() < 0 else "linear_drift"]
        return {slug: claims[slug] for slug in made}

    def _mechanism(self, claims: dict[str, Claim], top: np.ndarray, retained: np.ndarray) -> dict[str, str]:
        """Return a note on why the mechanism is undecided, if it is."""
        if any(claim.holds for claim in claims.values()):
            return {}
        if not retained.any():
            return {"mechanism": f"Undecided: the network is at chance within the first {FIRST} steps."}
        measured = f"largest exponent {top.mean():.3g}, retained accuracy {retained.mean():.3g}"
        return {"mechanism": f"Undecided: the network fits neither a limit cycle nor linear drift ({measured})."}

    def figures(self, out: Artifacts) -> dict[str, Figure]:
        """Draw horizon curve, noise, and whatever of exponents, multipliers and fixed points was computed."""
        from mechlab.plotting import dynamics as draw

        figures = {"horizon": draw.horizon_figure(out.table("horizon")), "noise": draw.noise_figure(out.table("noise"))}
        if (exponents := _saved(out, "lyapunov")) is not None:
            figures["lyapunov"] = draw.lyapunov_figure(exponents["exponents"], int(exponents["rank"]), self.neutral)
        if (floquet := _saved(out, "floquet")) is not None:
            figures["floquet"] = draw.floquet_figure(floquet["logarithms"], floquet["angles"], int(floquet["period"]))
        solutions = {name: found for name in ("fixed_points", "cycles") if (found := _saved(out, name)) is not None}
        if solutions:
            figures["fixed_points"] = draw.fixed_points_figure(
                {name: (found["multipliers"], int(found["period"])) for name, found in solutions.items()}
            )
        return figures


def _saved(out: Artifacts, name: str) -> dict[str, np.ndarray] | None:
    return out.arrays(name) if (out.folder / f"{name}.safetensors").exists() else None


def _last(horizon: int) -> int:
    """Return the step at which the last tenth of a horizon begins."""
    return horizon - max(1, round(RECENT * horizon))


def _crossing(levels: Sequence[float], mean: np.ndarray, half: float, after: int) -> float:
    """Return where the line between the points `after` - 1 and `after` is at `half`."""
    if after == 0:
        return levels[0]
    part = (mean[after - 1] - half) / (mean[after - 1] - mean[after])
    return levels[after - 1] + part * (levels[after] - levels[after - 1])
